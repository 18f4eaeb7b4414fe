"""sql/<dialect>/catalog.json says of each migration what it does to the catalog."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

import pytest

from authsql import _catalog
from authsql._catalog import Delta, Difference, Objects, compare, delta
from authsql._migration_files import migration_files
from authsql._statements import Dialect, sql_root, statements
from authsql.migrations import migrate
from tests.servers import Database, SyncConnection


def asker(connection: SyncConnection, dialect: Dialect) -> _catalog.Ask:
    def ask(name: str) -> list[dict[str, Any]]:
        cursor: Any = connection.cursor()
        with contextlib.closing(cursor):
            cursor.execute(statements(dialect)[name].text)
            columns = [column[0].lower() for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    return ask


def test_the_snapshot_is_current(empty_database: Database) -> None:
    """Each step is made and read. With AUTHSQL_WRITE_CATALOG=1, what the server says is written."""
    dialect, ask = empty_database.dialect, asker(empty_database.connect(), empty_database.dialect)
    made: dict[str, Delta] = {}
    before: Objects = {}
    names: list[str] = []
    path = sql_root() / dialect / "catalog.json"
    writing = os.environ.get("AUTHSQL_WRITE_CATALOG") == "1"
    stale = "sql/<dialect>/catalog.json is stale: renew it with `make catalog`"
    known = {} if writing else json.loads(path.read_text(encoding="utf-8"))
    for file in migration_files(dialect):
        migrate(empty_database.url, target=file.number)
        after = _catalog.read(dialect, ask)
        made[file.name] = delta(before, after)
        before = after
        names.append(file.name)
        # Versions of a server may write the same in different ways: what is compared is what doctor compares.
        if not writing:
            assert file.name in known, stale
            assert compare(_catalog.expected(dialect, names), after) == [], stale
    if writing:
        text = json.dumps(made, indent=1, sort_keys=False, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8", newline="\n")
    elif any(version in ask("doctor.server")[0]["product"] for version in ("PostgreSQL 18", "9.7.")):
        assert known == made, stale


@pytest.mark.parametrize("dialect", ["postgres", "mysql"])
def test_it_is_small_and_knows_each_kind(dialect: Dialect) -> None:
    found = _catalog.expected(dialect, {file.name for file in migration_files(dialect)})
    made = {name.partition(" ")[0] for name in found}
    assert made >= {"table", "column", "constraint", "index", "trigger", "view"}
    assert ("event" if dialect == "mysql" else "routine") in made
    assert len(found) > 100


def test_comparing() -> None:
    wanted: Objects = {
        "table a": {"comment": "A"},
        "column a.b": {"type": "int"},
        "table c": {},
        "column c.d": {},
        "view v": {"definition": "SELECT x.a FROM x WHERE (x.a = 1)"},
        "trigger a.t": {"definition": "WHEN (old.x = 1)"},
    }
    assert compare(wanted, dict(wanted)) == []
    found = {
        "table a": {"comment": "A"},
        "column a.b": {"type": "text"},
        "index a.i": {},
        "view v": {"definition": "SELECT a\n FROM x WHERE a = 1"},
        "trigger a.t": {"definition": "WHEN (new.x = 1)"},
    }
    assert compare(wanted, found) == [
        Difference("column a.b", "different", (("type", "text", "int"),)),
        Difference("index a.i", "extra"),
        Difference("table c", "missing"),
        Difference("trigger a.t", "different", (("definition", "WHEN (new.x = 1)", "WHEN (old.x = 1)"),)),
    ]
    assert delta(wanted, found) | delta(found, wanted) != {}
    assert delta({"a": {}}, {"b": {"x": "1"}}) == {"a": None, "b": {"x": "1"}}
