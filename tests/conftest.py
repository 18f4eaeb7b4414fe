"""Fixtures that every test may use: a target, databases on it, and connections to them.

A test that asks for one of them runs once on each target (`postgres-18`, `mysql-9.7`, ...): see
`tests/servers.py`. `-m postgres` and `-m mysql` choose a dialect; `@pytest.mark.only("postgres")` keeps a
test to one.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import pytest

from tests.roles import migrate_and_grant
from tests.servers import (
    AsyncConnection,
    Database,
    Fleet,
    Server,
    ServerUnavailableError,
    SyncConnection,
    Target,
    targets,
)
from tests.support import Sql

ConnectAsync: TypeAlias = Callable[..., Awaitable[AsyncConnection]]

FLEET = pytest.StashKey[Fleet]()


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "postgres: runs on a PostgreSQL server",
        "mysql: runs on a MySQL server",
        "owner: works with the rights of the owner of the tables, and not with an application's",
        "only(*targets): runs on these targets alone, each a dialect (postgres) or an id (postgres-18)",
    ):
        config.addinivalue_line("markers", marker)
    config.stash[FLEET] = Fleet(getattr(config, "workerinput", {}).get("servers"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the servers to a worker of pytest-xdist; the first worker to come has them started."""
    node.workerinput["servers"] = node.config.stash[FLEET].addresses()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[FLEET].close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out, rather than skip, a test on a target that it is not meant for."""
    out = [item for item in items if not _wanted(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if _wanted(item)]


def _wanted(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("only")
    callspec = getattr(item, "callspec", None)
    if marker is None or callspec is None or "target" not in callspec.params:
        return True
    target: Target = callspec.params["target"]
    return target.dialect in marker.args or target.id in marker.args


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    versions = config.stash[FLEET].versions
    if versions:
        terminalreporter.section("servers")
        for target, version in sorted(versions.items()):
            terminalreporter.line(f"{target}: {version}")


@pytest.fixture(
    scope="session",
    params=[pytest.param(one, id=one.id, marks=getattr(pytest.mark, one.dialect)) for one in targets()],
)
def target(request: pytest.FixtureRequest) -> Target:
    """One kind of server after the other."""
    found: Target = request.param
    return found


@pytest.fixture(scope="session")
def server(target: Target, pytestconfig: pytest.Config) -> Server:
    """The server of the target."""
    try:
        return pytestconfig.stash[FLEET].server(target)
    except ServerUnavailableError as error:
        problem = str(error)
    # Here, and not above, so that the message stands alone.
    pytest.fail(problem, pytrace=False)


@pytest.fixture
def empty_database(server: Server) -> Iterator[Database]:
    """A new and empty database."""
    with server.empty() as database:
        yield database


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A database with every migration applied, the roles granted, and no rows but those that come with it.

    MySQL's is used again by the next test: what changes the schema belongs into `empty_database`.
    """
    with server.migrated(migrate_and_grant) as database:
        yield database


@pytest.fixture
def conn(database: Database) -> SyncConnection:
    """A connection to `database`, which closes it; autocommit is on."""
    return database.connect()


@pytest.fixture
def sql(database: Database, conn: SyncConnection) -> Sql:
    """Run raw statements, with the rights of the owner, on the connection `conn`."""
    return Sql(database, conn)


@pytest.fixture
async def aconnect(database: Database) -> AsyncIterator[ConnectAsync]:
    """Open asynchronous connections to `database`, as many as wanted; all are closed at the end."""
    async with contextlib.AsyncExitStack() as opened:

        async def connect(**options: Any) -> AsyncConnection:
            connection = await database.connect_async(**options)
            opened.push_async_callback(connection.close)
            return connection

        yield connect


@pytest.fixture
async def aconn(aconnect: ConnectAsync) -> AsyncConnection:
    """An asynchronous connection to `database`, autocommit on."""
    return await aconnect()
