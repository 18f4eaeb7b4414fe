"""A stock yoyo runs the same files and keeps the same books, in both dialects."""

from __future__ import annotations

from authsql.migrations import migrate, rollback, status
from tests.catalog import YOYO, catalog
from tests.migrations.support import files, numbers, run, yoyo, yoyo_arguments, yoyo_list
from tests.servers import Database, Server, rows


def test_yoyo_applies_what_migrate_applies(server: Server, empty_database: Database) -> None:
    with server.empty() as other:
        migrate(other.url)
        expected, books = catalog(other.connect()), catalog(other.connect(), without=frozenset())
    yoyo("apply", empty_database)
    conn = empty_database.connect()
    assert catalog(conn) == expected
    assert catalog(conn, without=frozenset()) == books
    assert {row[0] for row in books["tables"]} - {row[0] for row in expected["tables"]} == YOYO
    assert {m.state for m in status(empty_database.url)} == {"applied"}
    assert migrate(empty_database.url) == []

    yoyo("rollback", empty_database, "--all")
    assert not any(catalog(conn).values())


def test_yoyo_agrees_after_migrate_and_rollback(empty_database: Database) -> None:
    everything = files(empty_database.dialect)
    migrate(empty_database.url)
    assert yoyo_list(empty_database) == {file.id: "A" for file in everything}
    rollback(empty_database.url, target=4)
    assert yoyo_list(empty_database) == {file.id: "A" if file.number <= 4 else "U" for file in everything}
    yoyo("rollback", empty_database, "--revision", "0003.roles")
    assert numbers(empty_database.connect()) == [1, 2]
    yoyo("apply", empty_database)
    assert status(empty_database.url)[-1].state == "applied"
    log = rows(empty_database.connect(), "SELECT operation, COUNT(*) FROM _yoyo_log GROUP BY 1 ORDER BY 1")
    assert log == [("apply", len(everything) * 2 - 2), ("rollback", len(everything) - 2)]


def test_yoyo_mark_and_unmark(empty_database: Database) -> None:
    """What yoyo only believes is put right: the database's own account decides."""
    yoyo("mark", empty_database)
    assert set(yoyo_list(empty_database).values()) == {"A"}
    assert {m.state for m in status(empty_database.url)} == {"pending"}
    assert len(migrate(empty_database.url)) == len(files(empty_database.dialect))
    yoyo("unmark", empty_database, "--all")
    assert migrate(empty_database.url) == []
    assert set(yoyo_list(empty_database).values()) == {"A"}


def test_yoyo_breaks_its_lock(empty_database: Database) -> None:
    yoyo("list", empty_database)
    conn = empty_database.connect()
    rows(conn, "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, CURRENT_TIMESTAMP, 1)")
    yoyo("break-lock", empty_database)
    assert rows(conn, "SELECT * FROM yoyo_lock") == []


def test_yoyo_shows_the_true_error(empty_database: Database) -> None:
    """Not one about a savepoint that an implicit commit took away; and it undoes what it did."""
    conn = empty_database.connect()
    rows(conn, "CREATE TABLE authsql_user_roles (id INT)")
    done = run(*yoyo_arguments("apply", empty_database))
    assert done.returncode == 1
    assert "already exists" in done.stderr.splitlines()[-1]
    assert numbers(conn) == [1, 2]
    assert "authsql_roles" not in {row[0] for row in catalog(conn)["tables"]}
