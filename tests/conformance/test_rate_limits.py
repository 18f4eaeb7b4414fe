from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from authsql import Allowed, InvalidInput, Reason, Refusal, maintenance, rate_limits
from tests.conformance.conftest import Connect
from tests.support import DAY, HOUR, MICROSECOND, MINUTE, SECOND, Api, Sql, refused

KEY = "ip:192.0.2.1"
LIMIT: dict[str, Any] = {"limit": 5, "period": 15 * MINUTE}


async def hit(api: Api, key: object = KEY, **options: object) -> Allowed | Refusal:
    found = await api(rate_limits.hit, key, **{**LIMIT, **options})
    assert isinstance(found, Allowed | Refusal)
    return found


async def peek(api: Api, key: object = KEY, **options: object) -> Allowed | Refusal:
    found = await api(rate_limits.peek, key, **{**LIMIT, **options})
    assert isinstance(found, Allowed | Refusal)
    return found


def allowed(found: object) -> Allowed:
    assert bool(found)
    assert isinstance(found, Allowed), found
    return found


def now(sql: Sql) -> datetime:
    found = sql.one(f"SELECT {sql.now}")
    assert isinstance(found, datetime)
    return found


async def test_a_burst_and_then_one_at_a_time(api: Api, sql: Sql) -> None:
    before = now(sql)
    hits = [allowed(await hit(api)) for _ in range(5)]
    assert [each.remaining for each in hits] == [4, 3, 2, 1, 0]
    after = now(sql)
    for number, each in enumerate(hits, 1):
        assert before + number * 3 * MINUTE <= each.reset_at <= after + number * 3 * MINUTE
        assert each.reset_at.utcoffset() == timedelta(0)
    refusal = refused(await hit(api), Reason.LIMITED)
    assert refusal.retry_at is not None
    assert before + 3 * MINUTE <= refusal.retry_at <= after + 3 * MINUTE
    assert refusal.retry_at == hits[-1].reset_at - 12 * MINUTE
    sql.elapse(3 * MINUTE)
    assert allowed(await hit(api)).remaining == 0
    refused(await hit(api), Reason.LIMITED)
    sql.elapse(6 * MINUTE)
    assert [bool(await hit(api)) for _ in range(4)] == [True, True, False, False]


async def test_the_edge_is_exact(api: Api, sql: Sql) -> None:
    """By the clock of one statement: what is a microsecond too early is refused."""
    for _ in range(5):
        allowed(await hit(api))
    retry_at = refused(await hit(api), Reason.LIMITED).retry_at
    assert retry_at is not None
    sql.elapse(retry_at - now(sql) - SECOND)
    refused(await hit(api), Reason.LIMITED)
    sql.elapse(SECOND)
    allowed(await hit(api))


async def test_a_refusal_counts_nothing(api: Api, sql: Sql) -> None:
    for _ in range(5):
        allowed(await hit(api))
    before = sql.dump()
    for _ in range(20):
        refused(await hit(api), Reason.LIMITED)
    assert sql.dump() == before


async def test_all_is_free_again_after_a_period(api: Api, sql: Sql) -> None:
    for _ in range(2):
        for _ in range(5):
            allowed(await hit(api))
        refused(await hit(api), Reason.LIMITED)
        sql.elapse(15 * MINUTE)


async def test_no_more_than_burst_and_limit_in_a_period(api: Api, sql: Sql) -> None:
    through = 0
    for _ in range(30):
        through += sum([bool(await hit(api)) for _ in range(6)])
        sql.elapse(30 * SECOND)
    assert 5 + 4 <= through <= 5 + 5


async def test_burst(api: Api, sql: Sql) -> None:
    assert [bool(await hit(api, burst=2)) for _ in range(3)] == [True, True, False]
    sql.elapse(15 * MINUTE)
    assert [bool(await hit(api, burst=1)) for _ in range(2)] == [True, False]
    sql.elapse(15 * MINUTE)
    assert sum([bool(await hit(api, burst=12)) for _ in range(14)]) == 12


async def test_cost(api: Api, sql: Sql) -> None:
    assert allowed(await hit(api, cost=3)).remaining == 2
    refusal = refused(await hit(api, cost=3), Reason.LIMITED)
    assert refusal.retry_at is not None
    assert allowed(await hit(api, cost=2)).remaining == 0
    assert refusal.retry_at < now(sql) + 3 * MINUTE
    sql.elapse(15 * MINUTE)
    assert allowed(await hit(api, cost=5)).remaining == 0


@pytest.mark.parametrize(
    ("limit", "period"),
    [
        (1, MICROSECOND),
        (3, timedelta(microseconds=1)),
        (7, SECOND),
        (1, DAY),
        (1_000_000, HOUR),
        (1_000_000, 366 * DAY),
        (1, 366 * DAY),
        (3, 366 * DAY),
    ],
)
async def test_any_limit(api: Api, limit: int, period: timedelta) -> None:
    rate: dict[str, Any] = {"limit": limit, "period": period}
    first = allowed(await hit(api, **rate))
    assert first.remaining == limit - 1
    if period >= DAY and limit < 10:
        for left in reversed(range(limit - 1)):
            assert allowed(await hit(api, **rate)).remaining == left
        refused(await hit(api, **rate), Reason.LIMITED)


async def test_a_limit_that_does_not_divide_its_period(api: Api, sql: Sql) -> None:
    """7 in a day are 12342.857142857 s each: rounded up, so that an eighth never fits."""
    rate: dict[str, Any] = {"limit": 7, "period": DAY}
    assert sum([bool(await hit(api, **rate)) for _ in range(9)]) == 7
    sql.elapse(DAY - SECOND)
    assert sum([bool(await hit(api, **rate)) for _ in range(9)]) == 6


async def test_keys_and_scopes_are_apart(api: Api, sql: Sql) -> None:
    one = {"limit": 1, "period": HOUR}
    user_id = uuid4()
    keys = ["a", "A", "a ", "\u00e4", "a\u0308", "\0", "\ud800", "x" * 100_000, "x" * 100_001, user_id]
    for key in keys:
        assert await hit(api, key, **one), repr(key)[:20]
        assert await hit(api, key, scope="signin", **one)
        assert await hit(api, key, scope="password-reset", **one)
    assert not await hit(api, str(user_id), **one), "an id is its text"
    assert sql.one("SELECT COUNT(*) FROM authsql_rate_limits") == 3 * len(keys)
    for key in keys:
        assert not await hit(api, key, **one)


async def test_a_key_is_not_stored(api: Api, sql: Sql) -> None:
    await hit(api, KEY, scope="signin")
    assert sql.one("SELECT scope FROM authsql_rate_limits") == "signin"
    assert "192.0.2.1" not in repr(sql.dump())
    stored = sql.one("SELECT key_hash FROM authsql_rate_limits")
    assert len(stored) == 32
    assert stored != hashlib.sha256(KEY.encode()).digest()


async def test_who_waited_for_the_row_counts_from_its_last_hit(api: Api, sql: Sql) -> None:
    """A statement's time is that of its beginning. What it waited for may be later, and is no hindrance."""
    for _ in range(4):
        allowed(await hit(api))
    sql.age("authsql_rate_limits", ("hit_at", "reset_at", "expires_at"), -MINUTE)
    assert allowed(await peek(api)).remaining == 1
    assert allowed(await hit(api)).remaining == 0
    refusal = refused(await hit(api), Reason.LIMITED)
    assert refusal.retry_at is not None
    assert refusal.retry_at > now(sql) + 3 * MINUTE
    assert refused(await peek(api), Reason.LIMITED) == refusal


async def test_peek_counts_nothing(api: Api, sql: Sql) -> None:
    free = allowed(await peek(api))
    assert free.remaining == 5
    assert abs(free.reset_at - now(sql)) < MINUTE
    assert sql.one("SELECT COUNT(*) FROM authsql_rate_limits") == 0
    last = allowed(await hit(api))
    before = sql.dump()
    assert await peek(api) == Allowed(4, last.reset_at)
    assert await peek(api, cost=4) == Allowed(4, last.reset_at)
    assert refused(await peek(api, cost=5), Reason.LIMITED).retry_at == last.reset_at
    assert sql.dump() == before
    for _ in range(4):
        await hit(api)
    assert refused(await peek(api), Reason.LIMITED) == refused(await hit(api), Reason.LIMITED)
    sql.elapse(HOUR)
    assert allowed(await peek(api)).remaining == 5


async def test_reset(api: Api, sql: Sql) -> None:
    assert await api(rate_limits.reset, KEY) is False
    for _ in range(5):
        await hit(api)
        await hit(api, scope="signin")
    assert await api(rate_limits.reset, KEY) is True
    assert allowed(await hit(api)).remaining == 4
    refused(await hit(api, scope="signin"), Reason.LIMITED)
    assert await api(rate_limits.reset, KEY, scope="signin") is True
    assert await hit(api, scope="signin")


async def test_a_changed_limit_holds_from_the_next_hit_on(api: Api) -> None:
    """What is used up stays in proportion: four of five are eight of ten."""
    for _ in range(4):
        allowed(await hit(api))
    assert allowed(await hit(api, limit=10)).remaining == 1
    refused(await hit(api, limit=2), Reason.LIMITED)
    refused(await hit(api, period=MINUTE), Reason.LIMITED)
    assert allowed(await hit(api, limit=10)).remaining == 0


async def test_the_purge_goes_by_an_end_that_seldom_moves(api: Api, sql: Sql) -> None:
    """Else every hit would write its index. It is never before the limit is free again."""
    ends = set()
    for _ in range(40):
        if await hit(api):
            ends.add(sql.one("SELECT expires_at FROM authsql_rate_limits"))
        assert sql.one("SELECT COUNT(*) FROM authsql_rate_limits WHERE expires_at >= reset_at") == 1
        sql.elapse(MINUTE)
    # The end itself is moved into the past by the test, once for each minute.
    assert sql.one("SELECT COUNT(*) FROM authsql_rate_limits") == 1
    await api(rate_limits.reset, KEY)
    ends = set()
    for _ in range(5):
        allowed(await hit(api))
        ends.add(sql.one("SELECT expires_at FROM authsql_rate_limits"))
    assert len(ends) == 1


async def test_purge(api: Api, sql: Sql) -> None:
    for _ in range(5):
        await hit(api)
    sql.elapse(15 * MINUTE - SECOND)
    await api(maintenance.purge)
    assert sql.one("SELECT COUNT(*) FROM authsql_rate_limits") == 1
    sql.elapse(15 * MINUTE)
    found = {each.table_name: each for each in await api(maintenance.backlog)}["authsql_rate_limits"]
    assert found.expired_rows == 1
    assert found.oldest_expired_at is not None
    assert {each.table_name: each.deleted for each in await api(maintenance.purge)}[
        "authsql_rate_limits"
    ] == 1
    assert allowed(await hit(api)).remaining == 4


async def test_purge_waits_for_nobody(api: Api, sql: Sql, connect: Connect) -> None:
    await hit(api, "held")
    held = sql.to_sql(sql.one("SELECT key_hash FROM authsql_rate_limits"))
    await hit(api, "free")
    sql.elapse(DAY)
    other = await connect(autocommit=False)
    await other.sql("SELECT * FROM authsql_rate_limits WHERE key_hash = %s FOR UPDATE", held)
    if sql.is_mysql:
        await api.sql("SET SESSION innodb_lock_wait_timeout = 2")
    await api(maintenance.purge)
    assert sql.one("SELECT key_hash FROM authsql_rate_limits") == held
    await other.rollback()


@pytest.mark.only("postgres")
async def test_days_have_24_hours_where_clocks_change(api: Api, sql: Sql) -> None:
    """In Berlin a day of October has 25: by intervals, a limit would be an hour out."""
    await api.sql("SET TIME ZONE 'Europe/Berlin'")
    rate: dict[str, Any] = {"limit": 1, "period": 360 * DAY}
    first = allowed(await hit(api, **rate))
    assert timedelta(0) <= now(sql) + 360 * DAY - first.reset_at < MINUTE


@pytest.mark.only("postgres")
async def test_an_unlogged_table_does_as_well(api: Api, sql: Sql) -> None:
    sql("ALTER TABLE authsql_rate_limits SET UNLOGGED")
    assert [bool(await hit(api)) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 0},
        {"limit": True},
        {"limit": 5.0},
        {"period": timedelta(0)},
        {"period": -MINUTE},
        {"period": 367 * DAY},
        {"period": 900},
        {"burst": 0},
        {"burst": 1_000_000, "limit": 1, "period": DAY},
        {"cost": 0},
        {"cost": 6},
        {"burst": 2, "cost": 3},
    ],
    ids=repr,
)
async def test_limits_that_make_no_sense(api: Api, arguments: dict[str, Any]) -> None:
    for function in (hit, peek):
        with pytest.raises(InvalidInput):
            await function(api, **arguments)
