"""Sixteen threads hit at once: never one more than the limit lets through."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from authsql import Allowed, Reason, Refusal, maintenance, rate_limits
from tests.servers import Database, SyncConnection
from tests.support import DAY, HOUR, MINUTE, Crowd, Sql, crowd_of, refused

SIZE = 16
ROUNDS = 8


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


def hits(crowd: Crowd, key: str, times: int = 1, **limit: Any) -> list[Allowed | Refusal]:
    """Each thread hits so many times."""

    def work(mine: SyncConnection, _: int) -> list[Allowed | Refusal]:
        return [rate_limits.hit(mine, key, **limit) for _ in range(times)]

    return [each for found in crowd.run(work) for each in found]


def through(found: list[Allowed | Refusal]) -> list[Allowed]:
    assert all(each.reason is Reason.LIMITED and each.retry_at for each in found if isinstance(each, Refusal))
    return [each for each in found if isinstance(each, Allowed)]


@pytest.mark.parametrize(("limit", "times"), [(1, 1), (5, 1), (15, 1), (20, 4)])
def test_a_burst(crowd: Crowd, limit: int, times: int) -> None:
    """On a key that is new, so that all insert at once, and again on one that is there."""
    for number in range(ROUNDS):
        for _ in range(2):
            found = through(hits(crowd, str(number), times, limit=limit, period=DAY))
            assert len(found) == limit
            # PostgreSQL answers by the hit itself. MySQL reads after it, when others may have hit too.
            assert min(each.remaining for each in found) == 0
            rate_limits.reset(crowd._connections[0], str(number))


def test_what_came_free_is_taken_once(crowd: Crowd, sql: Sql) -> None:
    for number in range(ROUNDS):
        assert len(through(hits(crowd, str(number), limit=10, period=10 * HOUR))) == 10
        for free in (1, 3, 9):
            sql.elapse(free * HOUR)
            assert len(through(hits(crowd, str(number), limit=10, period=10 * HOUR))) == free


def test_costs(crowd: Crowd) -> None:
    for number in range(ROUNDS):

        def work(mine: SyncConnection, who: int, number: int = number) -> int:
            cost = who % 4 + 1
            found = rate_limits.hit(mine, str(number), limit=20, period=DAY, cost=cost)
            return cost if found else 0

        spent = sum(crowd.run(work))
        assert 20 - 3 <= spent <= 20
        for _ in range(20 - spent):
            assert rate_limits.hit(crowd._connections[0], str(number), limit=20, period=DAY)
        refused(rate_limits.hit(crowd._connections[0], str(number), limit=20, period=DAY), Reason.LIMITED)


def test_against_the_purge(crowd: Crowd, sql: Sql) -> None:
    """Rows whose time is over go while they are hit again."""
    for _ in range(ROUNDS):
        keys = [str(number) for number in range(4)]
        for key in keys:
            rate_limits.hit(sql.connection, key, limit=3, period=MINUTE)
        sql.elapse(DAY)

        def work(mine: SyncConnection, who: int, keys: list[str] = keys) -> object:
            if who % 4 == 0:
                return maintenance.purge(mine, batch=2)
            return rate_limits.hit(mine, keys[who % 4 - 1], limit=3, period=DAY)

        found = [each for each in crowd.run(work) if isinstance(each, Allowed | Refusal)]
        # Four threads on each of three keys.
        assert len(through(found)) == 9
        for key in keys:
            rate_limits.reset(sql.connection, key)


def test_keys_do_not_wait_for_each_other(crowd: Crowd) -> None:
    def work(mine: SyncConnection, who: int) -> int:
        return sum(bool(rate_limits.hit(mine, str(who), limit=3, period=DAY)) for _ in range(5))

    assert crowd.run(work) == [3] * SIZE


def test_no_more_than_the_period_lets(crowd: Crowd) -> None:
    """With a clock that runs: 40 a second, for as long as it takes."""
    period = timedelta(seconds=1)
    probe = crowd._connections[0]
    before = rate_limits.peek(probe, "k", limit=40, period=period, burst=1)
    found = through(hits(crowd, "k", 20, limit=40, period=period, burst=1))
    after = rate_limits.peek(probe, "k", limit=40, period=period, burst=1)
    assert isinstance(before, Allowed)
    end = after.reset_at if isinstance(after, Allowed) else after.retry_at
    assert end is not None
    assert 1 <= len(found) <= (end - before.reset_at) / (period / 40) + 1
