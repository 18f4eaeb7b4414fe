from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from authsql import Reason, RefreshToken, RotatedToken, refresh_tokens, sessions
from authsql.models import NewSession, User
from tests.conformance.conftest import SignIn
from tests.support import (
    DAY,
    FAST,
    HOUR,
    MINUTE,
    SECOND,
    Api,
    Sql,
    make_token,
    refused,
    token_parts,
    with_policy,
)


@pytest.fixture
async def opened(sign_in: SignIn) -> NewSession:
    return await sign_in(aal=2)


@pytest.fixture
async def issued(api: Api, opened: NewSession) -> RefreshToken:
    found = await api(refresh_tokens.issue, opened.session.id)
    assert isinstance(found, RefreshToken)
    return found


@pytest.fixture
def rotate(api: Api) -> Callable[[str], Awaitable[RotatedToken]]:
    """Rotate, and expect no refusal."""

    async def call(token: str) -> RotatedToken:
        found = await api(refresh_tokens.rotate, token, policy=FAST)
        assert isinstance(found, RotatedToken), found
        return found

    return call


Rotate = Callable[[str], Awaitable[RotatedToken]]


async def test_issue(api: Api, sql: Sql, opened: NewSession, issued: RefreshToken) -> None:
    assert issued.session_id == opened.session.id
    prefix, session_id, [family, current] = token_parts(issued.token)
    assert (prefix, session_id) == ("rfsh_", opened.session.id)
    assert family != current
    now = sql.one(f"SELECT {sql.now}")
    assert now + FAST.refresh_lifetime - MINUTE < issued.expires_at <= now + FAST.refresh_lifetime


async def test_rotate(api: Api, user: User, opened: NewSession, issued: RefreshToken, rotate: Rotate) -> None:
    first = await rotate(issued.token)
    assert (first.session_id, first.user_id) == (opened.session.id, user.id)
    assert (first.aal, first.authenticated_at) == (2, opened.session.authenticated_at)
    assert (first.generation, first.repeated) == (1, False)
    assert token_parts(first.token)[2][0] == token_parts(issued.token)[2][0], "one family"
    assert token_parts(first.token)[2][1] != token_parts(issued.token)[2][1]
    second = await rotate(first.token)
    assert (second.generation, second.repeated) == (2, False)
    third = await rotate(second.token)
    assert third.generation == 3
    assert len({issued.token, first.token, second.token, third.token}) == 4


async def test_lost_answer(
    api: Api, sql: Sql, opened: NewSession, issued: RefreshToken, rotate: Rotate
) -> None:
    first = await rotate(issued.token)
    before = sql.dump()
    again = await rotate(issued.token)
    assert again.repeated
    assert (again.token, again.generation, again.expires_at) == (first.token, 1, first.expires_at)
    assert (again.user_id, again.aal, again.session_id) == (first.user_id, first.aal, first.session_id)
    assert sql.dump() == before
    sql.elapse(FAST.refresh_grace - 5 * SECOND)
    assert (await rotate(issued.token)).token == first.token
    assert (await rotate(first.token)).generation == 2, "and the chain goes on"
    assert await api(sessions.validate, opened.token)


async def test_reuse_ends_the_session(
    api: Api, sql: Sql, opened: NewSession, issued: RefreshToken, rotate: Rotate
) -> None:
    first = await rotate(issued.token)
    sql.elapse(FAST.refresh_grace)
    refused(await api(refresh_tokens.rotate, issued.token), Reason.REUSED)
    ended = refused(await api(sessions.validate, opened.token), Reason.REVOKED)
    assert ended.detail == "refresh_token_reuse"
    refused(await api(refresh_tokens.rotate, first.token), Reason.REVOKED)
    refused(await api(refresh_tokens.rotate, issued.token), Reason.REVOKED)


async def test_reuse_of_an_older_one_is_theft_at_once(
    api: Api, opened: NewSession, issued: RefreshToken, rotate: Rotate
) -> None:
    first = await rotate(issued.token)
    second = await rotate(first.token)
    refused(await api(refresh_tokens.rotate, issued.token), Reason.REUSED)
    refused(await api(refresh_tokens.rotate, second.token), Reason.REVOKED)
    refused(await api(sessions.validate, opened.token), Reason.REVOKED)


async def test_no_grace(api: Api, issued: RefreshToken) -> None:
    policy = with_policy(refresh_grace=FAST.refresh_grace * 0)
    assert await api(refresh_tokens.rotate, issued.token, policy=policy)
    refused(await api(refresh_tokens.rotate, issued.token, policy=policy), Reason.REUSED)


async def test_invented_secret_under_the_familys_is_theft(
    api: Api, opened: NewSession, issued: RefreshToken
) -> None:
    """Only who had a token of the family knows its secret."""
    prefix, session_id, [family, _] = token_parts(issued.token)
    refused(
        await api(refresh_tokens.rotate, make_token(prefix, session_id, family, bytes(32))), Reason.REUSED
    )
    refused(await api(sessions.validate, opened.token), Reason.REVOKED)


@pytest.mark.parametrize("rotated", [False, True])
async def test_wrong_family_secret_changes_nothing(
    api: Api, sql: Sql, issued: RefreshToken, rotate: Rotate, rotated: bool
) -> None:
    latest = (await rotate(issued.token)).token if rotated else issued.token
    before = sql.dump()
    for token in (issued.token, latest):
        prefix, session_id, [family, current] = token_parts(token)
        for wrong_family in (bytes(32), current, bytes([family[0] ^ 1]) + family[1:]):
            forged = make_token(prefix, session_id, wrong_family, current)
            refused(await api(refresh_tokens.rotate, forged), Reason.UNKNOWN)
        refused(
            await api(refresh_tokens.rotate, make_token(prefix, uuid4(), family, current)), Reason.UNKNOWN
        )
    assert sql.dump() == before
    await rotate(latest)


async def test_second_issue_replaces_the_first(
    api: Api, sql: Sql, opened: NewSession, issued: RefreshToken, rotate: Rotate
) -> None:
    first = await rotate(issued.token)
    second = await api(refresh_tokens.issue, opened.session.id)
    for old in (issued.token, first.token):
        refused(await api(refresh_tokens.rotate, old), Reason.UNKNOWN)
    assert sql.one("SELECT generation FROM authsql_refresh_tokens") == 0
    assert (await rotate(second.token)).generation == 1
    assert await api(sessions.validate, opened.token)
    assert sql.one("SELECT COUNT(*) FROM authsql_refresh_tokens") == 1


async def test_expiry(api: Api, sql: Sql, issued: RefreshToken, opened: NewSession) -> None:
    policy = with_policy(refresh_lifetime=HOUR)
    token = (await api(refresh_tokens.issue, opened.session.id, policy=policy)).token
    sql.elapse(HOUR - 20 * SECOND)
    first = await api(refresh_tokens.rotate, token, policy=policy)
    assert isinstance(first, RotatedToken)
    sql.elapse(HOUR)
    before = sql.dump()
    refused(await api(refresh_tokens.rotate, first.token, policy=policy), Reason.EXPIRED)
    refused(await api(refresh_tokens.rotate, token, policy=policy), Reason.EXPIRED)
    assert sql.dump() == before
    assert await api(sessions.validate, opened.token, touch=False), "its session lives on"


async def test_rotation_is_use_of_the_session(
    api: Api, sql: Sql, opened: NewSession, issued: RefreshToken, rotate: Rotate
) -> None:
    token = issued.token
    for _ in range(3):
        sql.elapse(6 * DAY)
        token = (await rotate(token)).token
        session = await api(sessions.validate, opened.token, touch=False)
        assert session.last_seen_at > opened.session.created_at
        assert session.expires_at - session.last_seen_at == FAST.session_idle


async def test_token_ends_with_its_session_at_the_latest(
    api: Api, sql: Sql, opened: NewSession, issued: RefreshToken, rotate: Rotate
) -> None:
    rotated = await rotate(issued.token)
    for _ in range(5):
        sql.elapse(6 * DAY - MINUTE)
        rotated = await rotate(rotated.token)
    session = await api(sessions.validate, opened.token, touch=False)
    assert rotated.expires_at == session.absolute_expires_at == session.expires_at
    again = await api(refresh_tokens.issue, opened.session.id)
    assert again.expires_at == session.absolute_expires_at
    sql.elapse(5 * MINUTE)
    refused(await api(refresh_tokens.rotate, again.token), Reason.EXPIRED)


async def test_idle_session_ends_its_tokens(api: Api, sql: Sql, user: User) -> None:
    policy = with_policy(session_idle=HOUR)
    opened = await api(sessions.create, user.id, policy=policy)
    token = (await api(refresh_tokens.issue, opened.session.id, policy=policy)).token
    sql.elapse(HOUR)
    refused(await api(refresh_tokens.rotate, token, policy=policy), Reason.EXPIRED)
    refused(await api(refresh_tokens.issue, opened.session.id, policy=policy), Reason.UNKNOWN)


async def test_repeated_answer_only_while_the_session_lives(
    api: Api, opened: NewSession, issued: RefreshToken, rotate: Rotate
) -> None:
    await rotate(issued.token)
    await api(sessions.revoke, opened.session.id)
    refused(await api(refresh_tokens.rotate, issued.token), Reason.REVOKED)


async def test_issue_for_no_live_session(api: Api, opened: NewSession) -> None:
    refused(await api(refresh_tokens.issue, uuid4()), Reason.UNKNOWN)
    await api(sessions.revoke, opened.session.id)
    refused(await api(refresh_tokens.issue, opened.session.id), Reason.UNKNOWN)


async def test_seal_that_was_tampered_with_opens_nothing(
    api: Api, sql: Sql, issued: RefreshToken, rotate: Rotate
) -> None:
    await rotate(issued.token)
    sql("UPDATE authsql_refresh_tokens SET seal = %s", bytes(32))
    refused(await api(refresh_tokens.rotate, issued.token), Reason.UNKNOWN)


async def test_malformed(api: Api, sql: Sql, opened: NewSession, issued: RefreshToken) -> None:
    before = sql.dump()
    token = issued.token
    for bad in ("", token[:-1], token + "A", "sess_" + token[5:], opened.token, token[5:], None, 7, b"x"):
        refused(await api(refresh_tokens.rotate, bad), Reason.MALFORMED)
    assert sql.dump() == before


async def test_one_spelling_of_a_token(api: Api, issued: RefreshToken) -> None:
    """80 bytes leave bits of the last character unused: of its four spellings one is ours."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    at = alphabet.index(issued.token[-1])
    same_bytes = [alphabet[(at & ~3) + low] for low in range(4) if (at & ~3) + low != at]
    for last in same_bytes:
        refused(await api(refresh_tokens.rotate, issued.token[:-1] + last), Reason.MALFORMED)
    assert await api(refresh_tokens.rotate, issued.token)


async def test_a_session_may_be_ended_by_its_id_alone_by_nobody(
    api: Api, sql: Sql, opened: NewSession, issued: RefreshToken
) -> None:
    before = sql.dump()
    known: UUID = opened.session.id
    refused(
        await api(refresh_tokens.rotate, make_token("rfsh_", known, bytes(32), bytes(32))), Reason.UNKNOWN
    )
    assert sql.dump() == before


@pytest.mark.only("mysql")
async def test_overtaken_between_the_two_statements(
    api: Api, sql: Sql, opened: NewSession, issued: RefreshToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rotation is two statements in MySQL. Another request repeats it, and rotates again, between them."""
    other = sql.database.connect()
    state = {"armed": True}
    original = type(api.connection).cmd_stmt_execute

    def overtake() -> None:
        state["armed"] = False
        repeated = refresh_tokens.rotate(other, issued.token)
        assert isinstance(repeated, RotatedToken)
        assert repeated.repeated
        assert isinstance(refresh_tokens.rotate(other, repeated.token), RotatedToken)

    def is_due() -> bool:
        return state["armed"] and bool(
            sql.one("SELECT generation FROM authsql_refresh_tokens WHERE session_id = %s", opened.session.id)
        )

    if api.is_async:

        async def execute_async(*args: object, **kwargs: object) -> object:
            if is_due():
                overtake()
            return await original(*args, **kwargs)

        monkeypatch.setattr(api.connection, "cmd_stmt_execute", execute_async.__get__(api.connection))
    else:

        def execute(*args: object, **kwargs: object) -> object:
            if is_due():
                overtake()
            return original(*args, **kwargs)

        monkeypatch.setattr(api.connection, "cmd_stmt_execute", execute.__get__(api.connection))
    first = await api(refresh_tokens.rotate, issued.token)
    assert not state["armed"]
    assert isinstance(first, RotatedToken), f"{first}: who rotated it was taken for a thief"
    monkeypatch.undo()
    assert await api(sessions.validate, opened.token)
