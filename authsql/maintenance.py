"""Housekeeping for who has no scheduler in the database. A row that has expired is not accepted, purged or
not.
"""

from __future__ import annotations

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps, operation
from authsql.models import Backlog, Purged, from_row

_TABLES = (
    "otps",
    "sessions",
    "known_devices",
    "former_emails",
    "rate_limits",
    "outbox",
    "totp_factors",
    "passkey_challenges",
)


@operation()
def purge(*, batch: int = 10_000) -> Steps[tuple[Purged, ...]]:
    """Delete at most batch expired rows of each table and say how many. Call it again while any count equals
    batch.

    Rows that somebody works with are left for the next time, and nobody waits. On a connection with
    autocommit each table's batch is a transaction of its own.
    """
    size = _input.integer("batch", batch, 1, 1_000_000)
    done = []
    for table in _TABLES:
        result = yield Query(f"maintenance.purge_{table}", {"batch": size})
        # PostgreSQL's function says how many it deleted, MySQL's statement itself counts.
        count = result.row["deleted"] if result.row else result.count
        done.append(Purged(f"authsql_{table}", count))
    return tuple(done)


@operation()
def backlog() -> Steps[tuple[Backlog, ...]]:
    """What a purge would find now: for each table the expired rows, the oldest of them and its age in
    seconds.
    """
    return tuple(from_row(Backlog, row) for row in (yield Query("maintenance.backlog", {})).rows)
