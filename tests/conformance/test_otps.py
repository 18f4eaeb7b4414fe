from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from authsql import PURPOSES, InvalidInput, IssuedCode, Reason, UserNotFound, VerifiedCode, otps, users
from authsql.models import User
from tests.support import FAST, HOUR, KEY, MINUTE, SECOND, Api, Sql, other_than, refused, with_policy

WHO = "ann@example.org"


async def issue(
    api: Api, subject: str | UUID = WHO, purpose: str = "signin", **options: object
) -> IssuedCode:
    issued = await api(otps.issue, subject, purpose, **{"key": KEY, **options})
    assert isinstance(issued, IssuedCode), issued
    return issued


async def verify(
    api: Api, code: str, subject: str | UUID = WHO, purpose: str = "signin", **options: object
) -> object:
    result: object = await api(otps.verify, subject, purpose, code, **{"key": KEY, **options})
    return result


async def test_issue_and_verify(api: Api, sql: Sql, user: User) -> None:
    issued = await issue(api, user_id=user.id)
    assert len(issued.code) == 6
    assert issued.code.isdigit()
    assert issued.issue_id.version == 7
    now = sql.one(f"SELECT {sql.now}")
    assert now + 4 * MINUTE < issued.expires_at <= now + FAST.code_lifetime
    assert issued.expires_at - issued.resend_at == FAST.code_lifetime - FAST.code_resend_after
    assert await verify(api, issued.code) == VerifiedCode(WHO, "signin", issued.issue_id, user.id)
    refused(await verify(api, issued.code), Reason.SPENT)


async def test_without_a_user(api: Api) -> None:
    issued = await issue(api)
    assert await verify(api, issued.code) == VerifiedCode(WHO, "signin", issued.issue_id, None)


@pytest.mark.parametrize("purpose", sorted(PURPOSES))
async def test_each_purpose(api: Api, purpose: str) -> None:
    issued = await issue(api, purpose=purpose)
    assert await verify(api, issued.code, purpose=purpose)


async def test_purposes_of_your_own(api: Api) -> None:
    policy = with_policy(code_purposes=PURPOSES | {"delete-account"})
    issued = await issue(api, purpose="delete-account", policy=policy)
    assert await verify(api, issued.code, purpose="delete-account", policy=policy)
    with pytest.raises(InvalidInput):
        await verify(api, issued.code, purpose="delete-account")


async def test_bound_to_its_purpose(api: Api, sql: Sql) -> None:
    issued = await issue(api)
    refused(await verify(api, issued.code, purpose="password-reset"), Reason.UNKNOWN)
    other = await issue(api, purpose="password-reset")
    if other.code != issued.code:
        refused(await verify(api, issued.code, purpose="password-reset"), Reason.WRONG)
    # Not even a row moved by hand carries it to another purpose.
    sql("DELETE FROM authsql_otps WHERE purpose = 'password-reset'")
    sql("UPDATE authsql_otps SET purpose = 'password-reset'")
    refused(await verify(api, issued.code, purpose="password-reset"), Reason.WRONG)


async def test_bound_to_its_subject(api: Api, sql: Sql) -> None:
    issued = await issue(api)
    refused(await verify(api, issued.code, "bob@example.org"), Reason.UNKNOWN)
    sql("UPDATE authsql_otps SET subject = 'bob@example.org'")
    refused(await verify(api, issued.code, "bob@example.org"), Reason.WRONG)


async def test_bound_to_its_key(api: Api) -> None:
    issued = await issue(api)
    refused(await verify(api, issued.code, key=bytes(32)), Reason.WRONG)
    assert await verify(api, issued.code)


async def test_bound_to_its_issue(api: Api, sql: Sql) -> None:
    issued = await issue(api)
    refused(await verify(api, issued.code, issue_id=uuid4()), Reason.UNKNOWN)
    assert sql.one("SELECT attempts FROM authsql_otps") == 0, "not counted"
    assert await verify(api, issued.code, issue_id=issued.issue_id)
    refused(await verify(api, issued.code, issue_id=uuid4()), Reason.UNKNOWN)
    refused(await verify(api, issued.code, issue_id=issued.issue_id), Reason.SPENT)


async def test_subjects(api: Api, user: User) -> None:
    for subject in (user.id, "+49 30 123456", "x", "é" * 254):
        issued = await issue(api, subject)
        verified = await verify(api, issued.code, subject)
        assert isinstance(verified, VerifiedCode)
        assert verified.subject == str(subject)


async def test_spelling_of_a_subject(api: Api) -> None:
    issued = await issue(api, "José@X.org")
    refused(await verify(api, issued.code, "jose@x.org"), Reason.UNKNOWN)
    verified = await verify(api, issued.code, "JOSE\u0301@x.ORG")
    assert isinstance(verified, VerifiedCode)
    assert verified.subject == "josé@x.org"


async def test_wrong_code_is_counted(api: Api, sql: Sql) -> None:
    issued = await issue(api)
    for left in (4, 3, 2, 1):
        assert refused(await verify(api, other_than(issued.code)), Reason.WRONG).attempts_left == left
    assert await verify(api, issued.code), "the fifth attempt may be right"


async def test_cap_of_attempts(api: Api, sql: Sql) -> None:
    issued = await issue(api)
    for left in (4, 3, 2, 1, 0):
        assert refused(await verify(api, other_than(issued.code)), Reason.WRONG).attempts_left == left
    before = sql.dump()
    refused(await verify(api, issued.code), Reason.EXHAUSTED)
    refused(await verify(api, other_than(issued.code)), Reason.EXHAUSTED)
    assert sql.dump() == before


async def test_cap_of_one(api: Api) -> None:
    issued = await issue(api, policy=with_policy(code_attempts=1))
    assert refused(await verify(api, other_than(issued.code)), Reason.WRONG).attempts_left == 0
    refused(await verify(api, issued.code), Reason.EXHAUSTED)


async def test_unknown(api: Api, sql: Sql) -> None:
    for subject in ("nobody@x.org", "", "x" * 255, "\0", "\ud800", uuid4()):
        refused(await verify(api, "123456", subject), Reason.UNKNOWN)
    assert sql.one("SELECT COUNT(*) FROM authsql_otps") == 0


@pytest.mark.parametrize(
    "code",
    [
        "",
        "12345",
        "1234567",
        "12345x",
        "\u0661" * 6,
        "12345\uff16",
        " 12345",
        "+12345",
        "1_2345",
        "12345\n",
    ],
)
async def test_malformed_is_not_counted(api: Api, sql: Sql, code: str) -> None:
    await issue(api)
    refused(await verify(api, code), Reason.MALFORMED)
    assert sql.one("SELECT attempts FROM authsql_otps") == 0


async def test_digits(api: Api) -> None:
    for digits in (4, 12):
        policy = with_policy(code_digits=digits, code_resend_after=timedelta(0))
        issued = await issue(api, policy=policy)
        assert len(issued.code) == digits
        assert await verify(api, issued.code, policy=policy)


async def test_expiry(api: Api, sql: Sql) -> None:
    issued = await issue(api)
    sql.elapse(FAST.code_lifetime)
    before = sql.dump()
    refused(await verify(api, issued.code), Reason.EXPIRED)
    refused(await verify(api, other_than(issued.code)), Reason.EXPIRED)
    assert sql.dump() == before, "not counted"


async def test_just_before_expiry(api: Api, sql: Sql) -> None:
    issued = await issue(api)
    sql.elapse(FAST.code_lifetime - 20 * SECOND)
    assert await verify(api, issued.code)


@pytest.mark.only("mysql")
async def test_expiry_to_the_microsecond(api: Api) -> None:
    """MySQL lets a session stop its clock: the moment of expiry itself is too late."""

    async def clock(seconds: str) -> None:
        await api.sql(f"SET SESSION timestamp = {seconds}")

    await clock("1900000000.500000")
    issued = await issue(api)
    await clock("1900000300.499999")
    refused(await verify(api, other_than(issued.code)), Reason.WRONG)
    await clock("1900000300.500000")
    refused(await verify(api, issued.code), Reason.EXPIRED)
    # And of the wait between two codes, the moment of its end is over it.
    await clock("1900000060.499999")
    refused(await api(otps.issue, WHO, "signin", key=KEY), Reason.COOLING_DOWN)
    await clock("1900000060.500000")
    await issue(api)


async def test_cooling_down(api: Api, sql: Sql) -> None:
    issued = await issue(api)
    refusal = refused(await api(otps.issue, WHO.upper(), "signin", key=KEY), Reason.COOLING_DOWN)
    assert refusal.retry_at == issued.resend_at
    await issue(api, purpose="password-reset")
    sql.elapse(FAST.code_resend_after - 20 * SECOND)
    refused(await api(otps.issue, WHO, "signin", key=KEY), Reason.COOLING_DOWN)
    assert await verify(api, issued.code), "the refused request changed nothing"
    refused(await api(otps.issue, WHO, "signin", key=KEY), Reason.COOLING_DOWN)


async def test_resend_replaces(api: Api, sql: Sql) -> None:
    first = await issue(api)
    for _ in range(5):
        refused(await verify(api, other_than(first.code)), Reason.WRONG)
    sql.elapse(FAST.code_resend_after)
    second = await issue(api)
    assert second.issue_id != first.issue_id
    refused(await verify(api, first.code, issue_id=first.issue_id), Reason.UNKNOWN)
    if first.code != second.code:
        assert refused(await verify(api, first.code), Reason.WRONG).attempts_left == 4, (
            "with attempts of its own"
        )
    assert await verify(api, second.code, issue_id=second.issue_id)


async def test_resend_after_it_was_spent(api: Api, sql: Sql) -> None:
    assert await verify(api, (await issue(api)).code)
    sql.elapse(FAST.code_resend_after)
    assert await verify(api, (await issue(api)).code)


async def test_resend_may_be_for_another_user(api: Api, sql: Sql, user: User) -> None:
    await issue(api, user_id=user.id)
    sql.elapse(FAST.code_resend_after)
    verified = await verify(api, (await issue(api)).code)
    assert isinstance(verified, VerifiedCode)
    assert verified.user_id is None


async def test_cap_of_the_window(api: Api, sql: Sql) -> None:
    for _ in range(FAST.codes_per_window - 1):
        await issue(api)
        sql.elapse(FAST.code_resend_after)
    issued = await issue(api)
    sql.elapse(FAST.code_resend_after)
    before = sql.dump()
    refusal = refused(await api(otps.issue, WHO, "signin", key=KEY), Reason.TOO_MANY)
    ends = sql.one("SELECT window_ends_at FROM authsql_otps")
    assert refusal.retry_at == ends
    assert sql.dump() == before
    assert await verify(api, issued.code), "the last one stays good"
    sql.elapse(FAST.code_window - 5 * MINUTE - 20 * SECOND)
    refused(await api(otps.issue, WHO, "signin", key=KEY), Reason.TOO_MANY)
    sql.elapse(20 * SECOND)
    for _ in range(FAST.codes_per_window):
        await issue(api)
        sql.elapse(FAST.code_resend_after)
    refused(await api(otps.issue, WHO, "signin", key=KEY), Reason.TOO_MANY)
    await issue(api, "bob@example.org")
    await issue(api, purpose="password-reset")


async def test_wait_is_the_later_of_the_two(api: Api, sql: Sql) -> None:
    policy = with_policy(codes_per_window=1, code_window=MINUTE, code_resend_after=HOUR)
    issued = await issue(api, policy=policy)
    refusal = refused(await api(otps.issue, WHO, "signin", key=KEY, policy=policy), Reason.TOO_MANY)
    assert refusal.retry_at == issued.resend_at


async def test_answer_is_the_same_for_whoever_has_no_account(api: Api, user: User) -> None:
    known, unknown = await issue(api, user.email), await issue(api, "nobody@x.org")
    assert len(known.code) == len(unknown.code)
    for subject in (user.email, "nobody@x.org"):
        refused(await api(otps.issue, subject, "signin", key=KEY), Reason.COOLING_DOWN)


@pytest.mark.parametrize("subject", ["ann ", " ann", "ann\u00a0", "ann@x.org "])
async def test_a_subject_with_a_space_at_an_end(api: Api, sql: Sql, subject: str) -> None:
    """MySQL would take it for the one without."""
    await issue(api, subject="ann")
    with pytest.raises(InvalidInput, match="space"):
        await issue(api, subject=subject)
    assert sql.one("SELECT COUNT(*) FROM authsql_otps") == 1
    await issue(api, subject="ann b")


async def test_user_who_is_not_there(api: Api, sql: Sql) -> None:
    with pytest.raises(UserNotFound):
        await issue(api, user_id=uuid4())
    assert sql.one("SELECT COUNT(*) FROM authsql_otps") == 0


async def test_code_goes_with_its_user(api: Api, sql: Sql, user: User) -> None:
    issued = await issue(api, user_id=user.id)
    await api(users.delete, user.id)
    refused(await verify(api, issued.code), Reason.UNKNOWN)


async def test_short_key(api: Api, sql: Sql) -> None:
    for key in (b"", bytes(31), "x" * 32, None):
        with pytest.raises(InvalidInput, match="32 random bytes"):
            await api(otps.issue, WHO, "signin", key=key)
        with pytest.raises(InvalidInput, match="32 random bytes"):
            await verify(api, "123456", key=key)
    assert sql.one("SELECT COUNT(*) FROM authsql_otps") == 0


async def test_code_written_by_hand(api: Api, sql: Sql) -> None:
    sql(
        "INSERT INTO authsql_otps (subject, purpose, code_hash, expires_at)"
        f" VALUES (%s, 'signin', %s, {sql.before(sql.now, -MINUTE)})",
        WHO,
        bytes(32),
    )
    assert refused(await verify(api, "123456"), Reason.WRONG).attempts_left == 4
    await issue(api)
