from __future__ import annotations

import ipaddress
from datetime import timedelta
from uuid import uuid4

import pytest

from authsql import InvalidInput, NewSession, Reason, Session, refresh_tokens, sessions, users
from authsql.models import User
from tests.conformance.conftest import NewUser, SignIn
from tests.support import (
    DAY,
    FAST,
    HOUR,
    KEY,
    MINUTE,
    SECOND,
    Api,
    Sql,
    make_token,
    refused,
    token_parts,
    with_policy,
)

ROW = "SELECT last_seen_at, expires_at FROM authsql_sessions WHERE id = %s"


async def test_create_and_validate(api: Api, user: User) -> None:
    opened = await api(
        sessions.create, user.id, ip="192.0.2.1", user_agent="Browser/1.0", device="Ann's laptop", aal=2
    )
    assert isinstance(opened, NewSession)
    session = opened.session
    assert opened.ended == 0
    assert (session.user_id, session.ip, session.user_agent) == (user.id, "192.0.2.1", "Browser/1.0")
    assert (session.device, session.aal) == ("Ann's laptop", 2)
    assert session.id.version == 7
    assert session.created_at == session.authenticated_at == session.last_seen_at
    assert session.expires_at == session.created_at + FAST.session_idle
    assert session.absolute_expires_at == session.created_at + FAST.session_absolute
    assert await api(sessions.validate, opened.token) == session
    assert (await api(users.get, user.id)).last_login_at == pytest.approx(
        session.created_at, abs=timedelta(seconds=1)
    )


async def test_create_with_nothing_but_the_account(api: Api, user: User) -> None:
    session = (await api(sessions.create, user.id)).session
    assert session.ip is session.user_agent is session.device is None
    assert session.aal == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        (ipaddress.ip_address("192.0.2.1"), "192.0.2.1"),
        (ipaddress.ip_address("2001:db8::1"), "2001:db8::1"),
    ],
)
async def test_addresses(api: Api, user: User, given: object, kept: str) -> None:
    assert (await api(sessions.create, user.id, ip=given)).session.ip == kept
    [listed] = await api(sessions.list, user.id)
    assert listed.ip == kept


@pytest.mark.parametrize("header", ["", "x" * 10_000, "nul\0, tab\t and \ud800", "é" * 600, "🐘" * 600])
async def test_any_user_agent_may_sign_in(api: Api, user: User, header: str) -> None:
    kept = (await api(sessions.create, user.id, user_agent=header)).session.user_agent
    assert len(kept) == min(len(header), 512)
    assert "\0" not in kept


async def test_create_for_nobody(api: Api, sql: Sql, user: User) -> None:
    await api(users.soft_delete, user.id)
    before = sql.dump()
    for cap in (None, 2):
        refused(await api(sessions.create, user.id, cap=cap), Reason.UNKNOWN)
        refused(await api(sessions.create, uuid4(), cap=cap), Reason.UNKNOWN)
    assert sql.dump() == before


async def test_tokens_of_others(api: Api, user: User, sign_in: SignIn) -> None:
    first, second = await sign_in(), await sign_in()
    prefix, first_id, [first_secret] = token_parts(first.token)
    _, _, [second_secret] = token_parts(second.token)
    assert prefix == "sess_"
    assert first_id == first.session.id
    refused(await api(sessions.validate, make_token(prefix, first_id, second_secret)), Reason.UNKNOWN)
    refused(await api(sessions.validate, make_token(prefix, uuid4(), first_secret)), Reason.UNKNOWN)
    flipped = bytes([first_secret[0] ^ 1]) + first_secret[1:]
    refused(await api(sessions.validate, make_token(prefix, first_id, flipped)), Reason.UNKNOWN)


async def test_malformed_tokens_cost_nothing(api: Api, sign_in: SignIn) -> None:
    token = (await sign_in()).token
    for bad in (
        "",
        token[:-1],
        token + "A",
        token + "=",
        token.removeprefix("sess_"),
        "rfsh_" + token[5:],
        "SESS_" + token[5:],
        " " + token[1:],
        token[:20] + "\n" + token[21:],
        token[:20] + "+" + token[21:],
        token[:20] + "\u0661" + token[21:],
        None,
        token.encode(),
        7,
    ):
        refused(await api(sessions.validate, bad), Reason.MALFORMED)


async def test_one_spelling_of_a_token(api: Api, sign_in: SignIn) -> None:
    """48 bytes fill 64 characters, so that none is left over: each character counts."""
    token = (await sign_in()).token
    assert len(token) == 5 + 64
    last = "A" if token[-1] != "A" else "B"
    refused(await api(sessions.validate, token[:-1] + last), Reason.UNKNOWN)


async def test_idle_end(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    sql.elapse(FAST.session_idle - 20 * SECOND)
    assert await api(sessions.validate, opened.token, touch=False)
    sql.elapse(20 * SECOND)
    before = sql.dump()
    refused(await api(sessions.validate, opened.token), Reason.EXPIRED)
    assert sql.dump() == before, "use after the end does not bring it back"


async def test_use_moves_the_idle_end(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    for _ in range(4):
        sql.elapse(FAST.session_idle - HOUR)
        session = await api(sessions.validate, opened.token)
        assert session.last_seen_at > session.created_at
        [(seen, expires)] = sql(ROW, session.id)
        assert abs(sql.from_sql(seen) - session.last_seen_at) < SECOND
        assert abs(sql.from_sql(expires) - session.expires_at) < SECOND
        assert session.expires_at - session.last_seen_at <= FAST.session_idle


async def test_absolute_end(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    session = opened.session
    for _ in range(5):
        sql.elapse(6 * DAY - MINUTE)
        session = await api(sessions.validate, opened.token)
        assert session.expires_at <= session.absolute_expires_at
    assert session.expires_at == session.absolute_expires_at
    sql.elapse(5 * MINUTE)
    refused(await api(sessions.validate, opened.token), Reason.EXPIRED)


async def test_absolute_end_before_the_idle_one(api: Api, user: User) -> None:
    policy = with_policy(session_absolute=HOUR, session_idle=DAY)
    session = (await api(sessions.create, user.id, policy=policy)).session
    assert session.expires_at == session.absolute_expires_at == session.created_at + HOUR


async def test_touch_is_written_once_a_minute(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    written = sql(ROW, opened.session.id)
    assert await api(sessions.validate, opened.token) == opened.session
    assert sql(ROW, opened.session.id) == written, "not due yet"
    sql.elapse(FAST.session_touch_after - 20 * SECOND)
    written = sql(ROW, opened.session.id)
    await api(sessions.validate, opened.token)
    assert sql(ROW, opened.session.id) == written, "still not due"
    sql.elapse(20 * SECOND)
    first = await api(sessions.validate, opened.token)
    touched = sql(ROW, opened.session.id)
    assert touched[0][0] > written[0][0]
    assert touched[0][1] > written[0][1]
    second = await api(sessions.validate, opened.token)
    assert sql(ROW, opened.session.id) == touched, "twice writes once"
    assert abs(second.last_seen_at - first.last_seen_at) < SECOND


async def test_validate_without_touch_writes_nothing(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    sql.elapse(HOUR)
    before = sql.dump()
    assert await api(sessions.validate, opened.token, touch=False)
    assert sql.dump() == before


async def test_touch_each_time(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    policy = with_policy(session_touch_after=timedelta(0))
    before = sql(ROW, opened.session.id)
    await api(sessions.validate, opened.token, policy=policy)
    assert sql(ROW, opened.session.id) != before


async def test_list(api: Api, sql: Sql, user: User, new_user: NewUser, sign_in: SignIn) -> None:
    first, second, third, ended, late = [await sign_in(device=str(n)) for n in range(5)]
    await sign_in(await new_user())
    await api(sessions.revoke, ended.session.id)
    sql.age("authsql_sessions", ("created_at", "expires_at"), 8 * DAY, id=late.session.id)
    sql.age("authsql_sessions", "last_seen_at", HOUR, id=third.session.id)
    sql.age("authsql_sessions", "last_seen_at", MINUTE, id=second.session.id)
    listed = await api(sessions.list, user.id)
    assert isinstance(listed, tuple)
    assert all(isinstance(each, Session) for each in listed)
    assert [each.id for each in listed] == [first.session.id, second.session.id, third.session.id]
    assert listed[0] == first.session
    assert await api(sessions.list, uuid4()) == ()


async def test_revoke(api: Api, user: User, sign_in: SignIn) -> None:
    opened, other = await sign_in(), await sign_in()
    assert await api(sessions.revoke, opened.session.id) is True
    assert refused(await api(sessions.validate, opened.token), Reason.REVOKED).detail == "revoked"
    assert await api(sessions.revoke, opened.session.id, reason="sign_out") is False
    assert refused(await api(sessions.validate, opened.token), Reason.REVOKED).detail == "revoked"
    assert await api(sessions.revoke, uuid4()) is False
    assert await api(sessions.validate, other.token)
    assert await api(sessions.revoke, other.session.id, reason="sign_out") is True
    assert refused(await api(sessions.validate, other.token), Reason.REVOKED).detail == "sign_out"


async def test_revoked_outdoes_expired(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    await api(sessions.revoke, opened.session.id)
    sql.elapse(8 * DAY)
    refused(await api(sessions.validate, opened.token), Reason.REVOKED)


async def test_revoke_of_another_users(
    api: Api, sql: Sql, user: User, new_user: NewUser, sign_in: SignIn
) -> None:
    opened, stranger = await sign_in(), await new_user()
    before = sql.dump()
    assert await api(sessions.revoke, opened.session.id, user_id=stranger.id) is False
    assert sql.dump() == before
    assert await api(sessions.revoke, opened.session.id, user_id=user.id) is True


async def test_revoke_ends_the_refresh_tokens(api: Api, sign_in: SignIn) -> None:
    opened = await sign_in()
    token = (await api(refresh_tokens.issue, opened.session.id)).token
    await api(sessions.revoke, opened.session.id)
    refused(await api(refresh_tokens.rotate, token), Reason.REVOKED)
    refused(await api(refresh_tokens.issue, opened.session.id), Reason.UNKNOWN)


async def test_revoke_others_and_all(api: Api, user: User, new_user: NewUser, sign_in: SignIn) -> None:
    stranger = await sign_in(await new_user())
    mine = [await sign_in() for _ in range(4)]
    await api(sessions.revoke, mine[3].session.id)
    assert await api(sessions.revoke_others, user.id, mine[0].session.id, reason="tidy-up") == 2
    assert await api(sessions.validate, mine[0].token)
    assert refused(await api(sessions.validate, mine[1].token), Reason.REVOKED).detail == "tidy-up"
    assert refused(await api(sessions.validate, mine[3].token), Reason.REVOKED).detail == "revoked"
    assert await api(sessions.revoke_others, user.id, mine[0].session.id) == 0
    assert await api(sessions.revoke_all, user.id) == 1
    refused(await api(sessions.validate, mine[0].token), Reason.REVOKED)
    assert await api(sessions.revoke_all, user.id) == 0
    assert await api(sessions.validate, stranger.token)


async def test_cap(api: Api, sql: Sql, user: User, new_user: NewUser, sign_in: SignIn) -> None:
    stranger = await sign_in(await new_user())
    first, second, third = [await sign_in(cap=3) for _ in range(3)]
    assert [each.ended for each in (first, second, third)] == [0, 0, 0]
    # The first one was used last, so that the second is the one to go.
    sql.age("authsql_sessions", "last_seen_at", HOUR, id=second.session.id)
    sql.age("authsql_sessions", "last_seen_at", MINUTE, id=third.session.id)
    fourth = await sign_in(cap=3)
    assert fourth.ended == 1
    assert refused(await api(sessions.validate, second.token), Reason.REVOKED).detail == "session_cap"
    live = {each.id for each in await api(sessions.list, user.id)}
    assert live == {first.session.id, third.session.id, fourth.session.id}
    assert (await sign_in(cap=1)).ended == 3
    assert len(await api(sessions.list, user.id)) == 1
    assert await api(sessions.validate, stranger.token)


async def test_cap_does_not_count_the_ended(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    revoked, expired, live = [await sign_in() for _ in range(3)]
    await api(sessions.revoke, revoked.session.id)
    sql.age("authsql_sessions", ("created_at", "expires_at"), 8 * DAY, id=expired.session.id)
    assert (await sign_in(cap=2)).ended == 0
    assert await api(sessions.validate, live.token)
    refused(await api(sessions.validate, expired.token), Reason.EXPIRED)


async def test_cap_of_what_was_never_capped(api: Api, user: User, sign_in: SignIn) -> None:
    for _ in range(5):
        await sign_in()
    assert (await sign_in(cap=2)).ended == 4
    assert len(await api(sessions.list, user.id)) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"aal": 0},
        {"aal": 4},
        {"aal": True},
        {"cap": 0},
        {"cap": -1},
        {"cap": "3"},
        {"ip": "192.0.2.256"},
        {"ip": "192.0.2.1/24"},
        {"device": ""},
        {"device": "x" * 101},
    ],
)
async def test_what_create_refuses_to_take(api: Api, sql: Sql, user: User, wrong: dict[str, object]) -> None:
    before = sql.dump()
    with pytest.raises(InvalidInput):
        await api(sessions.create, user.id, **wrong)
    assert sql.dump() == before


async def test_key_of_codes_is_no_token_of_a_session(api: Api) -> None:
    refused(await api(sessions.validate, make_token("sess_", uuid4(), KEY)), Reason.UNKNOWN)


async def test_what_is_not_touched_keeps_its_times(api: Api, sql: Sql, sign_in: SignIn) -> None:
    opened = await sign_in()
    sql.elapse(HOUR)
    seen, expires = (
        sql.one(f"SELECT {column} FROM authsql_sessions") for column in ("last_seen_at", "expires_at")
    )
    found = await api(sessions.validate, opened.token, touch=False)
    assert (found.last_seen_at.replace(tzinfo=None), found.expires_at.replace(tzinfo=None)) == (
        seen.replace(tzinfo=None),
        expires.replace(tzinfo=None),
    )


async def test_elevate(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in(ip="192.0.2.1", user_agent="Browser", device="Laptop")
    sql.elapse(HOUR)
    elevated = await api(sessions.elevate, opened.token, aal=2)
    assert isinstance(elevated, NewSession)
    session, now = elevated.session, sql.one(f"SELECT {sql.now}")
    assert session.id == opened.session.id, "the same session"
    assert elevated.token != opened.token
    assert session.aal == 2
    assert session.authenticated_at == session.last_seen_at
    assert now - MINUTE < session.authenticated_at <= now
    assert session.expires_at == session.last_seen_at + FAST.session_idle
    assert session.absolute_expires_at == opened.session.absolute_expires_at - HOUR, "which does not move"
    assert session.created_at == opened.session.created_at - HOUR
    assert (session.ip, session.user_agent, session.device) == ("192.0.2.1", "Browser", "Laptop")
    assert await api(sessions.validate, elevated.token) == session
    refused(await api(sessions.validate, opened.token), Reason.UNKNOWN)
    refused(await api(sessions.elevate, opened.token, aal=2), Reason.UNKNOWN)
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions") == 1


async def test_elevate_to_the_same_level(api: Api, user: User, sign_in: SignIn) -> None:
    """The same proof once more: the time of it is new, and the token."""
    opened = await sign_in(aal=2)
    again = await api(sessions.elevate, opened.token, aal=2)
    assert again.session.aal == 2
    assert again.session.authenticated_at > opened.session.authenticated_at
    assert (await api(sessions.elevate, again.token, aal=3)).session.aal == 3


async def test_a_level_is_not_lowered(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in(aal=3)
    before = sql.dump()
    for level in (1, 2):
        refused(await api(sessions.elevate, opened.token, aal=level), Reason.LOWER)
    assert sql.dump() == before
    assert await api(sessions.validate, opened.token) == opened.session


async def test_elevate_ends_the_refresh_tokens(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened, other = await sign_in(), await sign_in()
    tokens = [(await api(refresh_tokens.issue, opened.session.id)).token]
    tokens.append((await api(refresh_tokens.rotate, tokens[0])).token)
    others = (await api(refresh_tokens.issue, other.session.id)).token
    elevated = await api(sessions.elevate, opened.token, aal=2)
    for token in tokens:
        # The one before is within the grace, and would be answered with the current one.
        refused(await api(refresh_tokens.rotate, token), Reason.UNKNOWN)
    assert await api(sessions.validate, elevated.token), "and is no theft"
    fresh = await api(refresh_tokens.issue, opened.session.id)
    assert (await api(refresh_tokens.rotate, fresh.token)).aal == 2
    assert (await api(refresh_tokens.rotate, others)).aal == 1


async def test_elevate_what_is_not_live(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    revoked, expired, stranger = await sign_in(), await sign_in(), await sign_in()
    await api(sessions.revoke, revoked.session.id, reason="sign_out")
    sql.age("authsql_sessions", ("created_at", "expires_at"), FAST.session_idle, id=expired.session.id)
    prefix, _, [secret] = token_parts(stranger.token)
    before = sql.dump()
    assert refused(await api(sessions.elevate, revoked.token, aal=2), Reason.REVOKED).detail == "sign_out"
    refused(await api(sessions.elevate, expired.token, aal=2), Reason.EXPIRED)
    refused(await api(sessions.elevate, make_token(prefix, uuid4(), secret), aal=2), Reason.UNKNOWN)
    wrong = make_token(prefix, stranger.session.id, bytes(32))
    refused(await api(sessions.elevate, wrong, aal=2), Reason.UNKNOWN)
    refused(await api(sessions.elevate, "sess_", aal=2), Reason.MALFORMED)
    assert sql.dump() == before


@pytest.mark.parametrize("level", [0, 4, True, "2", None])
async def test_elevate_to_no_level(api: Api, user: User, sign_in: SignIn, level: object) -> None:
    opened = await sign_in()
    for token in (opened.token, "sess_"):
        with pytest.raises(InvalidInput, match="aal"):
            await api(sessions.elevate, token, aal=level)


async def test_elevated_session_does_not_outlive_its_absolute_end(
    api: Api, sql: Sql, user: User, sign_in: SignIn
) -> None:
    opened = await sign_in()
    columns = ("created_at", "authenticated_at", "last_seen_at", "absolute_expires_at")
    sql.age("authsql_sessions", (*columns, "expires_at"), FAST.session_idle - HOUR)
    sql.age("authsql_sessions", columns, FAST.session_absolute - FAST.session_idle)
    elevated = await api(sessions.elevate, opened.token, aal=2)
    assert elevated.session.expires_at == elevated.session.absolute_expires_at


async def test_is_live(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    """By its id alone, for who learned that from an access token."""
    opened = (await sign_in()).session
    before = sql.dump()
    assert await api(sessions.is_live, opened.id) is True
    assert await api(sessions.is_live, user.id) is False
    assert sql.dump() == before
    await api(sessions.revoke, opened.id)
    assert await api(sessions.is_live, opened.id) is False
    opened = (await sign_in()).session
    sql.elapse(FAST.session_idle - MINUTE)
    assert await api(sessions.is_live, opened.id) is True
    sql.elapse(MINUTE)
    assert await api(sessions.is_live, opened.id) is False
    opened = (await sign_in()).session
    await api(users.soft_delete, user.id)
    assert await api(sessions.is_live, opened.id) is False
