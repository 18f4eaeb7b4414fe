"""The databases' own schedulers, for real: MySQL's events, and pg_cron."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from authsql import maintenance
from authsql._statements import sql_root
from authsql.doctor import Severity, examine
from authsql.migrations import migrate, rollback
from tests.conftest import FLEET
from tests.roles import as_role, grant
from tests.schedule.kinds import KINDS
from tests.servers import (
    Database,
    Server,
    ServerUnavailableError,
    SyncConnection,
    Target,
    default_image,
    rows,
)
from tests.support import DAY, MINUTE, Sql

SCHEDULER = {
    "mysql": {"event-scheduler": "ON"},
    "postgres": {"shared_preload_libraries": "pg_cron", "cron.database_name": "postgres"},
}
ENGINE = Path(__file__).parents[1] / "engine"
PG_CRON = "ls /usr/lib/postgresql/*/lib/pg_cron.so /usr/local/lib/postgresql/pg_cron.so 2>/dev/null | grep ."


@pytest.fixture(scope="module")
def scheduling_server(target: Target, pytestconfig: pytest.Config) -> Server:
    """A server of this module's own, whose scheduler is on: in a container, whatever URL was given."""
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


def test_the_scheduler_deletes_what_has_expired_and_nothing_else(scheduled: Database) -> None:
    migrate(scheduled.url)
    assert [f.severity for f in examine(scheduled.url) if f.check == "scheduler"] == [Severity.OK]
    sql = Sql(scheduled, scheduled.connect())
    dead, live = [], []
    for name, kind in KINDS.items():
        if kind.end is not None:
            dead.append((name, kind.end + MINUTE, kind.make(sql)))
        # Far from its end: the scheduler is given its time.
        live.append((name, kind.end // 2 if kind.end else 1000 * DAY, kind.make(sql)))
    for _, age, row in dead + live:
        row.make_older(sql, age)
    _every_second(scheduled)
    deadline = time.monotonic() + 90
    while found := [name for name, _, row in dead if row.there(sql)]:
        assert time.monotonic() < deadline, f"{found} was still there"
        time.sleep(0.1)
    for name, age, row in live:
        assert row.there(sql), name
        row.answers(age)
    # Each table's, and again where there is nothing to delete: also those that had been found before.
    for _ in range(2):
        since = sql.one(f"SELECT {sql.now}").replace(microsecond=0)
        while not all(at and at > since for at in last_runs(sql.connection)):
            assert time.monotonic() < deadline, last_runs(sql.connection)
            time.sleep(0.1)
    assert all(at <= sql.one(f"SELECT {sql.now}") for at in last_runs(sql.connection) if at)
    told = [f for f in examine(scheduled.url) if f.check == "purge"]
    assert {f.severity for f in told} == {Severity.OK}
    assert any(f.message.startswith("last run: 20") for f in told)


@pytest.mark.only("mysql")
@pytest.mark.parametrize("zone", ["SYSTEM", "+05:30", "-11:00"])
def test_the_last_run_of_an_event_whatever_its_time_zone(scheduled: Database, zone: str) -> None:
    """Shown to a reader, who has no right to see events, by an owner who has it by a role."""
    grant(scheduled.url, "owner.sql", "authsql_owner")
    migrate(as_role(scheduled, "authsql_owner").url)
    grant(scheduled.url, "roles.sql", "authsql_app", "authsql_reader")
    reader = as_role(scheduled, "authsql_reader").connect()
    sql = Sql(scheduled, scheduled.connect())
    before = sql.one(f"SELECT {sql.now}").replace(microsecond=0)
    sql("SET time_zone = %s", zone)
    _every_second(scheduled, sql.connection)
    assert {row[0] for row in sql("SELECT time_zone FROM information_schema.events")} == {zone}
    deadline = time.monotonic() + 90
    while not all(at and at >= before for at in last_runs(reader)):
        assert time.monotonic() < deadline, last_runs(reader)
        time.sleep(0.1)
    assert all(at <= sql.one(f"SELECT {sql.now}") for at in last_runs(reader) if at)
    assert {row[0] for row in sql("SELECT last_run_at FROM authsql_purge_runs")} == {None}


@pytest.mark.only("mysql")
def test_each_event_has_run(scheduled: Database) -> None:
    migrate(scheduled.url)
    conn = scheduled.connect()
    asked = (
        "SELECT event_name, last_executed IS NOT NULL FROM information_schema.events"
        " WHERE event_schema = DATABASE()"
    )
    _every_second(scheduled)
    deadline = time.monotonic() + 90
    while not all(ran for _, ran in rows(conn, asked)):
        assert time.monotonic() < deadline, rows(conn, asked)
        time.sleep(0.1)
    assert {name for name, _ in rows(conn, asked)} == {
        f"authsql_purge_{table}" for table in maintenance._TABLES
    }


@pytest.mark.only("postgres")
def test_a_rollback_takes_the_job_off_the_schedule(scheduled: Database) -> None:
    migrate(scheduled.url)
    connection = scheduled.connect()
    assert rows(connection, "SELECT jobname, command FROM cron.job") == [
        ("authsql_purge_public", "SELECT public.authsql_purge()")
    ]
    rollback(scheduled.url, target=8)
    assert rows(connection, "SELECT jobname FROM cron.job") == []


@pytest.mark.only("postgres")
def test_the_optional_file_schedules_it_where_pg_cron_came_later(scheduled: Database) -> None:
    connection = scheduled.connect()
    rows(connection, "DROP EXTENSION pg_cron")
    migrate(scheduled.url)
    rows(connection, "CREATE EXTENSION pg_cron")
    with psycopg.connect(scheduled.url, autocommit=True) as dba:
        dba.execute((sql_root() / "postgres" / "optional" / "pg_cron.sql").read_bytes())
    assert rows(connection, "SELECT jobname, command FROM cron.job") == [
        ("authsql_purge_public", "SELECT public.authsql_purge()")
    ]


def last_runs(conn: SyncConnection) -> set[datetime | None]:
    """When each table was last purged."""
    return {each.last_run_at for each in maintenance.backlog(conn)}


def _every_second(database: Database, connection: SyncConnection | None = None) -> None:
    connection = connection or database.connect()
    if database.dialect == "mysql":
        for table in maintenance._TABLES:
            rows(connection, f"ALTER EVENT authsql_purge_{table} ON SCHEDULE EVERY 1 SECOND")
        return
    version = rows(connection, "SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'")[0][0]
    # Before 1.5 a job runs each minute at the most often.
    if tuple(int(number) for number in re.findall(r"\d+", version)[:2]) >= (1, 5):
        rows(connection, "SELECT cron.alter_job(jobid, schedule => '1 seconds') FROM cron.job")
