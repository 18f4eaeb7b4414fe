"""The databases' own schedulers, for real: MySQL's events, and pg_cron where the image has it."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator

import psycopg
import pytest

from authsql import sessions, users
from authsql._statements import sql_root
from authsql.doctor import Severity, examine
from authsql.migrations import migrate, rollback
from tests.conftest import FLEET
from tests.servers import Database, Server, ServerUnavailableError, Target, rows

SCHEDULER = {
    "mysql": {"event-scheduler": "ON"},
    "postgres": {"shared_preload_libraries": "pg_cron", "cron.database_name": "postgres"},
}


@pytest.fixture(scope="module")
def scheduling_server(target: Target, pytestconfig: pytest.Config) -> Server:
    """A server of this module's own, whose scheduler is on."""
    try:
        return pytestconfig.stash[FLEET].own(target, SCHEDULER[target.dialect])
    except ServerUnavailableError as error:
        # The usual image of PostgreSQL does not have pg_cron: it stops at once.
        reason = f"no server with a scheduler: {error}"
    pytest.skip(reason)


@pytest.fixture
def scheduled(scheduling_server: Server, target: Target) -> Iterator[Database]:
    """A database that its scheduler looks after, still empty. pg_cron has one database on a server."""
    if target.dialect == "mysql":
        with scheduling_server.empty() as database:
            yield database
        return
    database = Database(scheduling_server.url, target)
    connection = database.connect()
    rows(connection, "CREATE EXTENSION pg_cron")
    yield database
    rollback(database.url, target=0)
    rows(connection, "DROP EXTENSION pg_cron")
    database.close_connections()


def test_the_scheduler_deletes_what_has_expired_and_nothing_else(scheduled: Database) -> None:
    migrate(scheduled.url)
    assert [f.severity for f in examine(scheduled.url) if f.check == "scheduler"] == [Severity.OK]
    connection = scheduled.connect()
    expired, live = _rows(scheduled)
    if scheduled.dialect == "mysql":
        for table in ("otps", "sessions", "users", "audit_log"):
            rows(connection, f"ALTER EVENT authsql_purge_{table} ON SCHEDULE EVERY 1 SECOND")
    else:
        _every_second(scheduled)
    deadline = time.monotonic() + 90
    while (found := _found(scheduled)) & expired:
        assert time.monotonic() < deadline, f"{found & expired} was still there"
        time.sleep(0.1)
    assert found == live


@pytest.mark.only("postgres")
def test_a_rollback_takes_the_job_off_the_schedule(scheduled: Database) -> None:
    migrate(scheduled.url)
    connection = scheduled.connect()
    assert rows(connection, "SELECT jobname, command FROM cron.job") == [
        ("authsql_purge_public", "SELECT public.authsql_purge()")
    ]
    rollback(scheduled.url, target=8)
    assert rows(connection, "SELECT jobname FROM cron.job") == []


@pytest.mark.only("postgres")
def test_the_optional_file_schedules_it_where_pg_cron_came_later(scheduled: Database) -> None:
    connection = scheduled.connect()
    rows(connection, "DROP EXTENSION pg_cron")
    migrate(scheduled.url)
    rows(connection, "CREATE EXTENSION pg_cron")
    with psycopg.connect(scheduled.url, autocommit=True) as dba:
        dba.execute((sql_root() / "postgres" / "optional" / "pg_cron.sql").read_bytes())
    assert rows(connection, "SELECT jobname, command FROM cron.job") == [
        ("authsql_purge_public", "SELECT public.authsql_purge()")
    ]


def _rows(database: Database) -> tuple[set[str], set[str]]:
    """One row of each kind that has expired and one that has not: sessions, users, entries of the log."""
    connection = database.connect()
    is_mysql = database.dialect == "mysql"
    live, gone, recent = (users.create(connection, f"{name}@x.org") for name in ("live", "gone", "recent"))
    for user in (gone, recent):
        assert users.soft_delete(connection, user.id)
    first, second = sessions.create(connection, live.id), sessions.create(connection, live.id)
    assert first
    assert second

    def earlier(column: str, days: int) -> str:
        return f"{column} - INTERVAL {days} DAY" if is_mysql else f"{column} - INTERVAL '{days} days'"

    for table, key, days, columns in (
        (
            "authsql_sessions",
            first.session.id,
            60,
            ("created_at", "last_seen_at", "expires_at", "absolute_expires_at"),
        ),
        ("authsql_users", gone.id, 31, ("created_at", "deleted_at")),
        ("authsql_users", recent.id, 29, ("created_at", "deleted_at")),
    ):
        moved = ", ".join(f"{column} = {earlier(column, days)}" for column in columns)
        rows(connection, f"UPDATE {table} SET {moved} WHERE id = %s", (key.bytes if is_mysql else key,))
    now = "UTC_TIMESTAMP(6)" if is_mysql else "statement_timestamp()"
    for event, days in (("app.old", 366), ("app.young", 364)):
        at = earlier(now, days)
        rows(connection, f"INSERT INTO authsql_audit_log (event, occurred_at) VALUES ('{event}', {at})")
    return (
        {str(first.session.id), str(gone.id), "app.old"},
        {str(second.session.id), str(live.id), str(recent.id), "app.young"},
    )


def _found(database: Database) -> set[str]:
    text = "BIN_TO_UUID(id)" if database.dialect == "mysql" else "id::text"
    asked = (
        f"SELECT {text} FROM authsql_sessions UNION ALL SELECT {text} FROM authsql_users"
        " UNION ALL SELECT event FROM authsql_audit_log WHERE LEFT(event, 4) = 'app.'"
    )
    with contextlib.closing(database.connect()) as connection:
        return {str(row[0]) for row in rows(connection, asked)}


def _every_second(database: Database) -> None:
    connection = database.connect()
    version = rows(connection, "SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'")[0][0]
    # Before 1.5 a job runs each minute at the most often.
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) >= (1, 5):
        rows(connection, "SELECT cron.alter_job(jobid, schedule => '1 seconds') FROM cron.job")
