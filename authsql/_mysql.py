"""mysql-connector-python: its C and its pure-Python connections, its pooled ones and its asynchronous ones.

The driver's own prepared cursor sends a reset before each use, a second round trip that makes it slower than
no preparing at all (docs/decisions/0002-mysql-prepared-statements.md). So statements are prepared and run by
the connection's own `cmd_stmt_*` methods, and kept on the connection under their names.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import mysql.connector
from mysql.connector.abstracts import MySQLConnectionAbstract
from mysql.connector.aio.abstracts import MySQLConnectionAbstract as AsyncMySQLConnectionAbstract
from mysql.connector.constants import FieldType, ServerFlag

from authsql._driver import Call, Driver, Query, Result
from authsql._mysql_text import with_values
from authsql._statements import Dialect, Statement, statements
from authsql.errors import SchemaMissing, UnsupportedConnection, for_constraint

_KEPT = "_authsql_prepared"
_DUPLICATE, _NO_PARENT, _CHECK = 1062, 1452, 3819
_MISSING = {1054, 1146, 1305}  # column, table, routine
_CONFLICTS = {1213, 3101}  # deadlock, and the same in group replication
# The server does not know the statement any more, because the session was reset: nothing was run.
_FORGOTTEN = {1243, 2056}
# More tables are in use than the server keeps definitions of: it forgets each view at once. Nothing was run.
_CROWDED_OUT = 1615
# At the end: before it the message has the value, which may be anything.
_KEY = re.compile(r"for key '(?:([^'.]*)\.)?([^'.]+)'$")
_CONSTRAINT = re.compile(r"CONSTRAINT `([^`]+)`|constraint '([^']+)'")
_BINARY = 63  # the number of the character set that is none
_MICROSECOND = timedelta(microseconds=1)


def maker(connection: object) -> Callable[[Any], Driver] | None:
    if isinstance(_real(connection), MySQLConnectionAbstract | AsyncMySQLConnectionAbstract):
        return MySQL
    return None


def _real(connection: Any) -> Any:
    """The connection behind one that was taken from the driver's pool."""
    if not type(connection).__name__.startswith("Pooled"):
        return connection
    real = vars(connection).get("_cnx")
    if real is None:
        raise UnsupportedConnection("the connection was given back to its pool")
    return real


class MySQL:
    """A connection of mysql-connector-python."""

    dialect: Dialect = "mysql"

    def __init__(self, connection: Any) -> None:
        self.connection = _real(connection)
        self.is_async = isinstance(self.connection, AsyncMySQLConnectionAbstract)
        # Only the C extension's statements know their parameters themselves.
        self.is_native = not self.is_async and hasattr(self.connection, "_cmysql")
        self.autocommit = True

    @property
    def in_transaction(self) -> bool:
        return bool(self.connection.in_transaction)

    def commit(self) -> Any:
        return self.connection.commit()

    def rollback(self) -> Any:
        return self.connection.rollback()

    def execute(self, query: Query) -> Generator[Call, Any, Result]:
        parts = list(_sequence(query.name))
        begun = query.atomic and len(parts) > 1 and not self.in_transaction
        try:
            if begun:
                yield self.connection.start_transaction
            parameters = dict(query.parameters)
            result, verdict = Result([], 0), 0
            for number, part in enumerate(parts, 1):
                result, verdict = yield from self._execute(part, parameters)
                parameters |= {"rows": result.count, "verdict": verdict}
                parameters |= {f"rows_{number}": result.count, f"verdict_{number}": verdict}
            # With autocommit off, whatever a statement begins is the caller's to end.
            if begun and self.autocommit:
                yield self.connection.commit
        except GeneratorExit:
            raise
        # Not errors alone: KeyboardInterrupt must not leave half of it in an open transaction either.
        except BaseException:
            if begun:
                # On a connection that is lost there is nothing to roll back, and its error says less.
                try:
                    yield self.connection.rollback
                except Exception:  # noqa: BLE001
                    self._cut()
            raise
        return result

    def _execute(self, statement: Statement, parameters: Mapping[str, object]) -> Generator[Call, Any, Any]:
        values = tuple(_to_mysql(parameters[name]) for name in statement.parameters)
        try:
            return (yield from self._execute_prepared(statement, values))
        except mysql.connector.Error as error:
            if error.errno != _CROWDED_OUT:
                raise
        return (yield from self._run_text(with_values(statement.native, values)))

    def _execute_prepared(
        self, statement: Statement, values: tuple[object, ...]
    ) -> Generator[Call, Any, tuple[Result, int]]:
        kept = self._kept()
        prepared = kept.get(statement.name)
        if prepared is not None:
            try:
                return (yield from self._run(prepared, values))
            except mysql.connector.Error as error:
                if error.errno not in _FORGOTTEN:
                    raise
                kept.clear()
        if self.connection.charset != "utf8mb4":
            raise UnsupportedConnection(
                "the connection's charset is not utf8mb4: connect with charset='utf8mb4'"
            )
        yield self.connection.handle_unread_result
        prepared = yield lambda: self.connection.cmd_stmt_prepare(statement.native.encode())
        kept[statement.name] = prepared
        return (yield from self._run(prepared, values))

    def _kept(self) -> dict[str, Any]:
        """The statements that this connection has prepared. A reconnected one has none."""
        number = self.connection.connection_id
        holder = vars(self.connection)
        if _KEPT not in holder or holder[_KEPT][0] != number:
            holder[_KEPT] = (number, {})
        kept: dict[str, Any] = holder[_KEPT][1]
        return kept

    def _run(self, prepared: Any, values: tuple[object, ...]) -> Generator[Call, Any, tuple[Result, int]]:
        connection = self.connection
        yield connection.handle_unread_result
        if self.is_native:
            answer = yield lambda: connection.cmd_stmt_execute(prepared, *values)
            columns = answer.get("columns") if prepared.have_result_set else None
        else:
            answer = yield lambda: connection.cmd_stmt_execute(
                prepared["statement_id"], data=values, parameters=prepared["parameters"]
            )
            columns = answer[1] if isinstance(answer, tuple) else None
        if columns is None:
            # The C extension and the pure-Python one differ in what they call it.
            status = answer["server_status"] if self.is_native else answer["status_flag"]
            self.autocommit = bool(status & ServerFlag.STATUS_AUTOCOMMIT)
            return Result([], answer["affected_rows"]), answer["insert_id"]
        if self.is_native:
            rows, _ = yield lambda: connection.get_rows(prep_stmt=prepared)
        else:
            connection.unread_result = True
            rows, _ = yield lambda: connection.get_rows(binary=True, columns=columns)
        return Result([_from_mysql(row, columns) for row in rows], len(rows)), 0

    def _run_text(self, text: str) -> Generator[Call, Any, tuple[Result, int]]:
        yield self.connection.handle_unread_result
        cursor = yield lambda: self.connection.cursor(raw=False)
        yield lambda: cursor.execute(text)
        if (columns := cursor.description) is None:
            result, verdict = Result([], cursor.rowcount), cursor.lastrowid or 0
            # What the driver says itself is wrong on a connection that was asked for raw values.
            yield lambda: cursor.execute(statements("mysql")["connection.autocommit"].text)
            [(is_on,)] = yield cursor.fetchall
            self.autocommit = bool(is_on)
        else:
            rows = yield cursor.fetchall
            result, verdict = Result([_from_mysql(row, columns) for row in rows], len(rows)), 0
        yield cursor.close
        return result, verdict

    def abandon(self) -> None:
        """Cut the connection off: the old answer would be read as that of the next statement. The C extension
        has it by then, because it hears of no signal before.
        """
        if not self.is_native:
            self._cut()

    def _cut(self) -> None:
        """End the connection without a word to the server, which then rolls back."""
        real = getattr(self.connection, "_socket", None)
        if self.is_native:
            with contextlib.suppress(Exception):
                self.connection.close()
        elif not self.is_async and real is not None:
            real.shutdown()
        elif (writer := getattr(real, "_writer", None)) is not None:
            writer.transport.abort()

    def translate(self, error: Exception) -> Exception | None:
        if not isinstance(error, mysql.connector.Error):
            return None
        if error.errno in {_DUPLICATE, _NO_PARENT, _CHECK}:
            return for_constraint(_constraint(error.errno, error.msg or ""))
        if error.errno in _MISSING:
            return SchemaMissing(f"{SchemaMissing.__doc__} ({error.msg})")
        return None

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(error, mysql.connector.Error) and error.errno in _CONFLICTS


def _constraint(number: int, message: str) -> str | None:
    """The name of the constraint that an error is about, as PostgreSQL has it."""
    if number != _DUPLICATE:
        found = _CONSTRAINT.search(message)
        return (found[1] or found[2]) if found else None
    found = _KEY.search(message)
    # Every primary key has this name here, whatever it is called in its migration.
    return found and (f"{found[1]}_pkey" if found[2] == "PRIMARY" else found[2])


def _sequence(name: str) -> Iterator[Statement]:
    """NAME and what follows it: NAME__2, NAME__3."""
    known = statements("mysql")
    number, part = 1, name
    while part in known:
        yield known[part]
        number += 1
        part = f"{name}__{number}"
    if number == 1:
        raise KeyError(name)


def _to_mysql(value: object) -> object:
    match value:
        case UUID():
            return value.bytes
        case timedelta():
            return value // _MICROSECOND
        case bool():
            return int(value)
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        case _:
            return value


def _from_mysql(row: tuple[Any, ...], columns: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {column[0]: _value(column, value) for column, value in zip(columns, row, strict=True)}


def _value(column: tuple[Any, ...], value: Any) -> Any:
    """A value as psycopg would give it. Which implementation of the driver it is decides what comes as
    bytes.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    name, kind, charset = column[0], column[1], column[8]
    if kind == FieldType.JSON and value is not None:
        return json.loads(value)
    if not isinstance(value, bytes | bytearray):
        return value
    if charset != _BINARY:
        return value.decode("utf-8")
    # The project's naming rule: a column called id or so_and_so_id holds one.
    if name == "id" or name.endswith("_id"):
        return UUID(bytes=bytes(value))
    return bytes(value)
