"""Look into the tables. A subject is a statement of `sql/<dialect>/queries/inspect.sql`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from authsql._driver import Query
from authsql._modules import UnknownModule
from authsql._operation import Steps, operation
from authsql._statements import Dialect, statements
from authsql.errors import AuthsqlError


class NotByUser(AuthsqlError, ValueError):
    """What was asked for belongs to no user."""


def subjects(dialect: Dialect) -> list[str]:
    """What can be looked at."""
    return [name.partition(".")[2] for name in statements(dialect) if name.startswith("inspect.")]


def parameters(dialect: Dialect, subject: str, *, limit: int, user: str | None) -> dict[str, object]:
    """What the statement of a subject takes. Raises UnknownModule, NotByUser."""
    known = subjects(dialect)
    if subject not in known:
        raise UnknownModule(f"there is nothing called {subject!r} to look at; known are {', '.join(known)}")
    takes = statements(dialect)[f"inspect.{subject}"].parameters
    if user is not None and "user" not in takes:
        raise NotByUser(f"{subject} belong to no user")
    return {name: value for name, value in {"limit": limit, "user": user}.items() if name in takes}


@operation()
def look(subject: str, parameters: Mapping[str, object]) -> Steps[Sequence[Mapping[str, Any]]]:
    """Return the rows of a subject. A column `has_*` is a bool: MySQL, which has none, says 0 or 1."""
    rows: Sequence[Mapping[str, Any]] = (yield Query(f"inspect.{subject}", parameters)).rows
    return [
        {name: bool(value) if name.startswith("has_") else value for name, value in row.items()}
        for row in rows
    ]
