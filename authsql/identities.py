"""Identities: accounts at OAuth and OpenID Connect providers, by which users sign in here.

The pair of provider and subject is the identity, never the e-mail (ASVS 6.8.1, OpenID Connect Core 5.7). A
provider is one issuer under a name of yours; what is given here must have come out of an answer of that
issuer that your OAuth client has verified: state, nonce, signature, issuer, audience.
docs/decisions/0007-identities.md says who gets which account, and why; examples/oauth has it all at work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from authsql import _identity_input, _identity_tokens, _input
from authsql._driver import Query
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql.errors import EmailTaken, Overtaken, RetryTransaction
from authsql.keyring import CannotDecrypt, Keyring
from authsql.models import Identity, ProviderTokens, Reason, Refusal, SignedIn, from_row
from authsql.policy import DEFAULT, Policy

# Each time another call got in between. Two of them cannot keep a third one out for so long.
_TRIES = 20


@operation()
def sign_in(
    provider: str,
    subject: str,
    *,
    email: str | None = None,
    email_verified: bool = False,
    profile: Mapping[str, Any] | None = None,
    name: str | None = None,
    policy: Policy = DEFAULT,
) -> Steps[SignedIn | Refusal]:
    """Find the account of somebody whom a provider has identified, or make one. Opens no session: see
    `sessions.create`.

    1. The identity is known: its owner, 'existing'. What the provider says of it now is noted; what it does
       not say (None) stays. Refused: DELETED (the owner is soft-deleted; `detail` is the account's id). A
       password that is locked or blocked keeps nobody out: it was not asked for.
    2. It is unknown, and no live account has its e-mail: an account is made and linked, both or neither,
       'created'. Its e-mail is verified if email_verified is true, which only the provider can say of the
       e-mail that it gave (`email_verified` of the ID token). name is for this account alone.
    3. It is unknown, and a live account has its e-mail. If `policy.link_verified_emails`, and both the
       provider and the account say that the e-mail is verified, it is linked, 'linked'. Else it is refused:
       OWNERSHIP_REQUIRED. The owner signs in as before, and calls `link`. An account whose e-mail is not
       verified may be anybody's, and is neither handed over nor joined.
    4. It is unknown, and there is no e-mail. Refused: EMAIL_REQUIRED.

    Callbacks that come at the same time, of one identity or of several with one e-mail, make one account.
    subject is the provider's unchanging id as text (`sub`; of GitHub `str(user["id"])`). profile is what you
    want to keep of the rest, as JSON; one with tokens in it, by the name of a key or by what a value looks
    like, is InvalidInput. Name what you keep: whatever a provider calls a secret, no list knows.
    """
    known = _identity(provider, subject, email, profile)
    verified = _input.boolean("email_verified", email_verified)
    parameters = known | {
        "user_id": uuid7(),
        "name": _input.optional_text("name", name, 200),
        "email_verified": verified,
        "may_link": verified and policy.link_verified_emails,
    }
    for _ in range(_TRIES):
        row = (yield Query("identities.sign_in", parameters)).row
        match row["state"]:
            case "existing":
                return SignedIn(row["user_id"], "existing", row["email_verified_at"] is not None)
            case "new":
                try:
                    if (yield Query("identities.create", parameters, atomic=True)).count:
                        return SignedIn(parameters["user_id"], "created", verified)
                except (EmailTaken, Overtaken):
                    pass
            case "linkable":
                row = (yield Query("identities.link_verified", parameters)).row
                if row is not None:
                    return SignedIn(row["user_id"], "linked", email_verified=True)
            case "deleted":
                return Refusal(Reason.DELETED, detail=str(row["user_id"]))
            case "email_required" | "ownership_required":
                return Refusal(Reason(row["state"]))
    raise RetryTransaction(RetryTransaction.__doc__)


@operation()
def link(
    user_id: UUID,
    provider: str,
    subject: str,
    *,
    email: str | None = None,
    profile: Mapping[str, Any] | None = None,
) -> Steps[Literal[True] | Refusal]:
    """Let the owner of an account, who is signed in and has just proved it, sign in by this identity too.

    What the account has already is renewed: what is None stays. The e-mail is kept for information; it need
    not be the account's. Refused: TAKEN (it belongs to another account, live or soft-deleted), UNKNOWN (no
    such live account).
    """
    parameters = {"user_id": _input.uuid("user_id", user_id)} | _identity(provider, subject, email, profile)
    for _ in range(_TRIES):
        state = (yield Query("identities.link", parameters)).row["state"]
        if state == "linked":
            return True
        if state != "overtaken":
            return Refusal(Reason(state))
    raise RetryTransaction(RetryTransaction.__doc__)


@operation()
def unlink(
    user_id: UUID, provider: str, subject: str | None = None, *, policy: Policy = DEFAULT
) -> Steps[Literal[True] | Refusal]:
    """Take an identity from an account, or all of a provider, together with the tokens that are stored for
    it. The account's sessions go on.

    Refused: LAST_WAY_IN, if the account would have no password, no passkey and no other identity left (the
    view authsql_ways_in) - nor, with `policy.email_signs_in`, a verified e-mail; UNKNOWN (no such live
    account, or the identity is not its own). Of two callers who take the last two ways in, by this or by
    `passkeys.remove`, one is refused.
    """
    parameters = {
        "user_id": _input.uuid("user_id", user_id),
        "provider": _input.provider(provider),
        "subject": None if subject is None else _identity_input.subject(subject),
        "email_signs_in": policy.email_signs_in,
    }
    if (yield Query("identities.unlink", parameters, atomic=True)).count:
        return True
    return Refusal(Reason((yield Query("identities.unlink_refusal", parameters)).row["reason"]))


@operation()
def list(user_id: UUID) -> Steps[tuple[Identity, ...]]:
    """The identities of an account, the oldest first."""
    rows = (yield Query("identities.list", {"user_id": _input.uuid("user_id", user_id)})).rows
    return tuple(from_row(Identity, row) for row in rows)


@operation()
def store_tokens(
    provider: str,
    subject: str,
    *,
    keyring: Keyring,
    access_token: str,
    refresh_token: str | None = None,
    id_token: str | None = None,
    expires_in: int | None = None,
    scopes: str | None = None,
) -> Steps[bool]:
    """Keep what a provider gave for calls in the user's name, encrypted. False if there is no such identity.

    Nothing of it is stored unless this is called. expires_in is in seconds and scopes one text, as in the
    provider's answer. A refresh token, an ID token or scopes that are None stay as they were: providers give
    a refresh token once, and leave out scopes that did not change (RFC 6749, 5.1 and 6).
    """
    ring = _input.keyring(keyring)
    key = _key(provider, subject)
    given = {"refresh_token": refresh_token, "id_token": id_token}
    tokens = {"access_token": _identity_input.token("access_token", access_token)} | {
        what: None if token is None else _identity_input.token(what, token) for what, token in given.items()
    }
    parameters = {
        **key,
        **_identity_tokens.seal(ring, **key, tokens=tokens),
        "key_name": ring.current,
        "scopes": _identity_input.scopes(scopes),
        "lifetime": _identity_input.seconds("expires_in", expires_in),
    }
    count: int = (yield Query("identities.store_tokens", parameters)).count
    return count > 0


@operation()
def tokens(provider: str, subject: str, *, keyring: Keyring) -> Steps[ProviderTokens | None]:
    """The tokens that are stored for an identity, or None. Raises CannotDecrypt if the keyring lacks their
    key, or if they were put there from another row.
    """
    ring = _input.keyring(keyring)
    key = _key(provider, subject)
    row = (yield Query("identities.tokens", key)).row
    return None if row is None else _identity_tokens.from_sealed(ring, **key, row=row)


@operation()
def forget_tokens(provider: str, subject: str) -> Steps[bool]:
    """Delete the tokens that are stored for an identity. False if there were none. Revoking them at the
    provider is the caller's part.
    """
    count: int = (yield Query("identities.forget_tokens", _key(provider, subject))).count
    return count > 0


@operation()
def reencrypt_tokens(*, keyring: Keyring, batch: int = 1_000) -> Steps[int]:
    """Encrypt tokens that are under other keys anew, under the keyring's current one, of at most batch
    identities. Returns how many were found; call it again until that is 0, then the other keys can go.

    Tokens that somebody stores meanwhile are left as they are stored. Raises CannotDecrypt, when it has done
    the rest of the batch, if the keyring lacks the key of some: these come again, so that batch has to be
    larger than their number.
    """
    ring = _input.keyring(keyring)
    parameters = {"key_name": ring.current, "batch": _input.integer("batch", batch, 1, 1_000_000)}
    rows = (yield Query("identities.tokens_of_other_keys", parameters)).rows
    failed = None
    for row in rows:
        key = {"provider": row["provider"], "subject": row["subject"]}
        try:
            opened = _identity_tokens.unseal(ring, **key, row=row)
        except CannotDecrypt as error:
            failed = error
            continue
        old = {f"old_{column}": row[column] for column in _identity_tokens.COLUMNS}
        new = _identity_tokens.seal(ring, **key, tokens=opened)
        yield Query("identities.replace_tokens", {**key, **old, **new, **parameters})
    if failed is not None:
        raise failed
    # All that were found: what was stored meanwhile may be under another key again.
    return len(rows)


def _key(provider: object, subject: object) -> dict[str, str]:
    return {"provider": _input.provider(provider), "subject": _identity_input.subject(subject)}


def _identity(provider: object, subject: object, email: object, profile: object) -> dict[str, Any]:
    return _key(provider, subject) | {
        "email": None if email is None else _input.email(email),
        "profile": _identity_input.profile(profile),
    }
