"""The files of `sql/<dialect>/optional`, which ask for more rights than a migration has.

`roles.sql` names what all the migrations make. For a database with some of the subjects, what is not there is
left out: statements, and columns in them.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from authsql import _catalog
from authsql._modules import select
from authsql._rights import objects, parse
from authsql._statements import Dialect, sql_root
from authsql.errors import AuthsqlError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

# The one file that says something of tables, views and functions.
_OF_SUBJECTS = "roles"
_BLOCKS = re.compile(r"\n{2,}")
_ROLE = re.compile(r"\bauthsql_(owner|app|reader)\b")
_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,23}")
# After a verb: those of a routine come after its name.
_COLUMNS = re.compile(r"(?<=[A-Z] )\(([^()]*)\)")
_HEAD = """-- For a database that has of authsql only: {subjects}.
-- Apply this text, and not the file that it comes from and that is described below, which has more."""
_SENTENCE_END = re.compile(r"\. |[.:;]$")


class UnknownFile(AuthsqlError, ValueError):
    """There is no such file; the message lists those there are. Or it is the same for all subjects."""


class InvalidPrefix(AuthsqlError, ValueError):
    """No role's name can begin so."""


def titles(dialect: Dialect) -> dict[str, str]:
    """By the name of each file its first line, which says what it is."""
    return {path.stem: _title(path) for path in sorted((sql_root() / dialect / "optional").glob("*.sql"))}


def optional(dialect: Dialect, name: str, *, only: Iterable[str] = (), prefix: str = "authsql") -> str:
    """Return the text of a file, `roles` for instance; with `only`, for these subjects and what they need.

    `prefix` is what the names of roles begin with. Raises UnknownFile, UnknownModule, InvalidPrefix.
    """
    asked = list(only)
    stem = name.strip().lower().removesuffix(".sql")
    known = titles(dialect)
    if stem not in known:
        raise UnknownFile(f"there is no optional file {name!r} for {dialect}; known are {', '.join(known)}")
    if not _PREFIX.fullmatch(prefix):
        raise InvalidPrefix(
            f"{prefix!r} begins no role: a to z, digits and _, 24 at the most, a letter first"
        )
    text = (sql_root() / dialect / "optional" / f"{stem}.sql").read_text(encoding="utf-8")
    text = _ROLE.sub(rf"{prefix}_\1", text)
    if not asked:
        return text
    if stem != _OF_SUBJECTS:
        raise UnknownFile(f"{stem} is the same for all subjects: leave --only out")
    names = [file.name for file in select(dialect, asked)]
    there = objects(_catalog.expected(dialect, names))
    kept = [_fitting(block, there) for block in _BLOCKS.split(text.rstrip("\n"))]
    head = _HEAD.format(subjects=", ".join(names))
    return "\n\n".join([head, *(block for block in kept if block)]) + "\n"


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as lines:
        return _SENTENCE_END.split(next(lines).removeprefix("--").strip())[0]


def _fitting(block: str, there: Mapping[str, Collection[str]]) -> str:
    """A statement without the columns that are not there. Nothing, if what it gives rights on is not."""
    for rights in parse(block).values():
        for name, _ in rights:
            if name not in there:
                return ""
            block = _COLUMNS.sub(partial(_those, there[name]), block)
    return block


def _those(known: Collection[str], listed: re.Match[str]) -> str:
    named = [column.strip() for column in listed[1].split(",")]
    kept = [column for column in named if column in known]
    return listed[0] if kept == named else f"({', '.join(kept)})"
