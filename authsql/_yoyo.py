"""Backends for yoyo: mysql-connector, which it has none for, and PostgreSQL as our own runner wants it.

The first is an entry point, so that a plain `yoyo apply --database mysql+connector://...` works. Both create
yoyo's own tables in an order that a killed run can go on from, and touch nothing else.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import uuid
from datetime import UTC, datetime
from typing import Any

from yoyo.backends.core.mysql import MySQLBackend
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import DatabaseURI
from yoyo.internalmigrations import mark_schema_version, schema_versions, v2
from yoyo.migrations import default_migration_table

from authsql._statements import statements
from authsql._url import SCHEMES, DatabaseURL, connect


class _Bookkeeping:
    """What both backends do otherwise than yoyo."""

    def ensure_internal_schema_updated(self) -> None:
        """Create yoyo's tables where they are missing, the one that it looks for first at last.

        yoyo creates an older version of them first and upgrades it: a run of that sort, killed in MySQL,
        cannot go on.
        """
        backend: Any = self
        if backend._internal_schema_updated:
            return
        tables = set(backend.list_tables())
        if backend.migration_table in tables:
            super().ensure_internal_schema_updated()  # type: ignore[misc]  # yoyo's: this is a mixin
        else:
            if backend.log_table not in tables:
                v2.create_log_table(backend)
            if backend.version_table not in tables:
                v2.create_version_table(backend)
            if not self._internal_version():
                mark_schema_version(backend, max(schema_versions))
            v2.create_migration_table(backend)
        backend._internal_schema_updated = True

    def list_tables(self, **_: Any) -> list[str]:
        """Tell which tables are there. yoyo's own query shows those only that the user has a right on."""
        return [row[0] for row in self._rows("tables")]

    def get_log_data(self, migration: Any = None, operation: str = "apply") -> dict[str, Any]:
        """Tell what goes into yoyo's log: as yoyo does, but asks no network for this machine's name."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # in a container, a user id need not have a name
            user = str(os.getuid())
        return {
            "id": str(uuid.uuid1()),
            "migration_id": migration.id if migration else None,
            "migration_hash": migration.hash if migration else None,
            "username": user,
            "hostname": socket.gethostname(),
            "created_at_utc": datetime.now(UTC).replace(tzinfo=None),
            "operation": operation,
        }

    def _internal_version(self) -> int:
        # yoyo's own get_current_version() looks into the table only if there is also the one that comes last.
        return int(self._rows("yoyo_version")[0][0])

    def _rows(self, name: str) -> list[tuple[Any, ...]]:
        backend: Any = self
        with contextlib.closing(backend.connection.cursor()) as cursor:
            cursor.execute(statements(SCHEMES[backend.uri.scheme])[f"migrations.{name}"].text)
            return list(cursor.fetchall())


class MySQLConnectorBackend(_Bookkeeping, MySQLBackend):  # type: ignore[misc]  # yoyo is not typed
    """yoyo's MySQL backend over mysql-connector-python."""

    driver_module = "mysql.connector"

    def connect(self, dburi: DatabaseURI) -> Any:
        """Connect. Buffered, because yoyo leaves rows unread; autocommit, as yoyo begins what it needs."""
        return connect(from_yoyo(dburi), buffered=True)

    def quote_identifier(self, identifier: str) -> str:
        """Quote with backticks, which hold in every sql_mode."""
        return "`{}`".format(identifier.replace("`", "``"))

    def _check_transactional_ddl(self) -> bool:
        # It never has it; finding out would create a table, which a killed run would leave behind.
        return False


class PostgresBackend(_Bookkeeping, PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo is not typed
    """yoyo's psycopg backend, for our own runner: a schema is quoted, and has to exist."""

    def connect(self, dburi: DatabaseURI) -> Any:
        """Open a connection that has its search_path, with autocommit on."""
        return connect(from_yoyo(dburi))

    def _check_transactional_ddl(self) -> bool:
        return True


def open_backend(url: DatabaseURL) -> Any:
    """Open a yoyo backend for a database. Close it by leaving its `with` block."""
    arguments = dict(url.options) | ({"schema": url.schema} if url.schema else {})
    uri = DatabaseURI(url.yoyo, url.user, url.password, url.host, url.port, url.database, arguments)
    backend = MySQLConnectorBackend if url.dialect == "mysql" else PostgresBackend
    return backend(uri, default_migration_table)


def from_yoyo(uri: DatabaseURI) -> DatabaseURL:
    """Take over what yoyo read from a URL."""
    dialect = SCHEMES[uri.scheme]
    options = dict(uri.args)
    return DatabaseURL(
        dialect=dialect,
        host=uri.hostname or options.pop("host", None),
        port=uri.port,
        user=uri.username,
        password=uri.password,
        database=uri.database or None,
        schema=options.pop("schema", None) if dialect == "postgres" else None,
        options=tuple(options.items()),
    )
