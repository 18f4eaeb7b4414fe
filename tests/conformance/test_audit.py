"""Each operation leaves its entries in the audit log: once, of the right user, the same in both dialects."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import argon2
import mysql.connector.pooling
import psycopg_pool
import pytest

from authsql import (
    AuditEntry,
    Code,
    InvalidInput,
    Link,
    Reason,
    accounts,
    audit,
    identities,
    maintenance,
    otps,
    passwords,
    refresh_tokens,
    sessions,
    users,
)
from authsql.models import User
from tests.conformance.conftest import Connect, NewUser, SignIn
from tests.servers import Database
from tests.support import DAY, FAST, KEY, MINUTE, PASSWORD, SECOND, Api, Sql, Trail, other_than, refused

ACTOR, PLACE = uuid.uuid4(), uuid.uuid4()
CONTEXT: dict[str, Any] = {
    "actor_id": ACTOR,
    "session_id": PLACE,
    "ip": "2001:db8::1",
    "user_agent": "Browser/1",
}


@pytest.fixture
def trail(sql: Sql) -> Trail:
    """What is written from now on, which is after the other fixtures, if this is named last."""
    trail = Trail(sql)
    trail.look()
    return trail


async def test_accounts(api: Api, sql: Sql, sign_in: SignIn, trail: Trail) -> None:
    trail.look()
    made = await api(users.create, "bob@x.org")
    assert [(entry.event, entry.user_id) for entry in trail.look()] == [
        ("user.created", made.id),
        ("role.granted", made.id),
    ]
    await api(users.create, "eve@x.org", email_verified=True)
    assert trail.events() == ["email.verified", "role.granted {'role': 'user'}", "user.created"]
    await api(users.update_profile, made.id, name="Bob")
    assert trail.events() == []
    await api(users.mark_email_verified, made.id, "bob@x.org")
    assert trail.events() == ["email.verified"]
    await api(users.mark_email_verified, made.id, "bob@x.org")
    assert trail.events() == []
    for _ in range(2):
        await sign_in(made)
    trail.look()
    await api(users.soft_delete, made.id)
    assert [entry.event for entry in trail.look()] == [
        "user.soft_deleted",
        "session.revoked",
        "session.revoked",
    ]
    await api(users.soft_delete, made.id)
    await api(users.reactivate, made.id)
    assert trail.events() == []
    sql.elapse(FAST.reactivation_wait + SECOND)
    await api(users.reactivate, made.id)
    assert trail.events() == ["user.reactivated"]
    await sign_in(made)
    await api(passwords.set, made.id, PASSWORD, policy=FAST)
    await api(otps.issue, "bob@x.org", "signin", key=KEY, user_id=made.id)
    trail.look()
    await api(users.delete, made.id)
    [gone] = trail.look()
    assert (gone.event, gone.user_id) == ("user.deleted", made.id), "what goes along is not told of"
    await api(users.delete, made.id)
    assert trail.events() == []


async def test_passwords(api: Api, sql: Sql, user: User, sign_in: SignIn, trail: Trail) -> None:
    bare = await api(users.create, "bare@x.org")
    trail.look()
    await api(passwords.set, bare.id, PASSWORD, policy=FAST)
    [entry] = trail.look()
    assert (entry.event, entry.user_id, entry.detail) == ("password.set", bare.id, {})
    kept = await sign_in()
    await sign_in()
    trail.look()
    await api(passwords.set, user.id, "another password", keep_session=kept.session.id, policy=FAST)
    found = trail.look()
    assert {entry.user_id for entry in found} == {user.id}
    assert sorted(entry.event for entry in found) == ["password.changed", "session.revoked"]
    await api(passwords.verify, user.email, "wrong password", policy=FAST)
    assert trail.events() == ["password.attempted {'failures': 1}"]
    assert await api(passwords.verify, user.id, "another password", policy=FAST)
    [attempted, verified] = trail.look()
    assert (attempted.event, attempted.detail) == ("password.attempted", {"failures": 2})
    assert (verified.event, verified.detail, verified.user_id) == ("password.verified", {}, user.id)
    await api(passwords.verify, "nobody@x.org", PASSWORD, policy=FAST)
    assert trail.events() == []
    assert await api(passwords.change, user.id, "another password", PASSWORD, policy=FAST)
    assert trail.events() == [
        "password.attempted {'failures': 1}",
        "password.changed",
        "password.verified",
        "session.revoked {'reason': 'password_change'}",
    ]
    stronger = replace(FAST, argon2=replace(FAST.argon2, time_cost=2))
    assert isinstance(stronger.argon2, argon2.Parameters)
    assert await api(passwords.verify, user.id, PASSWORD, policy=stronger)
    assert trail.events() == ["password.attempted {'failures': 1}", "password.rehashed", "password.verified"]
    assert await api(passwords.set, user.id, PASSWORD, policy=FAST)
    assert trail.events() == ["password.changed"], "there was nothing to unlock"


async def test_lock(api: Api, sql: Sql, user: User, trail: Trail) -> None:
    for _ in range(FAST.lock_after - 1):
        await api(passwords.verify, user.email, "wrong password", policy=FAST)
    trail.look()
    await api(passwords.verify, user.email, "wrong password", policy=FAST)
    [attempted, locked] = trail.look()
    assert (attempted.event, attempted.detail) == ("password.attempted", {"failures": FAST.lock_after})
    assert (locked.event, locked.user_id, set(locked.detail)) == ("account.locked", user.id, {"retry_at"})
    until = sql.one("SELECT locked_until FROM authsql_users WHERE id = %s", user.id)
    assert datetime.fromisoformat(locked.detail["retry_at"]) == until
    assert locked.detail["retry_at"].endswith("Z")
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)
    assert trail.events() == [], "nothing was checked"
    await api(passwords.set, user.id, "a new password", policy=FAST)
    assert trail.events() == ["account.unlocked", "password.changed"]
    for _ in range(FAST.lock_after - 1):
        await api(passwords.verify, user.email, "wrong password", policy=FAST)
    trail.look()
    assert await api(passwords.verify, user.email, "a new password", policy=FAST)
    assert [entry.event for entry in trail.look()] == [
        "password.attempted",
        "account.locked",
        "password.verified",
    ], "it is counted, and locks, before it is checked"


async def test_codes(api: Api, sql: Sql, user: User, trail: Trail) -> None:
    issued = await api(otps.issue, user.email, "signin", key=KEY, user_id=user.id)
    refused(await api(otps.issue, user.email, "signin", key=KEY, user_id=user.id), Reason.COOLING_DOWN)
    [entry] = trail.look()
    assert (entry.event, entry.user_id, entry.detail) == ("code.issued", user.id, {"purpose": "signin"})
    await api(otps.verify, user.email, "signin", other_than(issued.code), key=KEY)
    assert trail.events() == ["code.failed {'purpose': 'signin'}"]
    assert await api(otps.verify, user.email, "signin", issued.code, key=KEY)
    [entry] = trail.look()
    assert (entry.event, entry.user_id) == ("code.verified", user.id)
    refused(await api(otps.verify, user.email, "signin", issued.code, key=KEY), Reason.SPENT)
    assert trail.events() == []
    sql.age("authsql_otps", ("created_at", "expires_at", "resend_at"), MINUTE)
    assert await api(otps.issue, user.email, "signin", key=KEY)
    [entry] = trail.look()
    assert (entry.event, entry.user_id) == ("code.issued", None), "in place of the one before"


async def test_codes_of_whom_the_statement_finds(api: Api, sql: Sql, user: User, trail: Trail) -> None:
    """The code was issued for an address: whose that is, the attempt knows."""
    flows: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
        ("email-verification", accounts.verify_email, ()),
        ("signin", accounts.sign_in, ()),
        ("password-reset", accounts.reset_password, ("another password",)),
    )
    for purpose, operation, rest in flows:
        for by_link in (False, True):
            issued = await api(otps.issue, user.email, purpose, key=KEY, link=True)
            assert [entry.user_id for entry in trail.look()] == [None]
            right = Link(issued.link) if by_link else Code(user.email, issued.code, key=KEY)
            if not by_link:
                wrong = Code(user.email, other_than(issued.code), key=KEY)
                refused(await api(operation, wrong, *rest, policy=FAST), Reason.WRONG)
                [entry] = trail.look()
                assert (entry.event, entry.user_id) == ("code.failed", user.id)
            assert await api(operation, right, *rest, policy=FAST)
            [entry] = [entry for entry in trail.look() if entry.event.startswith("code.")]
            assert (entry.event, entry.user_id) == ("code.verified", user.id)
            sql.age("authsql_otps", ("created_at", "expires_at", "resend_at"), MINUTE)


async def test_identities(api: Api, trail: Trail) -> None:
    """Each sign-in leaves an entry, two within a microsecond too."""
    signed_in = await api(identities.sign_in, "github", "17", email="bob@x.org", email_verified=True)
    user_id = signed_in.user_id
    [linked, entered] = [entry for entry in trail.look() if entry.event.startswith("identity.")]
    assert (linked.event, linked.user_id) == ("identity.linked", user_id)
    assert (entered.event, entered.user_id) == ("identity.signed_in", user_id)
    for _ in range(2):
        assert await api(identities.sign_in, "github", "17")
        [entry] = trail.look()
        assert (entry.event, entry.user_id) == ("identity.signed_in", user_id)
        assert entry.detail == {"provider": "github"}
    await api.begin()
    assert await api(identities.link, user_id, "google", "4")
    await api.commit()
    assert trail.events() == ["identity.linked {'provider': 'google'}"], "that is no sign-in"
    await api(users.soft_delete, user_id)
    trail.look()
    refused(await api(identities.sign_in, "github", "17"), Reason.DELETED)
    assert trail.events() == []


async def test_an_identity_that_was_used_later_than_now(api: Api, sql: Sql, trail: Trail) -> None:
    """As when two sign in at a time, and the one that began later is done first."""
    signed_in = await api(identities.sign_in, "github", "17", email="bob@x.org", email_verified=True)
    sql.age("authsql_identities", "last_login_at", -MINUTE)
    trail.look()
    assert await api(identities.sign_in, "github", "17")
    assert [(entry.event, entry.user_id) for entry in trail.look()] == [
        ("identity.signed_in", signed_in.user_id)
    ]


async def test_sessions(api: Api, sql: Sql, user: User, trail: Trail) -> None:
    opened = await api(sessions.create, user.id, ip="192.0.2.7", user_agent="Phone/2", aal=2)
    [entry] = trail.look()
    assert (entry.event, entry.user_id, entry.session_id) == (
        "session.created",
        user.id,
        opened.session.id,
    )
    assert (entry.ip, entry.user_agent, entry.detail) == ("192.0.2.7", "Phone/2", {"aal": 2})
    await api(sessions.create, user.id, cap=1)
    created, ended = trail.look() if sql.is_mysql else reversed(trail.look())
    assert (created.event, created.ip) == ("session.created", None)
    assert (ended.event, ended.session_id, ended.detail) == (
        "session.revoked",
        opened.session.id,
        {"reason": "session_cap"},
    )
    second = await api(sessions.create, user.id)
    third = await api(sessions.create, user.id)
    trail.look()
    sql.age("authsql_sessions", ("created_at", "last_seen_at"), DAY)
    assert await api(sessions.validate, second.token)
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions WHERE last_seen_at > created_at")
    assert trail.events() == [], "a touch is not worth an entry"
    await api(sessions.revoke, second.session.id, reason="sign_out")
    await api(sessions.revoke, second.session.id, reason="sign_out")
    assert trail.events() == ["session.revoked {'reason': 'sign_out'}"]
    await api(sessions.revoke_others, user.id, third.session.id)
    await api(sessions.revoke_all, user.id, reason="moved")
    assert trail.events() == [
        "session.revoked {'reason': 'moved'}",
        "session.revoked {'reason': 'revoked'}",
    ]
    sql.elapse(FAST.session_absolute + DAY)
    assert any(table.deleted for table in await api(maintenance.purge))
    assert trail.events() == []


async def test_refresh_tokens(api: Api, sign_in: SignIn, trail: Trail) -> None:
    opened = await sign_in()
    trail.look()
    issued = await api(refresh_tokens.issue, opened.session.id)
    first = await api(refresh_tokens.rotate, issued.token)
    await api(refresh_tokens.rotate, issued.token)
    await api(refresh_tokens.rotate, first.token)
    assert trail.events() == [], "nor is a rotation"
    refused(await api(refresh_tokens.rotate, issued.token), Reason.REUSED)
    assert trail.events() == ["session.revoked {'reason': 'refresh_token_reuse'}"]


async def test_nothing_of_what_is_rolled_back(api: Api, user: User, trail: Trail) -> None:
    await api.begin()
    await api(sessions.create, user.id)
    await api.rollback()
    assert trail.events() == []


async def test_context(api: Api, user: User, trail: Trail) -> None:
    await api(audit.set_context, **CONTEXT)
    await api(passwords.verify, user.email, "wrong password", policy=FAST)
    opened = await api(sessions.create, user.id)
    other = await api(sessions.create, user.id, ip="192.0.2.1", user_agent="Other/1")
    attempted, created, elsewhere = trail.look()
    assert (attempted.actor_id, attempted.session_id) == (ACTOR, PLACE)
    assert (attempted.ip, attempted.user_agent) == ("2001:db8::1", "Browser/1")
    assert attempted.user_id == user.id
    assert created.session_id == opened.session.id, "a session's own id comes first"
    assert (created.actor_id, created.ip, created.user_agent) == (ACTOR, "2001:db8::1", "Browser/1")
    assert elsewhere.session_id == other.session.id
    assert (elsewhere.ip, elsewhere.user_agent) == ("192.0.2.1", "Other/1")
    await api(audit.set_context, actor_id=user.id)
    await api(sessions.revoke, opened.session.id)
    [entry] = trail.look()
    assert (entry.actor_id, entry.ip, entry.user_agent) == (user.id, None, None), "nothing is left over"
    await api(audit.clear_context)
    await api(users.soft_delete, user.id)
    assert {(entry.actor_id, entry.ip, entry.user_agent) for entry in trail.look()} == {(None, None, None)}


@pytest.mark.parametrize("ends", ["commit", "rollback"])
async def test_context_in_a_transaction(api: Api, sql: Sql, user: User, trail: Trail, ends: str) -> None:
    """In PostgreSQL it ends with it: whoever gets the server's connection next does not have it."""
    await api.begin()
    await api(audit.set_context, **CONTEXT)
    await api(users.mark_email_verified, user.id, user.email)
    await api(audit.list)
    if ends == "commit":
        await api.commit()
        [entry] = trail.look()
        assert (entry.actor_id, entry.ip) == (ACTOR, "2001:db8::1")
    else:
        await api.rollback()
    await api(sessions.create, user.id)
    [entry] = trail.look()
    assert entry.actor_id == (ACTOR if sql.is_mysql else None)


async def test_context_before_a_transaction(api: Api, user: User, trail: Trail) -> None:
    await api(audit.set_context, **CONTEXT)
    await api.begin()
    await api(sessions.create, user.id)
    await api.commit()
    [entry] = trail.look()
    assert entry.actor_id == ACTOR


async def test_context_without_autocommit(connect: Connect, sql: Sql, user: User, trail: Trail) -> None:
    """The statement that sets it begins the transaction, and in PostgreSQL it ends with that."""
    api = await connect(autocommit=False)
    await api(audit.set_context, **CONTEXT)
    await api(sessions.create, user.id)
    await api.commit()
    [entry] = trail.look()
    assert entry.actor_id == ACTOR
    await api(sessions.create, user.id)
    await api.commit()
    [entry] = trail.look()
    assert entry.actor_id == (ACTOR if sql.is_mysql else None)


@pytest.mark.only("postgres")
def test_context_and_a_pool_of_postgres(database: Database, sql: Sql) -> None:
    """psycopg's pool resets a connection where it is told how; a transaction needs no reset."""
    trail = Trail(sql)

    def reset(conn: Any) -> None:
        conn.execute("DISCARD ALL")

    options: dict[str, Any] = {"min_size": 1, "max_size": 1, "open": True, "kwargs": {"autocommit": True}}
    with psycopg_pool.ConnectionPool(database.url, reset=reset, **options) as pool:
        with pool.connection() as conn:
            audit.set_context(conn, actor_id=ACTOR)
            users.create(conn, "a@x.org")
        with pool.connection() as conn:
            users.create(conn, "b@x.org")
    assert [entry.actor_id for entry in trail.look()] == [ACTOR, ACTOR, None, None]
    with psycopg_pool.ConnectionPool(database.url, **options) as pool:
        with pool.connection() as conn, conn.transaction():
            audit.set_context(conn, actor_id=ACTOR)
            users.create(conn, "c@x.org")
        with pool.connection() as conn:
            users.create(conn, "d@x.org")
    assert [entry.actor_id for entry in trail.look()] == [ACTOR, ACTOR, None, None]


@pytest.mark.only("mysql")
def test_context_and_a_pool_of_mysql(database: Database, sql: Sql) -> None:
    from tests.servers import _mysql_arguments

    trail = Trail(sql)
    pool = mysql.connector.pooling.MySQLConnectionPool(
        pool_size=1, pool_name="audit", autocommit=True, **_mysql_arguments(database.url)
    )
    try:
        for email in ("a@x.org", "b@x.org"):
            taken: Any = pool.get_connection()
            if email == "a@x.org":
                audit.set_context(taken, **CONTEXT)
            users.create(taken, email)
            taken.close()
    finally:
        pool._remove_connections()
    assert [entry.actor_id for entry in trail.look()] == [ACTOR, ACTOR, None, None]


async def test_long_and_strange_user_agents(api: Api, user: User, trail: Trail) -> None:
    await api(audit.set_context, user_agent="\n" + "é" * 600)
    await api(sessions.create, user.id)
    [entry] = trail.look()
    assert entry.user_agent == " " + "é" * 511


async def test_list(api: Api, new_user: NewUser) -> None:
    ann, bob = await new_user("ann@x.org", password=None), await new_user("bob@x.org", password=None)
    await api(users.soft_delete, ann.id)
    newest: tuple[AuditEntry, ...] = await api(audit.list)
    assert [entry.event for entry in newest] == [
        "user.soft_deleted",
        "role.granted",
        "user.created",
        "role.granted",
        "user.created",
    ]
    first = newest[0]
    assert isinstance(first, AuditEntry)
    assert (first.user_id, first.actor_id, first.session_id, first.ip) == (ann.id, None, None, None)
    assert first.db_user
    assert first.occurred_at.utcoffset() == datetime.now(UTC).utcoffset()
    assert newest[1].detail == {"role": "user"}
    assert sorted((entry.number for entry in newest), reverse=True) == [entry.number for entry in newest]
    pages = []
    before = None
    while page := await api(audit.list, before=before, limit=2):
        pages.append(page)
        before = page[-1].number
    assert [len(page) for page in pages] == [2, 2, 1]
    assert tuple(entry for page in pages for entry in page) == newest
    assert await api(audit.list, user_id=bob.id) == newest[1:3]
    assert await api(audit.list, event="user.created") == (newest[2], newest[4])
    assert await api(audit.list, user_id=ann.id, event="user.created") == (newest[4],)
    assert await api(audit.list, user_id=ann.id, before=newest[4].number) == ()
    assert await api(audit.list, event="user.created", limit=1) == (newest[2],)
    assert await api(audit.list, event="user.unheard_of") == ()
    assert await api(audit.list, user_id=uuid.uuid4()) == ()


async def test_record(api: Api, user: User, trail: Trail) -> None:
    assert await api(audit.record, "app.export") is None
    await api(audit.set_context, **CONTEXT)
    await api(audit.record, "app.invoice.paid", user_id=user.id, detail={"amount": 12, "é": [None, True]})
    plain, rich = trail.look()
    assert (plain.event, plain.user_id, plain.actor_id, plain.detail) == ("app.export", None, None, {})
    assert (rich.event, rich.user_id, rich.actor_id) == ("app.invoice.paid", user.id, ACTOR)
    assert rich.detail == {"amount": 12, "é": [None, True]}
    for forged in ("user.created", "app", "app.", "app..x", "apps.paid", "app.Paid", "app.x\n", "app.1"):
        with pytest.raises(InvalidInput):
            await api(audit.record, forged)
    assert trail.events() == []


async def test_soft_deleted_users_are_purged(api: Api, sql: Sql, new_user: NewUser, sign_in: SignIn) -> None:
    gone, live, recent = await new_user(), await new_user(), await new_user()
    for each in (gone, live, recent):
        await sign_in(each)
        await api(refresh_tokens.issue, (await sign_in(each)).session.id)
    await api(otps.issue, gone.email, "signin", key=KEY, user_id=gone.id)
    await api(users.soft_delete, gone.id)
    sql.age("authsql_users", ("created_at", "deleted_at", "reactivatable_at"), 29 * DAY)
    assert not deleted(await api(maintenance.purge), "authsql_users"), "kept for 30 days"
    await api(users.soft_delete, recent.id)
    sql.age("authsql_users", ("created_at", "deleted_at", "reactivatable_at"), DAY)
    trail = Trail(sql)
    trail.look()
    waiting = {each.table_name: each.expired_rows for each in await api(maintenance.backlog)}
    assert {table: count for table, count in waiting.items() if count} == {"authsql_users": 1}
    assert deleted(await api(maintenance.purge), "authsql_users") == 1
    assert [(entry.event, entry.user_id) for entry in trail.look()] == [("user.deleted", gone.id)]
    assert await api(users.get, gone.id) is None
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions WHERE user_id = %s", gone.id) == 0
    assert sql.one("SELECT COUNT(*) FROM authsql_otps") == 0
    assert await api(users.get, live.id)
    assert await api(users.get, recent.id)
    sql("UPDATE authsql_retention SET keep_days = 1 WHERE table_name = 'authsql_users'")
    assert deleted(await api(maintenance.purge), "authsql_users") == 1, "as the setting says now"
    assert await api(users.get, recent.id) is None
    await api(users.soft_delete, live.id)
    sql.elapse(400 * DAY)
    sql("DELETE FROM authsql_retention WHERE table_name = 'authsql_users'")
    assert deleted(await api(maintenance.purge), "authsql_users") == 0, "without a setting, for ever"


async def test_the_log_is_purged(api: Api, sql: Sql) -> None:
    for days in (400, 366, 365, 364, 1):
        at = sql.before(sql.now, days * DAY)
        sql(f"INSERT INTO authsql_audit_log (event, occurred_at) VALUES ('app.day-{days}', {at})")
    backlog = (await api(maintenance.backlog))[0]
    assert (backlog.table_name, backlog.expired_rows) == ("authsql_audit_log", 3)
    assert 35 * 86400 <= backlog.lag_seconds < 35 * 86400 + 60
    assert deleted(await api(maintenance.purge, batch=1), "authsql_audit_log") == 1
    assert [entry.event for entry in Trail(sql).look()] == [f"app.day-{n}" for n in (366, 365, 364, 1)]
    assert deleted(await api(maintenance.purge), "authsql_audit_log") == 2
    assert deleted(await api(maintenance.purge), "authsql_audit_log") == 0
    sql("UPDATE authsql_retention SET keep_days = 30 WHERE table_name = 'authsql_audit_log'")
    assert deleted(await api(maintenance.purge), "authsql_audit_log") == 1
    assert [entry.event for entry in Trail(sql).look()] == ["app.day-1", "retention.changed"]


async def test_purge_of_users_takes_a_tenth(api: Api, sql: Sql, new_user: NewUser) -> None:
    for _ in range(3):
        await api(users.soft_delete, (await new_user(password=None)).id)
    sql.elapse(31 * DAY)
    for left in (2, 1):
        found = await api(maintenance.purge, batch=19)
        assert [(each.deleted, each.more) for each in found if each.table_name == "authsql_users"] == [
            (1, True)
        ]
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == left
    found = await api(maintenance.purge, batch=29)
    assert [(each.deleted, each.more) for each in found if each.table_name == "authsql_users"] == [(1, False)]


async def test_a_user_who_is_reactivated_is_not_purged(
    api: Api, sql: Sql, new_user: NewUser, connect: Connect
) -> None:
    user = await new_user(password=None)
    await api(users.soft_delete, user.id)
    sql.elapse(31 * DAY)
    other = await connect(autocommit=False)
    assert await other(users.reactivate, user.id)
    if sql.is_mysql:
        await api.sql("SET SESSION innodb_lock_wait_timeout = 2")
    assert deleted(await api(maintenance.purge), "authsql_users") == 0, "nor waited for"
    await other.commit()
    assert deleted(await api(maintenance.purge), "authsql_users") == 0
    assert await api(users.get, user.id)


def deleted(found: Any, table: str) -> int:
    return sum(each.deleted for each in found if each.table_name == table)
