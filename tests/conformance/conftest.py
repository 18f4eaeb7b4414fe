"""Fixtures of the conformance suite: one body for both dialects and for both colours."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from authsql import passwords, sessions, users
from authsql.models import NewSession, User
from tests.roles import as_role
from tests.servers import Database
from tests.support import FAST, PASSWORD, Api

Connect: TypeAlias = Callable[..., Awaitable[Api]]
NewUser: TypeAlias = Callable[..., Awaitable[User]]
SignIn: TypeAlias = Callable[..., Awaitable[NewSession]]


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def connect(colour: str, database: Database, request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Open another connection of the test's colour, with the rights of an application and no others. Marked
    `owner`, with those of the owner of the tables.
    """
    owner = request.node.get_closest_marker("owner")
    login = database if owner else as_role(database, "authsql_app")
    async with contextlib.AsyncExitStack() as opened:

        async def open_one(**options: Any) -> Api:
            if colour == "sync":
                return Api(login.connect(**options), is_async=False)
            connection = await login.connect_async(**options)
            opened.push_async_callback(connection.close)
            return Api(connection, is_async=True)

        yield open_one


@pytest.fixture
async def api(connect: Connect) -> Api:
    """Call an operation over a connection with autocommit: `await api(users.create, "a@x.org")`."""
    return await connect()


@pytest.fixture
def new_user(api: Api) -> NewUser:
    """Create an account with a password."""
    numbers = itertools.count(1)

    async def create(email: str | None = None, password: str | None = PASSWORD, **options: Any) -> User:
        user: User = await api(users.create, email or f"user{next(numbers)}@example.org", **options)
        if password is not None:
            assert await api(passwords.set, user.id, password, policy=FAST)
        return user

    return create


@pytest.fixture
async def user(new_user: NewUser) -> User:
    """An account with a password."""
    return await new_user("ann@example.org", name="Ann")


@pytest.fixture
def sign_in(api: Api, user: User) -> SignIn:
    """Open a session, of `user` unless told otherwise."""

    async def create(owner: User = user, **options: Any) -> NewSession:
        opened = await api(sessions.create, owner.id, policy=FAST, **options)
        assert isinstance(opened, NewSession)
        return opened

    return create
