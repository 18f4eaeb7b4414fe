"""Passkeys: WebAuthn credentials, as a second factor or instead of a password. Needs the extra `webauthn`,
whose library does the ceremonies.

A ceremony has two halves. The first makes a challenge, whose id the application keeps (in its session or a
cookie), and options for the browser; the second takes what the browser answered. A challenge is good for one
answer, right or wrong, within `policy.passkey_challenge_lifetime`.

A passkey withstands phishing (ASVS 6.3.3). One whose use was `user_verified` is two factors at once, AAL2 by
itself; without that it is something that the user has, and the second factor beside a password. One that is
`backup_eligible` can be copied between devices, and does not make AAL3 (NIST SP 800-63B-4, appendix B).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from authsql import _input, _webauthn
from authsql._driver import Query
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql._tokens import digest, new_secret
from authsql._webauthn import RelyingParty, Requirement
from authsql.models import Passkey, PasskeyChallenge, Reason, Refusal, VerifiedPasskey
from authsql.policy import DEFAULT, Policy

_MILLISECOND = timedelta(milliseconds=1)


@operation()
def begin_registration(
    user_id: UUID,
    *,
    relying_party: RelyingParty,
    account: str,
    display_name: str | None = None,
    user_verification: Requirement = "preferred",
    discoverable: Requirement = "preferred",
    policy: Policy = DEFAULT,
) -> Steps[PasskeyChallenge | Refusal]:
    """Ask the browser for a new passkey of a live account: `options` is for `navigator.credentials.create`.

    account and display_name are what the authenticator shows in its list. With user_verification "required"
    a passkey is refused that was made without a PIN or a biometric; with discoverable "required" it can name
    its user by itself. Those that the user has are excluded. Refused: UNKNOWN (no such live account).
    """
    party = _webauthn.relying_party(relying_party)
    owner = _input.uuid("user_id", user_id)
    name = _input.text("account", account, 254)
    shown = _input.optional_text("display_name", display_name, 200)
    verification = _webauthn.requirement("user_verification", user_verification)
    resident = _webauthn.requirement("discoverable", discoverable)
    challenge, parameters = _challenge(verification, policy)
    rows = (yield Query("passkeys.begin_registration", {"user_id": owner, **parameters})).rows
    if not rows:
        return Refusal(Reason.UNKNOWN)
    options = _webauthn.registration_options(
        party,
        challenge,
        user_id=owner,
        account=name,
        display_name=shown,
        user_verification=verification,
        discoverable=resident,
        milliseconds=policy.passkey_challenge_lifetime // _MILLISECOND,
        known=[row for row in rows if row["credential"] is not None],
    )
    return PasskeyChallenge(parameters["id"], options, rows[0]["expires_at"])


@operation()
def finish_registration(
    user_id: UUID,
    challenge_id: UUID,
    credential: str | Mapping[str, Any],
    *,
    relying_party: RelyingParty,
    name: str | None = None,
) -> Steps[Passkey | Refusal]:
    """Register the passkey that the browser answered with, as JSON text or as a mapping. name, of up to 100
    characters, is for the list of passkeys.

    Refused: WRONG (with `detail` origin or user_verification where it is that), TAKEN, EXPIRED, SPENT,
    UNKNOWN (no such challenge of this user), MALFORMED.
    """
    party = _webauthn.relying_party(relying_party)
    owner = _input.uuid("user_id", user_id)
    parameters: dict[str, Any] = {"user_id": owner, "id": _input.uuid("challenge_id", challenge_id)}
    called = _input.optional_text("name", name, 100)
    answer = _webauthn.read_registration(credential)
    if answer is None:
        return Refusal(Reason.MALFORMED)
    parameters["challenge_hash"] = digest(answer.challenge)
    row = (yield Query("passkeys.spend_registration", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    if row["state"] != "presented":
        return Refusal(Reason(row["state"]))
    if not answer.is_from(party):
        return Refusal(Reason.WRONG, detail="origin")
    found = _webauthn.check_registration(answer, party)
    if found is None:
        return Refusal(Reason.WRONG)
    if row["user_verification"] == "required" and not found.user_verified:
        return Refusal(Reason.WRONG, detail="user_verification")
    parameters = {
        "id": uuid7(),
        "user_id": owner,
        "name": called,
        "credential": found.credential_id,
        "public_key": found.credential_public_key,
        "sign_count": found.sign_count,
        "transports": json.dumps(answer.transports),
        "aaguid": found.aaguid,
        "backup_eligible": found.credential_device_type == "multi_device",
        "backed_up": found.credential_backed_up,
        "user_verified": found.user_verified,
    }
    row = (yield Query("passkeys.add", parameters)).row
    return _passkey(row) if row is not None else Refusal(Reason.TAKEN)


@operation()
def begin_authentication(
    user_id: UUID | None = None,
    *,
    relying_party: RelyingParty,
    user_verification: Requirement = "preferred",
    policy: Policy = DEFAULT,
) -> Steps[PasskeyChallenge | Refusal]:
    """Ask the browser for a passkey: `options` is for `navigator.credentials.get`.

    With user_id for one of that user's, as a second factor; without it for any that names its user by itself,
    as the whole sign-in. With user_verification "required" a use without a PIN or a biometric is refused.
    Without user_id anybody can begin as often as they like, and each time writes a row that lives for
    `policy.passkey_challenge_lifetime`: limit that by address. Refused: UNKNOWN (no such live account, or it
    has no passkey).
    """
    party = _webauthn.relying_party(relying_party)
    owner = _input.optional_uuid("user_id", user_id)
    verification = _webauthn.requirement("user_verification", user_verification)
    challenge, parameters = _challenge(verification, policy)
    if owner is None:
        rows = (yield Query("passkeys.begin_discoverable", parameters)).rows
        known = []
    else:
        rows = (yield Query("passkeys.begin_authentication", {"user_id": owner, **parameters})).rows
        known = [*rows]
    if not rows:
        return Refusal(Reason.UNKNOWN)
    options = _webauthn.authentication_options(
        party,
        challenge,
        user_verification=verification,
        milliseconds=policy.passkey_challenge_lifetime // _MILLISECOND,
        known=known,
    )
    return PasskeyChallenge(parameters["id"], options, rows[0]["expires_at"])


@operation(counted=True)
def finish_authentication(
    challenge_id: UUID, credential: str | Mapping[str, Any], *, relying_party: RelyingParty
) -> Steps[VerifiedPasskey | Refusal]:
    """Check what the browser answered. Of callers with the same answer at the same time one gets it.

    If the challenge was made for a user, only that user's passkeys are right. Refused: WRONG (with `detail`
    origin or user_verification where it is that), CLONED (the signature is right, but the passkey's counter
    did not go up, which `cloned_at` remembers: warn the user, and ask for another factor), EXPIRED, SPENT,
    UNKNOWN (no such challenge, or no such passkey of a live account), MALFORMED. A challenge stays spent when
    the caller rolls back, so this raises TransactionOpen in an open transaction.
    """
    party = _webauthn.relying_party(relying_party)
    parameters: dict[str, Any] = {"id": _input.uuid("challenge_id", challenge_id)}
    answer = _webauthn.read_authentication(credential)
    if answer is None or len(answer.credential.raw_id) > _webauthn.CREDENTIAL_MAX:
        return Refusal(Reason.MALFORMED)
    parameters["challenge_hash"] = digest(answer.challenge)
    parameters["credential"] = answer.credential.raw_id
    row = (yield Query("passkeys.spend_authentication", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    if row["state"] != "presented":
        return Refusal(Reason(row["state"]))
    if row["user_id"] is None:
        return Refusal(Reason.UNKNOWN)
    if not answer.is_from(party):
        return Refusal(Reason.WRONG, detail="origin")
    found = _webauthn.check_authentication(answer, party, row["public_key"])
    # Who was not asked for by name has to be named by the passkey (WebAuthn, 7.2, step 6).
    handle = answer.credential.response.user_handle
    is_named = handle == row["user_id"].bytes or (handle is None and row["asked_id"] is not None)
    backup_eligible = bool(row["backup_eligible"])
    if found is None or not is_named or backup_eligible != (found.credential_device_type == "multi_device"):
        return Refusal(Reason.WRONG)
    if row["user_verification"] == "required" and not found.user_verified:
        return Refusal(Reason.WRONG, detail="user_verification")
    passkey_id: UUID = row["passkey_id"]
    used = {
        "id": passkey_id,
        "sign_count": found.new_sign_count,
        "backed_up": found.credential_backed_up,
        "user_verified": found.user_verified,
    }
    if not (yield Query("passkeys.advance", used)).count:
        is_there = (yield Query("passkeys.suspect", {"id": passkey_id})).count > 0
        return Refusal(Reason.CLONED if is_there else Reason.UNKNOWN)
    return VerifiedPasskey(row["user_id"], passkey_id, found.user_verified, backup_eligible)


@operation()
def list(user_id: UUID) -> Steps[tuple[Passkey, ...]]:
    """The passkeys of a user, the oldest first."""
    rows = (yield Query("passkeys.list", {"user_id": _input.uuid("user_id", user_id)})).rows
    return tuple(_passkey(row) for row in rows)


@operation()
def rename(user_id: UUID, passkey_id: UUID, name: str | None) -> Steps[bool]:
    """Give a passkey another name of up to 100 characters, or none. False if the user has no such passkey."""
    parameters = {
        "user_id": _input.uuid("user_id", user_id),
        "id": _input.uuid("passkey_id", passkey_id),
        "name": _input.optional_text("name", name, 100),
    }
    return (yield Query("passkeys.rename", parameters)).row is not None


@operation()
def remove(user_id: UUID, passkey_id: UUID, *, policy: Policy = DEFAULT) -> Steps[Literal[True] | Refusal]:
    """Delete a passkey: it is good for nothing from then on (ASVS 6.5.6). True when done. What to ask for
    before, and whom to tell after: see `authsql.factors`.

    Refused: LAST_WAY_IN, if the account would have no password, no identity and no other passkey left (the
    view authsql_ways_in) - nor, with `policy.email_signs_in`, a verified e-mail; UNKNOWN (no such live
    account, or the passkey is not its own). Of two callers who take the last two ways in, by this or by
    `identities.unlink`, one is refused.
    """
    parameters = {
        "user_id": _input.uuid("user_id", user_id),
        "id": _input.uuid("passkey_id", passkey_id),
        "email_signs_in": policy.email_signs_in,
    }
    if (yield Query("passkeys.remove", parameters, atomic=True)).count:
        return True
    return Refusal(Reason((yield Query("passkeys.remove_refusal", parameters)).row["reason"]))


def _challenge(verification: str, policy: Policy) -> tuple[bytes, dict[str, Any]]:
    """A new challenge, and what the database keeps of it."""
    challenge = new_secret()
    parameters = {
        "id": uuid7(),
        "challenge_hash": digest(challenge),
        "user_verification": verification,
        "lifetime": policy.passkey_challenge_lifetime,
    }
    return challenge, parameters


def _passkey(row: Mapping[str, Any]) -> Passkey:
    return Passkey(
        row["id"],
        row["user_id"],
        row["name"],
        bytes(row["credential"]),
        tuple(row["transports"]),
        row["aaguid"],
        # MySQL's booleans are numbers.
        bool(row["backup_eligible"]),
        bool(row["backed_up"]),
        row["created_at"],
        row["last_used_at"],
        row["user_verified_at"],
        row["cloned_at"],
    )
