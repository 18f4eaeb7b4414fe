"""psycopg 3, synchronous and asynchronous. psycopg prepares a constant text by itself after a few uses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from authsql._driver import Call, Driver, Query, Result
from authsql._statements import Dialect, statements
from authsql.errors import NoTransaction, SchemaMissing, UnsupportedConnection, for_constraint

_OPEN = {TransactionStatus.ACTIVE, TransactionStatus.INTRANS, TransactionStatus.INERROR}
_CONFLICTS = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    # A trigger of the same statement changed the row first: what it saw when it began was no longer so.
    psycopg.errors.TriggeredDataChangeViolation,
)
_MISSING = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction)

# The names of the columns that a statement gives. Its text is constant, and so are they.
_columns: dict[str, tuple[str, ...]] = {}


def maker(connection: object) -> Callable[[Any], Driver] | None:
    if isinstance(connection, psycopg.Connection | psycopg.AsyncConnection):
        return Postgres
    return None


class Postgres:
    """A psycopg connection. `execute` and `commit` return awaitables if it is an asynchronous one."""

    dialect: Dialect = "postgres"

    def __init__(self, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self.is_async = isinstance(connection, psycopg.AsyncConnection)

    @property
    def in_transaction(self) -> bool:
        # Not UNKNOWN, which is a connection that is closed: what is tried on it says so.
        return self.connection.pgconn.transaction_status in _OPEN

    def execute(self, query: Query) -> Generator[Call, Any, Result]:
        statement = statements("postgres")[query.name]
        if self.connection.pgconn.pipeline_status != PipelineStatus.OFF:
            # Its answers come later, and an operation goes by the answer.
            raise UnsupportedConnection("the connection is in pipeline mode: leave it first")
        # Where autocommit is off, the statement itself begins one.
        if query.local and self.connection.autocommit and not self.in_transaction:
            raise NoTransaction(NoTransaction.__doc__)
        # Neither the caller's row factory nor the caller's cursor class is to be of any influence.
        kind: Any = psycopg.AsyncCursor if self.is_async else psycopg.Cursor
        cursor = kind(self.connection, row_factory=tuple_row)
        parameters = query.parameters
        if "in_transaction" in statement.parameters:
            # Whether the statement runs in a transaction: without autocommit psycopg begins one with it.
            within = self.in_transaction or not self.connection.autocommit
            parameters = {**parameters, "in_transaction": within}
        yield lambda: cursor.execute(statement.text, parameters)
        result = cursor.pgresult
        if result is None or not result.nfields:
            return Result([], cursor.rowcount)
        names = _columns.get(query.name)
        if names is None:
            # Not by cursor.description, which costs as much as all the rest of this function.
            found = (result.fname(column) or b"" for column in range(result.nfields))
            names = _columns[query.name] = tuple(name.decode() for name in found)
        rows = yield cursor.fetchall
        return Result([dict(zip(names, row, strict=True)) for row in rows], cursor.rowcount)

    def commit(self) -> Any:
        return self.connection.commit()

    def rollback(self) -> Any:
        return self.connection.rollback()

    def abandon(self) -> None:
        """Nothing to do: psycopg has cancelled the statement and taken its answer."""

    def translate(self, error: Exception) -> Exception | None:
        if isinstance(error, psycopg.errors.IntegrityError):
            return for_constraint(error.diag.constraint_name)
        if isinstance(error, _MISSING):
            return SchemaMissing(f"{SchemaMissing.__doc__} ({error.diag.message_primary})")
        return None

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(error, _CONFLICTS)
