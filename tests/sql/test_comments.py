"""Everything in the database says what it is, in the same words in both dialects."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from authsql._statements import DIALECTS, Dialect, sql_root
from tests.catalog import catalog
from tests.servers import SyncConnection

_QUOTED = r"'((?:[^']|'')*)'"


def test_everything_has_a_comment(conn: SyncConnection) -> None:
    found = catalog(conn)
    bare: list[tuple[object, ...]] = []
    views = {row[0] for row in found["views"]}
    if isinstance(conn, psycopg.Connection):
        commented = {"tables": -1, "columns": -1, "functions": -1, "triggers": -1}
        silent = set[str]()
        assert views <= {row[0] for row in found["columns"]}
    else:
        # MySQL has no comments on triggers, and takes none on a view: their files say what they are.
        commented = {"tables": -1, "columns": -1, "functions": -1, "events": -1}
        silent = views
    for part, position in commented.items():
        bare += [(part, *row[:3]) for row in found[part] if row[0] not in silent and not row[position]]
    assert found["tables"]
    assert not bare


def words(dialect: Dialect) -> dict[str, str]:
    """The comments of tables and columns as the migrations write them."""
    found = {}
    for path in sorted(sql_root().joinpath(dialect).glob("[0-9]*.sql")):
        if path.name.endswith(".rollback.sql"):
            continue
        source = path.read_text(encoding="utf-8")
        if dialect == "postgres":
            for what, name, text in re.findall(rf"COMMENT ON (TABLE|COLUMN) (\S+) IS\s+{_QUOTED};", source):
                found[name] = text
                assert what
        else:
            found |= mysql_words(source)
    return found


def mysql_words(source: str) -> dict[str, str]:
    found = {}
    for table, body, comment in re.findall(
        rf"^CREATE TABLE (\w+) \(\n(.*?)^\) ENGINE.*?\nCOMMENT = {_QUOTED};", source, re.DOTALL | re.MULTILINE
    ):
        found[table] = comment
        for column, text in re.findall(
            rf"^    ([a-z]\w*) .*?COMMENT {_QUOTED},?$", body, re.DOTALL | re.MULTILINE
        ):
            found[f"{table}.{column}"] = text
    for table, changes in re.findall(r"^ALTER TABLE (\w+)\n(.*?);", source, re.DOTALL | re.MULTILINE):
        for column, text in re.findall(
            rf"^ADD COLUMN (\w+) .*?COMMENT {_QUOTED}", changes, re.MULTILINE | re.DOTALL
        ):
            found[f"{table}.{column}"] = text
    return found


def views(dialect: Dialect) -> set[str]:
    made = [path.read_text(encoding="utf-8") for path in sql_root().joinpath(dialect).glob("[0-9]*.sql")]
    return {name for source in made for name in re.findall(r"^CREATE .*?VIEW (\w+)", source, re.MULTILINE)}


def test_both_dialects_say_the_same() -> None:
    # What PostgreSQL alone can say: MySQL has no comments on views and their columns.
    postgres = {
        name: text
        for name, text in words("postgres").items()
        if name.partition(".")[0] not in views("postgres")
    }
    mysql = words("mysql")
    assert len(postgres) > 70
    assert postgres.keys() == mysql.keys()
    # The one thing to add where a time has no zone of its own.
    differing = {
        name: (postgres[name], mysql[name])
        for name in postgres
        if postgres[name] != mysql[name].replace(" (UTC).", ".")
    }
    assert not differing


def test_a_view_says_the_same_as_its_tables() -> None:
    """A column that is called as in the view's table has that column's words."""
    said = words("postgres")
    tables = {
        "authsql_active_sessions": "authsql_sessions",
        "authsql_user_overview": "authsql_users",
        "authsql_pending_otps": "authsql_otps",
        "authsql_audit_trail": "authsql_audit_log",
        "authsql_pending_mail": "authsql_outbox",
        "authsql_purge_overview": "authsql_expiry_backlog",
    }
    own = {"authsql_pending_mail.next_attempt_at"}
    compared = 0
    for name, text in said.items():
        view, _, column = name.partition(".")
        if view in tables and f"{tables[view]}.{column}" in said and name not in own:
            assert text == said[f"{tables[view]}.{column}"], name
            compared += 1
    assert compared > 40


@pytest.mark.parametrize("dialect", DIALECTS)
def test_comments_are_sentences(dialect: Dialect) -> None:
    for name, text in words(dialect).items():
        assert re.match(r"[A-Z]", text), name
        assert text.endswith("."), name


def test_each_mysql_trigger_and_view_has_a_comment_above_it() -> None:
    for path in sorted(Path(sql_root() / "mysql").glob("[0-9]*.sql")):
        if path.name.endswith(".rollback.sql"):
            continue
        released = int(path.name[:4]) <= 10
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if line.startswith("CREATE TRIGGER") or (re.match(r"CREATE .*VIEW ", line) and not released):
                assert lines[number - 1].startswith("-- "), f"{path.name}:{number + 1}"
