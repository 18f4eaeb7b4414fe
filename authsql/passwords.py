"""Passwords: stored as argon2id, under a pepper if the policy has one, and checked with an exact count of
attempts.

Checking commits on its own, so that a count outlives the caller's rollback: call it outside a transaction. No
transaction is open while argon2 runs.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from authsql import _input
from authsql._driver import Compute, Query
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql._passwords import candidate, hash_password, imported, is_outdated
from authsql._tokens import DEVICE_PREFIX, digest, read
from authsql.errors import InvalidInput
from authsql.models import Reason, Refusal, VerifiedPassword
from authsql.policy import DEFAULT, Policy

# As often as a hash may be renewed by others while it is being checked.
_TRIES = 5


@operation()
def set(
    user_id: UUID,
    password: str,
    *,
    must_change: bool = False,
    keep_session: UUID | None = None,
    policy: Policy = DEFAULT,
) -> Steps[bool]:
    """Give a live account a password, its first or a new one. False if there is no such account.

    Clears the account's lock, and ends the sessions that the old password opened, but for keep_session.
    must_change marks the password as one to be changed by its owner (ASVS 6.4.1). Raises InvalidInput for a
    password that is too short or too long, CommonPassword for one on `policy.password_blocklist`. The caller
    decides who may do this; to ask for the old password, see `change`.
    """
    parameters = {
        "user_id": _input.uuid("user_id", user_id),
        "must_change": _input.boolean("must_change", must_change),
        "keep_session_id": _input.optional_uuid("keep_session", keep_session),
    }
    normal = _input.new_password(password, policy)
    parameters["hash"] = yield Compute(lambda: hash_password(normal, policy))
    count: int = (yield Query("passwords.set", parameters, atomic=True)).count
    return count > 0


@operation(counted=True)
def verify(
    email_or_id: str | UUID, password: str, *, device: str | None = None, policy: Policy = DEFAULT
) -> Steps[VerifiedPassword | Refusal]:
    """Check a password, and count the attempt before it is checked: a crash counts as a failure, parallel
    guesses are counted one by one, a success clears the count (NIST SP 800-63B-4, 3.2.2).

    Refused: WRONG (also for an unknown account or one without a password, after hashing with the policy's
    parameters; with `retry_at` if this failure locked the account), LOCKED (with `retry_at`), BLOCKED,
    CHANGED (the password was replaced while it was being checked). Answer all of them alike to whoever asks.
    With device, the token of a known device (see `devices`), a failed attempt on that account by e-mail
    counts on the device, and a lock that others brought upon the account does not matter. After
    `policy.device_attempts` failures in a row it is a device like any other, as is a token that is none: then
    `VerifiedPassword.known_device` is False, and the device can be remembered anew.
    The hash is renewed if `policy.argon2` or `policy.pepper` has changed, or if it came from elsewhere (see
    `import_hash`). Raises UnknownHash for a hash under a pepper key that the policy lacks, TransactionOpen in
    an open transaction.
    """
    known = None if device is None else read(DEVICE_PREFIX, device, 1)
    attempt = yield from _attempt(email_or_id, password, policy, known)
    if isinstance(attempt, Refusal):
        return attempt
    row = attempt.row
    query = Query("passwords.succeed", {})
    if known is not None and attempt.from_device:
        device_of = {"device_id": known[0], "device_lifetime": policy.device_lifetime}
        query = Query("passwords.succeed_from_device", device_of)
    stored = yield from _prove(query, attempt, policy)
    if isinstance(stored, Refusal):
        return stored
    if is_outdated(stored, policy):
        renewed = {"user_id": row["user_id"], "changed_at": row["changed_at"], "candidate": stored}
        renewed["hash"] = yield Compute(lambda: hash_password(attempt.password, policy))
        yield Query("passwords.rehash", renewed)
    must_change, verified = row["must_change_since"] is not None, row["email_verified_at"] is not None
    return VerifiedPassword(row["user_id"], must_change, verified, attempt.from_device)


@operation(counted=True)
def change(
    user_id: UUID,
    old: str,
    new: str,
    *,
    keep_session: UUID | None = None,
    policy: Policy = DEFAULT,
) -> Steps[Literal[True] | Refusal]:
    """Replace a password by another, given the old one, which counts as an attempt (see `verify`). True when
    done.

    Ends all sessions but keep_session. Refused: WRONG, LOCKED, BLOCKED, CHANGED (another request was faster).
    Raises InvalidInput for a new password that is too short, too long or the old one, CommonPassword for one
    on `policy.password_blocklist`, TransactionOpen in an open transaction.
    """
    parameters: dict[str, object] = {
        "user_id": _input.uuid("user_id", user_id),
        "keep_session_id": _input.optional_uuid("keep_session", keep_session),
    }
    normal = _input.new_password(new, policy)
    if normal == _input.password(old, policy):
        raise InvalidInput("the new password is another than the old one")
    attempt = yield from _attempt(user_id, old, policy)
    if isinstance(attempt, Refusal):
        return attempt
    parameters["hash"] = yield Compute(lambda: hash_password(normal, policy))
    stored = yield from _prove(Query("passwords.change", parameters, atomic=True), attempt, policy)
    return stored if isinstance(stored, Refusal) else True


@operation()
def import_hash(user_id: UUID, hashed: str, *, policy: Policy = DEFAULT) -> Steps[bool]:
    """Give a live account that has no password one that another system has hashed. False if there is no such
    account, or if it has a password: that one stays, so that an import may be run again.

    Taken are bcrypt ($2a$, $2b$, $2y$), scrypt and PBKDF2 (SHA-256, SHA-512) as passlib, Django or werkzeug
    write them, and argon2. The hash is replaced by one of the policy's when its password is next verified.
    Raises InvalidInput for anything else, and for costs that would take too long or too much memory to check;
    ImportError for bcrypt without the extra `passwords`.
    """
    parameters = {"user_id": _input.uuid("user_id", user_id), "hash": imported(hashed, policy)}
    count: int = (yield Query("passwords.import_hash", parameters)).count
    return count > 0


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt on an account, counted if it is one that has a password and is not locked."""

    row: Mapping[str, Any]
    """The account and its password, or one that nobody has."""
    password: str = field(repr=False)
    refusal: Refusal
    """What it is if the password is not right."""
    from_device: bool


def _attempt(
    who: str | UUID, password: str, policy: Policy, device: tuple[UUID, Sequence[bytes]] | None = None
) -> Steps[_Attempt | Refusal]:
    """Count an attempt before it is checked. Refused is what cannot be a password of anybody's."""
    limits = {
        "lock_after": policy.lock_after,
        "lock_base": policy.lock_base,
        "lock_max": policy.lock_max,
        "block_after": policy.block_after,
    }
    normal = _input.password(password, policy)
    if not isinstance(who, str | UUID):
        raise InvalidInput("an account is named by its e-mail or its id")
    if normal is None:
        return Refusal(Reason.WRONG)
    if isinstance(who, UUID):
        query = Query("passwords.attempt_by_id", {"user_id": who, **limits})
    else:
        try:
            query = Query("passwords.attempt", {"email": _input.email(who), **limits})
        except InvalidInput:
            return Refusal(Reason.WRONG)
    row = None
    if device is not None and query.name == "passwords.attempt":
        known = {"device_id": device[0], "device_hash": digest(device[1][0])}
        known |= {"device_attempts": policy.device_attempts}
        row = (yield Query("passwords.attempt_from_device", {**query.parameters, **known})).row
    from_device = row is not None
    if row is None:
        row = (yield query).row
    if row is not None and row["state"] == "overtaken":
        state = {"user_id": row["user_id"], "block_after": policy.block_after}
        row = (yield Query("passwords.lock_state", state)).row
    nobody = {"user_id": uuid7(), "changed_at": None, "form": None}
    if row is None:
        return _Attempt(nobody, normal, Refusal(Reason.WRONG), from_device)
    # Only a new password opens a blocked account: there is no time to wait for.
    blocked = row["failed_attempts"] >= policy.block_after
    retry_at = None if blocked else row["locked_until"]
    if row["state"] != "counted":
        return _Attempt(nobody, normal, Refusal(Reason(row["state"]), retry_at=retry_at), from_device)
    refusal = Refusal(Reason.WRONG, retry_at=retry_at)
    return _Attempt(nobody if row["form"] is None else row, normal, refusal, from_device)


def _prove(query: Query, attempt: _Attempt, policy: Policy) -> Steps[str | Refusal]:
    """Hash the password as the stored one was, and run the statement that compares them. Returns the hash if
    they are equal. What is done for an account is done for nobody, too, so that it takes as long.
    """
    row = attempt.row
    form = row["form"]
    for _ in range(_TRIES):
        hashed = yield Compute(functools.partial(candidate, form, attempt.password, policy))
        proof = {"user_id": row["user_id"], "changed_at": row["changed_at"], "candidate": hashed}
        if (yield replace(query, parameters={**query.parameters, **proof})).count:
            return str(hashed)
        now = (yield Query("passwords.current", {"user_id": row["user_id"]})).row
        if form is None:
            return attempt.refusal
        if now is None or now["changed_at"] != row["changed_at"]:
            return Refusal(Reason.CHANGED)
        if now["form"] == form:
            return attempt.refusal
        # The same password, hashed anew while this was being checked.
        form = now["form"]
    return Refusal(Reason.CHANGED)
