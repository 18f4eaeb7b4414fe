"""Rotating refresh tokens: one family for each session, theft detected, a lost answer forgiven.

A token carries the session's id, the family's secret and a secret of its own.
docs/decisions/0003-refresh-rotation.md says why, and what an attacker could do with which part.
"""

from __future__ import annotations

import hmac
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps, operation
from authsql._tokens import REFRESH_PREFIX, digest, new_secret, read, seal, write
from authsql.models import Reason, RefreshToken, Refusal, RotatedToken
from authsql.policy import DEFAULT, Policy


@operation()
def issue(session_id: UUID, *, policy: Policy = DEFAULT) -> Steps[RefreshToken | Refusal]:
    """Start the family of a live session. A family that the session had is replaced: its tokens are unknown
    from then on.

    Refused: UNKNOWN (no such live session).
    """
    family, current = new_secret(), new_secret()
    parameters = {
        "session_id": _input.uuid("session_id", session_id),
        "family_hash": digest(family),
        "current_hash": digest(current),
        "lifetime": policy.refresh_lifetime,
    }
    row = (yield Query("refresh_tokens.issue", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    return RefreshToken(write(REFRESH_PREFIX, session_id, family, current), session_id, row["expires_at"])


@operation(counted=True)
def rotate(token: str, *, policy: Policy = DEFAULT) -> Steps[RotatedToken | Refusal]:
    """Exchange a refresh token for its successor (RFC 9700, 4.14.2). The session counts as used.

    Of callers who present the same token at the same time, or again within `policy.refresh_grace`, each gets
    the same successor, as long as that one was not rotated itself: a lost answer or a second browser tab does
    no harm, and the chain never forks. After that the old token is theft: the session is ended, and with it
    the family.

    Refused: MALFORMED, UNKNOWN (also for a token whose family secret is wrong: nobody can end a session by
    knowing its id), EXPIRED, REVOKED, REUSED (the session has been ended). The end of a session outlives the
    caller's rollback, so this raises TransactionOpen in an open transaction.
    """
    parts = read(REFRESH_PREFIX, token, 2)
    if parts is None:
        return Refusal(Reason.MALFORMED)
    session_id, (family, presented) = parts
    successor = new_secret()
    parameters = {
        "session_id": session_id,
        "family_hash": digest(family),
        "presented_hash": digest(presented),
        "next_hash": digest(successor),
        "seal": seal(successor, presented),
        "lifetime": policy.refresh_lifetime,
        "idle": policy.session_idle,
        "grace": policy.refresh_grace,
    }
    # Twice: a family may be rotated by somebody else, or its session end, between a statement and the next.
    for _ in range(2):
        row = (yield Query("refresh_tokens.rotate", parameters)).row
        repeated = row is None
        if row is None:
            row = (yield Query("refresh_tokens.state", parameters)).row
            if row is None:
                return Refusal(Reason.UNKNOWN)
            if row["state"] in {"revoked", "expired"}:
                return Refusal(Reason(row["state"]))
            if row["state"] == "current":
                continue
            if row["state"] == "reused":
                yield Query("refresh_tokens.revoke_reused", parameters)
                return Refusal(Reason.REUSED)
            successor = seal(row["seal"], presented)
            if not hmac.compare_digest(digest(successor), row["current_hash"]):
                return Refusal(Reason.UNKNOWN)
        return RotatedToken(
            write(REFRESH_PREFIX, session_id, family, successor),
            session_id,
            row["user_id"],
            row["aal"],
            row["authenticated_at"],
            row["generation"],
            row["expires_at"],
            repeated,
        )
    return Refusal(Reason.UNKNOWN)
