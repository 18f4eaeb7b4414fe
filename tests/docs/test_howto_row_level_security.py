"""docs/howto/row-level-security.md does what it says: its SQL and its Python are run as they stand there."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from authsql import NewSession, Session, roles, sessions, users
from authsql.migrations import migrate
from authsql.models import User
from tests.servers import Database, SyncConnection, rows

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "row-level-security.md"
TITLES = {"postgres": "PostgreSQL: policies", "mysql": "MySQL: views"}
READ = "invoices:read"


def block(dialect: str, language: str) -> str:
    """The one block of a language in the section of a dialect."""
    sections = dict(
        section.split("\n", maxsplit=1) for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    )
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", sections[TITLES[dialect]], re.DOTALL | re.MULTILINE)
    return str(found)


def test_the_page_has_nothing_else_to_run() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert sorted(re.findall(r"^```(\w+)$", text, re.MULTILINE)) == ["python", "python", "sql", "sql"]


@dataclass
class Example:
    """The example of the page, with a user, an accountant, and an invoice of each and of a third."""

    database: Database
    owner: SyncConnection
    app: str
    """The database user of the application, as a URL of the database."""
    people: dict[str, User] = field(default_factory=dict)

    @property
    def is_mysql(self) -> bool:
        return self.database.dialect == "mysql"

    def id_of(self, name: str) -> object:
        return self.people[name].id.bytes if self.is_mysql else self.people[name].id

    def connect(self) -> SyncConnection:
        app = Database(self.app, self.database.target, self.database._opened)
        return app.connect()

    def session(self, name: str) -> Session:
        opened = sessions.create(self.owner, self.people[name].id)
        assert isinstance(opened, NewSession)
        return opened.session


@pytest.fixture
def example(empty_database: Database) -> Iterator[Example]:
    migrate(empty_database.url)
    owner = empty_database.connect()
    app, password = f"authsql_test_{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    is_mysql = empty_database.dialect == "mysql"
    made = f"CREATE USER {app} IDENTIFIED BY" if is_mysql else f"CREATE ROLE {app} LOGIN PASSWORD"
    rows(owner, f"{made} '{password}'")
    try:
        page = re.sub(r"\bTO app;", f"TO {app};", block(empty_database.dialect, "sql"))
        assert app in page
        for statement in re.sub(r"^--.*\n", "", page, flags=re.MULTILINE).split(";"):
            if statement.strip():
                rows(owner, statement)
        parts = urlsplit(empty_database.url)
        url = parts._replace(netloc=f"{app}:{password}@{parts.hostname}:{parts.port}").geturl()
        found = Example(empty_database, owner, url)
        for name in ("ann", "bob", "accountant"):
            found.people[name] = users.create(owner, f"{name}@x.org")
            rows(owner, "INSERT INTO invoices (owner_id, amount) VALUES (%s, 10)", [found.id_of(name)])
        assert roles.create(owner, "accountant")
        assert roles.allow(owner, "accountant", READ)
        assert roles.grant(owner, found.people["accountant"].id, "accountant")
        yield found
    finally:
        empty_database.close_connections()
        with contextlib.closing(empty_database.connect()) as last:
            if is_mysql:
                rows(last, f"DROP USER {app}")
            else:
                rows(last, f"DROP OWNED BY {app}")
                rows(last, f"DROP ROLE {app}")


def read(example: Example, conn: SyncConnection, name: str) -> list[tuple[Any, ...]]:
    """Run the Python of the page for the session of a user."""
    given: dict[str, Any] = {"conn": conn, "session": example.session(name)}
    exec(block(example.database.dialect, "python"), given)
    found: list[tuple[Any, ...]] = given["invoices"]
    return found


def table(example: Example) -> str:
    return "my_invoices" if example.is_mysql else "invoices"


def test_each_user_sees_what_is_theirs(example: Example) -> None:
    conn = example.connect()
    assert [row[0] for row in read(example, conn, "ann")] == [1]
    assert [row[0] for row in read(example, conn, "bob")] == [2]
    assert [row[0] for row in read(example, conn, "accountant")] == [1, 2, 3]


def test_afterwards_nobody_is_there(example: Example) -> None:
    conn = example.connect()
    assert read(example, conn, "accountant")
    assert rows(conn, f"SELECT id FROM {table(example)}") == []
    broken = block(example.database.dialect, "python").replace("SELECT id", "SELECT no_such_column")
    with pytest.raises(Exception, match="no_such_column"):
        exec(broken, {"conn": conn, "session": example.session("ann")})
    assert rows(conn, f"SELECT id FROM {table(example)}") == []


def test_a_change_takes_effect_at_once(example: Example) -> None:
    conn = example.connect()
    accountant = example.people["accountant"].id
    assert len(read(example, conn, "accountant")) == 3
    roles.disallow(example.owner, "accountant", READ)
    assert len(read(example, conn, "accountant")) == 1
    roles.allow(example.owner, "accountant", READ)
    assert len(read(example, conn, "accountant")) == 3
    roles.revoke(example.owner, accountant, "accountant")
    assert len(read(example, conn, "accountant")) == 1
    roles.grant(example.owner, accountant, "accountant")
    session = example.session("accountant")
    users.soft_delete(example.owner, accountant)
    given: dict[str, Any] = {"conn": conn, "session": session}
    exec(block(example.database.dialect, "python"), given)
    assert len(given["invoices"]) == 1


@contextlib.contextmanager
def working_for(example: Example, name: str | None) -> Iterator[SyncConnection]:
    conn = example.connect()
    rows(conn, "BEGIN")
    roles.set_current_user(conn, example.people[name].id if name else None)
    yield conn
    conn.rollback()


@pytest.mark.parametrize("name", ["ann", "accountant", None])
def test_nobody_writes_for_another(example: Example, name: str | None) -> None:
    written = "own_invoices" if example.is_mysql else "invoices"
    insert = f"INSERT INTO {written} (owner_id, amount) VALUES (%s, 5)"
    refused = r"CHECK OPTION failed|row-level security"
    with working_for(example, name) as conn, pytest.raises(Exception, match=refused):
        rows(conn, insert, [example.id_of("bob")])
    with working_for(example, name) as conn:
        for statement in (f"UPDATE {written} SET amount = 0", f"DELETE FROM {written}"):
            rows(conn, statement + " WHERE owner_id = %s", [example.id_of("bob")])
        conn.commit()
    assert rows(example.owner, "SELECT amount FROM invoices WHERE id = 2") == [(10,)]


def test_each_user_writes_what_is_theirs(example: Example) -> None:
    written = "own_invoices" if example.is_mysql else "invoices"
    with working_for(example, "ann") as conn:
        rows(conn, f"INSERT INTO {written} (owner_id, amount) VALUES (%s, 5)", [example.id_of("ann")])
        rows(conn, f"UPDATE {written} SET amount = amount + 1 WHERE id = 1")
        conn.commit()
    # Not into the hands of another.
    with (
        working_for(example, "ann") as conn,
        pytest.raises(Exception, match=r"CHECK OPTION failed|row-level security"),
    ):
        rows(conn, f"UPDATE {written} SET owner_id = %s", [example.id_of("bob")])
    found = rows(
        example.owner,
        "SELECT amount FROM invoices WHERE owner_id = %s ORDER BY amount",
        [example.id_of("ann")],
    )
    assert found == [(5,), (11,)]
    with working_for(example, "ann") as conn:
        rows(conn, f"DELETE FROM {written}")
        conn.commit()
    assert len(rows(example.owner, "SELECT id FROM invoices")) == 2


@pytest.mark.only("mysql")
def test_the_table_itself_is_out_of_reach(example: Example) -> None:
    with working_for(example, "accountant") as conn, pytest.raises(Exception, match="denied"):
        rows(conn, "SELECT id FROM invoices")


def test_functions_are_called_once_for_a_statement(example: Example) -> None:
    """And not in the filter, where they would be called for each row."""
    if example.is_mysql:
        [(plan,)] = rows(example.owner, "EXPLAIN FORMAT=TREE SELECT id FROM my_invoices")
        assert "Materialize" in plan
        assert "me.reads_all" in plan
    else:
        with working_for(example, "ann") as conn:
            plan = "\n".join(row[0] for row in rows(conn, "EXPLAIN SELECT id FROM invoices"))
        assert plan.count("InitPlan") >= 2
    assert "authsql_has_permission" not in plan
