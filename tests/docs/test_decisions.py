"""Numbers that docs/decisions says are those of the defaults."""

from __future__ import annotations

import pytest

from authsql import IssuedCode, Reason, Refusal, devices, otps, passwords, users
from authsql.models import NewDevice, User
from tests.servers import SyncConnection
from tests.support import DAY, FAST, HOUR, KEY, MINUTE, SECOND, Sql, other_than, refused


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


def test_how_few_requests_keep_an_owner_out(conn: SyncConnection, sql: Sql, user: User) -> None:
    """0008: 25, for the rest of the hour, unless there is a known device."""
    device = devices.remember(conn, user.id)
    assert isinstance(device, NewDevice)
    requests, waited = 0, 0 * DAY
    last: dict[str, IssuedCode] = {}
    for number in range(FAST.codes_per_window):
        for purpose in ("signin", "password-reset"):
            issued = otps.issue(conn, user.email, purpose, key=KEY)
            assert isinstance(issued, IssuedCode)
            last[purpose] = issued
            requests += 1
        if number + 1 < FAST.codes_per_window:
            sql.elapse(FAST.code_resend_after)
            waited += FAST.code_resend_after
    for purpose, issued in last.items():
        for _ in range(FAST.code_attempts):
            assert not otps.verify(conn, user.email, purpose, other_than(issued.code), key=KEY)
            requests += 1
    for _ in range(FAST.lock_after):
        guess(conn, user)
        requests += 1
    assert requests == 25
    assert waited < 5 * MINUTE
    password = "correct horse battery"
    refused(passwords.verify(conn, user.email, password, policy=FAST), Reason.LOCKED)
    sql.elapse(FAST.code_resend_after)
    for purpose, issued in last.items():
        refused(otps.issue(conn, user.email, purpose, key=KEY), Reason.TOO_MANY)
        refused(otps.verify(conn, user.email, purpose, issued.code, key=KEY), Reason.EXHAUSTED)
    assert passwords.verify(conn, user.email, password, device=device.token, policy=FAST)
    sql.elapse(FAST.code_window)
    assert otps.issue(conn, user.email, "signin", key=KEY)


def test_guesses_of_codes() -> None:
    """0008: 25 an hour for each purpose, 600 a day, of a million."""
    assert FAST.code_window == HOUR
    assert FAST.codes_per_window * FAST.code_attempts == 25
    assert 25 * 24 == 600
    assert 10**FAST.code_digits == 1_000_000
