"""What several tests of the migrations need: commands as processes, and the clients that a DBA uses."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
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
            pytest.fail(
                f"no {self._name}: the server is not in a container here, and none is on PATH", pytrace=False
            )

    def feed(self, file: Path) -> None:
        """Have the client run a file; it stops at the first error."""
        options = ["--single-transaction", "--set=ON_ERROR_STOP=1"] if self._dialect == "postgres" else []
        # As sql/README.md says. Left to itself, the client goes by the locale.
        options += ["--default-character-set=utf8mb4"] if self._dialect == "mysql" else []
        code, output = self.run(file.read_text(encoding="utf-8"), *options)
        assert code == 0, output

    def run(self, text: str, *options: str) -> tuple[int, str]:
        """Have the client run a script as it stands; return its exit status and what it printed."""
        quiet = ["--no-psqlrc", "--quiet"] if self._dialect == "postgres" else []
        done = self.call(self._name, *quiet, *options, text=text)
        return done.returncode, done.stdout + done.stderr

    def call(self, program: str, *options: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program of the server's (psql, pg_dump, mysqldump) on the database, with a text to read."""
        if self._container is None:
            command = [program, *options, *self._where(self._url.hostname or "127.0.0.1", self._url.port)]
            secret = os.environ | self._password()
            return subprocess.run(
                command, input=text, env=secret, capture_output=True, text=True, check=False
            )
        # By way of a file, as exec_run() has no standard input.
        name = f"authsql-test-{secrets.token_hex(8)}.sql"
        content = text.encode()
        with io.BytesIO() as packed:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
            assert self._container.put_archive("/tmp", packed.getvalue())
        script = 'input="/tmp/$1"; shift; "$@" < "$input"; code=$?; rm -f "$input"; exit $code'
        command = [program, *options, *self._where("127.0.0.1", None)]
        code, (out, err) = self._container.exec_run(
            ["sh", "-c", script, "sh", name, *command],
            environment=self._password(),
            user="root",
            demux=True,
        )
        return subprocess.CompletedProcess(command, code, (out or b"").decode(), (err or b"").decode())

    @property
    def _name(self) -> str:
        return "psql" if self._dialect == "postgres" else "mysql"

    def _where(self, host: str, port: int | None) -> list[str]:
        user, name = unquote(self._url.username or "root"), self._url.path.removeprefix("/")
        at = [f"--host={host}", *([f"--port={port}"] if port else [])]
        if self._dialect == "postgres":
            return [*at, f"--username={user}", f"--dbname={name}"]
        return ["--protocol=tcp", *at, f"--user={user}", name]

    def _password(self) -> dict[str, str]:
        variable = "PGPASSWORD" if self._dialect == "postgres" else "MYSQL_PWD"
        return {variable: unquote(self._url.password or "")}


def _container(port: int | None) -> Any:
    """Find the container that publishes a port on this machine, None if there is none."""
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        client = docker.from_env()
        for container in client.containers.list(ignore_removed=True):
            published = (entry for entries in container.ports.values() for entry in entries or [])
            # The same number may be another container's port for IPv6.
            if any(entry["HostPort"] == str(port) and ":" not in entry["HostIp"] for entry in published):
                return container
    except DockerException:
        pass
    return None
