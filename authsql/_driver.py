"""What an operation and a driver say to each other, and which driver a connection belongs to.

An operation yields a `Query` and is sent a `Result`. A driver turns a query into calls: a call is a function
without arguments whose result is the value wanted, or an awaitable of it on an asynchronous connection. So
drivers, too, are written once for both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from authsql._statements import Dialect
from authsql.errors import UnsupportedConnection

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Query:
    """A statement to run, by name."""

    name: str
    parameters: Mapping[str, object]
    atomic: bool = False
    """Where it takes several statements (MySQL), all of them or none."""
    local: bool = False
    """What it sets ends with the transaction (PostgreSQL): without one, NoTransaction and nothing is sent."""


@dataclass(frozen=True, slots=True)
class Compute:
    """Work that takes the processor for long: an asynchronous connection's loop gives it to a thread."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a query."""

    rows: Sequence[Mapping[str, Any]]
    count: int
    """Rows changed, or rows found where it changes none."""

    @property
    def row(self) -> Mapping[str, Any] | None:
        return self.rows[0] if self.rows else None


class Driver(Protocol):
    """A connection of one of the drivers."""

    dialect: Dialect
    is_async: bool

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, query: Query) -> Generator[Call, Any, Result]:
        """Run a query in whatever transaction there is."""
        ...

    def commit(self) -> Any: ...

    def rollback(self) -> Any: ...

    def abandon(self) -> None:
        """A call was cancelled half-way: leave the connection usable, or unusable for good."""
        ...

    def translate(self, error: Exception) -> Exception | None:
        """The error of authsql that a driver's error stands for, or None if it is not ours to explain."""
        ...

    def is_conflict(self, error: Exception) -> bool:
        """Whether the database gave up in favour of somebody else, and nothing was done."""
        ...


_makers: dict[type, Callable[[Any], Driver]] = {}


def driver_of(connection: object) -> Driver:
    """The driver of a connection. Raises UnsupportedConnection."""
    kind = type(connection)
    make = _makers.get(kind) or _find(connection)
    _makers[kind] = make
    return make(connection)


def _find(connection: object) -> Callable[[Any], Driver]:
    # A connection's own module is loaded already, and nobody pays for loading the other driver.
    if "psycopg" in sys.modules:
        from authsql import _postgres

        if make := _postgres.maker(connection):
            return make
    if "mysql.connector" in sys.modules:
        from authsql import _mysql

        if make := _mysql.maker(connection):
            return make
    kind = type(connection)
    raise UnsupportedConnection(
        f"{kind.__module__}.{kind.__qualname__} is not a connection of psycopg 3 or mysql-connector-python; "
        "of a wrapper (SQLAlchemy, Django) give the driver's own connection"
    )
