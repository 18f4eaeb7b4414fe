"""Counts of failures, on a known device and on its account, with sixteen callers at once."""

from __future__ import annotations

from authsql import NewDevice, Reason, devices, passwords, users
from authsql.models import User, VerifiedPassword
from tests.races.conftest import ROUNDS, SIZE, reasons
from tests.servers import SyncConnection
from tests.support import FAST, PASSWORD, Crowd, Sql

WRONG = "a wrong password"


def account(conn: SyncConnection, number: int) -> tuple[User, str]:
    user = users.create(conn, f"{number}@x.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    made = devices.remember(conn, user.id)
    assert isinstance(made, NewDevice)
    return user, made.token


def counts(sql: Sql, user: User) -> tuple[int, int]:
    """Of the device, and of the account."""
    return (
        sql.one("SELECT failed_attempts FROM authsql_known_devices WHERE user_id = %s", user.id),
        sql.one("SELECT failed_attempts FROM authsql_users WHERE id = %s", user.id),
    )


def test_attempts_from_a_device_stay_within_the_limit(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Those beyond it count on the account, within its own limit."""
    for number in range(ROUNDS):
        user, token = account(conn, number)

        def guess(mine: SyncConnection, _: int, user: User = user, token: str = token) -> object:
            return passwords.verify(mine, user.email, WRONG, device=token, policy=FAST)

        found = reasons(crowd.run(guess))
        wrong = FAST.device_attempts + FAST.lock_after
        assert found == {Reason.WRONG: wrong, Reason.LOCKED: SIZE - wrong}
        assert counts(sql, user) == (FAST.device_attempts, FAST.lock_after)


def test_attempts_from_a_device_and_from_elsewhere(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Each is counted where it belongs, and exactly."""
    for number in range(ROUNDS):
        user, token = account(conn, number)

        def guess(mine: SyncConnection, who: int, user: User = user, token: str = token) -> object:
            return passwords.verify(mine, user.email, WRONG, device=token if who % 2 else None, policy=FAST)

        results = crowd.run(guess)
        assert reasons(results[1::2]) == {Reason.WRONG: SIZE // 2}
        assert reasons(results[::2]) == {
            Reason.WRONG: FAST.lock_after,
            Reason.LOCKED: SIZE // 2 - FAST.lock_after,
        }
        assert counts(sql, user) == (SIZE // 2, FAST.lock_after)


def test_the_owner_gets_in_while_others_guess(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        user, token = account(conn, number)

        def work(mine: SyncConnection, who: int, user: User = user, token: str = token) -> object:
            if who % 4 == 0:
                return passwords.verify(mine, user.email, PASSWORD, device=token, policy=FAST)
            return passwords.verify(mine, user.email, WRONG, policy=FAST)

        results = crowd.run(work)
        assert all(isinstance(each, VerifiedPassword) and each.known_device for each in results[::4])
        others = reasons(each for who, each in enumerate(results) if who % 4)
        assert set(others) <= {Reason.WRONG, Reason.LOCKED}
        assert counts(sql, user)[0] == 0


def test_a_device_that_is_forgotten_counts_no_more(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Every attempt is counted once, on the device while it is known or else on the account."""
    for number in range(ROUNDS):
        user, token = account(conn, number)

        def work(mine: SyncConnection, who: int, user: User = user, token: str = token) -> object:
            if who == SIZE // 2:
                return devices.forget_all(mine, user.id)
            return passwords.verify(mine, user.email, WRONG, device=token, policy=FAST)

        results = crowd.run(work)
        assert results[SIZE // 2] == 1
        found = reasons(each for who, each in enumerate(results) if who != SIZE // 2)
        assert set(found) <= {Reason.WRONG, Reason.LOCKED}
        on_account = sql.one("SELECT failed_attempts FROM authsql_users WHERE id = %s", user.id)
        assert on_account <= min(FAST.lock_after, found[Reason.WRONG])
        assert found[Reason.WRONG] <= FAST.device_attempts + FAST.lock_after
