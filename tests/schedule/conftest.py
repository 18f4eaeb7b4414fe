"""Servers whose schedulers are on, for the tests of this folder alone."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from authsql import maintenance
from authsql.migrations import rollback
from tests.conftest import FLEET
from tests.servers import (
    Database,
    Server,
    ServerUnavailableError,
    SyncConnection,
    Target,
    default_image,
    rows,
)

SCHEDULER = {
    "mysql": {"event-scheduler": "ON"},
    "postgres": {"shared_preload_libraries": "pg_cron", "cron.database_name": "postgres"},
}
ENGINE = Path(__file__).parents[1] / "engine"
PG_CRON = "ls /usr/lib/postgresql/*/lib/pg_cron.so /usr/local/lib/postgresql/pg_cron.so 2>/dev/null | grep ."


@pytest.fixture(scope="package")
def scheduling_server(target: Target, pytestconfig: pytest.Config) -> Server:
    """A server of this folder's own, whose scheduler is on: in a container, whatever URL was given."""
    image = target.image or default_image(target.dialect)
    problem = ""
    try:
        fleet = pytestconfig.stash[FLEET]
        if target.dialect == "postgres" and _lacks_pg_cron(image):
            target = replace(target, image=_with_pg_cron(image))
        return fleet.own(target, SCHEDULER[target.dialect])
    except ServerUnavailableError as error:
        problem = f"no server with a scheduler: {error}"
    pytest.fail(problem, pytrace=False)


def _with_pg_cron(image: str) -> str:
    """Make an image that has it on top of one that is from elsewhere, such as the official one."""
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    made = image.replace("postgres:", "authsql-pg-cron:")
    try:
        with contextlib.closing(docker.from_env()) as client:
            client.images.build(
                path=str(ENGINE),
                dockerfile="pg_cron.Dockerfile",
                buildargs={"BASE": image},
                tag=made,
                rm=True,
            )
    except DockerException as error:
        raise ServerUnavailableError(
            f"{image} is from elsewhere and lacks pg_cron, and none could be made that has it ({error});"
            f" `tests/engine/build-images --force {image}` makes one"
        ) from error
    return made


def _lacks_pg_cron(image: str) -> bool:
    """Whether an image lacks it that may: ours has it, and anything wrong with one of ours is to be seen."""
    import docker
    from docker.errors import ContainerError, DockerException, ImageNotFound

    try:
        with contextlib.closing(docker.from_env()) as client:
            try:
                labels = client.images.get(image).labels
            except ImageNotFound:
                labels = client.images.pull(*image.split(":")).labels
            if "authsql.engine.inputs" in labels:
                return False
            client.containers.run(image, entrypoint=["sh", "-c", PG_CRON], remove=True)
    except ContainerError:
        return True
    except DockerException as error:
        raise ServerUnavailableError(f"Docker and {image} are needed ({error})") from error
    return False


@pytest.fixture
def scheduled(scheduling_server: Server, target: Target) -> Iterator[Database]:
    """A database that its scheduler looks after, still empty. pg_cron has one database on a server."""
    if target.dialect == "mysql":
        with scheduling_server.empty() as database:
            yield database
        return
    database = Database(scheduling_server.url, target)
    connection = database.connect()
    rows(connection, "CREATE EXTENSION pg_cron")
    yield database
    rollback(database.url, target=0)
    rows(connection, "DROP EXTENSION pg_cron")
    database.close_connections()


def every_second(database: Database, connection: SyncConnection | None = None) -> None:
    """Have the scheduler purge without pause."""
    connection = connection or database.connect()
    if database.dialect == "mysql":
        for table in maintenance._TABLES:
            rows(connection, f"ALTER EVENT authsql_purge_{table} ON SCHEDULE EVERY 1 SECOND")
        return
    version = rows(connection, "SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'")[0][0]
    # Before 1.5 a job runs each minute at the most often.
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) >= (1, 5):
        rows(connection, "SELECT cron.alter_job(jobid, schedule => '1 seconds') FROM cron.job")
