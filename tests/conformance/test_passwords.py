from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from argon2.profiles import CHEAPEST

from authsql import (
    InvalidInput,
    Policy,
    Reason,
    UnknownHash,
    VerifiedPassword,
    passwords,
    refresh_tokens,
    sessions,
    users,
)
from authsql import _passwords as hashing
from authsql.models import User
from tests.conformance.conftest import NewUser, SignIn
from tests.support import DAY, FAST, HOUR, MINUTE, PASSWORD, SECOND, Api, Sql, refused, with_policy

NEW = "another password"


async def fail(api: Api, who: object, times: int = 1) -> None:
    for _ in range(times):
        refused(await api(passwords.verify, who, "wrong password", policy=FAST), Reason.WRONG)


def failures(sql: Sql, user: User) -> int:
    found: int = sql.one("SELECT failed_attempts FROM authsql_users WHERE id = %s", user.id)
    return found


async def test_verify(api: Api, user: User) -> None:
    expected = VerifiedPassword(user.id, must_change=False, email_verified=False)
    assert await api(passwords.verify, user.email, PASSWORD, policy=FAST) == expected
    assert await api(passwords.verify, user.email.upper(), PASSWORD, policy=FAST) == expected
    assert await api(passwords.verify, user.id, PASSWORD, policy=FAST) == expected


async def test_verify_tells_what_the_caller_must_know(api: Api, user: User) -> None:
    await api(users.mark_email_verified, user.id, user.email)
    await api(passwords.set, user.id, PASSWORD, must_change=True, policy=FAST)
    assert await api(passwords.verify, user.email, PASSWORD, policy=FAST) == VerifiedPassword(
        user.id, must_change=True, email_verified=True
    )
    assert await api(passwords.change, user.id, PASSWORD, NEW, policy=FAST) is True
    assert not (await api(passwords.verify, user.email, NEW, policy=FAST)).must_change


@pytest.mark.parametrize(
    "wrong", ["wrong password", "", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper(), "x" * 5000]
)
async def test_wrong(api: Api, user: User, wrong: str) -> None:
    refusal = refused(await api(passwords.verify, user.email, wrong, policy=FAST), Reason.WRONG)
    assert refusal.retry_at is None
    assert refused(await api(passwords.verify, user.id, wrong, policy=FAST), Reason.WRONG) == refusal


async def test_unknown_accounts_are_wrong(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    before = sql.dump()
    for who in ("nobody@x.org", uuid4(), "no address", "", "\0"):
        assert refused(await api(passwords.verify, who, PASSWORD, policy=FAST), Reason.WRONG).retry_at is None
    assert sql.dump() == before


async def test_account_without_a_password_is_wrong_and_counted(api: Api, sql: Sql, new_user: NewUser) -> None:
    bare = await new_user(password=None)
    refused(await api(passwords.verify, bare.email, PASSWORD, policy=FAST), Reason.WRONG)
    assert failures(sql, bare) == 1


async def test_work_is_the_same_for_unknown_accounts(
    api: Api, user: User, new_user: NewUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str | None] = []
    original = hashing.candidate

    def candidate(form: str | None, password: str, policy: Policy) -> str:
        checked.append(form)
        return original(form, password, policy)

    monkeypatch.setattr(passwords, "candidate", candidate)
    bare = await new_user(password=None)
    for who in (user.email, "nobody@x.org", bare.email, uuid4()):
        refused(await api(passwords.verify, who, "wrong password", policy=FAST), Reason.WRONG)
    assert len(checked) == 4
    assert [each is None for each in checked] == [False, True, True, True]


async def test_spellings_of_unicode_are_one_password(api: Api, new_user: NewUser) -> None:
    user = await new_user(password="pässword-é")
    assert await api(passwords.verify, user.id, "pa\u0308ssword-e\u0301", policy=FAST)


async def test_any_character_is_good_in_a_password(api: Api, new_user: NewUser) -> None:
    for password in (
        "nul\0and\ttab\n",
        " spaces at the ends ",
        "🐘🐬" * 4,
        "x" * FAST.password_max_length,
    ):
        user = await new_user(password=password)
        assert await api(passwords.verify, user.id, password, policy=FAST), password
        refused(await api(passwords.verify, user.id, password.strip() + "y", policy=FAST), Reason.WRONG)


@pytest.mark.parametrize("length", [7, 1025])
async def test_length_of_a_new_password(api: Api, sql: Sql, user: User, length: int) -> None:
    before = sql.dump()
    with pytest.raises(InvalidInput, match="8 to 1024"):
        await api(passwords.set, user.id, "x" * length, policy=FAST)
    with pytest.raises(InvalidInput, match="8 to 1024"):
        await api(passwords.change, user.id, PASSWORD, "x" * length, policy=FAST)
    assert sql.dump() == before


async def test_set_for_nobody(api: Api, user: User) -> None:
    assert await api(passwords.set, uuid4(), PASSWORD, policy=FAST) is False
    await api(users.soft_delete, user.id)
    assert await api(passwords.set, user.id, NEW, policy=FAST) is False


async def test_set_replaces_and_ends_sessions_but_one(api: Api, user: User, sign_in: SignIn) -> None:
    kept, ended = await sign_in(), await sign_in()
    assert await api(passwords.set, user.id, NEW, keep_session=kept.session.id, policy=FAST) is True
    assert await api(sessions.validate, kept.token)
    assert refused(await api(sessions.validate, ended.token), Reason.REVOKED).detail == "password_change"
    refused(await api(passwords.verify, user.id, PASSWORD, policy=FAST), Reason.WRONG)
    assert await api(passwords.verify, user.id, NEW, policy=FAST)
    assert await api(passwords.set, user.id, PASSWORD, policy=FAST) is True
    refused(await api(sessions.validate, kept.token), Reason.REVOKED)


async def test_set_of_the_same_password_ends_sessions_too(api: Api, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    assert await api(passwords.set, user.id, PASSWORD, policy=FAST) is True
    refused(await api(sessions.validate, opened.token), Reason.REVOKED)


async def test_first_password_leaves_sessions(api: Api, new_user: NewUser, sign_in: SignIn) -> None:
    user = await new_user(password=None)
    opened = await sign_in(user)
    assert await api(passwords.set, user.id, PASSWORD, policy=FAST) is True
    assert await api(sessions.validate, opened.token)


async def test_keep_session_spares_nobody_elses(
    api: Api, sql: Sql, user: User, new_user: NewUser, sign_in: SignIn
) -> None:
    mine, other = await sign_in(), await sign_in(await new_user())
    assert await api(passwords.set, user.id, NEW, keep_session=other.session.id, policy=FAST) is True
    refused(await api(sessions.validate, mine.token), Reason.REVOKED)
    assert await api(sessions.validate, other.token)
    assert sql.one("SELECT COUNT(*) FROM authsql_passwords WHERE keep_session_id IS NOT NULL") == 0


async def test_set_clears_the_lock(api: Api, sql: Sql, user: User) -> None:
    await fail(api, user.email, 5)
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)
    assert await api(passwords.set, user.id, NEW, policy=FAST)
    assert await api(passwords.verify, user.email, NEW, policy=FAST)
    assert failures(sql, user) == 0


async def test_change(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    kept, ended = await sign_in(), await sign_in()
    await fail(api, user.id, 2)
    assert (
        await api(passwords.change, user.id, PASSWORD, NEW, keep_session=kept.session.id, policy=FAST) is True
    )
    assert failures(sql, user) == 0
    assert await api(sessions.validate, kept.token)
    assert refused(await api(sessions.validate, ended.token), Reason.REVOKED).detail == "password_change"
    assert await api(passwords.verify, user.id, NEW, policy=FAST)


async def test_change_with_a_wrong_old_one(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    for _ in range(4):
        assert (
            refused(
                await api(passwords.change, user.id, "wrong one", NEW, policy=FAST), Reason.WRONG
            ).retry_at
            is None
        )
    assert failures(sql, user) == 4
    assert refused(await api(passwords.change, user.id, "wrong one", NEW, policy=FAST), Reason.WRONG).retry_at
    assert refused(await api(passwords.change, user.id, PASSWORD, NEW, policy=FAST), Reason.LOCKED).retry_at
    assert await api(sessions.validate, opened.token)
    sql.elapse(HOUR)
    assert await api(passwords.verify, user.id, PASSWORD, policy=FAST)
    refused(await api(passwords.change, uuid4(), PASSWORD, NEW, policy=FAST), Reason.WRONG)


async def test_change_to_the_same(api: Api, sql: Sql, user: User) -> None:
    with pytest.raises(InvalidInput, match="another than the old"):
        await api(passwords.change, user.id, PASSWORD, PASSWORD, policy=FAST)
    assert failures(sql, user) == 0


async def test_change_that_was_too_slow(
    api: Api, sql: Sql, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another password is set while this one is being checked."""
    original = hashing.candidate

    def candidate(form: str | None, password: str, policy: Policy) -> str:
        sql.age("authsql_passwords", "changed_at", -SECOND)
        return original(form, password, policy)

    monkeypatch.setattr(passwords, "candidate", candidate)
    refused(await api(passwords.verify, user.id, PASSWORD, policy=FAST), Reason.CHANGED)
    assert failures(sql, user) == 1, "nothing was cleared"
    refused(await api(passwords.change, user.id, PASSWORD, NEW, policy=FAST), Reason.CHANGED)
    monkeypatch.undo()
    assert await api(passwords.verify, user.id, PASSWORD, policy=FAST)


async def test_deleted_while_being_checked(
    api: Api, sql: Sql, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = hashing.candidate

    def candidate(form: str | None, password: str, policy: Policy) -> str:
        sql(f"UPDATE authsql_users SET deleted_at = {sql.now} WHERE id = %s", user.id)
        return original(form, password, policy)

    monkeypatch.setattr(passwords, "candidate", candidate)
    refused(await api(passwords.verify, user.id, PASSWORD, policy=FAST), Reason.CHANGED)


async def test_lock_and_its_end(api: Api, sql: Sql, user: User) -> None:
    await fail(api, user.email, 4)
    assert (await api(users.get, user.id)).locked_until is None
    refusal = refused(await api(passwords.verify, user.email, "wrong password", policy=FAST), Reason.WRONG)
    assert refusal.retry_at is not None
    assert refusal.retry_at == (await api(users.get, user.id)).locked_until
    before = sql.dump()
    locked = refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)
    assert locked.retry_at == refusal.retry_at
    assert sql.dump() == before, "nothing is counted while locked"
    sql.elapse(MINUTE - 20 * SECOND)
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)
    sql.elapse(20 * SECOND)
    assert await api(passwords.verify, user.email, PASSWORD, policy=FAST)
    assert failures(sql, user) == 0
    assert (await api(users.get, user.id)).locked_until is None


async def test_lock_doubles_and_its_end_does_not_reset_the_count(api: Api, sql: Sql, user: User) -> None:
    await fail(api, user.email, 4)
    for minutes in (1, 2, 4, 8):
        refusal = refused(await api(passwords.verify, user.id, "wrong password", policy=FAST), Reason.WRONG)
        assert refusal.retry_at is not None
        length = refusal.retry_at - sql.one(f"SELECT {sql.now}")
        assert timedelta(minutes=minutes) - 15 * SECOND < length <= timedelta(minutes=minutes)
        sql.elapse(timedelta(minutes=minutes))
    assert failures(sql, user) == 8
    assert await api(passwords.verify, user.id, PASSWORD, policy=FAST), "the right one still opens it"
    await fail(api, user.email, 4)
    assert (await api(users.get, user.id)).locked_until is None, "and the doubling begins anew"


async def test_success_clears_the_count(api: Api, sql: Sql, user: User) -> None:
    for _ in range(3):
        await fail(api, user.email, 4)
        assert await api(passwords.verify, user.email, PASSWORD, policy=FAST)
    assert failures(sql, user) == 0


async def test_the_attempt_that_reaches_the_limit_may_be_right(api: Api, sql: Sql, user: User) -> None:
    await fail(api, user.email, 4)
    assert await api(passwords.verify, user.email, PASSWORD, policy=FAST)
    assert (await api(users.get, user.id)).locked_until is None


@pytest.mark.parametrize("count", [20, 50, 98])
async def test_longest_lock(api: Api, sql: Sql, user: User, count: int) -> None:
    sql("UPDATE authsql_users SET failed_attempts = %s WHERE id = %s", count, user.id)
    refusal = refused(await api(passwords.verify, user.id, "wrong password", policy=FAST), Reason.WRONG)
    assert refusal.retry_at is not None
    length = refusal.retry_at - sql.one(f"SELECT {sql.now}")
    assert DAY - MINUTE < length <= DAY


async def test_block(api: Api, sql: Sql, user: User) -> None:
    sql("UPDATE authsql_users SET failed_attempts = 99 WHERE id = %s", user.id)
    refused(await api(passwords.verify, user.id, "wrong password", policy=FAST), Reason.WRONG)
    for by in (timedelta(0), 2 * DAY, 1000 * DAY):
        sql.elapse(by)
        refused(await api(passwords.verify, user.id, PASSWORD, policy=FAST), Reason.BLOCKED)
        refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.BLOCKED)
        refused(await api(passwords.change, user.id, PASSWORD, NEW, policy=FAST), Reason.BLOCKED)
    assert failures(sql, user) == 100
    assert await api(passwords.set, user.id, NEW, policy=FAST)
    assert await api(passwords.verify, user.id, NEW, policy=FAST)


async def test_other_limits(api: Api, sql: Sql, user: User) -> None:
    policy = with_policy(lock_after=2, lock_base=HOUR, lock_max=90 * MINUTE, block_after=4)
    refused(await api(passwords.verify, user.id, "wrong password", policy=policy), Reason.WRONG)
    for longest in (HOUR, 90 * MINUTE):
        refusal = refused(await api(passwords.verify, user.id, "wrong password", policy=policy), Reason.WRONG)
        assert refusal.retry_at is not None
        length = refusal.retry_at - sql.one(f"SELECT {sql.now}")
        assert longest - MINUTE < length <= longest
        sql.elapse(longest)
    refused(await api(passwords.verify, user.id, "wrong password", policy=policy), Reason.WRONG)
    sql.elapse(DAY)
    refused(await api(passwords.verify, user.id, PASSWORD, policy=policy), Reason.BLOCKED)


async def test_rehash_when_the_parameters_changed(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    question = "SELECT hash FROM authsql_passwords WHERE user_id = %s"
    before, changed = sql.one(question, user.id), sql.one("SELECT changed_at FROM authsql_passwords")
    assert await api(passwords.verify, user.id, PASSWORD, policy=FAST)
    assert sql.one(question, user.id) == before, "the parameters are the same"
    stronger = with_policy(argon2=replace(CHEAPEST, time_cost=CHEAPEST.time_cost + 1))
    refused(await api(passwords.verify, user.id, "wrong password", policy=stronger), Reason.WRONG)
    assert sql.one(question, user.id) == before
    assert await api(passwords.verify, user.id, PASSWORD, policy=stronger)
    after = sql.one(question, user.id)
    assert after != before
    assert ",t=2," in after
    assert sql.one("SELECT changed_at FROM authsql_passwords") == changed
    assert sql.one("SELECT rehashed_at FROM authsql_passwords") is not None
    assert await api(sessions.validate, opened.token), "a new hash of the same password ends nothing"
    assert await api(passwords.verify, user.id, PASSWORD, policy=stronger)
    assert sql.one(question, user.id) == after
    assert await api(passwords.set, user.id, NEW, policy=stronger)
    refused(await api(sessions.validate, opened.token), Reason.REVOKED)


async def test_update_by_hand_ends_sessions(
    api: Api, sql: Sql, user: User, sign_in: SignIn, new_user: NewUser
) -> None:
    opened, other = await sign_in(), await sign_in(await new_user())
    token = (await api(refresh_tokens.issue, opened.session.id)).token
    question = "SELECT changed_at FROM authsql_passwords WHERE user_id = %s"
    before = sql.one(question, user.id)
    sql("UPDATE authsql_passwords SET hash = '$argon2id$v=19$typed-by-hand' WHERE user_id = %s", user.id)
    assert sql.one(question, user.id) > before
    assert refused(await api(sessions.validate, opened.token), Reason.REVOKED).detail == "password_change"
    refused(await api(refresh_tokens.rotate, token), Reason.REVOKED)
    assert await api(sessions.validate, other.token)


async def test_update_by_hand_of_something_else_ends_nothing(
    api: Api, sql: Sql, user: User, sign_in: SignIn
) -> None:
    opened = await sign_in()
    sql(f"UPDATE authsql_passwords SET must_change_since = {sql.now} WHERE user_id = %s", user.id)
    sql("UPDATE authsql_passwords SET hash = hash WHERE user_id = %s", user.id)
    assert await api(sessions.validate, opened.token)


@pytest.mark.parametrize("stored", ["$argon2id$v=19$m=8,t=1,p=1$broken", "$2b$12$0123456789012345678901"])
async def test_unknown_hash(api: Api, sql: Sql, user: User, stored: str) -> None:
    sql("UPDATE authsql_passwords SET hash = %s WHERE user_id = %s", stored, user.id)
    with pytest.raises(UnknownHash):
        await api(passwords.verify, user.id, PASSWORD, policy=FAST)
    assert failures(sql, user) == 1, "it was counted all the same"
