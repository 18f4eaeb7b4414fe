"""Behind a real PgBouncer in transaction mode: sixteen clients on two connections to the server.

Each transaction may come to another server connection. So nothing may be left on one, and nothing be looked
for there: what an operation does is one transaction, or the caller's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from authsql import (
    EmailTaken,
    Reason,
    VerifiedCode,
    VerifiedPassword,
    audit,
    otps,
    passwords,
    refresh_tokens,
    roles,
    sessions,
    users,
)
from authsql.models import NewSession, RefreshToken, RotatedToken, User
from tests.connections.pgbouncer import PgBouncer, Pooled, pgbouncer
from tests.races.conftest import SIZE, reasons
from tests.servers import Database, Server, ServerUnavailableError, SyncConnection, rows
from tests.support import FAST, HOUR, KEY, PASSWORD, Crowd, Sql, crowd_of

pytestmark = pytest.mark.only("postgres")
ROUNDS = 4


@pytest.fixture(scope="module")
def pooler(server: Server) -> Iterator[PgBouncer]:
    problem = ""
    try:
        with pgbouncer(server.url) as running:
            yield running
    except ServerUnavailableError as error:
        problem = str(error)
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.fixture
def pooled(pooler: PgBouncer, database: Database) -> Iterator[Pooled]:
    """A migrated database behind the pooler, which knows nothing of prepared statements."""
    pooler.admin("SET max_prepared_statements = 0")
    front = pooler.front(database)
    yield front
    front.close_connections()


@pytest.fixture
def crowd(pooled: Pooled) -> Iterator[Crowd]:
    with crowd_of(pooled, SIZE) as crowd:
        yield crowd


@pytest.fixture
def sql(database: Database) -> Sql:
    """Past the pooler."""
    return Sql(database, database.connect())


@pytest.fixture
def user(sql: Sql) -> User:
    user = users.create(sql.connection, "ann@example.org")
    assert passwords.set(sql.connection, user.id, PASSWORD, policy=FAST)
    return user


def backends(sql: Sql) -> int:
    """How many connections to the server the pooler has opened."""
    return int(sql.one("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")) - 1


def test_accounts_and_sessions(crowd: Crowd, pooler: PgBouncer, sql: Sql) -> None:
    assert pooler.admin("SHOW VERSION")[0][0].startswith("PgBouncer ")

    def live(conn: SyncConnection, who: int) -> list[UUID]:
        owner = users.create(conn, f"{who}@example.org")
        assert passwords.set(conn, owner.id, PASSWORD, policy=FAST)
        seen = []
        for _ in range(ROUNDS):
            assert isinstance(passwords.verify(conn, owner.email, PASSWORD, policy=FAST), VerifiedPassword)
            opened = sessions.create(conn, owner.id)
            assert isinstance(opened, NewSession)
            seen.append(opened.session.id)
            # More often than psycopg takes to prepare a statement.
            for _ in range(6):
                found = sessions.validate(conn, opened.token)
                assert found
                assert (found.id, found.user_id) == (opened.session.id, owner.id)
        assert sessions.revoke(conn, seen[0])
        return [owner.id, *seen]

    made = crowd.run(live)
    assert len({each for some in made for each in some}) == SIZE * (ROUNDS + 1)
    assert sql.one("SELECT count(*) FROM authsql_sessions WHERE revoked_at IS NULL") == SIZE * (ROUNDS - 1)
    assert backends(sql) <= 2


def test_of_every_one_time_thing_there_is_one(crowd: Crowd, sql: Sql, user: User) -> None:
    for number in range(ROUNDS):
        name = f"{number}@x.org"
        assert otps.issue(sql.connection, name, "signin", key=KEY)
        code = otps.issue(sql.connection, f"code-{name}", "signin", key=KEY)
        assert code
        opened = sessions.create(sql.connection, user.id)
        assert opened
        token = refresh_tokens.issue(sql.connection, opened.session.id)
        assert isinstance(token, RefreshToken)

        def sign_up(conn: SyncConnection, _: int, name: str = name) -> object:
            try:
                return users.create(conn, name)
            except EmailTaken:
                return None

        def spend(conn: SyncConnection, _: int, name: str = f"code-{name}", code: str = code.code) -> object:
            return otps.verify(conn, name, "signin", code, key=KEY)

        def rotate(conn: SyncConnection, _: int, token: str = token.token) -> object:
            return refresh_tokens.rotate(conn, token, policy=FAST)

        assert sum(isinstance(each, User) for each in crowd.run(sign_up)) == 1
        spent = crowd.run(spend)
        assert reasons(spent) == {None: 1, Reason.SPENT: SIZE - 1}
        assert sum(isinstance(each, VerifiedCode) for each in spent) == 1
        # As without a pooler: one rotates, the others come within its grace.
        rotated = crowd.run(rotate)
        assert Counter(type(each) for each in rotated)[RotatedToken] >= 1
        assert (
            sql.one("SELECT count(*) FROM authsql_refresh_tokens WHERE session_id = %s", opened.session.id)
            == 1
        )


def test_a_transaction_of_the_callers(crowd: Crowd, sql: Sql) -> None:
    """All of it on one connection to the server, and undone as a whole."""

    def work(conn: SyncConnection, who: int) -> None:
        assert isinstance(conn, psycopg.Connection)
        for undone in (True, False):
            with conn.transaction(force_rollback=undone):
                owner = users.create(conn, f"{who}@example.org")
                assert passwords.set(conn, owner.id, PASSWORD, policy=FAST)
                opened = sessions.create(conn, owner.id)
                assert opened
                assert sessions.validate(conn, opened.token)
            assert bool(sessions.validate(conn, opened.token)) is not undone

    crowd.run(work)
    assert sql.one("SELECT count(*) FROM authsql_users") == SIZE
    assert sql.one("SELECT count(*) FROM authsql_sessions") == SIZE


def test_context_of_a_transaction_is_nobody_elses(crowd: Crowd, sql: Sql, user: User) -> None:
    actors = [UUID(int=number + 1) for number in range(SIZE)]

    def work(conn: SyncConnection, who: int) -> None:
        assert isinstance(conn, psycopg.Connection)
        for _ in range(ROUNDS):
            with conn.transaction():
                audit.set_context(conn, actor_id=actors[who], ip="192.0.2.7")
                roles.set_current_user(conn, actors[who])
                audit.record(conn, "app.inside", detail={"who": who})
                assert rows(conn, "SELECT authsql_current_user_id()") == [(actors[who],)]
            # Without a transaction, and so on any connection that some other has used.
            audit.record(conn, "app.outside")
            assert rows(conn, "SELECT authsql_current_user_id()") == [(None,)]

    crowd.run(work)
    entries = audit.list(sql.connection, event="app.inside")
    assert len(entries) == SIZE * ROUNDS
    assert all(each.actor_id == actors[each.detail["who"]] for each in entries)
    outside = audit.list(sql.connection, event="app.outside")
    assert len(outside) == SIZE * ROUNDS
    assert {(each.actor_id, each.ip) for each in outside} == {(None, None)}


def test_context_without_a_transaction_stays_with_the_server_connection(pooled: Pooled, sql: Sql) -> None:
    """Why the context is to be set in the transaction: here somebody else's entry gets it."""
    one, other = pooled.connect(), pooled.connect()
    audit.set_context(one, actor_id=UUID(int=1))
    audit.record(other, "app.event")
    assert audit.list(sql.connection, event="app.event")[0].actor_id == UUID(int=1)


async def test_async(pooled: Pooled, sql: Sql) -> None:
    async def work(who: int) -> int:
        async with await pooled.connect_async() as conn:
            owner = await users.create(conn, f"{who}@example.org")
            assert await passwords.set(conn, owner.id, PASSWORD, policy=FAST)
            assert isinstance(await passwords.verify(conn, owner.id, PASSWORD, policy=FAST), VerifiedPassword)
            opened = await sessions.create(conn, owner.id)
            assert isinstance(opened, NewSession)
            issued = await refresh_tokens.issue(conn, opened.session.id)
            assert isinstance(issued, RefreshToken)
            token = issued.token
            for _ in range(6):
                assert await sessions.validate(conn, opened.token)
                rotated = await refresh_tokens.rotate(conn, token, policy=FAST)
                assert isinstance(rotated, RotatedToken)
                token = rotated.token
            async with conn.transaction():
                await audit.set_context(conn, actor_id=UUID(int=who + 1))
                await audit.record(conn, "app.inside", detail={"who": who})
            code = await otps.issue(conn, f"{who}@x.org", "signin", key=KEY)
            assert code
            tries = [await otps.verify(conn, f"{who}@x.org", "signin", code.code, key=KEY) for _ in range(2)]
            assert [bool(each) for each in tries] == [True, False]
            return who

    assert await asyncio.gather(*(work(who) for who in range(SIZE))) == list(range(SIZE))
    assert all(
        e.actor_id == UUID(int=e.detail["who"] + 1) for e in audit.list(sql.connection, event="app.inside")
    )
    assert backends(sql) <= 2


def busy(pooled: Pooled, token: str) -> list[Any]:
    """Validate until psycopg prepares the statement; then have the server connection taken, and go on."""
    mine, others = pooled.connect(prepare_threshold=5), pooled.connect()
    found = [sessions.validate(mine, token) for _ in range(8)]
    assert isinstance(others, psycopg.Connection)
    with others.transaction():
        rows(others, "SELECT 1")
        return [*found, *(sessions.validate(mine, token) for _ in range(8))]


def test_prepared_statements(pooler: PgBouncer, pooled: Pooled, sql: Sql, user: User) -> None:
    """With psycopg's default, a statement is missing where the pooler leaves them to the server connection.

    PgBouncer from 1.21 on keeps account of them where max_prepared_statements is not 0.
    """
    opened = sessions.create(sql.connection, user.id)
    assert opened
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        busy(pooled, opened.token)
    pooled.close_connections()
    pooler.admin("SET max_prepared_statements = 200")
    assert all(busy(pooled, opened.token))


def test_default_prepare_threshold_where_the_pooler_keeps_account(
    pooler: PgBouncer, pooled: Pooled, sql: Sql, user: User
) -> None:
    pooler.admin("SET max_prepared_statements = 200")
    opened = [sessions.create(sql.connection, user.id) for _ in range(SIZE)]
    connections = [pooled.connect(prepare_threshold=5) for _ in range(SIZE)]
    with crowd_of(pooled, SIZE) as crowd:

        def work(_: SyncConnection, who: int) -> bool:
            mine, conn = opened[who], connections[who]
            assert mine
            found = [sessions.validate(conn, mine.token) for _ in range(20)]
            return all(each and each.id == mine.session.id for each in found)

        assert all(crowd.run(work))
    sql.age("authsql_sessions", ("created_at", "last_seen_at"), HOUR)
    assert all(sessions.validate(connections[0], each.token) for each in opened if each)
