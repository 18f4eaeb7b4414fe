"""The statements of `sql/<dialect>/queries/`, by name. Nothing here talks to a database.

`-- name: validate` in `sql/postgres/queries/sessions.sql` is the statement `sessions.validate`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

Dialect = Literal["postgres", "mysql"]
DIALECTS: tuple[Dialect, ...] = ("postgres", "mysql")

_NAME = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a query file."""

    name: str
    """`module.function`, for example `sessions.validate`."""
    text: str
    """As it stands in the file, comments above it left out, with parameters as `%(name)s`."""
    native: str
    """The same for a server that wants `?` for a parameter (MySQL)."""
    parameters: tuple[str, ...]
    """Parameters in the order in which `native` takes them, repeated where they are."""


@cache
def sql_root() -> Path:
    """The folder that holds `postgres/` and `mysql/`: inside the installed package, or beside it in a
    checkout.

    Raises FileNotFoundError if there is neither: an installation that lost its SQL must not look like an
    empty one.
    """
    package = Path(__file__).resolve().parent
    for root in (package / "sql", package.parent / "sql"):
        if (root / "postgres").is_dir() and (root / "mysql").is_dir():
            return root
    raise FileNotFoundError("authsql is installed without its folder sql/")


def parse(module: str, source: str) -> dict[str, Statement]:
    """Split the text of a query file into its statements, keyed by their full names."""
    found: dict[str, Statement] = {}
    marks = list(_NAME.finditer(source))
    for mark, following in zip(marks, [*marks[1:], None], strict=False):
        body = source[mark.end() : following.start() if following else len(source)]
        lines = body.strip().splitlines()
        while lines and (lines[0].startswith("--") or not lines[0].strip()):
            del lines[0]
        # What stands between two statements may be the comment of the second.
        while lines and (lines[-1].startswith("--") or not lines[-1].strip()):
            del lines[-1]
        text = "\n".join(lines).rstrip(";")
        name = f"{module}.{mark[1]}"
        if name in found:
            raise ValueError(f"{name} is there twice")
        if not text:
            raise ValueError(f"{name} has no text")
        found[name] = Statement(name, text, _PARAMETER.sub("?", text), tuple(_PARAMETER.findall(text)))
    return found


@cache
def statements(dialect: Dialect) -> dict[str, Statement]:
    """All statements of a dialect by name. Reads the files once."""
    found: dict[str, Statement] = {}
    for path in sorted((sql_root() / dialect / "queries").glob("*.sql")):
        found |= parse(path.stem, path.read_text(encoding="utf-8"))
    return found
