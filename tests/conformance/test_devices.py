"""Known devices, and passwords that come from them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from authsql import InvalidInput, KnownDevice, NewDevice, Reason, devices, maintenance, passwords, users
from authsql.models import User, VerifiedPassword
from tests.conformance.conftest import NewUser
from tests.flows import before
from tests.support import (
    DAY,
    FAST,
    HOUR,
    MINUTE,
    PASSWORD,
    Api,
    Sql,
    make_token,
    refused,
    token_parts,
    with_policy,
)

WRONG = "a wrong password"


async def remember(api: Api, user_id: UUID, **options: Any) -> NewDevice:
    made = await api(devices.remember, user_id, **options)
    assert isinstance(made, NewDevice), made
    return made


def count(sql: Sql, table: str = "authsql_known_devices") -> int:
    found: int = sql.one(f"SELECT failed_attempts FROM {table}")
    return found


async def test_remember(api: Api, sql: Sql, user: User) -> None:
    made = await remember(api, user.id, name="Laptop")
    device = made.device
    assert isinstance(device, KnownDevice)
    assert (device.user_id, device.name, device.trusted_until) == (user.id, "Laptop", None)
    assert device.created_at == device.last_used_at
    assert device.expires_at - device.created_at == FAST.device_lifetime
    prefix, device_id, secrets = token_parts(made.token)
    assert (prefix, device_id, len(secrets)) == ("devc_", device.id, 1)
    assert made.token not in repr(made)
    assert await api(devices.list, user.id) == (device,)
    assert await api(devices.is_trusted, user.id, made.token) is False


async def test_no_live_account(api: Api, sql: Sql, user: User) -> None:
    refused(await api(devices.remember, uuid4()), Reason.UNKNOWN)
    await api(users.soft_delete, user.id)
    refused(await api(devices.remember, user.id), Reason.UNKNOWN)
    assert await api(devices.list, user.id) == ()
    assert sql.one("SELECT COUNT(*) FROM authsql_known_devices") == 0


async def test_trust(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    made = await remember(api, user.id, trust_for=30 * DAY)
    assert made.device.trusted_until == made.device.created_at + 30 * DAY
    assert await api(devices.is_trusted, user.id, made.token) is True
    other = await new_user()
    assert await api(devices.is_trusted, other.id, made.token) is False
    [secret] = token_parts(made.token)[2]
    forged = make_token("devc_", made.device.id, bytes(byte ^ 1 for byte in secret))
    for token in (forged, made.token[:-1], made.token.replace("devc_", "sess_"), "", None, 7):
        assert await api(devices.is_trusted, user.id, token) is False
    sql.elapse(30 * DAY - HOUR)
    assert await api(devices.is_trusted, user.id, made.token) is True
    sql.elapse(HOUR)
    assert await api(devices.is_trusted, user.id, made.token) is False
    assert await api(devices.list, user.id), "it is known still"


async def test_trust_is_within_the_lifetime(api: Api, sql: Sql, user: User) -> None:
    longest = FAST.device_lifetime
    for span in (timedelta(0), -DAY, longest + DAY, 30, "30 days"):
        with pytest.raises(InvalidInput):
            await api(devices.remember, user.id, trust_for=span)
    assert await api(devices.list, user.id) == ()
    assert (await remember(api, user.id, trust_for=longest)).device.trusted_until


async def test_a_device_that_guesses_is_not_trusted(api: Api, sql: Sql, user: User) -> None:
    """Whoever has its cookie and not the password does not have the second factor either."""
    policy = with_policy(device_attempts=2, lock_after=100)
    token = (await remember(api, user.id, trust_for=DAY)).token
    for trusted in (True, False):
        await api(passwords.verify, user.email, WRONG, device=token, policy=policy)
        assert await api(devices.is_trusted, user.id, token, policy=policy) is trusted
    assert (
        await api(passwords.verify, user.email, PASSWORD, device=token, policy=policy)
    ).known_device is False
    assert await api(devices.is_trusted, user.id, token, policy=policy) is False


async def test_list_and_forget(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    other = await new_user()
    mine = [await remember(api, user.id, name=str(n)) for n in range(3)]
    theirs = await remember(api, other.id)
    sql.elapse(DAY)
    await api(passwords.verify, user.email, PASSWORD, device=mine[0].token, policy=FAST)
    assert [each.name for each in await api(devices.list, user.id)] == ["0", "2", "1"]
    assert await api(devices.forget, user.id, theirs.device.id) is False
    assert await api(devices.forget, user.id, mine[1].device.id) is True
    assert await api(devices.forget, user.id, mine[1].device.id) is False
    assert await api(devices.forget_all, user.id) == 2
    assert await api(devices.forget_all, user.id) == 0
    assert len(await api(devices.list, other.id)) == 1
    assert await api(users.delete, other.id)
    assert sql.one("SELECT COUNT(*) FROM authsql_known_devices") == 0


async def test_its_time_ends_and_is_prolonged_by_use(api: Api, sql: Sql, user: User) -> None:
    used, unused = (await remember(api, user.id)).token, (await remember(api, user.id)).token
    sql.elapse(FAST.device_lifetime - DAY)
    assert (await api(passwords.verify, user.email, PASSWORD, device=used, policy=FAST)).known_device
    sql.elapse(DAY)
    [left] = await api(devices.list, user.id)
    assert left.id == token_parts(used)[1]
    assert left.expires_at - left.last_used_at == FAST.device_lifetime
    assert not (await api(passwords.verify, user.email, PASSWORD, device=unused, policy=FAST)).known_device
    await api(maintenance.purge)
    assert sql.one("SELECT COUNT(*) FROM authsql_known_devices") == 1
    shorter = with_policy(device_lifetime=DAY)
    assert await api(passwords.verify, user.email, PASSWORD, device=used, policy=shorter)
    assert (await api(devices.list, user.id))[0].expires_at >= left.expires_at, "never cut short"


async def test_a_lock_that_others_brought_does_not_matter(api: Api, sql: Sql, user: User) -> None:
    token = (await remember(api, user.id)).token
    for _ in range(FAST.lock_after):
        refused(await api(passwords.verify, user.email, WRONG, policy=FAST), Reason.WRONG)
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)
    locked_until = sql.one("SELECT locked_until FROM authsql_users")
    found = await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST)
    assert found == VerifiedPassword(user.id, must_change=False, email_verified=False, known_device=True)
    assert count(sql, "authsql_users") == 0, "a success ends the row of failures"
    assert sql.one("SELECT locked_until FROM authsql_users") == locked_until, "the lock stays for the others"
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)


async def test_its_failures_are_its_own(api: Api, sql: Sql, user: User) -> None:
    token = (await remember(api, user.id)).token
    await api(passwords.verify, user.email, WRONG, policy=FAST)
    for number in range(1, FAST.device_attempts):
        refusal = refused(
            await api(passwords.verify, user.email, WRONG, device=token, policy=FAST), Reason.WRONG
        )
        assert refusal.retry_at is None
        assert (count(sql), count(sql, "authsql_users")) == (number, 1)
    assert await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST)
    assert (count(sql), count(sql, "authsql_users")) == (0, 0)


async def test_after_too_many_it_is_a_device_like_any_other(api: Api, sql: Sql, user: User) -> None:
    token = (await remember(api, user.id)).token
    for _ in range(FAST.device_attempts):
        refused(await api(passwords.verify, user.email, WRONG, device=token, policy=FAST), Reason.WRONG)
    assert (count(sql), count(sql, "authsql_users")) == (FAST.device_attempts, 0)
    refusals = [
        await api(passwords.verify, user.email, WRONG, device=token, policy=FAST)
        for _ in range(FAST.lock_after)
    ]
    assert [each.retry_at is not None for each in refusals] == [False] * 4 + [True]
    refused(await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST), Reason.LOCKED)
    assert (count(sql), count(sql, "authsql_users")) == (FAST.device_attempts, FAST.lock_after)
    sql.elapse(2 * MINUTE)
    found = await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST)
    assert found.known_device is False, "so that it can be remembered anew"


async def test_a_blocked_account_is_blocked_for_all(api: Api, sql: Sql, user: User) -> None:
    token = (await remember(api, user.id)).token
    sql(f"UPDATE authsql_users SET failed_attempts = {FAST.block_after}")
    untouched = sql.state()
    refusal = await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST)
    assert refused(refusal, Reason.BLOCKED).retry_at is None
    assert sql.state() == untouched


async def test_what_is_no_device_of_the_account(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    """The attempt counts on the account."""
    other = await new_user()
    token = (await remember(api, other.id)).token
    made = await remember(api, user.id)
    [secret] = token_parts(made.token)[2]
    forged = make_token("devc_", made.device.id, bytes(byte ^ 1 for byte in secret))
    policy = with_policy(lock_after=100)
    for number, given in enumerate((token, forged, "", "devc_", made.token + "=", 7, object()), 1):
        refused(await api(passwords.verify, user.email, WRONG, device=given, policy=policy), Reason.WRONG)
        assert sql.one("SELECT failed_attempts FROM authsql_users WHERE id = %s", user.id) == number
    assert sql.one("SELECT SUM(failed_attempts) FROM authsql_known_devices") == 0
    by_id = await api(passwords.verify, user.id, PASSWORD, device=made.token, policy=policy)
    assert by_id.known_device is False, "for an account by its id, a device does not matter"


async def test_of_an_account_that_is_gone(api: Api, sql: Sql, user: User) -> None:
    token = (await remember(api, user.id)).token
    await api(users.soft_delete, user.id)
    untouched = sql.state()
    refused(await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST), Reason.WRONG)
    assert sql.state() == untouched


async def test_of_an_account_without_a_password(api: Api, sql: Sql, new_user: NewUser) -> None:
    user = await new_user("a@x.org", None)
    token = (await remember(api, user.id)).token
    refused(await api(passwords.verify, "a@x.org", WRONG, device=token, policy=FAST), Reason.WRONG)
    assert count(sql) == 1


async def test_a_password_that_is_changed_while_it_is_checked(
    api: Api, sql: Sql, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await remember(api, user.id)).token
    other = sql.database.connect()

    def change() -> None:
        monkeypatch.undo()
        assert passwords.set(other, user.id, "another password", policy=FAST)

    before(monkeypatch, {"passwords.succeed_from_device": change})
    refused(await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST), Reason.CHANGED)
    assert count(sql) == 1


async def test_a_device_that_is_forgotten_while_it_is_used(
    api: Api, sql: Sql, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password is right all the same."""
    token = (await remember(api, user.id)).token
    other = sql.database.connect()

    def forget() -> None:
        monkeypatch.undo()
        assert devices.forget_all(other, user.id) == 1

    before(monkeypatch, {"passwords.succeed_from_device": forget})
    assert await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST)
