"""TOTP factors: authenticator apps that show a code of six digits every 30 seconds (RFC 6238). Needs the
extra `encryption`.

A secret is stored encrypted (`authsql.keyring`). The codes of a user are counted together, however many
factors there are, and each is accepted once (ASVS 6.5.1; NIST SP 800-63B-4, 3.1.4). The clock is the
database's (ASVS 6.5.8). How many factors a user may have is for the application to say, and so is what has to
be proved before one is added or removed: see `authsql.factors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql._totp import matching_step, new_secret, text_of, uri
from authsql.errors import InvalidInput
from authsql.keyring import CannotDecrypt, Keyring
from authsql.models import Reason, Refusal, TotpEnrollment, TotpFactor, VerifiedTotp, from_row
from authsql.policy import DEFAULT, Policy

# How often an attempt may be overtaken by others.
_TRIES = 5


@operation()
def enroll(
    user_id: UUID,
    *,
    keyring: Keyring,
    issuer: str,
    account: str,
    name: str | None = None,
    policy: Policy = DEFAULT,
) -> Steps[TotpEnrollment | Refusal]:
    """Make a secret of 160 bits (NIST SP 800-63B-4, 3.1.4: at least 112) for an authenticator app.

    The answer is the only time that it is seen: show `uri` as a QR code, `secret` for typing. issuer (up to
    100 characters) and account (up to 254) are what the app shows, without a colon; name is for the list of
    factors. It is no factor until `confirm` was given a code of it, within `policy.totp_enrollment_lifetime`.

    Refused: UNKNOWN (no such live account).
    """
    ring = _input.keyring(keyring)
    issuer, account = _label("issuer", issuer, 100), _label("account", account, 254)
    factor_id, secret = uuid7(), new_secret()
    parameters = {
        "id": factor_id,
        "user_id": _input.uuid("user_id", user_id),
        "name": _input.optional_text("name", name, 100),
        "secret": ring.encrypt(secret, *_bound(factor_id, user_id)),
        "key_name": ring.current,
        "lifetime": policy.totp_enrollment_lifetime,
    }
    row = (yield Query("totp.enroll", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    return TotpEnrollment(row["id"], text_of(secret), uri(secret, issuer, account), row["expires_at"])


@operation()
def confirm(
    user_id: UUID, factor_id: UUID, code: str, *, keyring: Keyring, policy: Policy = DEFAULT
) -> Steps[Literal[True] | Refusal]:
    """Make a factor of an enrolment, given a first code, which is spent by that. True when done.

    Codes are not counted here: who enrolls was shown the secret. Refused: WRONG, MALFORMED (not six digits),
    EXPIRED, SPENT (it is confirmed already), UNKNOWN (no such enrolment of this user). Raises CannotDecrypt
    if the keyring lacks the secret's key.
    """
    parameters: dict[str, object] = {
        "user_id": _input.uuid("user_id", user_id),
        "id": _input.uuid("factor_id", factor_id),
    }
    ring = _input.keyring(keyring)
    if not _is_code(code):
        return Refusal(Reason.MALFORMED)
    row = (yield Query("totp.pending", parameters)).row
    if row is not None and row["state"] == "pending" and row["secret"] is None:
        # It was confirmed, or it expired, in the meantime: which one is told now.
        row = (yield Query("totp.pending", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    if row["state"] != "pending" or row["secret"] is None:
        return Refusal(Reason.SPENT if row["state"] == "pending" else Reason(row["state"]))
    secret = ring.decrypt(row["secret"], *_bound(factor_id, user_id))
    step = matching_step(secret, code, row["step"], policy.totp_drift_steps, None)
    if step is None:
        return Refusal(Reason.WRONG)
    parameters["step"] = step
    result = yield Query("totp.confirm", parameters)
    return True if result.count else Refusal(Reason.SPENT)


@operation(counted=True)
def verify(
    user_id: UUID, code: str, *, keyring: Keyring, policy: Policy = DEFAULT
) -> Steps[VerifiedTotp | Refusal]:
    """Check a code against the user's factors, and spend it. Codes of `policy.totp_drift_steps` steps before
    and after the current one are good too. Of callers with the right code at the same time one gets it.

    The attempt is counted before anything is checked, by the statement that hands out the secrets: parallel
    guesses are counted one by one, a crash counts as a failure, a success clears the count. The lock is that
    of passwords (`policy.lock_base`, `policy.lock_max`), from `policy.totp_lock_after` failures on, with a
    count of its own.

    Refused: WRONG (with `retry_at` if this failure locked), LOCKED (with `retry_at`), BLOCKED (after
    `policy.totp_block_after` failures in a row; the user gets out by another factor: remove every TOTP
    factor, enroll anew), SPENT (this code or a later one was accepted before; counts as a failure), UNKNOWN
    (no factor, or no live account), MALFORMED (not six digits; not counted). A factor whose secret cannot be
    read, because the keyring lacks its key, keeps nobody from another one: raises CannotDecrypt only if the
    code is of none that can be read, and that counts as a failure. Raises TransactionOpen in an open
    transaction.
    """
    parameters: dict[str, object] = {
        "user_id": _input.uuid("user_id", user_id),
        "lock_after": policy.totp_lock_after,
        "lock_base": policy.lock_base,
        "lock_max": policy.lock_max,
        "block_after": policy.totp_block_after,
    }
    ring = _input.keyring(keyring)
    if not _is_code(code):
        return Refusal(Reason.MALFORMED)
    rows: Sequence[Mapping[str, Any]] = ()
    for _ in range(_TRIES):
        rows = (yield Query("totp.attempt", parameters)).rows
        # Once more: another attempt locked the factors just before, or cleared the lock just after; or its
        # success cleared the count, without which no secret comes out.
        if not rows or not _is_overtaken(rows):
            break
    if not rows:
        return Refusal(Reason.UNKNOWN)
    state, failed = rows[0]["state"], rows[0]["failed_attempts"]
    # Only an enrolment opens what is blocked: there is no time to wait for.
    retry_at = None if failed >= policy.totp_block_after else rows[0]["locked_until"]
    if state != "counted":
        return Refusal(Reason.LOCKED if state == "overtaken" else Reason(state), retry_at=retry_at)
    rows = [row for row in rows if row["secret"] is not None]
    found = _find(rows, user_id, code, ring, policy)
    if found is None:
        return Refusal(Reason.WRONG, retry_at=retry_at)
    factor_id, step = found
    result = yield Query("totp.spend", {"user_id": user_id, "id": factor_id, "step": step})
    return VerifiedTotp(user_id, factor_id) if result.count else Refusal(Reason.SPENT, retry_at=retry_at)


@operation()
def list(user_id: UUID) -> Steps[tuple[TotpFactor, ...]]:
    """The confirmed factors of a user, the oldest first."""
    rows = (yield Query("totp.list", {"user_id": _input.uuid("user_id", user_id)})).rows
    return tuple(from_row(TotpFactor, row) for row in rows)


@operation()
def rename(user_id: UUID, factor_id: UUID, name: str | None) -> Steps[bool]:
    """Give a factor another name of up to 100 characters, or none. False if the user has no such factor."""
    parameters = {
        "user_id": _input.uuid("user_id", user_id),
        "id": _input.uuid("factor_id", factor_id),
        "name": _input.optional_text("name", name, 100),
    }
    return (yield Query("totp.rename", parameters)).row is not None


@operation()
def remove(user_id: UUID, factor_id: UUID) -> Steps[bool]:
    """Delete a factor, or an enrolment: its codes are good for nothing from then on (ASVS 6.5.6). False if
    the user has no such factor. What to ask for before, and whom to tell after: see `authsql.factors`.
    """
    parameters = {"user_id": _input.uuid("user_id", user_id), "id": _input.uuid("factor_id", factor_id)}
    count: int = (yield Query("totp.remove", parameters)).count
    return count > 0


@operation()
def reencrypt(*, keyring: Keyring, batch: int = 1_000) -> Steps[int]:
    """Encrypt at most batch secrets anew that are not under the keyring's current key (ASVS 13.3.4), and say
    how many were found: call it again until it returns 0, then no secret needs another key.

    Codes are accepted all the while, by whoever has both keys. That a secret was read is recorded
    (`totp.secret_read`). Raises CannotDecrypt, when it has done the rest of the batch, if the keyring lacks
    the key of some: these come again, so that batch has to be larger than their number.
    """
    ring = _input.keyring(keyring)
    size = _input.integer("batch", batch, 1, 1_000_000)
    rows = (yield Query("totp.outdated", {"key_name": ring.current, "batch": size}, atomic=True)).rows
    failed = None
    for row in rows:
        # Another caller's in the meantime, or of a transaction that is: it is found again.
        if row["secret"] is None:
            continue
        bound = _bound(row["id"], row["user_id"])
        try:
            secret = ring.decrypt(row["secret"], *bound)
        except CannotDecrypt as error:
            failed = error
            continue
        parameters = {
            "id": row["id"],
            "old_key_name": row["key_name"],
            "secret": ring.encrypt(secret, *bound),
            "key_name": ring.current,
        }
        yield Query("totp.reencrypt", parameters)
    if failed is not None:
        raise failed
    # All that were found: if another call got there first, there may be more.
    return len(rows)


def _is_overtaken(rows: Sequence[Mapping[str, Any]]) -> bool:
    state = rows[0]["state"]
    return state == "overtaken" or (state == "counted" and all(row["secret"] is None for row in rows))


def _find(
    rows: Sequence[Mapping[str, Any]], user_id: UUID, code: str, ring: Keyring, policy: Policy
) -> tuple[UUID, int] | None:
    """The factor that the code is of, and its step. One that is not spent goes before one that is."""
    found, unreadable = None, None
    for row in rows:
        try:
            secret = ring.decrypt(row["secret"], *_bound(row["factor_id"], user_id))
        except CannotDecrypt as error:
            unreadable = error
            continue
        step = matching_step(secret, code, row["step"], policy.totp_drift_steps, row["last_step"])
        if step is not None and (found is None or step > row["last_step"]):
            found = (row["factor_id"], step)
    if found is None and unreadable is not None:
        raise unreadable
    return found


def _bound(factor_id: UUID, user_id: UUID) -> tuple[str, ...]:
    """What a secret belongs to: moved to another row or another user, it is not accepted."""
    return "authsql_totp_factors", "secret", str(factor_id), str(user_id)


def _is_code(code: object) -> bool:
    if not isinstance(code, str):
        raise InvalidInput("code is a string")
    return len(code) == 6 and code.isascii() and code.isdigit()


def _label(what: str, value: object, longest: int) -> str:
    checked = _input.text(what, value, longest)
    if ":" in checked:
        raise InvalidInput(f"{what} has no colon")
    return checked
