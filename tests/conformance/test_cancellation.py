"""A call that is cancelled, or interrupted by a signal: neither half of its work stays behind, nor its answer
for the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from authsql import Refusal, passwords, sessions, users
from authsql._operation import AsyncConnection as Awaited
from authsql.models import NewSession, User
from tests.conftest import ConnectAsync
from tests.servers import AsyncConnection, Database, SyncConnection, rows
from tests.support import FAST, PASSWORD, Sql


async def test_a_cancelled_call_leaves_no_answer_behind(
    aconnect: ConnectAsync, aconn: AsyncConnection
) -> None:
    user = await users.create(aconn, "a@x.org")
    first, second = await _session(aconn, user.email), await _session(aconn, user.email)
    for rounds in range(12):
        connection = await aconnect()
        await sessions.validate(connection, second.token)
        task = asyncio.ensure_future(sessions.validate(connection, first.token))
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for token, expected in ((second.token, second.session.id), (_other(first.token), None)):
            try:
                found = await sessions.validate(connection, token)
            except Exception as error:
                # MySQL's driver cannot go on after that: it has to say so.
                assert type(error).__module__.startswith("mysql."), error  # noqa: PT017
            else:
                assert (found.id if not isinstance(found, Refusal) else None) == expected


@pytest.fixture
def user(conn: SyncConnection) -> User:
    user = users.create(conn, "ann@example.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    return user


@contextlib.contextmanager
def before_statement(number: int, connection: Any, happen: Callable[[], Any]) -> Iterator[list[int]]:
    """Let something happen when this connection is to run its statement of this number. What is yielded has
    a member for each statement that came so far.
    """
    seen: list[int] = []

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            seen.append(len(seen) + 1)
            if seen[-1] == number:
                # Of an asynchronous connection this is awaited in place of the statement.
                return happen()
            return original(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        if isinstance(connection, psycopg.Connection | psycopg.AsyncConnection):
            kind: Any = (
                psycopg.AsyncCursor if isinstance(connection, psycopg.AsyncConnection) else psycopg.Cursor
            )
            patch.setattr(kind, "execute", wrap(kind.execute))
        else:
            patch.setattr(connection, "cmd_stmt_execute", wrap(connection.cmd_stmt_execute))
        yield seen


def interrupt() -> None:
    raise KeyboardInterrupt


async def cancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


def state(sql: Sql) -> list[Any]:
    return [
        sql("SELECT hash, changed_at FROM authsql_passwords"),
        sql("SELECT id, revoked_at FROM authsql_sessions"),
        sql("SELECT failed_attempts, locked_until FROM authsql_users"),
    ]


def is_free(sql: Sql, user: User) -> bool:
    """Whether others wait for nothing that the connection holds."""
    rows(sql.connection, "SET innodb_lock_wait_timeout = 5" if sql.is_mysql else "SET lock_timeout = '5s'")
    return bool(passwords.set(sql.connection, user.id, "of another request", policy=FAST))


@pytest.mark.parametrize("options", [{}, {"use_pure": True}, {"autocommit": False}], ids=repr)
@pytest.mark.parametrize("number", [1, 2])
def test_an_interrupted_call_leaves_nothing_half_done(
    database: Database, sql: Sql, user: User, number: int, options: dict[str, bool]
) -> None:
    """Of `passwords.set` MySQL has two statements. A later commit of the caller's would make the first one
    good.
    """
    if not sql.is_mysql:
        number, options = 1, {each: options[each] for each in options if each != "use_pure"}
    mine = database.connect(**options)
    before = state(sql)
    with before_statement(number, mine, interrupt) as seen, pytest.raises(KeyboardInterrupt):
        passwords.set(mine, user.id, "a new password", policy=FAST)
    assert len(seen) == number
    if "use_pure" not in options:
        assert users.get(mine, user.id) == users.get(sql.connection, user.id), "it can be used"
        mine.commit()
    assert state(sql) == before
    assert is_free(sql, user)


def test_an_interrupted_attempt_stays_counted(database: Database, sql: Sql, user: User) -> None:
    """Of `passwords.verify` a second statement comes when the password was right."""
    mine = database.connect()
    number = 3 if sql.is_mysql else 2
    with before_statement(number, mine, interrupt) as seen, pytest.raises(KeyboardInterrupt):
        passwords.verify(mine, user.email, PASSWORD, policy=FAST)
    assert len(seen) == number
    assert sql.one("SELECT failed_attempts FROM authsql_users") == 1
    assert passwords.verify(mine, user.email, PASSWORD, policy=FAST), "and nothing is open"
    assert is_free(sql, user)


@pytest.mark.parametrize("autocommit", [True, False])
@pytest.mark.parametrize("what", ["set", "verify"])
async def test_a_call_that_is_cancelled_between_two_statements(
    aconnect: ConnectAsync, sql: Sql, user: User, what: str, autocommit: bool
) -> None:
    mine = await aconnect(autocommit=autocommit)
    before = state(sql)
    if what == "set":
        number = 2 if sql.is_mysql else 1
        work: Awaitable[Any] = passwords.set(mine, user.id, "a new password", policy=FAST)
    else:
        number = 3 if sql.is_mysql else 2
        work = passwords.verify(mine, user.email, PASSWORD, policy=FAST)
    with before_statement(number, mine, cancel) as seen, pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(20):
            await asyncio.ensure_future(work)
    assert len(seen) == number
    if what == "set":
        assert state(sql) == before
    else:
        assert sql.one("SELECT failed_attempts FROM authsql_users") == 1
        assert state(sql)[:2] == before[:2]
    if not sql.is_mysql:
        if what == "set" and not autocommit:
            # The statement was the caller's, and so is the transaction that it began.
            await mine.rollback()
        assert await passwords.verify(mine, user.email, PASSWORD, policy=FAST), "it can be used"
    else:
        # MySQL's driver cannot go on after that: it has to say so.
        with pytest.raises(Exception, match=r"Connection|connection|lost|2013|2055|2006"):
            await users.get(mine, user.id)
    assert is_free(sql, user)


async def _session(connection: Awaited, email: str) -> NewSession:
    user = await users.get_by_email(connection, email)
    assert user is not None
    made = await sessions.create(connection, user.id)
    assert not isinstance(made, Refusal)
    return made


def _other(token: str) -> str:
    return token[:-5] + ("AAAAA" if not token.endswith("AAAAA") else "BBBBB")


@pytest.mark.only("postgres")
async def test_pipeline_mode_is_refused(aconnect: ConnectAsync) -> None:
    from authsql import UnsupportedConnection

    connection = await aconnect()
    async with connection.pipeline():  # type: ignore[union-attr]  # of psycopg alone
        with pytest.raises(UnsupportedConnection, match="pipeline"):
            await users.create(connection, "b@x.org")
    assert await users.get_by_email(connection, "b@x.org") is None
