"""Migrations as one file for psql or mysql, with what yoyo would write into its books.

The same version of authsql writes the same text each time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from yoyo.internalmigrations import schema_versions

import authsql
from authsql._migration_files import Direction, MigrationFile, migration_files
from authsql._modules import modules, select
from authsql._statements import Dialect, sql_root, statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PARAMETER = re.compile(r"%\((\w+)\)s")
_SERVER: dict[Dialect, str] = {"postgres": "PostgreSQL", "mysql": "MySQL"}
_APPLY: dict[Dialect, str] = {
    "postgres": "psql -f FILE DATABASE",
    "mysql": "mysql DATABASE < FILE",
}
_FAILURE: dict[Dialect, tuple[str, ...]] = {
    "postgres": ("It is one transaction: if a statement fails, nothing has changed.",),
    "mysql": (
        "MySQL commits each DDL statement by itself. The client stops at the first that fails: migrations",
        "before that one are complete. Look at what there is of that one, number N. If all of it is",
        "authsql's, undo it and go on; what has such a name and is yours would go, too:",
        "",
        "    authsql script --dialect mysql --from N --to N --rollback --force | mysql --force DATABASE",
        "    authsql script --dialect mysql --from N | mysql DATABASE",
    ),
}


class NothingSelected(authsql.AuthsqlError, ValueError):
    """No migration is in the range asked for."""


def script(
    dialect: Dialect,
    *,
    only: Iterable[str] = (),
    first: int | None = None,
    last: int | None = None,
    direction: Direction = "apply",
    force: bool = False,
) -> str:
    """Write the migrations of some subjects, with what they need, from number `first` to number `last`.

    A rollback is the way back of the same selection. `force` leaves out the check of what the database has.
    Raises UnknownModule, NothingSelected.
    """
    asked = list(only)
    files = [
        file
        for file in select(dialect, asked)
        if (first is None or file.number >= first) and (last is None or file.number <= last)
    ]
    if not files:
        raise NothingSelected("no migration is in that range")
    return (
        "\n".join([*_head(dialect, files, direction), *_body(dialect, files, direction, force=force)]) + "\n"
    )


def _head(dialect: Dialect, files: Sequence[MigrationFile], direction: Direction) -> Iterator[str]:
    what = "migrations" if direction == "apply" else "rollback of migrations"
    yield f"-- authsql {authsql.__version__} for {_SERVER[dialect]}: {what}"
    for file in files:
        yield f"--     {file.id}" + (f": {file.loses}" if direction == "rollback" else "")
    yield "--"
    yield f"-- Apply it with: {_APPLY[dialect]}"
    yield "-- Made by `authsql script`. Around the migrations, which are as in sql/, it keeps yoyo's books."
    yield from (f"-- {line}".rstrip() for line in _FAILURE[dialect])
    yield ""


def _body(
    dialect: Dialect, files: Sequence[MigrationFile], direction: Direction, *, force: bool
) -> Iterator[str]:
    if dialect == "postgres":
        yield "\\set ON_ERROR_STOP on"
    yield from (_text(dialect, "begin"), "")
    yield _text(dialect, "lock", "authsql_lock_")
    has, lacks = (_state if direction == "apply" else _state_before_rollback)(dialect, files)
    if not force:
        yield from _check(dialect, has, lacks)
    yield from ("", "-- yoyo's books.")
    for name in ("create_lock", "create_log", "create_version", "create_migration"):
        yield _text(dialect, name)
    yield _text(dialect, "set_version", version=max(schema_versions))
    if dialect == "postgres":
        yield _text(dialect, "keep_path", "authsql_")
    if direction == "apply":
        if has:
            chosen = {file.number for file in files}
            for file in migration_files(dialect):
                if file.number not in chosen:
                    yield _text(dialect, "mark", **_names(file), number=file.number)
        for file in files:
            yield from _title(file.id)
            yield _source(dialect, file, direction)
            yield _text(dialect, "log", **_names(file), operation="apply", comment=_comment())
            yield _text(dialect, "mark", **_names(file), number=file.number)
            yield from _between(dialect)
    else:
        for file in reversed(files):
            yield from _title(f"rollback of {file.id}")
            yield _source(dialect, file, direction)
            yield _text(dialect, "log", **_names(file), operation="rollback", comment=_comment())
            yield _text(dialect, "unmark", migration_hash=file.hash)
            yield from _between(dialect)
    yield from ("", _text(dialect, "finish"))


def _check(dialect: Dialect, has: str, lacks: str) -> Iterator[str]:
    yield from ("", "-- Stops here if the database lacks what this needs, or has what must not be there.")
    if has:
        yield _text(dialect, "check_state", "authsql_", has=has, lacks=lacks)
    else:
        yield _text(dialect, "check_empty", "authsql_")


def _state(dialect: Dialect, files: Sequence[MigrationFile]) -> tuple[str, str]:
    """What has to be there, and what must not be, as numbers. Nothing has to be below the first of all."""
    chosen = {file.name for file in files}
    table, every = modules(dialect), migration_files(dialect)
    needed = table.closure(chosen) - chosen
    return (
        ",".join(str(file.number) for file in every if file.name in needed),
        ",".join(str(file.number) for file in files),
    )


def _state_before_rollback(dialect: Dialect, files: Sequence[MigrationFile]) -> tuple[str, str]:
    chosen = {file.name for file in files}
    table, every = modules(dialect), migration_files(dialect)
    above = table.dependents(chosen) - chosen
    return (
        ",".join(str(file.number) for file in files),
        ",".join(str(file.number) for file in every if file.name in above),
    )


def _between(dialect: Dialect) -> Iterator[str]:
    """What goes between two migrations, which are meant to run in a transaction each."""
    if dialect == "postgres":
        yield _text(dialect, "restore_path", "authsql_")


def _source(dialect: Dialect, file: MigrationFile, direction: Direction) -> str:
    name = f"{file.id}.sql" if direction == "apply" else f"{file.id}.rollback.sql"
    return (sql_root() / dialect / name).read_text(encoding="utf-8")


def _title(text: str) -> Iterator[str]:
    yield from ("", f"-- {text} ".ljust(120, "-"), "")


def _names(file: MigrationFile) -> dict[str, str]:
    return {"migration_hash": file.hash, "migration_id": file.id}


def _comment() -> str:
    return f"authsql script {authsql.__version__}"


def _text(dialect: Dialect, statement: str, into: str | None = None, /, **values: str | int) -> str:
    """A named statement with values in the place of its parameters.

    What returns a row in PostgreSQL leaves it in psql's variables that begin with `into`: nothing is printed.
    """

    def literal(found: re.Match[str]) -> str:
        value = values[found[1]]
        return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"

    text = _PARAMETER.sub(literal, statements(dialect)[f"script.{statement}"].text)
    return f"{text} \\gset {into}" if into and dialect == "postgres" else f"{text};"
