"""What goes up comes down: the same catalog, whichever way it was reached."""

from __future__ import annotations

import pytest

from authsql.migrations import MigrationFailed, migrate, rollback, status
from tests.catalog import catalog
from tests.migrations.support import files, numbers, yoyo_list
from tests.servers import Database, rows


def test_up_down_up(empty_database: Database) -> None:
    conn = empty_database.connect()
    before = catalog(conn)
    everything = [file.number for file in files(empty_database.dialect)]
    migrate(empty_database.url)
    up = catalog(conn)
    assert [m.number for m in rollback(empty_database.url, target=0)] == everything[::-1]
    assert catalog(conn) == before
    assert not any(before.values())
    migrate(empty_database.url)
    assert catalog(conn) == up


def test_each_step_down_undoes_its_step_up(empty_database: Database) -> None:
    conn = empty_database.connect()
    states = [catalog(conn)]
    for file in files(empty_database.dialect):
        assert [m.number for m in migrate(empty_database.url, target=file.number)] == [file.number]
        states.append(catalog(conn))
        assert states[-1] != states[-2]
        assert [m.number for m in rollback(empty_database.url, steps=1)] == [file.number]
        assert catalog(conn) == states[-2]
        migrate(empty_database.url, target=file.number)
        assert catalog(conn) == states[-1]


def test_the_last_steps(empty_database: Database) -> None:
    everything = [file.number for file in files(empty_database.dialect)]
    migrate(empty_database.url)
    assert [m.number for m in rollback(empty_database.url, steps=3)] == everything[:-4:-1]
    assert numbers(empty_database.connect()) == everything[:-3]
    assert [m.number for m in rollback(empty_database.url, target=3)] == everything[3:-3][::-1]
    assert sum(state == "A" for state in yoyo_list(empty_database).values()) == 3
    assert len(rollback(empty_database.url, steps=100)) == 3
    assert rollback(empty_database.url, steps=1) == []


def test_either_target_or_steps(empty_database: Database) -> None:
    with pytest.raises(ValueError, match="either target or steps"):
        rollback(empty_database.url)
    with pytest.raises(ValueError, match="no migration 99"):
        rollback(empty_database.url, target=99)


def test_a_later_version_of_authsql_was_here(empty_database: Database) -> None:
    migrate(empty_database.url)
    conn = empty_database.connect()
    rows(conn, "INSERT INTO authsql_schema_version (version, name) VALUES (9999, 'future')")
    assert status(empty_database.url)[-1].state == "unknown"
    assert migrate(empty_database.url) == []
    before = catalog(conn)
    with pytest.raises(MigrationFailed, match="does not have migration 9999"):
        rollback(empty_database.url, steps=1)
    assert catalog(conn) == before


@pytest.mark.only("mysql")
def test_a_rollback_that_fails_restores_what_it_dropped(empty_database: Database) -> None:
    """PostgreSQL rolls its transaction back."""
    migrate(empty_database.url)
    conn = empty_database.connect()
    before = catalog(conn)
    # 0007 drops three triggers first, and then fails at the table.
    rollback(empty_database.url, target=7)
    seven = catalog(conn)
    rows(
        conn,
        "CREATE TABLE app_devices (session_id BINARY(16),"
        " CONSTRAINT app_devices_fk FOREIGN KEY (session_id) REFERENCES authsql_sessions (id))",
    )
    with pytest.raises(
        MigrationFailed, match=r"rolling back 0007.sessions failed at statement 5 of 5 .*3730"
    ):
        rollback(empty_database.url, steps=1)
    rows(conn, "DROP TABLE app_devices")
    assert catalog(conn) == seven
    assert numbers(conn)[-1] == 7
    migrate(empty_database.url)
    assert catalog(conn) == before
