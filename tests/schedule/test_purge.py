"""The databases' own schedulers, for real: MySQL's events, and pg_cron where the image has it."""

from __future__ import annotations

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
    expired, live = _sessions(scheduled)
    if scheduled.dialect == "mysql":
        rows(connection, "ALTER EVENT authsql_purge_sessions ON SCHEDULE EVERY 1 SECOND")
    else:
        _every_second(scheduled)
    deadline = time.monotonic() + 90
    while len(found := _ids(scheduled)) > 1:
        assert time.monotonic() < deadline, f"{expired} was still there"
        time.sleep(0.1)
    assert found == {live}


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


def _sessions(database: Database) -> tuple[str, str]:
    """One session that has expired and one that has not."""
    connection = database.connect()
    user = users.create(connection, "a@example.org")
    first, second = sessions.create(connection, user.id), sessions.create(connection, user.id)
    assert first
    assert second
    day = "INTERVAL 60 DAY" if database.dialect == "mysql" else "INTERVAL '60 days'"
    columns = ("created_at", "last_seen_at", "expires_at", "absolute_expires_at")
    moved = ", ".join(f"{column} = {column} - {day}" for column in columns)
    key = first.session.id.bytes if database.dialect == "mysql" else first.session.id
    rows(connection, f"UPDATE authsql_sessions SET {moved} WHERE id = %s", (key,))
    return str(first.session.id), str(second.session.id)


def _ids(database: Database) -> set[str]:
    text = "BIN_TO_UUID(id)" if database.dialect == "mysql" else "id::text"
    return {row[0] for row in rows(database.connect(), f"SELECT {text} FROM authsql_sessions")}


def _every_second(database: Database) -> None:
    connection = database.connect()
    version = rows(connection, "SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'")[0][0]
    # Before 1.5 a job runs each minute at the most often.
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) >= (1, 5):
        rows(connection, "SELECT cron.alter_job(jobid, schedule => '1 seconds') FROM cron.job")
