"""What several tests of the migrations need: commands as processes, and the clients that a DBA uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from authsql._migration_files import Direction, MigrationFile, migration_files
from authsql._statements import Dialect, sql_root
from authsql._url import DatabaseURL
from tests.servers import Database, SyncConnection, rows

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]


def run(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run this Python with arguments, from the root of the checkout."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment() | dict(env or {}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def environment() -> dict[str, str]:
    """Tell what a process of ours has in its environment: no setting for authsql that is the user's."""
    kept = {name: value for name, value in os.environ.items() if name != "AUTHSQL_DATABASE_URL"}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": path, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}


def yoyo_url(database: Database) -> str:
    """Write the URL of a database as yoyo wants it."""
    return DatabaseURL.parse(database.url).yoyo + "://" + database.url.partition("://")[2]


def yoyo_arguments(command: str, database: Database, *arguments: str) -> list[str]:
    """Tell how a stock yoyo is run on our files."""
    folder = str(sql_root() / database.dialect)
    options = ["--batch", "--no-config-file", "--database", yoyo_url(database)]
    return ["-m", "yoyo", command, *options, *arguments, *([] if command == "break-lock" else [folder])]


def yoyo(command: str, database: Database, *arguments: str) -> str:
    """Run a stock yoyo on our files; return what it printed."""
    done = run(*yoyo_arguments(command, database, *arguments))
    assert done.returncode == 0, done.stderr
    return done.stdout


def yoyo_list(database: Database) -> dict[str, str]:
    """Ask a stock yoyo what is applied: `A` or `U` for each migration."""
    lines = (line.split() for line in yoyo("list", database).splitlines()[2:])
    return {words[1]: words[0] for words in lines}


def numbers(connection: SyncConnection) -> list[int]:
    """Ask the database itself."""
    return [row[0] for row in rows(connection, "SELECT version FROM authsql_schema_version ORDER BY version")]


def files(dialect: Dialect) -> list[MigrationFile]:
    """All migrations in their order."""
    return list(migration_files(dialect))


def path(dialect: Dialect, file: MigrationFile, direction: Direction) -> Path:
    """Tell where a migration or its rollback stands."""
    return sql_root() / dialect / (f"{file.id}.sql" if direction == "apply" else f"{file.id}.rollback.sql")


class Client:
    """The server's own client, psql or mysql: the one in its container, or else the one on PATH."""

    def __init__(self, database: Database) -> None:
        self._url = urlsplit(database.url)
        self._dialect = database.dialect
        self._container = _container(self._url.port)
        if self._container is None and shutil.which(self._name) is None:
            pytest.skip(f"the server is not in a container here, and there is no {self._name} on PATH")

    def feed(self, file: Path) -> None:
        """Have the client run a file; it stops at the first error."""
        text = file.read_text(encoding="utf-8")
        if self._container is None:
            command = self._command(self._url.hostname or "127.0.0.1", self._url.port)
            secret = os.environ | self._password()
            done = subprocess.run(
                command, input=text, env=secret, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        else:
            # Fed from the environment, as exec_run() has no standard input.
            script = 'client="$1"; shift; printf "%s" "$TEXT" | "$client" "$@"'
            code, output = self._container.exec_run(
                ["sh", "-c", script, "sh", *self._command("127.0.0.1", None)],
                environment=self._password() | {"TEXT": text},
            )
            assert code == 0, output.decode()

    @property
    def _name(self) -> str:
        return "psql" if self._dialect == "postgres" else "mysql"

    def _command(self, host: str, port: int | None) -> list[str]:
        user, name = unquote(self._url.username or "root"), self._url.path.removeprefix("/")
        at = [f"--host={host}", *([f"--port={port}"] if port else [])]
        if self._dialect == "postgres":
            options = ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
            return ["psql", *at, f"--username={user}", f"--dbname={name}", *options]
        # As sql/README.md says. Left to itself, the client goes by the locale.
        return ["mysql", "--default-character-set=utf8mb4", "--protocol=tcp", *at, f"--user={user}", name]

    def _password(self) -> dict[str, str]:
        variable = "PGPASSWORD" if self._dialect == "postgres" else "MYSQL_PWD"
        return {variable: unquote(self._url.password or "")}


def _container(port: int | None) -> Any:
    """Find the container that publishes a port on this machine, None if there is none."""
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        client = docker.from_env()
        for container in client.containers.list():
            published = (entry for entries in container.ports.values() for entry in entries or [])
            if any(entry["HostPort"] == str(port) for entry in published):
                return container
    except DockerException:
        pass
    return None
