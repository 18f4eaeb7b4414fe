"""When the purge last ran: noted by whoever purges, and never a reason for a purge to wait or to fail."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import psycopg
import pytest

from authsql import maintenance
from authsql.errors import SchemaMissing
from authsql.migrations import migrate, rollback
from tests.migrations.test_cli import command
from tests.roles import as_role
from tests.servers import Database, SyncConnection, rows
from tests.support import DAY, Sql, crowd_of

TABLES = {f"authsql_{table}" for table in maintenance._TABLES}
ASKED = "SELECT table_name, last_run_at, deleted_rows FROM authsql_purge_runs"


def still(database: Database) -> Sql:
    """The database with its own scheduler off."""
    sql = Sql(database, database.connect())
    if sql.is_mysql:
        for table in maintenance._TABLES:
            sql(f"ALTER EVENT authsql_purge_{table} DISABLE")
    return sql


def noted(conn: SyncConnection) -> dict[str, datetime | None]:
    """What is noted, without what MySQL's events did before they were disabled."""
    return {
        table: at.replace(tzinfo=UTC) if at and at.tzinfo is None else at
        for table, at, _ in rows(conn, ASKED)
    }


def shown(conn: SyncConnection) -> dict[str, datetime | None]:
    return {each.table_name: each.last_run_at for each in maintenance.backlog(conn)}


@pytest.fixture
def sql(empty_database: Database) -> Sql:
    migrate(empty_database.url)
    return still(empty_database)


def test_each_table_has_its_row(sql: Sql) -> None:
    assert {row[0] for row in sql(ASKED)} == TABLES == set(shown(sql.connection))


@pytest.mark.only("postgres")
def test_the_function_notes_its_run(sql: Sql) -> None:
    assert set(noted(sql.connection).values()) == {None}
    for expired in (3, 0):
        for _ in range(expired):
            sql(
                "INSERT INTO authsql_passkey_challenges"
                " (purpose, challenge_hash, user_verification, created_at, expires_at)"
                " VALUES ('authentication', %s, 'required', now() - interval '9 days', now())",
                bytes(32),
            )
        before = sql.one("SELECT clock_timestamp()")
        found = {row[0]: row[1] for row in sql("SELECT * FROM authsql_purge()")}
        after = sql.one("SELECT clock_timestamp()")
        assert all(at is not None and before <= at <= after for at in noted(sql.connection).values())
        deleted = dict.fromkeys(TABLES, 0) | {"authsql_passkey_challenges": expired}
        assert {row[0]: row[2] for row in sql(ASKED)} == found == deleted


def test_a_note_that_is_not_committed_stops_nobody(sql: Sql) -> None:
    """The other one purges, and leaves the note to who has it. A rollback takes note and deletion back."""
    first = sql.database.connect(autocommit=False)
    second = sql.database.connect()
    limit = "SESSION innodb_lock_wait_timeout = 1" if sql.is_mysql else "lock_timeout = '100ms'"
    rows(second, f"SET {limit}")
    maintenance.purge(first)
    maintenance.purge(second)
    if not sql.is_mysql:
        rows(second, "SELECT authsql_purge()")
    assert set(noted(sql.connection).values()) == {None}
    before = noted(first)
    assert None not in before.values()
    first.rollback()
    assert set(noted(sql.connection).values()) == {None}
    maintenance.purge(second)
    assert None not in noted(sql.connection).values()


def test_many_at_once(sql: Sql) -> None:
    """In transactions and out of them, they neither deadlock nor lose a note."""

    def work(conn: SyncConnection, who: int) -> None:
        if who % 2:
            rows(conn, "BEGIN")
        for _ in range(5):
            maintenance.purge(conn)
        conn.commit()

    before = sql.one(f"SELECT {sql.now}")
    with crowd_of(sql.database, 6) as crowd:
        crowd.run(work)
    assert all(at is not None and at >= before for at in noted(sql.connection).values())


def test_a_snapshot_from_before_another_run(sql: Sql) -> None:
    """By REPEATABLE READ, PostgreSQL lets nobody change what was changed since: the purge goes on without."""
    late = sql.database.connect(autocommit=False)
    rows(late, f"SET {'SESSION ' if sql.is_mysql else ''}TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    rows(late, "SELECT 1 FROM authsql_purge_runs")
    maintenance.purge(sql.connection)
    before = noted(sql.connection)
    maintenance.purge(late)
    late.commit()
    after = noted(sql.connection)
    assert (after == before) is not sql.is_mysql


def test_who_may_not_note_purges_all_the_same(database: Database) -> None:
    sql = Sql(database, database.connect())
    role = "authsql_app" if sql.is_mysql else "authsql_app, public"
    rights = "SELECT, UPDATE (last_run_at, deleted_rows) ON authsql_purge_runs"
    before = sql(ASKED)
    sql(f"REVOKE {rights} FROM {role}")
    try:
        app = as_role(database, "authsql_app").connect(autocommit=False)
        assert {each.table_name for each in maintenance.purge(app)} == TABLES
        if not sql.is_mysql:
            rows(app, "SELECT authsql_purge()")
        app.commit()
        assert sql(ASKED) == before
    finally:
        sql(f"GRANT {rights} TO authsql_app")
    maintenance.purge(app)
    app.commit()
    assert sql(ASKED) != before


def test_the_reader_sees_it(database: Database) -> None:
    maintenance.purge(as_role(database, "authsql_app").connect())
    reader = as_role(database, "authsql_reader").connect()
    assert None not in shown(reader).values()
    with pytest.raises(Exception, match="denied"):
        rows(reader, ASKED)


def test_before_the_migration_and_after_its_rollback(empty_database: Database) -> None:
    migrate(empty_database.url, target=23)
    sql = still(empty_database)
    within = empty_database.connect(autocommit=False)
    for _ in range(2):
        assert {each.table_name for each in maintenance.purge(within)} == TABLES
        within.commit()
        assert command("purge", database=empty_database).exit_code == 0
        with pytest.raises(SchemaMissing):
            maintenance.backlog(sql.connection)
        migrate(empty_database.url)
        assert set(noted(sql.connection).values()) == {None}
        assert command("purge", database=empty_database).exit_code == 0
        assert None not in shown(sql.connection).values()
        rollback(empty_database.url, target=23)
    if not sql.is_mysql:
        assert {name for name, _ in sql("SELECT * FROM authsql_purge()")} == TABLES


def test_a_monitor_reads_it_as_json(sql: Sql) -> None:
    maintenance.purge(sql.connection)
    found = json.loads(command("inspect", "backlog", "--json", database=sql.database).stdout)
    assert {row["table_name"]: datetime.fromisoformat(row["last_run_at"]) for row in found} == shown(
        sql.connection
    )


@pytest.mark.only("mysql")
def test_the_later_of_event_and_note(sql: Sql) -> None:
    asked = (
        "SELECT event_name, CONVERT_TZ(last_executed, time_zone, '+00:00') FROM information_schema.events"
        " WHERE event_schema = DATABASE()"
    )
    by_event = {name.replace("_purge", "", 1): sql.from_sql(at) for name, at in sql(asked)}
    assert shown(sql.connection) == by_event
    maintenance.purge(sql.connection)
    assert shown(sql.connection) == noted(sql.connection)
    sql(f"UPDATE authsql_purge_runs SET last_run_at = {sql.before('last_run_at', DAY)}")
    by_hand = noted(sql.connection)
    assert shown(sql.connection) == {table: at or by_hand[table] for table, at in by_event.items()}


@pytest.mark.only("postgres")
def test_other_errors_of_a_note_are_told(sql: Sql) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        sql("SELECT authsql_note_purge('authsql_otps', -1)")
