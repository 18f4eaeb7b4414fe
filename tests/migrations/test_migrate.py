"""What `migrate` does to a database, and what it does not when something is in its way."""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from authsql._explain import hint
from authsql._statements import statements
from authsql.migrations import ConnectionFailed, MigrationFailed, migrate, rollback, status
from tests.catalog import YOYO, catalog
from tests.migrations.support import files, numbers, path, yoyo_list
from tests.servers import Database, SyncConnection, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authsql._migration_files import Direction


def test_it_applies_all_and_then_nothing(empty_database: Database) -> None:
    said: list[str] = []
    everything = files(empty_database.dialect)
    assert [m.name for m in migrate(empty_database.url, progress=said.append)] == [
        file.name for file in everything
    ]
    assert said == [f"applying {file.id}" for file in everything]
    before = catalog(empty_database.connect(), without=frozenset())
    assert migrate(empty_database.url, progress=said.append) == []
    assert len(said) == len(everything)
    assert catalog(empty_database.connect(), without=frozenset()) == before


def test_status_changes_nothing(empty_database: Database) -> None:
    assert {m.state for m in status(empty_database.url)} == {"pending"}
    assert not any(catalog(empty_database.connect(), without=frozenset()).values())


def test_status_tells_when(empty_database: Database) -> None:
    migrate(empty_database.url, target=2)
    found = status(empty_database.url)
    assert [m.state for m in found[:3]] == ["applied", "applied", "pending"]
    assert found[0].applied_at is not None
    assert abs(found[0].applied_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert found[2].applied_at is None


def test_up_to_a_target(empty_database: Database) -> None:
    assert [m.number for m in migrate(empty_database.url, target=4)] == [1, 2, 3, 4]
    assert migrate(empty_database.url, target=2) == []
    with pytest.raises(ValueError, match="no migration 99"):
        migrate(empty_database.url, target=99)
    assert numbers(empty_database.connect()) == [1, 2, 3, 4]


def test_users_from_before_get_their_role(empty_database: Database) -> None:
    migrate(empty_database.url, target=2)
    conn = empty_database.connect()
    rows(conn, "INSERT INTO authsql_users (email) VALUES ('ann@example.org')")
    migrate(empty_database.url)
    assert rows(conn, "SELECT role FROM authsql_user_roles") == [("user",)]


def test_nothing_but_its_own_and_yoyos(empty_database: Database) -> None:
    migrate(empty_database.url)
    names = {row[0] for row in catalog(empty_database.connect(), without=YOYO)["tables"]}
    assert all(name.startswith("authsql_") for name in names)


def test_what_stands_in_the_way_is_left_alone(empty_database: Database) -> None:
    """A statement in the middle of a migration fails: what went before it is undone, and that only."""
    conn = empty_database.connect()
    migrate(empty_database.url, target=2)
    two = catalog(conn)
    rows(conn, "CREATE TABLE authsql_role_permissions (id INT)")
    rows(conn, "INSERT INTO authsql_role_permissions (id) VALUES (42)")
    with pytest.raises(
        MigrationFailed,
        match=r"0003.roles failed at statement \d+ of \d+ \(CREATE TABLE authsql_role_perm.*\): .*exists",
    ) as raised:
        migrate(empty_database.url)
    assert "nothing tells that authsql made it" in (raised.value.hint or "")
    assert secret(empty_database.url) not in str(raised.value)
    assert rows(conn, "SELECT id FROM authsql_role_permissions") == [(42,)]
    assert status(empty_database.url)[2].state == "pending"
    assert numbers(conn) == [1, 2]

    rows(conn, "DROP TABLE authsql_role_permissions")
    assert catalog(conn) == two
    assert len(migrate(empty_database.url)) == len(files(empty_database.dialect)) - 2


@pytest.mark.only("mysql")
def test_an_interruption_proves_one_statement_only(empty_database: Database) -> None:
    """What exists is taken for done at the statement after the journal's position, and at no other."""
    conn = empty_database.connect()
    migrate(empty_database.url, target=2)
    interrupt(conn, "apply", 0)
    assert [m.state for m in status(empty_database.url)[1:4]] == ["applied", "interrupted", "pending"]
    rows(conn, files("mysql")[2].apply[0])  # done, and its run was killed before it wrote that down
    rows(conn, "CREATE TABLE authsql_role_permissions (id INT)")  # not ours
    with pytest.raises(MigrationFailed, match=r"statement 3 of 7 \(CREATE TABLE authsql_role_permissions\)"):
        migrate(empty_database.url)
    assert {"authsql_roles", "authsql_user_roles", "_authsql_progress"}.isdisjoint(
        row[0] for row in catalog(conn)["tables"]
    )
    rows(conn, "DROP TABLE authsql_role_permissions")
    assert migrate(empty_database.url)[0].number == 3


@pytest.mark.only("mysql")
@pytest.mark.parametrize(("direction", "done"), [("apply", 2), ("rollback", 3)])
def test_what_a_dba_completed_is_complete(empty_database: Database, direction: str, done: int) -> None:
    """A journal that is older than what somebody did by hand: nothing is dropped by it."""
    conn = empty_database.connect()
    migrate(empty_database.url, target=3)
    expected = catalog(conn)
    interrupt(conn, direction, done)
    assert [m.number for m in migrate(empty_database.url, target=3)] == [3]
    assert catalog(conn) == expected
    assert yoyo_list(empty_database)["0003.roles"] == "A"


@pytest.mark.only("mysql")
def test_what_a_dba_undid_is_undone(empty_database: Database) -> None:
    conn = empty_database.connect()
    migrate(empty_database.url, target=3)
    for text in files("mysql")[2].rollback:
        rows(conn, text)
    interrupt(conn, "rollback", 0)
    assert [m.number for m in rollback(empty_database.url, target=2)] == [3]
    assert yoyo_list(empty_database)["0003.roles"] == "U"
    assert "_authsql_progress" not in {row[0] for row in catalog(conn)["tables"]}


def test_a_missing_right(empty_database: Database) -> None:
    """A user who may not make what a migration makes: nothing is half done, and the right is told."""
    with user_without_rights(empty_database) as url:
        with pytest.raises(MigrationFailed) as raised:
            migrate(url)
        # On a server that writes a binary log, MySQL asks for another one first: error 1419.
        assert "right" in (raised.value.hint or "")
        assert secret(url) not in str(raised.value)
    conn = empty_database.connect()
    if empty_database.dialect == "mysql":
        assert "0002.users failed at statement 2 of 3 (CREATE TRIGGER authsql_users_update)" in str(
            raised.value
        )
        assert numbers(conn) == [1]
        assert not {"authsql_users", "_authsql_progress"} & {row[0] for row in catalog(conn)["tables"]}
    migrate(empty_database.url)
    rollback(empty_database.url, target=0)
    assert not any(catalog(conn).values())


def test_a_binary_log_that_wants_super() -> None:
    class DatabaseError(Exception):
        errno, sqlstate = 1419, "HY000"

    assert "log_bin_trust_function_creators = 1" in (hint(DatabaseError()) or "")


def test_no_server_and_no_database(empty_database: Database) -> None:
    parts = urlsplit(empty_database.url)
    for url in (
        parts._replace(path="/no_such_database").geturl(),
        parts._replace(netloc=parts.netloc.replace(f":{parts.port}", ":1")).geturl(),
        parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":wrong-secret@")).geturl(),
    ):
        with pytest.raises(ConnectionFailed, match="cannot connect to") as raised:
            migrate(url)
        assert secret(url) not in str(raised.value)


@pytest.mark.only("postgres")
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding(empty_database: Database, encoding: str) -> None:
    name = f"{empty_database.name}_{encoding.lower()}"
    conn = empty_database.connect()
    rows(conn, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        url = urlsplit(empty_database.url)._replace(path=f"/{name}").geturl()
        with pytest.raises(MigrationFailed, match=f"has the encoding {encoding}, and authsql needs UTF8"):
            migrate(url)
        assert {m.state for m in status(url)} == {"pending"}
    finally:
        rows(conn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.only("postgres")
def test_no_schema_to_create_in(empty_database: Database) -> None:
    with pytest.raises(MigrationFailed, match="no schema") as raised:
        migrate(f"{empty_database.url}?options=-csearch_path%3Dnowhere")
    assert "search_path" in (raised.value.hint or "")


@pytest.mark.only("postgres")
def test_in_a_schema_of_its_own(empty_database: Database) -> None:
    conn = empty_database.connect()
    url = f"{empty_database.url}?schema=Auth-1"
    with pytest.raises(ConnectionFailed, match="there is no schema 'Auth-1'"):
        migrate(url)
    rows(conn, 'CREATE SCHEMA "Auth-1"')
    migrate(url)
    assert not any(catalog(conn, without=frozenset()).values())
    rows(conn, """SET search_path TO "Auth-1" """)
    assert numbers(conn) == [file.number for file in files("postgres")]
    # The functions know where they belong, whatever search_path a session has.
    rows(conn, "RESET search_path")
    rows(conn, """INSERT INTO "Auth-1".authsql_users (email) VALUES ('ann@example.org')""")
    assert rows(conn, """SELECT role FROM "Auth-1".authsql_user_roles""") == [("user",)]
    rollback(url, target=0)


PATHS = """
SELECT DISTINCT setting
FROM pg_proc AS p CROSS JOIN unnest(p.proconfig) AS setting
WHERE p.proname LIKE 'authsql%' AND setting LIKE 'search_path=%'
"""


@pytest.mark.only("postgres")
@pytest.mark.parametrize(
    ("before", "schema"),
    [
        ('"$user", public', "public"),
        ("public, pg_temp", "public"),
        ('nowhere ,"Auth-1",public,  pg_catalog', '"Auth-1"'),
        ("auth,pg_temp, pg_catalog", "auth"),
    ],
)
def test_functions_have_their_schema_alone_in_their_path(
    empty_database: Database, before: str, schema: str
) -> None:
    """And who applies the migrations has the same path after each, in one transaction or in several."""
    conn = empty_database.connect()
    rows(conn, """CREATE SCHEMA "Auth-1"; CREATE SCHEMA auth""")
    expected = {(f"search_path={schema}, pg_temp",), ("search_path=pg_catalog, pg_temp",)}
    show = "SELECT current_setting('search_path')"
    for at_once in (True, False):
        rows(conn, f"SET search_path = {before}")
        [(kept,)] = rows(conn, show)
        if at_once:
            rows(conn, "BEGIN")
        everything = files("postgres")
        directions: tuple[Direction, ...] = ("apply", "rollback")
        for direction in directions:
            for file in everything if direction == "apply" else reversed(everything):
                if not at_once:
                    rows(conn, "BEGIN")
                rows(conn, path("postgres", file, direction).read_text(encoding="utf-8"))
                assert rows(conn, show) == [(kept,)], file.id
                if not at_once:
                    rows(conn, "COMMIT")
                if file.number > 10 if direction == "apply" else file.number > 11:
                    found = set(rows(conn, PATHS))
                    assert found <= expected, file.id
                    assert (f"search_path={schema}, pg_temp",) in found
        if at_once:
            rows(conn, "COMMIT")
        assert rows(conn, PATHS) == []


def interrupt(conn: SyncConnection, direction: str, done: int) -> None:
    """Leave the journal as a run of 0003 leaves it that was killed."""
    rows(conn, statements("mysql")["migrations.create_progress"].text)
    rows(
        conn,
        "INSERT INTO _authsql_progress (migration, direction, done) VALUES ('0003.roles', %s, %s)",
        (direction, done),
    )


def secret(url: str) -> str:
    """The password in a URL, or what is in no message if it has none."""
    return urlsplit(url).password or "no password"


@contextlib.contextmanager
def user_without_rights(database: Database) -> Iterator[str]:
    """Make a database user who lacks a right that migrations need; its URL for the database."""
    conn = database.connect()
    name, password = f"authsql_test_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    parts = urlsplit(database.url)
    netloc = f"{name}:{password}@{parts.hostname}:{parts.port}"
    if database.dialect == "postgres":
        rows(conn, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        rows(conn, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    else:
        rows(conn, f"CREATE USER {name} IDENTIFIED BY '{password}'")
        rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE VIEW, EVENT"
        rows(conn, f"GRANT {rights} ON `{database.name}`.* TO {name}")
    try:
        yield parts._replace(netloc=netloc).geturl()
    finally:
        rows(conn, f"DROP {'ROLE' if database.dialect == 'postgres' else 'USER'} {name}")
