"""`authsql script`: one file for psql or mysql makes what yoyo and `authsql migrate` make, books and all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import authsql
from authsql._modules import UnknownModule, select
from authsql._script import NothingSelected, script
from authsql._statements import DIALECTS, Dialect, sql_root, statements
from authsql.migrations import migrate, rollback, status
from tests.catalog import catalog
from tests.migrations.support import Client, files, numbers, path, run, yoyo, yoyo_list
from tests.servers import Database, Server, rows

if TYPE_CHECKING:
    from tests.catalog import Catalog


def apply(database: Database, text: str, *options: str) -> None:
    code, output = Client(database).run(text, *options)
    assert code == 0, output


@pytest.fixture
def expected(server: Server) -> Catalog:
    """What `authsql migrate` makes, yoyo's tables included."""
    with server.empty() as other:
        migrate(other.url)
        return catalog(other.connect(), without=frozenset())


def test_one_file_makes_what_migrate_makes(expected: Catalog, empty_database: Database) -> None:
    everything = files(empty_database.dialect)
    apply(empty_database, script(empty_database.dialect))
    conn = empty_database.connect()
    assert catalog(conn, without=frozenset()) == expected
    assert {m.state for m in status(empty_database.url)} == {"applied"}
    assert yoyo_list(empty_database) == {file.id: "A" for file in everything}
    assert rows(conn, "SELECT COUNT(*), COUNT(DISTINCT migration_id) FROM _yoyo_log") == [
        (len(everything), len(everything))
    ]
    assert rows(conn, "SELECT version FROM _yoyo_version") == [(2,)]
    said: list[str] = []
    assert migrate(empty_database.url, progress=said.append) == []
    assert said == []

    apply(empty_database, script(empty_database.dialect, direction="rollback"))
    assert not any(catalog(conn).values())
    assert set(yoyo_list(empty_database).values()) == {"U"}
    yoyo("apply", empty_database)
    assert catalog(conn, without=frozenset()) == expected


def test_in_two_parts_and_back_by_others(expected: Catalog, empty_database: Database) -> None:
    dialect, conn = empty_database.dialect, empty_database.connect()
    everything = files(dialect)
    apply(empty_database, script(dialect, last=5))
    assert numbers(conn) == [1, 2, 3, 4, 5]
    apply(empty_database, script(dialect, first=6))
    assert catalog(conn, without=frozenset()) == expected
    apply(empty_database, script(dialect, first=9, direction="rollback"))
    assert numbers(conn) == [file.number for file in everything[:8]]
    rollback(empty_database.url, target=6)
    yoyo("rollback", empty_database, "--revision", everything[4].id)
    assert numbers(conn) == [1, 2, 3, 4]
    migrate(empty_database.url, target=5)
    apply(empty_database, script(dialect, first=6))
    assert catalog(conn, without=frozenset()) == expected
    assert set(yoyo_list(empty_database).values()) == {"A"}


def test_it_marks_what_the_files_alone_made(empty_database: Database) -> None:
    """Applied file by file with the client, nothing is in yoyo's books; the next script writes it there."""
    dialect, client = empty_database.dialect, Client(empty_database)
    for file in files(dialect)[:3]:
        client.feed(path(dialect, file, "apply"))
    apply(empty_database, script(dialect, first=4))
    assert set(yoyo_list(empty_database).values()) == {"A"}


@pytest.mark.parametrize("direction", ["apply", "rollback"])
def test_at_the_wrong_place_it_changes_nothing(empty_database: Database, direction: str) -> None:
    dialect, conn = empty_database.dialect, empty_database.connect()
    migrate(empty_database.url, target=7)
    before, books = catalog(conn, without=frozenset()), yoyo_list(empty_database)
    tries = (
        # All of it, which is there in part; what is there; what lacks something below.
        [script(dialect), script(dialect, first=7, last=7), script(dialect, only=["views"], first=10)]
        if direction == "apply"
        # What is not there; what others need.
        else [
            script(dialect, first=8, last=8, direction="rollback"),
            script(dialect, first=2, last=2, direction="rollback"),
        ]
    )
    output = ""
    for text in tries:
        code, output = Client(empty_database).run(text)
        assert code != 0
        assert "this is for a database without" in output or "this database has 7 migrations" in output
        if text == script(dialect):
            assert "without authsql, and this one has authsql_schema_version" in output
        assert catalog(conn, without=frozenset()) == before
        assert yoyo_list(empty_database) == books
    if direction == "apply":
        assert "this database has 7 migrations, up to 7, and must have [" in output


def test_a_failure_leaves_what_its_header_says(empty_database: Database) -> None:
    dialect, conn = empty_database.dialect, empty_database.connect()
    rows(conn, "CREATE TABLE authsql_role_permissions (id INT)")
    text = script(dialect)
    code, output = Client(empty_database).run(text)
    assert code != 0
    assert "authsql_role_permissions" in output
    if dialect == "postgres":
        assert "if a statement fails, nothing has changed" in text
        assert [row[0] for row in catalog(conn, without=frozenset())["tables"]] == [
            "authsql_role_permissions"
        ]
        return
    assert "--from N --to N --rollback --force | mysql --force DATABASE" in text
    assert numbers(conn) == [1, 2]
    rows(conn, "DROP TABLE authsql_role_permissions")
    undo = script(dialect, first=3, last=3, direction="rollback", force=True)
    Client(empty_database).run(undo, "--force")
    apply(empty_database, script(dialect, first=3))
    assert set(yoyo_list(empty_database).values()) == {"A"}
    assert {m.state for m in status(empty_database.url)} == {"applied"}


def test_one_subject(empty_database: Database) -> None:
    dialect = empty_database.dialect
    apply(empty_database, script(dialect, only=["session"]))
    wanted = [file.number for file in select(dialect, ["sessions"])]
    assert numbers(empty_database.connect()) == wanted
    assert {m.state for m in status(empty_database.url, only=["sessions"])} == {"applied"}
    apply(empty_database, script(dialect, only=["auth/session"], direction="rollback"))
    assert not any(catalog(empty_database.connect()).values())


@pytest.mark.only("postgres")
def test_in_a_schema_of_its_own(empty_database: Database) -> None:
    conn = empty_database.connect()
    rows(conn, "CREATE SCHEMA auth")
    apply(empty_database, "SET search_path = auth;\n" + script("postgres"))
    assert {m.state for m in status(f"{empty_database.url}?schema=auth")} == {"applied"}
    assert not any(catalog(conn, without=frozenset()).values())


def test_two_at_a_time(empty_database: Database) -> None:
    """Another run that is under way is waited for: the lock is that of `authsql migrate`."""
    dialect, conn = empty_database.dialect, empty_database.connect()
    rows(conn, "BEGIN")
    assert rows(conn, statements(dialect)["migrations.lock_run"].text)[0][0]
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        if dialect == "postgres"
        else "SELECT count(*) FROM information_schema.processlist"
        " WHERE state = 'User lock' AND db = DATABASE()"
    )
    looking = empty_database.connect()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(Client(empty_database).run, script(dialect))
        try:
            while not rows(looking, waiting)[0][0]:
                assert not running.done(), running.result()
            assert not any(catalog(looking, without=frozenset()).values())
        finally:
            conn.close()
        assert running.result() == (0, "")
    assert {each.state for each in status(empty_database.url)} == {"applied"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_it_holds_each_file_as_it_is(dialect: Dialect) -> None:
    text, back = script(dialect), script(dialect, direction="rollback")
    at = 0
    for file in files(dialect):
        at = text.index(path(dialect, file, "apply").read_text(encoding="utf-8"), at)
        assert file.loses in back
    at = 0
    for file in reversed(files(dialect)):
        at = back.index(path(dialect, file, "rollback").read_text(encoding="utf-8"), at)
    assert text.startswith(f"-- authsql {authsql.__version__} for ")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_text_each_time(dialect: Dialect) -> None:
    """In another process, with another time zone, hash seed and locale."""
    env = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    done = run("-m", "authsql", "script", "--dialect", dialect, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == script(dialect)
    assert "%(" not in done.stdout
    assert str(sql_root().parent) not in done.stdout


def test_what_is_refused() -> None:
    with pytest.raises(
        UnknownModule, match=r"no subject 'cookies'; known are auth \(all of them\), .*sessions"
    ):
        script("mysql", only=["cookies"])
    with pytest.raises(NothingSelected):
        script("mysql", first=9999)


def test_release_files(tmp_path: Path) -> None:
    done = run("-m", "tools.release_sql", str(tmp_path))
    assert done.returncode == 0, done.stderr
    short = ".".join(authsql.__version__.split(".")[:2])
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"authsql-{short}-mysql.sql",
        f"authsql-{short}-postgres.sql",
    ]
    for dialect in DIALECTS:
        text = (tmp_path / f"authsql-{short}-{dialect}.sql").read_bytes()
        assert text.decode() == script(dialect)
