"""The migration files keep to the conventions of sql/CONVENTIONS.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlparse

from authsql._migration_files import migration_files
from authsql._statements import DIALECTS, Dialect, sql_root

_NAME = re.compile(r"(\d{4})\.([a-z][a-z0-9_]*)\.sql")
# What has no way back of its own: it goes with what it is about, or with the transaction.
_ONE_WAY = r"(--.*\n|\s)*(COMMENT ON|REVOKE|DO \$\$\nBEGIN\n    PERFORM set_config)"


def files(dialect: Dialect) -> list[Path]:
    return sorted(path for path in (sql_root() / dialect).glob("*.sql") if _NAME.fullmatch(path.name))


def header(path: Path) -> list[str]:
    """The comment lines that a file begins with."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[: next(number for number, line in enumerate(lines) if not line.startswith("--"))]


def code(path: Path) -> str:
    """A file without its comments and texts."""
    return sqlparse.format(
        re.sub(r"'(?:[^']|'')*'", "''", path.read_text(encoding="utf-8")), strip_comments=True
    )


def each_file() -> list[object]:
    return [pytest.param(d, path, id=f"{d}-{path.stem}") for d in DIALECTS for path in files(d)]


def test_both_dialects_have_the_same_files() -> None:
    names = [path.name for path in files("postgres")]
    assert names == [path.name for path in files("mysql")]
    numbers = [int(name[:4]) for name in names]
    assert numbers == list(range(1, len(names) + 1))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_else_is_there(dialect: Dialect) -> None:
    expected = {path.name for path in files(dialect)} | {
        path.with_suffix(".rollback.sql").name for path in files(dialect)
    }
    assert {path.name for path in (sql_root() / dialect).glob("*.sql")} == expected


@pytest.mark.parametrize(("dialect", "path"), each_file())
def test_header(dialect: Dialect, path: Path) -> None:
    lines = header(path)
    assert lines[0].startswith(f"-- {path.stem}: ")
    text = "\n".join(lines)
    number = int(path.name[:4])
    depends = [line for line in lines if line.startswith("-- depends:")]
    if number == 1:
        assert not depends
    else:
        before = files(dialect)[number - 2].stem
        assert depends == [f"-- depends: {before}"]
    assert text.count("-- Locks: ") == 1
    assert len(re.findall(r"\bRollback: \w", text)) == 1
    assert text.count("-- transactional: false") == (1 if dialect == "mysql" else 0)
    assert text.count("transactional") == (1 if dialect == "mysql" else 0)


@pytest.mark.parametrize(("dialect", "path"), each_file())
def test_a_migration_writes_itself_down(dialect: Dialect, path: Path) -> None:
    number, name = int(path.name[:4]), path.name[5:-4]
    last = f"INSERT INTO authsql_schema_version (version, name) VALUES ({number}, '{name}');"
    assert path.read_text(encoding="utf-8").rstrip().endswith(last)
    first = f"DELETE FROM authsql_schema_version WHERE version = {number};"
    back = path.with_suffix(".rollback.sql").read_text(encoding="utf-8")
    assert next(line for line in back.splitlines() if not line.startswith("--")) == first
    assert dialect in DIALECTS


@pytest.mark.parametrize(("dialect", "path"), each_file())
def test_no_client_is_needed_but_any(dialect: Dialect, path: Path) -> None:
    for one in (path, path.with_suffix(".rollback.sql")):
        text = one.read_text(encoding="utf-8")
        if dialect == "mysql":
            assert "DELIMITER" not in code(one).upper()
            assert not re.search(r"\bBEGIN\b", code(one), re.IGNORECASE)
        else:
            # yoyo hands the text to a driver that takes % for a parameter.
            assert "%" not in text
            assert not re.search(
                r"^\s*(BEGIN|COMMIT|ROLLBACK|START TRANSACTION)\s*;", text, re.IGNORECASE | re.MULTILINE
            )
        assert not re.search(r"^\\", text, re.MULTILINE), "a command of psql"
        assert "\t" not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_rollback_mirrors_its_migration(dialect: Dialect) -> None:
    for file in migration_files(dialect):
        forward = [text for text in file.apply if not re.match(_ONE_WAY, text)]
        backward = [text for text in reversed(file.rollback) if not re.match(_ONE_WAY, text)]
        assert len(forward) == len(backward), file.id
        for text, back in zip(forward, backward, strict=True):
            created = re.search(
                r"^CREATE (?:SQL SECURITY (?:INVOKER|DEFINER) )?"
                r"(TABLE|VIEW|FUNCTION|PROCEDURE|TRIGGER|EVENT|INDEX) (\w+)",
                text,
                re.MULTILINE,
            )
            if created:
                assert re.search(rf"^DROP {created[1]} {created[2]}\b", back, re.MULTILINE), (
                    f"{file.id}: {created[0]}"
                )
            inserted = re.search(r"^INSERT INTO (\w+)", text, re.MULTILINE)
            if inserted and not created:
                assert re.search(rf"^DELETE FROM {inserted[1]}\b", back, re.MULTILINE), (
                    f"{file.id}: {inserted[0]}"
                )


@pytest.mark.parametrize(("dialect", "path"), each_file())
def test_names_begin_with_their_table(dialect: Dialect, path: Path) -> None:
    text = code(path)
    for table, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", text, re.DOTALL):
        assert table.startswith("authsql_")
        names = re.findall(r"(?:CONSTRAINT|INDEX) (\w+)", body)
        assert names, f"{table} has no named constraint"
        for name in names:
            assert re.fullmatch(rf"{table}(_\w+)?_(pkey|key|fkey|check|idx)", name), name
        # One without a name would be given one that differs between servers.
        for kind in ("PRIMARY KEY", "UNIQUE", "FOREIGN KEY", "CHECK"):
            assert len(re.findall(rf"\b{kind}\b", body)) == len(
                re.findall(rf"CONSTRAINT \w+ {kind}\b", body)
            ), f"{table}: {kind}"
    for name, table in re.findall(r"CREATE INDEX (\w+) ON (\w+)", text):
        assert name.startswith(f"{table}_"), dialect
        assert name.endswith("_idx")
    for name, table in re.findall(r"CREATE TRIGGER (\w+)\s.*?\sON (\w+)", text, re.DOTALL):
        assert name.startswith(f"{table}_"), name
