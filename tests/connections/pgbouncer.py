"""A real PgBouncer in front of the tests' PostgreSQL: transaction mode, two connections to the server."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg

from tests.migrations.support import _container
from tests.servers import RUN_LABEL, Database, ServerUnavailableError, SyncConnection, rows

IMAGES = ("pgbouncer:1", "edoburu/pgbouncer:latest")
"""What build-images makes, and what a registry has. AUTHSQL_TEST_PGBOUNCER_IMAGE names another."""

SETTINGS = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = *
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /tmp/users
admin_users = {user}
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
max_prepared_statements = 0
"""
# It ends by itself, should nobody be left to end it.
START = (
    'umask 077; echo "$SETTINGS" > /tmp/ini; echo "$USERS" > /tmp/users; exec timeout 900 pgbouncer /tmp/ini'
)


class Pooled(Database):
    """A database behind the pooler, connected to as sql/README.md says."""

    def connect(self, **options: Any) -> SyncConnection:
        return super().connect(**{"prepare_threshold": None, **options})

    async def connect_async(self, **options: Any) -> Any:
        return await super().connect_async(**{"prepare_threshold": None, **options})


@dataclass(frozen=True)
class PgBouncer:
    """One that runs."""

    address: str
    """A URL's `user:password@host:port`."""

    def front(self, database: Database) -> Pooled:
        return Pooled(f"postgresql://{self.address}/{database.name}", database.target)

    def admin(self, command: str) -> list[tuple[Any, ...]]:
        """Send a command to its console, which knows the simple protocol only."""
        url = f"postgresql://{self.address}/pgbouncer"
        with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as console:
            return rows(console, command)


@contextlib.contextmanager
def pgbouncer(server_url: str) -> Iterator[PgBouncer]:
    """Run one in a container, beside the server's own container if it has one."""
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    url = urlsplit(server_url)
    user, password = unquote(url.username or "postgres"), unquote(url.password or "")
    server = _container(url.port)
    where: dict[str, Any]
    if server is None:
        # Not in a container: on this machine, or reached from it.
        listen = _free_port()
        host, port, where = url.hostname, url.port or 5432, {"network_mode": "host"}
    else:
        listen = 6432
        network, found = next(iter(server.attrs["NetworkSettings"]["Networks"].items()))
        host, port = found["IPAddress"], _inner_port(server, url.port)
        where = {"network": network, "ports": {f"{listen}/tcp": None}}
    try:
        client = docker.from_env()
    except DockerException as error:
        raise ServerUnavailableError(
            f"PgBouncer is tested in a container, and no Docker answers: {error}"
        ) from error
    with contextlib.closing(client):
        container = client.containers.run(
            _image(client),
            entrypoint=["sh", "-c", START],
            environment={
                "SETTINGS": SETTINGS.format(host=host, port=port, listen=listen, user=user),
                "USERS": f'"{user}" "{password}"',
            },
            labels={RUN_LABEL: f"{socket.gethostname()}:{os.getpid()}"},
            detach=True,
            **where,
        )
        try:
            yield _answers(container, url.netloc.rpartition("@")[0], listen)
        finally:
            container.remove(force=True, v=True)


def _image(client: Any) -> str:
    from docker.errors import DockerException, ImageNotFound

    named = os.environ.get("AUTHSQL_TEST_PGBOUNCER_IMAGE")
    wanted = [named] if named else IMAGES
    for name in wanted:
        with contextlib.suppress(ImageNotFound):
            client.images.get(name)
            return name
    try:
        client.images.pull(wanted[-1])
    except DockerException as error:
        raise ServerUnavailableError(
            f"no image of PgBouncer: not here are {', '.join(wanted)}, and the last could not be pulled.\n"
            f"Run tests/engine/build-images {IMAGES[0]} (Debian), or name one: AUTHSQL_TEST_PGBOUNCER_IMAGE\n"
            f"{error}"
        ) from error
    return wanted[-1]


def _answers(container: Any, login: str, listen: int) -> PgBouncer:
    """Wait until it does."""
    deadline = time.monotonic() + 60
    while True:
        container.reload()
        published = (container.ports or {}).get(f"{listen}/tcp")
        port = published[0]["HostPort"] if published else listen
        host = os.environ.get("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
        found = PgBouncer(f"{login}@{host}:{port}")
        try:
            found.admin("SHOW VERSION")
        except psycopg.OperationalError as error:
            if container.status == "exited" or time.monotonic() > deadline:
                raise ServerUnavailableError(f"PgBouncer: {error}\n{container.logs().decode()}") from error
            time.sleep(0.05)
        else:
            return found


def _inner_port(container: Any, published: int | None) -> int:
    """Tell which of a container's ports is published as this one."""
    return next(
        int(inner.partition("/")[0])
        for inner, entries in container.ports.items()
        if any(entry["HostPort"] == str(published) for entry in entries or [])
    )


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
