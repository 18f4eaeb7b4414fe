from __future__ import annotations

from datetime import UTC, timedelta
from uuid import uuid4

import pytest

from authsql import EmailTaken, InvalidInput, Reason, otps, passwords, refresh_tokens, sessions, users
from authsql.models import User
from tests.conformance.conftest import NewUser, SignIn
from tests.support import DAY, FAST, HOUR, KEY, MINUTE, SECOND, Api, Sql, refused, with_policy


async def test_create_returns_the_account(api: Api) -> None:
    user = await api(users.create, "Ann@Example.org", name="Ann", avatar={"url": "x", "size": [1, 2.5, None]})
    assert isinstance(user, User)
    assert user.id.version == 7
    assert (user.email, user.name, user.avatar) == (
        "Ann@Example.org",
        "Ann",
        {"url": "x", "size": [1, 2.5, None]},
    )
    assert user.email_verified_at is user.last_login_at is user.locked_until is None
    assert user.deleted_at is user.reactivatable_at is None
    assert user.created_at == user.updated_at
    assert user.created_at.tzinfo is UTC or user.created_at.utcoffset() == timedelta(0)
    assert await api(users.get, user.id) == user


async def test_create_with_nothing_but_an_email(api: Api) -> None:
    user = await api(users.create, "a@x.org")
    assert user.name is user.avatar is None


async def test_create_verified(api: Api) -> None:
    user = await api(users.create, "a@x.org", email_verified=True)
    assert user.email_verified_at == user.created_at


async def test_create_grants_the_default_roles(api: Api, sql: Sql) -> None:
    user = await api(users.create, "a@x.org")
    assert sql("SELECT role FROM authsql_user_roles WHERE user_id = %s", user.id) == [("user",)]
    sql("UPDATE authsql_roles SET is_default = (role = 'admin')")
    other = await api(users.create, "b@x.org")
    assert sql("SELECT role FROM authsql_user_roles WHERE user_id = %s", other.id) == [("admin",)]


@pytest.mark.parametrize("again", ["a@x.org", "A@X.ORG", "a@X.oRg"])
async def test_email_is_taken_whatever_its_case(api: Api, sql: Sql, again: str) -> None:
    await api(users.create, "a@x.org")
    with pytest.raises(EmailTaken):
        await api(users.create, again)
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 1
    assert sql.one("SELECT COUNT(*) FROM authsql_user_roles") == 1


async def test_accents_count_and_their_case_does_not(api: Api) -> None:
    jose = await api(users.create, "José@x.org")
    plain = await api(users.create, "jose@x.org")
    assert jose.id != plain.id
    assert jose.email == "José@x.org"
    for spelling in ("josé@x.org", "JOSÉ@X.ORG", "jose\u0301@x.org", "JOSE\u0301@x.org"):
        assert (await api(users.get_by_email, spelling)).id == jose.id
        with pytest.raises(EmailTaken):
            await api(users.create, spelling)
    assert (await api(users.get_by_email, "JOSE@x.org")).id == plain.id


async def test_full_width_letters_are_letters_of_their_own(api: Api) -> None:
    first = await api(users.create, "a@x.org")
    second = await api(users.create, "\uff41@x.org")
    assert first.id != second.id


async def test_get_unknown(api: Api) -> None:
    assert await api(users.get, uuid4()) is None
    assert await api(users.get_by_email, "nobody@x.org") is None


async def test_get_finds_the_deleted_and_get_by_email_does_not(api: Api, user: User) -> None:
    await api(users.soft_delete, user.id)
    assert (await api(users.get, user.id)).deleted_at is not None
    assert await api(users.get_by_email, user.email) is None


async def test_get_by_email_of_what_is_none(api: Api) -> None:
    with pytest.raises(InvalidInput):
        await api(users.get_by_email, "no address")


async def test_update_profile(api: Api, user: User) -> None:
    named = await api(users.update_profile, user.id, name="Ann B.")
    assert (named.name, named.avatar) == ("Ann B.", None)
    pictured = await api(users.update_profile, user.id, avatar={"url": "y"})
    assert (pictured.name, pictured.avatar) == ("Ann B.", {"url": "y"})
    cleared = await api(users.update_profile, user.id, name=None, avatar=None)
    assert cleared.name is cleared.avatar is None
    assert cleared.updated_at > user.updated_at
    assert await api(users.get, user.id) == cleared


async def test_update_profile_of_nothing(api: Api, user: User) -> None:
    same = await api(users.update_profile, user.id)
    assert (same.name, same.avatar) == (user.name, user.avatar)


async def test_update_profile_to_what_it_is(api: Api, user: User) -> None:
    assert (await api(users.update_profile, user.id, name="Ann")).name == "Ann"
    assert (await api(users.update_profile, user.id, name="Ann")).name == "Ann"


async def test_update_profile_of_nobody(api: Api, user: User) -> None:
    assert await api(users.update_profile, uuid4(), name="x") is None
    await api(users.soft_delete, user.id)
    assert await api(users.update_profile, user.id, name="x") is None
    assert (await api(users.get, user.id)).name == "Ann"


async def test_mark_email_verified(api: Api, sql: Sql, user: User) -> None:
    assert await api(users.mark_email_verified, user.id, user.email.upper()) is True
    first = (await api(users.get, user.id)).email_verified_at
    assert first is not None
    assert await api(users.mark_email_verified, user.id, user.email) is True
    assert (await api(users.get, user.id)).email_verified_at == first, "an earlier proof stays"


async def test_mark_email_verified_of_another_address(api: Api, sql: Sql, user: User) -> None:
    assert await api(users.mark_email_verified, user.id, "other@x.org") is False
    assert await api(users.mark_email_verified, uuid4(), user.email) is False
    sql("UPDATE authsql_users SET email = 'new@x.org' WHERE id = %s", user.id)
    assert await api(users.mark_email_verified, user.id, user.email) is False
    assert (await api(users.get, user.id)).email_verified_at is None
    await api(users.soft_delete, user.id)
    assert await api(users.mark_email_verified, user.id, "new@x.org") is False


async def test_changed_email_loses_its_verification(api: Api, sql: Sql, user: User) -> None:
    await api(users.mark_email_verified, user.id, user.email)
    sql("UPDATE authsql_users SET email = %s WHERE id = %s", user.email.upper(), user.id)
    assert (await api(users.get, user.id)).email_verified_at is not None, "the same address"
    sql("UPDATE authsql_users SET email = 'new@x.org' WHERE id = %s", user.id)
    assert (await api(users.get, user.id)).email_verified_at is None


async def test_changed_email_with_a_proof_keeps_it(api: Api, sql: Sql, user: User) -> None:
    sql(
        f"UPDATE authsql_users SET email = 'new@x.org', email_verified_at = {sql.now} WHERE id = %s",
        user.id,
    )
    assert (await api(users.get, user.id)).email_verified_at is not None


async def test_any_update_touches_updated_at(api: Api, sql: Sql, user: User) -> None:
    before = (await api(users.get, user.id)).updated_at
    sql("UPDATE authsql_users SET name = 'typed' WHERE id = %s", user.id)
    assert (await api(users.get, user.id)).updated_at > before


async def test_soft_delete(api: Api, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    gone = await api(users.soft_delete, user.id)
    assert gone.deleted_at is not None
    assert gone.reactivatable_at == gone.deleted_at + FAST.reactivation_wait
    ended = refused(await api(sessions.validate, opened.token), Reason.REVOKED)
    assert ended.detail == "user_deleted"
    refused(await api(passwords.verify, user.email, "whatever it is", policy=FAST), Reason.WRONG)
    refused(await api(sessions.create, user.id), Reason.UNKNOWN)


async def test_soft_delete_twice(api: Api, user: User) -> None:
    first = await api(users.soft_delete, user.id)
    assert await api(users.soft_delete, user.id) is None
    assert await api(users.get, user.id) == first
    assert await api(users.soft_delete, uuid4()) is None


async def test_soft_delete_by_hand_ends_sessions(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    token = (await api(refresh_tokens.issue, opened.session.id)).token
    sql(f"UPDATE authsql_users SET deleted_at = {sql.now} WHERE id = %s", user.id)
    assert refused(await api(sessions.validate, opened.token), Reason.REVOKED).detail == "user_deleted"
    refused(await api(refresh_tokens.rotate, token), Reason.REVOKED)


async def test_soft_delete_leaves_others_alone(
    api: Api, user: User, new_user: NewUser, sign_in: SignIn
) -> None:
    other = await sign_in(await new_user())
    await api(users.soft_delete, user.id)
    assert await api(sessions.validate, other.token)


async def test_soft_delete_frees_the_email(api: Api, user: User) -> None:
    await api(users.soft_delete, user.id)
    other = await api(users.create, user.email.upper())
    assert other.id != user.id
    assert (await api(users.get_by_email, user.email)).id == other.id
    await api(users.soft_delete, other.id)
    assert (await api(users.create, user.email)).id not in {user.id, other.id}


async def test_reactivate(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    gone = await api(users.soft_delete, user.id)
    refusal = refused(await api(users.reactivate, user.id), Reason.NOT_YET)
    assert refusal.retry_at == gone.reactivatable_at
    sql.elapse(FAST.reactivation_wait - 30 * SECOND)
    refused(await api(users.reactivate, user.id), Reason.NOT_YET)
    sql.elapse(30 * SECOND)
    back = await api(users.reactivate, user.id)
    assert isinstance(back, User)
    assert back.id == user.id
    assert back.deleted_at is back.reactivatable_at is None
    refused(await api(sessions.validate, opened.token), Reason.REVOKED)
    assert await api(users.get_by_email, user.email) == back
    assert await api(sessions.create, user.id)


async def test_reactivate_without_a_wait(api: Api, user: User) -> None:
    await api(users.soft_delete, user.id, policy=with_policy(reactivation_wait=timedelta(0)))
    assert await api(users.reactivate, user.id)


async def test_reactivate_who_was_deleted_by_hand(api: Api, sql: Sql, user: User) -> None:
    sql(f"UPDATE authsql_users SET deleted_at = {sql.now} WHERE id = %s", user.id)
    refusal = refused(await api(users.reactivate, user.id), Reason.NOT_YET)
    assert refusal.retry_at is None, "never"


async def test_reactivate_who_need_not(api: Api, user: User) -> None:
    refused(await api(users.reactivate, user.id), Reason.NOT_DELETED)
    refused(await api(users.reactivate, uuid4()), Reason.UNKNOWN)


async def test_reactivate_when_the_email_is_taken(api: Api, sql: Sql, user: User) -> None:
    await api(users.soft_delete, user.id)
    other = await api(users.create, user.email.upper())
    sql.elapse(2 * DAY)
    with pytest.raises(EmailTaken):
        await api(users.reactivate, user.id)
    assert (await api(users.get, user.id)).deleted_at is not None
    await api(users.delete, other.id)
    assert await api(users.reactivate, user.id)


async def test_delete_takes_all_along(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in()
    assert await api(refresh_tokens.issue, opened.session.id)
    assert await api(otps.issue, user.email, "signin", key=KEY, user_id=user.id)
    assert await api(users.delete, user.id) is True
    for table in (
        "authsql_users",
        "authsql_user_roles",
        "authsql_passwords",
        "authsql_sessions",
        "authsql_refresh_tokens",
        "authsql_otps",
    ):
        assert sql.one(f"SELECT COUNT(*) FROM {table}") == 0, table
    assert await api(users.delete, user.id) is False
    refused(await api(sessions.validate, opened.token), Reason.UNKNOWN)


async def test_delete_leaves_others_alone(api: Api, user: User, new_user: NewUser, sign_in: SignIn) -> None:
    other = await sign_in(await new_user())
    await api(users.delete, user.id)
    assert await api(sessions.validate, other.token)


async def test_rows_written_by_hand(api: Api, sql: Sql) -> None:
    sql("INSERT INTO authsql_users (email) VALUES ('hand@x.org')")
    user = await api(users.get_by_email, "HAND@x.org")
    assert user.id.version == 7
    assert user.id.variant == "specified in RFC 4122"
    written = user.id.int >> 80
    assert abs(written / 1000 - user.created_at.timestamp()) < 60, "its time is the time of the row"
    assert sql("SELECT role FROM authsql_user_roles WHERE user_id = %s", user.id) == [("user",)]
    sql(
        "INSERT INTO authsql_sessions (user_id, secret_hash, expires_at, absolute_expires_at) VALUES"
        f" (%s, %s, {sql.before(sql.now, -MINUTE)}, {sql.before(sql.now, -HOUR)})",
        user.id,
        bytes(32),
    )
    [session] = await api(sessions.list, user.id)
    assert session.id.version == 7
    assert session.aal == 1
    assert session.created_at == session.last_seen_at == session.authenticated_at


async def test_ids_by_hand_are_time_ordered_and_differ(sql: Sql) -> None:
    for number in range(20):
        sql("INSERT INTO authsql_users (email) VALUES (%s)", f"{number}@x.org")
    ids = [sql.uuid(row[0]) for row in sql("SELECT id FROM authsql_users ORDER BY created_at, email")]
    assert len(set(ids)) == 20
    times = [each.int >> 80 for each in ids]
    assert times == sorted(times)
    assert {each.version for each in ids} == {7}


@pytest.mark.parametrize("letter", ["\u0130", "\u023a", "\u023e", "\u0220", "\u048a", "\U00010400"])
async def test_an_address_that_folds_to_another_is_refused(api: Api, letter: str) -> None:
    """lower('İ') is 'i' in a database: gİthub.com must not find github.com. Of the others not every database
    knows the small letter.
    """
    with pytest.raises(InvalidInput):
        await api(users.get_by_email, f"victim@g{letter}thub.com")


@pytest.mark.parametrize("letter", ["\u0221", "\u023c", "É", "Ω", "Ж"])
async def test_an_address_is_found_as_it_was_given(api: Api, letter: str) -> None:
    created = await api(users.create, f"{letter}x@x.org")
    assert await api(users.get_by_email, f"{letter}x@x.org") == created
