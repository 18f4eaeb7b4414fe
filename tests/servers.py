"""Real database servers for the tests: which there are, where they run, and fresh databases on them.

A server is looked for in this order:

1. at the URL in `AUTHSQL_TEST_POSTGRES_URL` or `AUTHSQL_TEST_MYSQL_URL`: there, databases with random names
   are made and dropped, and the roles of `sql/*/optional` with logins of theirs (`tests/roles.py`) are made
   if they are not there, and stay;
2. in a container, where a Docker daemon answers: of the images in `tests/engine/matrix`;
3. nowhere else: the test fails and says what to do. Skipped, it would leave the run green.
"""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import socket
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import quote, unquote, urlsplit

import mysql.connector
import mysql.connector.aio
import psycopg
from mysql.connector.abstracts import MySQLConnectionAbstract
from mysql.connector.aio.abstracts import MySQLConnectionAbstract as AsyncMySQLConnectionAbstract

if TYPE_CHECKING:
    from testcontainers.community.mysql import MySqlContainer
    from testcontainers.community.postgres import PostgresContainer

Dialect: TypeAlias = Literal["postgres", "mysql"]
SyncConnection: TypeAlias = psycopg.Connection[Any] | MySQLConnectionAbstract
AsyncConnection: TypeAlias = psycopg.AsyncConnection[Any] | AsyncMySQLConnectionAbstract
Migrate: TypeAlias = Callable[[str], object]
Rows: TypeAlias = list[tuple[Any, ...]]

DIALECTS: tuple[Dialect, ...] = ("postgres", "mysql")
MATRIX = Path(__file__).with_name("engine") / "matrix"
RUN_LABEL = "authsql.test-run"

# What a test database may lose in a crash is nothing that anybody wants.
POSTGRES_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}
# Without log_bin_trust_function_creators a trigger needs SUPER on a server that writes a binary log. The
# performance schema stays on: it costs 0.1 s and 240 MB, and tells tests about statements and locks.
MYSQL_OPTIONS = {
    "skip-log-bin": "",
    "log-bin-trust-function-creators": "1",
    "event-scheduler": "OFF",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "mysqlx": "OFF",
    "max-connections": "400",
}


class ServerUnavailableError(Exception):
    """No server for a target; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """One kind of server that the tests run against."""

    id: str
    dialect: Dialect
    image: str | None
    """The image to start; None for the server whose URL was given."""


@dataclass(frozen=True)
class Database:
    """One database, which belongs to one test."""

    url: str
    target: Target
    _opened: list[SyncConnection | psycopg.AsyncConnection[Any]] = field(
        default_factory=list, repr=False, compare=False
    )

    @property
    def dialect(self) -> Dialect:
        return self.target.dialect

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")

    def connect(self, **options: Any) -> SyncConnection:
        """Open a connection of the driver's own, with autocommit on; it is closed with the database."""
        options = {"autocommit": True, **options}
        connection: SyncConnection
        if self.dialect == "postgres":
            connection = psycopg.connect(self.url, **options)
        else:
            connection = _mysql_connect(self.url, **options)
        self._opened.append(connection)
        return connection

    async def connect_async(self, **options: Any) -> AsyncConnection:
        """Open the same, asynchronous. Close it, or leave that to the fixture `aconnect`: only a loop can."""
        options = {"autocommit": True, **options}
        if self.dialect == "postgres":
            connection = await psycopg.AsyncConnection.connect(self.url, **options)
            self._opened.append(connection)
            return connection
        opened = await mysql.connector.aio.connect(**_mysql_arguments(self.url), **options)
        assert isinstance(opened, AsyncMySQLConnectionAbstract)
        return opened

    def close_connections(self) -> None:
        """Close what a test left open: an unclosed connection is a ResourceWarning, and so an error."""
        while self._opened:
            connection = self._opened.pop()
            with contextlib.suppress(psycopg.Error, mysql.connector.Error):
                if isinstance(connection, psycopg.AsyncConnection):
                    connection.pgconn.finish()
                else:
                    connection.close()


def targets() -> list[Target]:
    """Tell what the tests run against."""
    everything = os.environ.get("AUTHSQL_TEST_MATRIX", "default") == "all"
    given = {dialect for dialect in DIALECTS if _given_url(dialect)}
    found = [Target(dialect, dialect, None) for dialect in DIALECTS if dialect in given]
    for line in MATRIX.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        image, runs = line.split()
        dialect = next(dialect for dialect in DIALECTS if image.startswith(dialect))
        if dialect not in given and (everything or runs == "default"):
            found.append(Target(image.replace(":", "-"), dialect, image))
    return found


def default_image(dialect: Dialect) -> str:
    """Tell which image a server of this kind is made of, if nothing else is said."""
    lines = (line.split() for line in MATRIX.read_text(encoding="utf-8").splitlines())
    return next(line[0] for line in lines if line[1:] == ["default"] and line[0].startswith(dialect))


def rows(connection: SyncConnection, statement: str, parameters: Sequence[Any] = ()) -> Rows:
    """Run one statement and return the rows it has, if any."""
    cursor: Any = connection.cursor()
    with contextlib.closing(cursor):
        cursor.execute(statement, *([tuple(parameters)] if parameters else []))
        return list(cursor.fetchall()) if cursor.description else []


async def rows_async(connection: AsyncConnection, statement: str, parameters: Sequence[Any] = ()) -> Rows:
    """Run one statement and return the rows it has, if any."""
    opened: Any = connection.cursor()
    cursor = await opened if isinstance(connection, AsyncMySQLConnectionAbstract) else opened
    try:
        await cursor.execute(statement, *([tuple(parameters)] if parameters else []))
        return list(await cursor.fetchall()) if cursor.description else []
    finally:
        await cursor.close()


def _given_url(dialect: Dialect) -> str | None:
    return os.environ.get(f"AUTHSQL_TEST_{dialect.upper()}_URL") or None


def _random_name() -> str:
    return f"authsql_test_{secrets.token_hex(6)}"


def _with_name(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _mysql_arguments(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 3306,
        "user": unquote(parts.username or "root"),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.removeprefix("/")) or None,
    }


def _mysql_connect(url: str, **options: Any) -> MySQLConnectionAbstract:
    connection = mysql.connector.connect(**_mysql_arguments(url), **options)
    assert isinstance(connection, MySQLConnectionAbstract)
    return connection


class PostgresServer:
    """Databases on a PostgreSQL server."""

    def __init__(self, target: Target, url: str) -> None:
        self.target = target
        self.url = url
        self._admin = psycopg.connect(url, autocommit=True)
        self._template: Database | None = None

    def version(self) -> str:
        return str(rows(self._admin, "SELECT version()")[0][0]).split(" on ", maxsplit=1)[0]

    @contextlib.contextmanager
    def empty(self) -> Iterator[Database]:
        """Lend an empty database."""
        database = self._create()
        try:
            yield database
        finally:
            self._drop(database)

    @contextlib.contextmanager
    def migrated(self, migrate: Migrate) -> Iterator[Database]:
        """Lend a database with every migration applied: a copy of one, which takes 20 ms."""
        if self._template is None:
            template = self._create()
            try:
                migrate(template.url)
            except BaseException:
                self._drop(template)
                raise
            self._template = template
        database = self._create(self._template.name)
        try:
            yield database
        finally:
            self._drop(database)

    def close(self) -> None:
        if self._template is not None:
            self._drop(self._template)
            self._template = None
        self._admin.close()

    def _create(self, template: str = "template0") -> Database:
        name = _random_name()
        rows(self._admin, f"CREATE DATABASE {name} TEMPLATE {template}")
        return Database(_with_name(self.url, name), self.target)

    def _drop(self, database: Database) -> None:
        database.close_connections()
        rows(self._admin, f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")


@dataclass(frozen=True)
class _Migrated:
    """A MySQL database as the migrations left it: every table, and the rows of those that have some."""

    database: Database
    tables: frozenset[str]
    seeds: dict[str, Rows]


class MySQLServer:
    """Databases on a MySQL server."""

    def __init__(self, target: Target, url: str) -> None:
        self.target = target
        self.url = url
        self._admin = _mysql_connect(url, autocommit=True)
        # A lock that a test left behind should end that test, not hang the run.
        rows(self._admin, "SET SESSION lock_wait_timeout = 20, foreign_key_checks = 0")
        self._idle: list[_Migrated] = []

    def version(self) -> str:
        return f"MySQL {rows(self._admin, 'SELECT version()')[0][0]}"

    @contextlib.contextmanager
    def empty(self) -> Iterator[Database]:
        """Lend an empty database."""
        database = self._create()
        try:
            yield database
        finally:
            self._drop(database)

    @contextlib.contextmanager
    def migrated(self, migrate: Migrate) -> Iterator[Database]:
        """Lend a database with every migration applied.

        MySQL copies no databases and is slow at DDL, so the same one is lent again, its rows put back as they
        were. A test that changes the schema should migrate an empty database of its own.
        """
        migrated = self._idle.pop() if self._idle else self._migrate(migrate)
        try:
            yield migrated.database
            self._restore(migrated)
        except BaseException:
            # Left in a state that nobody knows, be it by the test or by the migrations.
            self._drop(migrated.database)
            raise
        self._idle.append(migrated)

    def close(self) -> None:
        while self._idle:
            self._drop(self._idle.pop().database)
        self._admin.close()

    def _create(self) -> Database:
        name = _random_name()
        rows(self._admin, f"CREATE DATABASE {name}")
        return Database(_with_name(self.url, name), self.target)

    def _drop(self, database: Database) -> None:
        self._disconnect(database)
        rows(self._admin, f"DROP DATABASE IF EXISTS {database.name}")

    def _disconnect(self, database: Database) -> None:
        """End every session in a database, so that none holds a lock there."""
        database.close_connections()
        for session in rows(self._admin, "SHOW PROCESSLIST"):
            if session[3] == database.name:
                # It may have ended by itself meanwhile.
                with contextlib.suppress(mysql.connector.Error):
                    rows(self._admin, f"KILL {session[0]}")

    def _migrate(self, migrate: Migrate) -> _Migrated:
        database = self._create()
        try:
            migrate(database.url)
            tables = self._tables(database)
            seeds = {table: self._content(database, table) for table in self._filled(database, tables)}
        except BaseException:
            self._drop(database)
            raise
        return _Migrated(database, tables, seeds)

    def _restore(self, migrated: _Migrated) -> None:
        database = migrated.database
        self._disconnect(database)
        tables = self._tables(database)
        dropped = sorted(migrated.tables - tables)
        if dropped:
            raise AssertionError(f"the test dropped {dropped}: use empty_database for that")
        for table in tables - migrated.tables:
            rows(self._admin, f"DROP TABLE {database.name}.`{table}`")
        filled = self._filled(database, migrated.tables)
        # TRUNCATE, as it fires no trigger and sets AUTO_INCREMENT back: 4 ms for each table written to.
        self._truncate(database, filled - migrated.seeds.keys())
        for table, content in migrated.seeds.items():
            if table not in filled or self._content(database, table) != content:
                self._truncate(database, {table})
                self._fill(database, table, content)
        # What triggers have written of that.
        self._truncate(database, self._filled(database, migrated.tables - migrated.seeds.keys()))

    def _truncate(self, database: Database, tables: Iterable[str]) -> None:
        for table in tables:
            rows(self._admin, f"TRUNCATE TABLE {database.name}.`{table}`")

    def _tables(self, database: Database) -> frozenset[str]:
        found = rows(self._admin, f"SHOW FULL TABLES IN {database.name} WHERE Table_type = 'BASE TABLE'")
        return frozenset(row[0] for row in found)

    def _filled(self, database: Database, tables: frozenset[str]) -> set[str]:
        if not tables:
            return set()
        asked = " UNION ALL ".join(
            f"SELECT '{table}' FROM DUAL WHERE EXISTS (SELECT 1 FROM {database.name}.`{table}`)"
            for table in tables
        )
        return {row[0] for row in rows(self._admin, asked)}

    def _columns(self, database: Database, table: str) -> str:
        """Name the columns that take a value: those that are not generated."""
        found = rows(
            self._admin,
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s AND generation_expression = ''"
            " ORDER BY ordinal_position",
            (database.name, table),
        )
        return ", ".join(f"`{row[0]}`" for row in found)

    def _content(self, database: Database, table: str) -> Rows:
        columns = self._columns(database, table)
        return sorted(rows(self._admin, f"SELECT {columns} FROM {database.name}.`{table}`"), key=repr)

    def _fill(self, database: Database, table: str, content: Rows) -> None:
        columns = self._columns(database, table)
        places = ", ".join(["%s"] * len(content[0]))
        for row in content:
            rows(self._admin, f"INSERT INTO {database.name}.`{table}` ({columns}) VALUES ({places})", row)


Server: TypeAlias = PostgresServer | MySQLServer


class Fleet:
    """The servers of one process. They are started on demand and go when it is closed.

    Under pytest-xdist the controlling process starts every container, as it outlives the workers, and hands
    them the addresses: `given`. What cannot be had is handed on as a message, so that tests which need no
    server run without one.
    """

    def __init__(self, given: dict[str, dict[str, str]] | None = None) -> None:
        self._given = given or {}
        self._docker: _Docker | ServerUnavailableError | None = None
        self._starting = threading.Lock()
        self._servers: dict[str, Server] = {}
        self._own: list[Server] = []
        self.versions: dict[str, str] = {}

    def server(self, target: Target) -> Server:
        if target.id not in self._servers:
            server = self._connect(target, self._address(target))
            self._servers[target.id] = server
            self.versions[target.id] = server.version()
        return self._servers[target.id]

    def own(self, target: Target, options: Mapping[str, str]) -> Server:
        """Start another server, with options of its own. It ends with the others.

        In a container, as a server whose URL was given is not restarted: of the image that is the default.
        """
        if target.image is None:
            target = replace(target, image=default_image(target.dialect))
        server = self._connect(target, self._containers().start(target, options))
        self._own.append(server)
        return server

    def addresses(self) -> dict[str, dict[str, str]]:
        """Start all there are, at once; tell for each its URL, or what is wrong."""
        if not self._given:
            with ThreadPoolExecutor() as pool:
                self._given = dict(pool.map(self._outcome, targets()))
        return self._given

    def close(self) -> None:
        for server in (*self._servers.values(), *self._own):
            if server.target.image is None:
                server.close()
            else:
                # What is on it goes with the container, which may be gone before a worker comes to this.
                with contextlib.suppress(psycopg.Error, mysql.connector.Error):
                    server.close()
        self._servers.clear()
        self._own.clear()
        if isinstance(self._docker, _Docker):
            self._docker.close()
        self._docker = None

    def _outcome(self, target: Target) -> tuple[str, dict[str, str]]:
        try:
            url = self._address(target)
            server = self._connect(target, url)
            self.versions[target.id] = server.version()
            server.close()
        except ServerUnavailableError as error:
            return target.id, {"error": str(error)}
        return target.id, {"url": url}

    def _connect(self, target: Target, url: str) -> Server:
        try:
            return PostgresServer(target, url) if target.dialect == "postgres" else MySQLServer(target, url)
        except (psycopg.Error, mysql.connector.Error) as error:
            raise ServerUnavailableError(f"no connection to the {target.id} server: {error}") from error

    def _address(self, target: Target) -> str:
        known = self._given.get(target.id)
        if known is not None:
            if "error" in known:
                raise ServerUnavailableError(known["error"])
            return known["url"]
        url = _given_url(target.dialect)
        if url is not None:
            return url
        try:
            return self._containers().start(target)
        except ServerUnavailableError as error:
            raise ServerUnavailableError(_what_to_do(target, str(error))) from error

    def _containers(self) -> _Docker:
        with self._starting:
            if isinstance(self._docker, ServerUnavailableError):
                raise self._docker
            if self._docker is None:
                try:
                    self._docker = _Docker()
                except ServerUnavailableError as error:
                    self._docker = error
                    raise
            return self._docker


class _Docker:
    """Containers of this run, through testcontainers."""

    def __init__(self) -> None:
        # These are read when testcontainers is imported. A look 20 times a second, for 120 s: its own once a
        # second is longer than a server takes to start.
        os.environ.setdefault("TC_POOLING_INTERVAL", "0.05")
        os.environ.setdefault("TC_MAX_TRIES", "2400")
        if os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
            # The daemon is on this machine, and so are the ports that it publishes. Left to itself,
            # testcontainers uses addresses of the bridge where a machine looks like a container.
            os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
            os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
        from docker.errors import DockerException  # type: ignore[import-untyped]
        from testcontainers.core.docker_client import DockerClient

        self._errors: type[Exception] = DockerException
        self._containers: list[PostgresContainer | MySqlContainer] = []
        problem = ""
        with warnings.catch_warnings():
            # A socket that could not be connected is left to the garbage collector by the docker package.
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                self._client: Any = DockerClient().client
                self._client.ping()
            except DockerException as error:
                problem = str(error)
            if problem:
                gc.collect()
        if problem:
            raise ServerUnavailableError(f"no Docker daemon answers ({problem})")
        if not self._have_reaper():
            self._remove_leftovers()

    def start(self, target: Target, options: Mapping[str, str] | None = None) -> str:
        assert target.image is not None
        container = self._container(target, options or {})
        self._containers.append(container)
        try:
            container.start()
        except (self._errors, TimeoutError, RuntimeError) as error:
            raise ServerUnavailableError(f"Docker could not start {target.image} ({error})") from error
        host, port = container.get_container_host_ip(), container.get_exposed_port(container.port)
        scheme = "postgresql" if target.dialect == "postgres" else "mysql"
        database = "postgres" if target.dialect == "postgres" else ""
        return f"{scheme}://{quote(container.username)}:{quote(container.password)}@{host}:{port}/{database}"

    def close(self) -> None:
        for container in self._containers:
            with contextlib.suppress(self._errors):
                container.stop()
        self._containers.clear()
        self._client.close()

    def _container(self, target: Target, options: Mapping[str, str]) -> PostgresContainer | MySqlContainer:
        assert target.image is not None
        labels = {RUN_LABEL: f"{socket.gethostname()}:{os.getpid()}"}
        password = secrets.token_urlsafe(12)
        container: PostgresContainer | MySqlContainer
        if target.dialect == "postgres":
            from testcontainers.community.postgres import PostgresContainer

            container = PostgresContainer(
                target.image,
                username="postgres",
                password=password,
                dbname="postgres",
                driver=None,
                labels=labels,
            )
            settings = {**POSTGRES_OPTIONS, **options}
            container.with_command(["postgres", *(f"-c{name}={value}" for name, value in settings.items())])
            # The usual images moved the data up by a directory in 18.
            major = int(target.image.split(":")[1].split(".")[0])
            container.with_tmpfs_mount("/var/lib/postgresql" if major >= 18 else "/var/lib/postgresql/data")
        else:
            from testcontainers.community.mysql import MySqlContainer

            container = MySqlContainer(target.image, username="root", password=password, labels=labels)
            settings = {**MYSQL_OPTIONS, **options}
            container.with_command(
                [f"--{name}={value}" if value else f"--{name}" for name, value in settings.items()]
            )
            container.with_tmpfs_mount("/var/lib/mysql")
        return container

    def _have_reaper(self) -> bool:
        """Tell whether testcontainers' reaper, which removes containers after a killed run, can be had."""
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import Reaper

        if testcontainers_config.ryuk_disabled:
            return False
        try:
            self._client.images.get(testcontainers_config.ryuk_image)
        except self._errors:
            try:
                self._client.images.pull(testcontainers_config.ryuk_image)
            except self._errors:
                testcontainers_config.ryuk_disabled = True
                return False
        # Now, and not by the first container: several start at once.
        Reaper.get_instance()
        return True

    def _remove_leftovers(self) -> None:
        """Do the reaper's work for earlier runs on this machine that did not come to it."""
        for container in self._client.containers.list(all=True, filters={"label": RUN_LABEL}):
            host, _, process = container.labels[RUN_LABEL].rpartition(":")
            if host == socket.gethostname() and not _alive(int(process)):
                with contextlib.suppress(self._errors):
                    container.remove(force=True, v=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _what_to_do(target: Target, problem: str) -> str:
    variable = f"AUTHSQL_TEST_{target.dialect.upper()}_URL"
    scheme = "postgresql" if target.dialect == "postgres" else "mysql"
    return (
        f"no server for {target.id}: {variable} is not set, and {problem}.\n"
        f"Run the tests with `make test`, which gets servers (Debian, as root), or start Docker, or set\n"
        f"{variable}={scheme}://user:password@host:port/ to a server where that user may create databases."
    )
