"""Housekeeping for who has no scheduler in the database. A row that has expired is not accepted, purged or
not.
"""

from __future__ import annotations

import json

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps, operation
from authsql.errors import SchemaMissing
from authsql.models import Backlog, Purged, from_row

# By what a batch is divided: with each user goes what belongs to it.
_TABLES = {
    "otps": 1,
    "sessions": 1,
    "users": 10,
    "audit_log": 1,
    "known_devices": 1,
    "former_emails": 1,
    "rate_limits": 1,
    "outbox": 1,
    "totp_factors": 1,
    "passkey_challenges": 1,
}


@operation()
def purge(*, batch: int = 10_000) -> Steps[tuple[Purged, ...]]:
    """Delete at most batch expired rows of each table and say how many. Call it again while any says `more`.

    Users who were soft-deleted and entries of the audit log are kept for as long as authsql_retention says.
    Of users a tenth of batch go at a time, as all that belongs to them goes along. Rows that somebody works
    with are left for the next time, and nobody waits, but that in MySQL's default isolation an insert may
    wait for the end of a batch. On a connection with autocommit each table's batch is a transaction of its
    own. A table that the database does not have, where only some subjects are installed, is left out; on
    MySQL also one that the account has no right on. Raises SchemaMissing if it has none of them. That it ran
    is noted at the end, in authsql_purge_runs, where the database has it.
    """
    size = _input.integer("batch", batch, 1, 1_000_000)
    there = {row["name"] for row in (yield Query("maintenance.purgeable", {})).rows}
    done = []
    for table, divisor in _TABLES.items():
        # On MySQL an application has rights on a view instead of some tables.
        seen = next((name for name in (f"app_{table}", table) if name in there), None)
        if seen is None:
            continue
        limit = max(1, size // divisor)
        result = yield Query(f"maintenance.purge_{seen}", {"batch": limit})
        # PostgreSQL's function says how many it deleted, MySQL's statement itself counts.
        count = result.row["deleted"] if result.row else result.count
        done.append(Purged(f"authsql_{table}", count, count >= limit))
    if not done:
        raise SchemaMissing(SchemaMissing.__doc__)
    if "purge_runs" in there:
        # All at once: a MySQL statement that deletes can note nothing, and this is one round trip, not ten.
        deleted = json.dumps({each.table_name: each.deleted for each in done})
        yield Query("maintenance.note_runs", {"deleted": deleted})
    return tuple(done)


@operation()
def backlog() -> Steps[tuple[Backlog, ...]]:
    """What a purge would find now: for each table the expired rows, when the oldest of them expired, and how
    many seconds ago; and when the last purge was, by whomever.
    """
    return tuple(from_row(Backlog, row) for row in (yield Query("maintenance.backlog", {})).rows)
