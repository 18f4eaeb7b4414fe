"""A call that is cancelled must not leave its answer to the next one."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from authsql import Refusal, sessions, users
from authsql._operation import AsyncConnection as Awaited
from authsql.models import NewSession
from tests.conftest import ConnectAsync
from tests.servers import AsyncConnection


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
