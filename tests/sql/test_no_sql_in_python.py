"""SQL stands in sql/, where it is read, linted and prepared; Python has its names only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "authsql"
# A verb of SQL and what follows it there, so that a sentence which begins with "Update" is none.
SQL = re.compile(
    r"""\s*(?:--.*\n\s*)*(?:
        SELECT\s+(?:[\w*('"{%]) | INSERT\s+(?:IGNORE\s+)?INTO\b | UPDATE\s+\S+\s+(?:AS\s+\w+\s+)?SET\b
        | DELETE\s+FROM\b | REPLACE\s+INTO\b | MERGE\s+INTO\b | WITH\s+\w+\s+AS\b | TRUNCATE\s+TABLE\b
        | (?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:UNIQUE\s+)?(?:TABLE|INDEX|VIEW|FUNCTION|TRIGGER|EVENT
            |PROCEDURE|SCHEMA|DATABASE|EXTENSION|USER|ROLE|TYPE|SEQUENCE)\b
        | SET\s+(?:SESSION|LOCAL|GLOBAL|TRANSACTION|search_path|@)\b | GRANT\s.*\bTO\b | REVOKE\s.*\bFROM\b
        | COMMENT\s+ON\b | LOCK\s+TABLES?\b | START\s+TRANSACTION\b | (?-i:EXPLAIN|CALL|SAVEPOINT|SHOW)\s+\w
        | (?-i:BEGIN|COMMIT|ROLLBACK)\s*;?\s*$
    )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string of a module but its docstrings, an f-string with {} for what it puts in."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values}
            parts = [str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values]
            yield node.lineno, "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def sql_in(source: str) -> list[tuple[int, str]]:
    # ast.walk comes to a docstring's statement, and to an f-string, before it comes to the constant in it.
    return [(line, text) for line, text in texts(ast.parse(source)) if SQL.match(text)]


def test_the_package_has_no_sql_text() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).as_posix()
        if hits := sql_in(path.read_text(encoding="utf-8")):
            found[module] = hits
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "x = 'SELECT id FROM t'",
        "x = '''\n    select 1'''",
        "x = f'DELETE FROM {table}'",
        "f('UPDATE t SET a = 1')",
        "x = 'WITH a AS (SELECT 1) SELECT 2'",
        "x = 'DROP TABLE t'",
        "x = '-- name: a\\nSELECT 1'",
    ],
)
def test_the_scan_finds_sql(source: str) -> None:
    assert sql_in(source)


@pytest.mark.parametrize(
    "source",
    [
        "'''SELECT 1 is a docstring.'''",
        "x = 'select'",
        "x = 'Update the profile'",
        "x = 'users.delete'",
        "x = 'with-servers'",
    ],
)
def test_the_scan_leaves_words_alone(source: str) -> None:
    assert not sql_in(source)
