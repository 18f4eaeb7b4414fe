"""Numbers that docs/decisions says are those of the defaults."""

from __future__ import annotations

import pytest

from authsql import Refusal, devices, passwords, users
from authsql.models import NewDevice, User
from tests.servers import Database, SyncConnection
from tests.support import DAY, FAST, SECOND, Sql


@pytest.fixture
def sql(database: Database, conn: SyncConnection) -> Sql:
    return Sql(database, conn)


@pytest.fixture
def user(conn: SyncConnection) -> User:
    user = users.create(conn, "ann@example.org")
    assert passwords.set(conn, user.id, "correct horse battery", policy=FAST)
    return user


def guess(conn: SyncConnection, user: User, device: str | None = None) -> Refusal:
    found = passwords.verify(conn, user.email, "a wrong password", device=device, policy=FAST)
    assert isinstance(found, Refusal)
    return found


def test_guesses_of_a_stranger(conn: SyncConnection, sql: Sql, user: User) -> None:
    """0008: 5 at once, 15 on the first day, then 1 a day, 100 in 85 days."""
    waited, made = 0 * DAY, []
    while guess(conn, user).reason.value == "wrong":
        made.append(waited)
        until = sql.one("SELECT locked_until FROM authsql_users")
        if until is not None and len(made) < FAST.block_after:
            lock = until - sql.one(f"SELECT {sql.now}")
            waited += lock
            sql.elapse(lock + SECOND)
    assert len(made) == 100
    assert sum(each < SECOND for each in made) == 5
    assert sum(each < DAY for each in made) == 15
    assert sum(10 * DAY <= each < 11 * DAY for each in made) == 1
    assert 84 * DAY < made[-1] < 86 * DAY


def test_guesses_from_a_stolen_device(conn: SyncConnection, sql: Sql, user: User) -> None:
    """0008: 10 more."""
    made = devices.remember(conn, user.id)
    assert isinstance(made, NewDevice)
    guesses = 0
    while guess(conn, user, made.token).reason.value == "wrong":
        guesses += 1
    assert guesses == FAST.device_attempts + FAST.lock_after
