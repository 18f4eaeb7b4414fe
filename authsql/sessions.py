"""Sessions: one for each sign-in on a device, named by a token that only its owner has."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql._tokens import SESSION_PREFIX, digest, new_secret, read, write
from authsql.models import NewSession, Reason, Refusal, Session, from_row
from authsql.policy import DEFAULT, Policy

_NEVER = timedelta(days=36500)  # due in a hundred years


@operation()
def create(
    user_id: UUID,
    *,
    ip: str | ipaddress.IPv4Address | ipaddress.IPv6Address | None = None,
    user_agent: str | None = None,
    device: str | None = None,
    aal: int = 1,
    cap: int | None = None,
    policy: Policy = DEFAULT,
) -> Steps[NewSession | Refusal]:
    """Open a session for an account whose owner has just proved who they are, and note the sign-in.

    The token is in the answer and nowhere else; the database keeps a hash of it. user_agent may be any
    header, and is cut at 512 characters. aal is the assurance level of the proof (NIST SP 800-63B), 1 to 3.
    With cap, the account has at most so many live sessions afterwards, the least recently used ones being
    ended, however many sign in at a time.

    Refused: UNKNOWN (no such live account). Raises InvalidInput for what is no address, device name, level or
    cap.
    """
    secret = new_secret()
    parameters: dict[str, object] = {
        "id": uuid7(),
        "user_id": _input.uuid("user_id", user_id),
        "secret_hash": digest(secret),
        "ip": _input.ip(ip),
        "user_agent": _input.user_agent(user_agent),
        "device": _input.optional_text("device", device, 100),
        "aal": _input.integer("aal", aal, 1, 3),
        "idle": policy.session_idle,
        "absolute": policy.session_absolute,
    }
    if cap is None:
        row = (yield Query("sessions.create", parameters)).row
    else:
        parameters["cap"] = _input.integer("cap", cap, 1, 1_000_000)
        parameters["others"] = cap - 1
        row = (yield Query("sessions.create_capped", parameters, atomic=True)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    session = from_row(Session, row)
    return NewSession(write(SESSION_PREFIX, session.id, secret), session, row.get("ended", 0))


@operation()
def validate(
    token: str, *, touch: bool = True, roles: bool = False, policy: Policy = DEFAULT
) -> Steps[Session | Refusal]:
    """The live session that a token names. One round trip, and a second one at most once a minute.

    A use moves `last_seen_at` and the idle end on, written at most every `policy.session_touch_after`; with
    touch=False nothing is written (a standby server, a health check). With roles=True the session comes with
    its user's `roles` and `permissions` as they are now (ASVS 8.3.2), in the same round trip. Refused:
    MALFORMED (nothing was sent to the database), UNKNOWN, EXPIRED, REVOKED (with `detail`).
    """
    with_roles = _input.boolean("roles", roles)
    parts = read(SESSION_PREFIX, token, 1)
    if parts is None:
        return Refusal(Reason.MALFORMED)
    session_id, (secret,) = parts
    parameters = {
        "id": session_id,
        "secret_hash": digest(secret),
        "idle": policy.session_idle,
        # What is not to be written is not to be foretold either.
        "touch_after": policy.session_touch_after if touch else _NEVER,
    }
    if with_roles:
        row = (yield Query("sessions.validate_with_roles", parameters)).row
    else:
        row = (yield Query("sessions.validate", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    if row["state"] != "live":
        return Refusal(Reason(row["state"]), detail=row["revoke_reason"])
    if row["touch_due"]:
        yield Query("sessions.touch", parameters)
    session = from_row(Session, row)
    if not with_roles:
        return session
    return replace(session, roles=frozenset(row["roles"]), permissions=frozenset(row["permissions"]))


@operation()
def is_live(session_id: UUID) -> Steps[bool]:
    """Whether a session is live, by its id: what a good access token cannot tell (`access_tokens.verify`). An
    id is no secret, and proves nothing about who asks. Counts as no use.
    """
    rows = (yield Query("sessions.is_live", {"id": _input.uuid("session_id", session_id)})).rows
    return bool(rows)


@operation()
def elevate(token: str, *, aal: int, policy: Policy = DEFAULT) -> Steps[NewSession | Refusal]:
    """Step up: note that the session's owner has just proved again who they are, at this assurance level
    (NIST SP 800-63B-4, 5.1: the level is that of the proof; ASVS 7.5.1, 7.5.3).

    It stays the same session, with a new token: the old one is dead at once (ASVS 7.2.4), and so are the
    session's refresh tokens, which were given out for less: `refresh_tokens.issue` gives it a new one. aal is
    1 to 3, and not below the level that the session has. `authenticated_at` is now, the idle end moves on,
    the absolute end does not. Of callers with the same token at the same time one gets a new one. Verify the
    factor first, and that it is this session's user who has it.

    Refused: LOWER (the session has a higher level), MALFORMED, UNKNOWN, EXPIRED, REVOKED (with `detail`).
    """
    parts = read(SESSION_PREFIX, token, 1)
    level = _input.integer("aal", aal, 1, 3)
    if parts is None:
        return Refusal(Reason.MALFORMED)
    session_id, (secret,) = parts
    successor = new_secret()
    parameters = {
        "id": session_id,
        "secret_hash": digest(secret),
        "next_hash": digest(successor),
        # Of a secret that nobody has.
        "family_hash": digest(new_secret()),
        "aal": level,
        "idle": policy.session_idle,
        "touch_after": _NEVER,
    }
    row = (yield Query("sessions.elevate", parameters)).row
    if row is not None:
        return NewSession(write(SESSION_PREFIX, session_id, successor), from_row(Session, row))
    row = (yield Query("sessions.validate", parameters)).row
    if row is not None and row["state"] != "live":
        return Refusal(Reason(row["state"]), detail=row["revoke_reason"])
    return Refusal(Reason.LOWER if row is not None and row["aal"] > level else Reason.UNKNOWN)


@operation()
def list(user_id: UUID) -> Steps[tuple[Session, ...]]:
    """The live sessions of an account, the last used first: what its owner sees as a list of devices (ASVS
    7.5.2).
    """
    rows = (yield Query("sessions.list", {"user_id": _input.uuid("user_id", user_id)})).rows
    return tuple(from_row(Session, row) for row in rows)


@operation()
def revoke(session_id: UUID, *, user_id: UUID | None = None, reason: str = "revoked") -> Steps[bool]:
    """End a session, and with it its refresh tokens. False if it had ended, or there is none.

    With user_id, only if it is that user's: give it whenever the session's id comes out of a request. reason
    is a word for the record: lower-case letters, digits, _ and -, up to 32.
    """
    parameters = {
        "id": _input.uuid("session_id", session_id),
        "user_id": _input.optional_uuid("user_id", user_id),
        "reason": _input.reason(reason),
    }
    count: int = (yield Query("sessions.revoke", parameters)).count
    return count > 0


@operation()
def revoke_others(user_id: UUID, keep: UUID, *, reason: str = "revoked") -> Steps[int]:
    """End all sessions of an account but one. Returns how many."""
    parameters = {
        "user_id": _input.uuid("user_id", user_id),
        "keep": _input.uuid("keep", keep),
        "reason": _input.reason(reason),
    }
    count: int = (yield Query("sessions.revoke_others", parameters)).count
    return count


@operation()
def revoke_all(user_id: UUID, *, reason: str = "revoked") -> Steps[int]:
    """End all sessions of an account. Returns how many."""
    parameters = {"user_id": _input.uuid("user_id", user_id), "reason": _input.reason(reason)}
    count: int = (yield Query("sessions.revoke_all", parameters)).count
    return count
