"""On whose behalf a connection works: nobody's, until it is told; and in PostgreSQL for no longer than a
transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import mysql.connector.pooling
import psycopg_pool
import pytest

from authsql import NoTransaction, roles
from authsql.models import User
from tests.conformance.conftest import Connect
from tests.servers import Database, rows
from tests.support import Api, Sql

WHO = "SELECT authsql_current_user_id()"


async def who(api: Api) -> UUID | None:
    [(found,)] = await api.sql(WHO)
    return found if found is None or isinstance(found, UUID) else UUID(bytes=bytes(found))


async def test_nobody(api: Api) -> None:
    assert await who(api) is None


async def test_in_a_transaction(api: Api, user: User) -> None:
    await api.begin()
    assert await api(roles.set_current_user, user.id) is None
    assert await who(api) == user.id
    assert bool((await api.sql("SELECT authsql_has_role(authsql_current_user_id(), 'user')"))[0][0])
    await api(roles.set_current_user, None)
    assert await who(api) is None
    assert not (await api.sql("SELECT authsql_has_role(authsql_current_user_id(), 'user')"))[0][0]
    await api.commit()


async def test_another_after_one(api: Api, user: User) -> None:
    await api.begin()
    await api(roles.set_current_user, user.id)
    other = UUID(int=0)
    await api(roles.set_current_user, other)
    assert await who(api) == other
    await api.rollback()


async def test_it_is_not_seen_by_other_connections(api: Api, connect: Connect, user: User) -> None:
    await api.begin()
    await api(roles.set_current_user, user.id)
    assert await who(await connect()) is None
    await api.rollback()


@pytest.mark.only("postgres")
@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_it_ends_with_the_transaction(api: Api, user: User, end: str) -> None:
    await api.begin()
    await api(roles.set_current_user, user.id)
    await getattr(api, end)()
    assert await who(api) is None
    await api.begin()
    assert await who(api) is None
    await api.rollback()


@pytest.mark.only("postgres")
async def test_it_takes_a_transaction(api: Api, connect: Connect, user: User) -> None:
    for user_id in (user.id, None):
        with pytest.raises(NoTransaction):
            await api(roles.set_current_user, user_id)
    assert not api.in_transaction
    assert await who(api) is None
    # Where autocommit is off, the statement begins one.
    begins = await connect(autocommit=False)
    await api.sql("SELECT 1")
    await begins(roles.set_current_user, user.id)
    assert begins.in_transaction
    assert await who(begins) == user.id
    await begins.commit()
    assert await who(begins) is None
    await begins.rollback()


@pytest.mark.only("mysql")
async def test_it_lasts_until_it_is_told_otherwise(api: Api, user: User) -> None:
    """MySQL has nothing that ends with a transaction: hence None at the end, or a call at every beginning."""
    await api(roles.set_current_user, user.id)
    assert not api.in_transaction
    await api.begin()
    await api.commit()
    assert await who(api) == user.id
    await api(roles.set_current_user, None)
    assert await who(api) is None


@contextlib.contextmanager
def pool_of(database: Database) -> Iterator[Any]:
    """The driver's own pool, with one connection; yields how to take it."""
    if database.dialect == "postgres":
        with psycopg_pool.ConnectionPool(database.url, min_size=1, max_size=1, open=True) as pool:
            yield pool.connection
        return
    from tests.servers import _mysql_arguments

    mysql_pool = mysql.connector.pooling.MySQLConnectionPool(
        pool_size=1, pool_name="authsql_current", **_mysql_arguments(database.url)
    )

    @contextlib.contextmanager
    def take() -> Iterator[Any]:
        taken: Any = mysql_pool.get_connection()
        try:
            yield taken
        finally:
            taken.close()

    try:
        yield take
    finally:
        mysql_pool._remove_connections()


def test_the_next_user_of_a_pooled_connection_is_not_the_one_before(
    database: Database, sql: Sql, user: User
) -> None:
    with pool_of(database) as take:
        with take() as conn:
            roles.set_current_user(conn, user.id)
            first = rows(conn, "SELECT CONNECTION_ID()" if sql.is_mysql else "SELECT pg_backend_pid()")
            assert rows(conn, WHO) != [(None,)]
        with take() as conn:
            again = rows(conn, "SELECT CONNECTION_ID()" if sql.is_mysql else "SELECT pg_backend_pid()")
            assert again == first, "the same connection, or this says nothing"
            assert rows(conn, WHO) == [(None,)]
        with contextlib.suppress(ZeroDivisionError), take() as conn:
            roles.set_current_user(conn, user.id)
            raise ZeroDivisionError
        with take() as conn:
            assert rows(conn, WHO) == [(None,)]


async def test_what_is_no_id_is_an_error_and_nobody(api: Api, sql: Sql) -> None:
    await api.begin()
    if sql.is_mysql:
        await api.sql("SET @authsql_user_id = 'no id, and longer than one'")
    else:
        await api.sql("SELECT set_config('authsql.user_id', 'no id', true)")
    with pytest.raises(Exception, match=r"(?i)too long|invalid input syntax"):
        await who(api)
    await api.rollback()
