"""The databases' own schedulers, for real: MySQL's events, and pg_cron."""

from __future__ import annotations

import time
from datetime import datetime

import psycopg
import pytest

from authsql import maintenance
from authsql._statements import sql_root
from authsql.doctor import Severity, examine
from authsql.migrations import migrate, rollback
from tests.roles import as_role, grant
from tests.schedule.conftest import every_second
from tests.schedule.kinds import KINDS
from tests.servers import (
    Database,
    SyncConnection,
    rows,
)
from tests.support import DAY, MINUTE, Sql


def test_the_scheduler_deletes_what_has_expired_and_nothing_else(scheduled: Database) -> None:
    migrate(scheduled.url)
    assert [f.severity for f in examine(scheduled.url) if f.check == "scheduler"] == [Severity.OK]
    sql = Sql(scheduled, scheduled.connect())
    dead, live = [], []
    for name, kind in KINDS.items():
        if kind.end is not None:
            dead.append((name, kind.end + MINUTE, kind.make(sql)))
        # Far from its end: the scheduler is given its time.
        live.append((name, kind.end // 2 if kind.end else 1000 * DAY, kind.make(sql)))
    for _, age, row in dead + live:
        row.make_older(sql, age)
    every_second(scheduled)
    deadline = time.monotonic() + 90
    while found := [name for name, _, row in dead if row.there(sql)]:
        assert time.monotonic() < deadline, f"{found} was still there"
        time.sleep(0.1)
    for name, age, row in live:
        assert row.there(sql), name
        row.answers(age)
    # Each table's, and again where there is nothing to delete: also those that had been found before.
    for _ in range(2):
        since = sql.one(f"SELECT {sql.now}").replace(microsecond=0)
        while not all(at and at > since for at in last_runs(sql.connection)):
            assert time.monotonic() < deadline, last_runs(sql.connection)
            time.sleep(0.1)
    assert all(at <= sql.one(f"SELECT {sql.now}") for at in last_runs(sql.connection) if at)
    told = [f for f in examine(scheduled.url) if f.check == "purge"]
    assert {f.severity for f in told} == {Severity.OK}
    assert any(f.message.startswith("last run: 20") for f in told)


@pytest.mark.only("mysql")
@pytest.mark.parametrize("zone", ["SYSTEM", "+05:30", "-11:00"])
def test_the_last_run_of_an_event_whatever_its_time_zone(scheduled: Database, zone: str) -> None:
    """Shown to a reader, who has no right to see events, by an owner who has it by a role."""
    grant(scheduled.url, "owner.sql", "authsql_owner")
    migrate(as_role(scheduled, "authsql_owner").url)
    grant(scheduled.url, "roles.sql", "authsql_app", "authsql_reader")
    reader = as_role(scheduled, "authsql_reader").connect()
    sql = Sql(scheduled, scheduled.connect())
    before = sql.one(f"SELECT {sql.now}").replace(microsecond=0)
    sql("SET time_zone = %s", zone)
    every_second(scheduled, sql.connection)
    assert {row[0] for row in sql("SELECT time_zone FROM information_schema.events")} == {zone}
    deadline = time.monotonic() + 90
    while not all(at and at >= before for at in last_runs(reader)):
        assert time.monotonic() < deadline, last_runs(reader)
        time.sleep(0.1)
    assert all(at <= sql.one(f"SELECT {sql.now}") for at in last_runs(reader) if at)
    assert {row[0] for row in sql("SELECT last_run_at FROM authsql_purge_runs")} == {None}


@pytest.mark.only("mysql")
def test_each_event_has_run(scheduled: Database) -> None:
    migrate(scheduled.url)
    conn = scheduled.connect()
    asked = (
        "SELECT event_name, last_executed IS NOT NULL FROM information_schema.events"
        " WHERE event_schema = DATABASE()"
    )
    every_second(scheduled)
    deadline = time.monotonic() + 90
    while not all(ran for _, ran in rows(conn, asked)):
        assert time.monotonic() < deadline, rows(conn, asked)
        time.sleep(0.1)
    assert {name for name, _ in rows(conn, asked)} == {
        f"authsql_purge_{table}" for table in maintenance._TABLES
    }


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


def last_runs(conn: SyncConnection) -> set[datetime | None]:
    """When each table was last purged."""
    return {each.last_run_at for each in maintenance.backlog(conn)}
