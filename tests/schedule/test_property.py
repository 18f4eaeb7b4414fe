"""Whatever the rows' times are: a purge deletes all that is dead, and nothing that is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authsql import maintenance
from tests.schedule.kinds import KINDS
from tests.servers import Database
from tests.support import DAY, MINUTE, Sql


@st.composite
def aged(draw: st.DrawFn) -> tuple[str, timedelta]:
    """A kind of row, and an age in whole minutes, often close to its end. A test takes less than a minute."""
    name = draw(st.sampled_from(sorted(KINDS)))
    end = KINDS[name].end or 1000 * DAY
    close = st.sampled_from([-MINUTE, timedelta(0), MINUTE]).map(lambda offset: end + offset)
    anywhere = st.integers(0, 2 * (end // MINUTE)).map(lambda minutes: minutes * MINUTE)
    return name, draw(close | anywhere)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database, database.connect())


def purge(sql: Sql, batch: int) -> None:
    while any(done.more for done in maintenance.purge(sql.connection, batch=batch)):
        pass


def test_every_table_has_its_kinds(sql: Sql) -> None:
    made = {kind.make(sql).table for kind in KINDS.values() if kind.end is not None}
    assert made == {f"authsql_{table}" for table in maintenance._TABLES}


# The database stays: rows of one example that live are the next one's company.
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(aged(), min_size=1, max_size=16), batch=st.integers(1, 20))
def test_purge(sql: Sql, drawn: list[tuple[str, timedelta]], batch: int) -> None:
    rows = [(name, age, KINDS[name].make(sql)) for name, age in drawn]
    for _, age, row in rows:
        row.make_older(sql, age)
        assert row.there(sql)
    purge(sql, batch)
    for name, age, row in rows:
        dead = KINDS[name].is_dead(age)
        assert row.there(sql) is not dead, f"{name}, {age} old"
        if not dead:
            row.answers(age)
    assert {each.expired_rows for each in maintenance.backlog(sql.connection)} == {0}


def test_each_kind_at_its_end(sql: Sql) -> None:
    rows = []
    for name, kind in KINDS.items():
        end = kind.end or 1000 * DAY
        rows += [
            (name, age, kind.make(sql)) for age in (timedelta(0), end - MINUTE, end, end + MINUTE, 10 * end)
        ]
    for _, age, row in rows:
        row.make_older(sql, age)
    purge(sql, 2)
    for name, age, row in rows:
        assert row.there(sql) is not KINDS[name].is_dead(age), f"{name}, {age} old"
        if row.there(sql):
            row.answers(age)
