"""Known devices: where a user has signed in before. A failed password attempt from one of them counts on it
and not on the account, so that whoever guesses elsewhere does not lock the owner out (OWASP, device cookies).

The token belongs into a cookie of its own that outlives the session and a sign-out. Give it to
`passwords.verify(..., device=token)`.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql._tokens import DEVICE_PREFIX, digest, new_secret, read, write
from authsql.models import KnownDevice, NewDevice, Reason, Refusal, from_row
from authsql.policy import DEFAULT, Policy


@operation()
def remember(
    user_id: UUID,
    *,
    name: str | None = None,
    trust_for: timedelta | None = None,
    policy: Policy = DEFAULT,
) -> Steps[NewDevice | Refusal]:
    """Make the device known on which the user has just signed in, for `policy.device_lifetime`. Its token is
    in the answer and nowhere else.

    With trust_for, the application may take it for the second factor for so long (see `is_trusted`): only
    after one was given, and if the user asked for it. Refused: UNKNOWN (no such live account). Raises
    InvalidInput for a name that is too long, or trust beyond the device's lifetime.
    """
    trust = _input.optional_span("trust_for", trust_for, policy.device_lifetime)
    secret = new_secret()
    parameters = {
        "id": uuid7(),
        "user_id": _input.uuid("user_id", user_id),
        "secret_hash": digest(secret),
        "name": _input.optional_text("name", name, 100),
        "trust": trust,
        "lifetime": policy.device_lifetime,
    }
    row = (yield Query("devices.remember", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    device = from_row(KnownDevice, row)
    return NewDevice(write(DEVICE_PREFIX, device.id, secret), device)


@operation()
def is_trusted(user_id: UUID, token: str, *, policy: Policy = DEFAULT) -> Steps[bool]:
    """Whether this is a device that the user trusts in place of the second factor, now. Not after
    `policy.device_attempts` failures in a row from it.
    """
    owner = _input.uuid("user_id", user_id)
    parts = read(DEVICE_PREFIX, token, 1)
    if parts is None:
        return False
    parameters = {
        "id": parts[0],
        "user_id": owner,
        "secret_hash": digest(parts[1][0]),
        "device_attempts": policy.device_attempts,
    }
    return bool((yield Query("devices.is_trusted", parameters)).row)


@operation()
def list(user_id: UUID) -> Steps[tuple[KnownDevice, ...]]:
    """The known devices of an account, the last used first."""
    rows = (yield Query("devices.list", {"user_id": _input.uuid("user_id", user_id)})).rows
    return tuple(from_row(KnownDevice, row) for row in rows)


@operation()
def forget(user_id: UUID, device_id: UUID) -> Steps[bool]:
    """Forget one device of an account. False if it was not known."""
    parameters = {"id": _input.uuid("device_id", device_id), "user_id": _input.uuid("user_id", user_id)}
    count: int = (yield Query("devices.forget", parameters)).count
    return count > 0


@operation()
def forget_all(user_id: UUID) -> Steps[int]:
    """Forget every device of an account. Returns how many there were."""
    count: int = (yield Query("devices.forget_all", {"user_id": _input.uuid("user_id", user_id)})).count
    return count
