"""Database URLs: what a user gives, parsed and connected to.

yoyo, psycopg and mysql-connector each want theirs in another form, and a password must show in no message of
any.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from authsql._statements import Dialect, statements
from authsql.errors import AuthsqlError

if TYPE_CHECKING:
    import psycopg
    from mysql.connector.abstracts import MySQLConnectionAbstract
    from mysql.connector.aio.abstracts import MySQLConnectionAbstract as AsyncMySQLConnectionAbstract

    Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]] | MySQLConnectionAbstract
    AsyncConnection: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]] | AsyncMySQLConnectionAbstract

VARIABLE = "AUTHSQL_DATABASE_URL"

SCHEMES: dict[str, Dialect] = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "postgresql+psycopg": "postgres",
    "mysql": "mysql",
    "mysql+connector": "mysql",
    "mysql+mysqlconnector": "mysql",
}
_YOYO: dict[Dialect, str] = {"postgres": "postgresql+psycopg", "mysql": "mysql+connector"}
_WORDS = {"true": True, "false": False}


class InvalidDatabaseURL(AuthsqlError, ValueError):
    """The database URL is missing or cannot be read."""


class DriverMissing(AuthsqlError, ImportError):
    """The driver for the database is not installed; the message names the extra that brings it."""


class ConnectionFailed(AuthsqlError):
    """The database does not let us in, or is not there."""


@dataclass(frozen=True, slots=True)
class DatabaseURL:
    """Where a database is and how to get in. Shows no password."""

    dialect: Dialect
    host: str | None = None
    """A name, an address, or for PostgreSQL the folder of a socket."""
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    schema: str | None = None
    """PostgreSQL: the schema that unqualified names mean."""
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further arguments for the driver. They may hold a secret as well (sslpassword)."""

    @classmethod
    def parse(cls, text: str) -> DatabaseURL:
        """Read `scheme://user:password@host:port/database?option=value`. Raises InvalidDatabaseURL."""
        # No error of urllib goes on: it quotes what it could not read, which may be a part of the password.
        try:
            parts = urlsplit(text.strip())
            port = parts.port
        except ValueError:
            raise InvalidDatabaseURL(f"cannot read the database URL; {_ESCAPE}") from None
        dialect = SCHEMES.get(parts.scheme)
        if dialect is None:
            what = f"unknown scheme {parts.scheme!r} in" if "://" in text and parts.scheme else "no scheme in"
            raise InvalidDatabaseURL(f"{what} the database URL; known are {', '.join(SCHEMES)}")
        if parts.fragment or "@" in parts.path:
            raise InvalidDatabaseURL(f"cannot read the database URL; {_ESCAPE}")
        options: dict[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
        schema = options.pop("schema", None) if dialect == "postgres" else None
        database = unquote(parts.path.removeprefix("/")) or options.pop("dbname", "")
        if dialect == "mysql" and not database:
            raise InvalidDatabaseURL("the database URL names no database; write it after the last slash")
        user, password = options.pop("user", None), options.pop("password", None)
        return cls(
            dialect=dialect,
            host=_host(parts.netloc, parts.hostname) or options.pop("host", None),
            port=port,
            user=unquote(parts.username) if parts.username else user,
            password=unquote(parts.password) if parts.password is not None else password,
            database=database or None,
            schema=schema,
            options=tuple(options.items()),
        )

    @property
    def yoyo(self) -> str:
        """The scheme that yoyo knows such a database by."""
        return _YOYO[self.dialect]

    def arguments(self) -> dict[str, Any]:
        """What the driver's connect() takes."""
        given = {"host": self.host, "port": self.port, "user": self.user, "password": self.password}
        if self.dialect == "postgres":
            # Where a database has no encoding, texts would come as bytes.
            always = {"client_encoding": "utf8", "autocommit": True}
            return {**dict(self.options), **_present(given | {"dbname": self.database}), **always}
        fixed = {"database": self.database, "charset": "utf8mb4", "autocommit": True}
        return {**{name: _typed(value) for name, value in self.options}, **_present(given), **fixed}

    def __str__(self) -> str:
        """Tell a reader which database is meant."""
        socket = self.host is not None and self.host.startswith("/")
        host = "" if self.host is None or socket else f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        options = {"host": self.host if socket else None, "schema": self.schema}
        query = "&".join(f"{name}={value}" for name, value in options.items() if value)
        shown = f"{_YOYO[self.dialect].partition('+')[0]}://{user}{host}{port}/{self.database or ''}"
        return f"{shown}?{query}" if query else shown


_ESCAPE = "write special characters of the user and the password as percent escapes, for example %40 for @"


def _host(netloc: str, lowered: str | None) -> str | None:
    """Take the host as it was written: urllib puts it in lower case, and it may be the folder of a socket."""
    written = netloc.rpartition("@")[2]
    return lowered if written.startswith("[") else unquote(written.partition(":")[0]) or None


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _typed(value: str) -> str | int | bool:
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    return int(value) if value.isascii() and value.isdigit() else value


def connect(url: DatabaseURL | str, **options: Any) -> Connection:
    """Connect, with autocommit on.

    `options` go to the driver. Raises InvalidDatabaseURL, DriverMissing, or ConnectionFailed.
    """
    target = DatabaseURL.parse(url) if isinstance(url, str) else url
    arguments = target.arguments() | options
    if target.dialect == "mysql":
        try:
            import mysql.connector
        except ImportError as error:
            raise _driver_missing("MySQL", "mysql") from error
        try:
            opened: Any = mysql.connector.connect(**arguments)
        except (mysql.connector.Error, *_BAD_OPTION) as error:
            raise _failed(target, error) from error
        return opened  # type: ignore[no-any-return]  # the driver's types name a union
    try:
        import psycopg
    except ImportError as error:
        raise _driver_missing("PostgreSQL", "postgres") from error
    try:
        connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(**arguments)
    except (psycopg.Error, *_BAD_OPTION) as error:
        raise _failed(target, error) from error
    if target.schema is not None:
        cursor = connection.execute(_use_schema(), {"schema": target.schema})
        if not cursor.rowcount:
            connection.close()
            raise _no_schema(target)
    return connection


async def connect_async(url: DatabaseURL | str, **options: Any) -> AsyncConnection:
    """Connect for asyncio, with autocommit on. Otherwise the same as `connect`."""
    target = DatabaseURL.parse(url) if isinstance(url, str) else url
    arguments = target.arguments() | options
    if target.dialect == "mysql":
        try:
            import mysql.connector
            import mysql.connector.aio
        except ImportError as error:
            raise _driver_missing("MySQL", "mysql") from error
        try:
            opened: Any = await mysql.connector.aio.connect(**arguments)
        except (mysql.connector.Error, *_BAD_OPTION) as error:
            raise _failed(target, error) from error
        return opened  # type: ignore[no-any-return]  # the driver's types name a union
    try:
        import psycopg
    except ImportError as error:
        raise _driver_missing("PostgreSQL", "postgres") from error
    try:
        connection = await psycopg.AsyncConnection.connect(**arguments)
    except (psycopg.Error, *_BAD_OPTION) as error:
        raise _failed(target, error) from error
    if target.schema is not None:
        cursor = await connection.execute(_use_schema(), {"schema": target.schema})
        if not cursor.rowcount:
            await connection.close()
            raise _no_schema(target)
    return connection


# What the drivers raise for an option that they do not know or cannot use.
_BAD_OPTION = (AttributeError, TypeError, ValueError)


def _use_schema() -> bytes:
    return statements("postgres")["migrations.use_schema"].text.encode()


def _driver_missing(database: str, extra: str) -> DriverMissing:
    return DriverMissing(f"no driver for {database} is installed: pip install 'authsql[{extra}]'")


def _failed(url: DatabaseURL, error: Exception) -> ConnectionFailed:
    return ConnectionFailed(f"cannot connect to {url}: {str(error).strip().splitlines()[0]}")


def _no_schema(url: DatabaseURL) -> ConnectionFailed:
    return ConnectionFailed(f"cannot connect to {url}: there is no schema {url.schema!r}, create it first")


def database_url(option: str | None = None) -> str:
    """Find the database URL: the option given, else the environment, else the project's pyproject.toml.

    Raises InvalidDatabaseURL if there is none.
    """
    found = option or os.environ.get(VARIABLE) or _from_project()
    if not found:
        raise InvalidDatabaseURL(
            f"which database? Give --database URL, or set {VARIABLE}, or write to pyproject.toml:"
            ' [tool.authsql] database = "URL"'
        )
    return found


def _from_project() -> str | None:
    here = Path.cwd()
    path = next((p for folder in (here, *here.parents) if (p := folder / "pyproject.toml").is_file()), None)
    if path is None:
        return None
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("authsql", {})
    except tomllib.TOMLDecodeError as error:
        raise InvalidDatabaseURL(f"{path} is not valid TOML: {error}") from None
    found = settings.get("database")
    if found is not None and not isinstance(found, str):
        raise InvalidDatabaseURL(f"{path}: database in [tool.authsql] is not a string")
    return found
