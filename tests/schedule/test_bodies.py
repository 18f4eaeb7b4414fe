"""What the schedulers run is what `maintenance.purge` runs: the same rows, and as many at a time."""

from __future__ import annotations

import re

import pytest

from authsql import maintenance
from authsql._statements import sql_root
from tests.servers import Database, SyncConnection, rows

BATCH = 10_000


def statements(dialect: str) -> dict[str, str]:
    """The statements of queries/maintenance.sql by name, without comments, blanks made one."""
    text = (sql_root() / dialect / "queries" / "maintenance.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return {name: plain(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def plain(body: str) -> str:
    return " ".join(re.sub(r"--.*", "", body).split()).rstrip(";")


@pytest.mark.only("mysql")
def test_events(database: Database, conn: SyncConnection) -> None:
    found = rows(
        conn,
        "SELECT event_name, event_definition, interval_value, interval_field, on_completion"
        " FROM information_schema.events WHERE event_schema = %s",
        (database.name,),
    )
    asked = statements("mysql")
    assert {row[0]: plain(row[1]) for row in found} == {
        f"authsql_purge_{table}": asked[f"purge_{table}"].replace("%(batch)s", str(BATCH // divisor))
        for table, divisor in maintenance._TABLES.items()
    }
    assert {tuple(row[2:]) for row in found} == {("1", "MINUTE", "PRESERVE")}


@pytest.mark.only("postgres")
def test_functions(conn: SyncConnection) -> None:
    """pg_cron calls the one that calls them all, and `maintenance.purge` each of them."""
    asked = statements("postgres")
    for table in maintenance._TABLES:
        assert asked[f"purge_{table}"] == f"SELECT authsql_purge_{table}(%(batch)s) AS deleted"
    assert [row[0] for row in rows(conn, "SELECT table_name FROM authsql_purge()")] == [
        f"authsql_{table}" for table in maintenance._TABLES
    ]
    [[body, arguments]] = rows(
        conn,
        "SELECT prosrc, pg_get_function_arguments(oid) FROM pg_proc WHERE proname = 'authsql_purge'",
    )
    assert f"batch integer DEFAULT {BATCH}," in arguments
    calls = dict(re.findall(r"authsql_purge_(\w+)\((.+)\)(?: AS gone)?$", body, flags=re.MULTILINE))
    assert calls == {
        table: "batch" if divisor == 1 else f"greatest(batch / {divisor}, 1)"
        for table, divisor in maintenance._TABLES.items()
    }


@pytest.mark.only("postgres")
def test_both_dialects_delete_the_same_rows(conn: SyncConnection) -> None:
    """The WHERE, ORDER BY and LIMIT of each function are those of MySQL's statement."""
    asked = statements("mysql")
    for table in maintenance._TABLES:
        [[body]] = rows(conn, "SELECT prosrc FROM pg_proc WHERE proname = %s", (f"authsql_purge_{table}",))
        assert chosen(body) == chosen(asked[f"purge_{table}"])


def chosen(body: str) -> str:
    """Tell what a statement deletes, in words that both dialects have in common."""
    found = re.search(r"FROM authsql_\w+ AS c (WHERE .* SKIP LOCKED)", plain(body))
    assert found
    text = found[1]
    for mine, common in (
        ("UTC_TIMESTAMP(6)", "now"),
        ("statement_timestamp()", "now"),
        ("%(batch)s", "batch"),
        ("r.keep_days * interval '24 hours'", "r.keep_days"),
        ("INTERVAL ", ""),
        (") DAY", ")"),
    ):
        text = text.replace(mine, common)
    return text
