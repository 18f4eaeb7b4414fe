"""Fixtures of the conformance suite: one body for both dialects and for both colours."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from authsql import passwords, sessions, users
from authsql.models import NewSession, User
from tests.conftest import ConnectAsync
from tests.servers import Database, SyncConnection
from tests.support import FAST, PASSWORD, Api, Sql

Connect: TypeAlias = Callable[..., Awaitable[Api]]
NewUser: TypeAlias = Callable[..., Awaitable[User]]
SignIn: TypeAlias = Callable[..., Awaitable[NewSession]]


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def connect(colour: str, database: Database, aconnect: ConnectAsync) -> Connect:
    """Open another connection of the test's colour."""

    async def open_one(**options: Any) -> Api:
        if colour == "async":
            return Api(await aconnect(**options), is_async=True)
        return Api(database.connect(**options), is_async=False)

    return open_one


@pytest.fixture
async def api(connect: Connect) -> Api:
    """Call an operation over a connection with autocommit: `await api(users.create, "a@x.org")`."""
    return await connect()


@pytest.fixture
def sql(database: Database, conn: SyncConnection) -> Sql:
    """Run raw statements, on a connection of their own."""
    return Sql(database, conn)


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
