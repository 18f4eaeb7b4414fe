"""The caller owns the transaction; what is counted commits on its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from authsql import (
    EmailTaken,
    Policy,
    Reason,
    RelyingParty,
    RetryTransaction,
    TransactionOpen,
    accounts,
    audit,
    devices,
    factors,
    identities,
    maintenance,
    otps,
    outbox,
    passkeys,
    passwords,
    rate_limits,
    recovery_codes,
    refresh_tokens,
    roles,
    sessions,
    totp,
    users,
)
from authsql.keyring import Keyring
from authsql.models import NewSession, RotatedToken, User
from tests.conformance.authenticator import ORIGIN, Authenticator
from tests.conformance.conftest import Connect, SignIn
from tests.support import (
    BCRYPT,
    DAY,
    FAST,
    KEY,
    PASSWORD,
    RING,
    Api,
    Sql,
    make_token,
    other_than,
    refused,
    totp_code,
    with_policy,
)

LAX = with_policy(totp_drift_steps=2)
PARTY = RelyingParty("example.org", "Example", (ORIGIN,))
NEW_RING = Keyring({"2026": KEY, "2027": bytes(32)}, "2027")

Work = Callable[[Api, User, NewSession], Awaitable[Any]]

BEFORE = Keyring({"a": KEY}, "a")
KEYRING = Keyring({"a": KEY, "b": bytes(32)}, "b")


async def import_hash(api: Api) -> None:
    bare = await api(users.create, "bare@x.org")
    assert await api(passwords.import_hash, bare.id, BCRYPT, policy=FAST)


# A link and a device, which the fixture below puts in.
ROW_ID = UUID("01900000-0000-7000-8000-000000000000")
LINK = make_token("link_", ROW_ID, bytes(32))

UNCOUNTED: dict[str, Work] = {
    "users.create": lambda api, user, opened: api(users.create, "new@x.org"),
    "users.get": lambda api, user, opened: api(users.get, user.id),
    "users.get_by_email": lambda api, user, opened: api(users.get_by_email, user.email),
    "users.update_profile": lambda api, user, opened: api(users.update_profile, user.id, name="x"),
    "users.mark_email_verified": lambda api, user, opened: api(
        users.mark_email_verified, user.id, user.email
    ),
    "users.soft_delete": lambda api, user, opened: api(users.soft_delete, user.id),
    "users.reactivate": lambda api, user, opened: api(users.reactivate, user.id),
    "users.export": lambda api, user, opened: api(users.export, user.id),
    "users.erase": lambda api, user, opened: api(users.erase, user.id),
    "users.delete": lambda api, user, opened: api(users.delete, user.id),
    "passwords.set": lambda api, user, opened: api(passwords.set, user.id, "new password", policy=FAST),
    "passwords.import_hash": lambda api, user, opened: import_hash(api),
    "identities.sign_in": lambda api, user, opened: api(identities.sign_in, "google", "1"),
    "identities.sign_in created": lambda api, user, opened: api(
        identities.sign_in, "google", "2", email="new@x.org"
    ),
    "identities.sign_in linked": lambda api, user, opened: api(
        identities.sign_in,
        "google",
        "2",
        email="verified@x.org",
        email_verified=True,
        policy=Policy(link_verified_emails=True),
    ),
    "identities.link": lambda api, user, opened: api(identities.link, user.id, "github", "1"),
    "identities.unlink": lambda api, user, opened: api(identities.unlink, user.id, "google"),
    "identities.list": lambda api, user, opened: api(identities.list, user.id),
    "identities.store_tokens": lambda api, user, opened: api(
        identities.store_tokens, "google", "1", keyring=KEYRING, access_token="x"
    ),
    "identities.tokens": lambda api, user, opened: api(identities.tokens, "google", "1", keyring=KEYRING),
    "identities.forget_tokens": lambda api, user, opened: api(identities.forget_tokens, "google", "1"),
    "identities.reencrypt_tokens": lambda api, user, opened: api(
        identities.reencrypt_tokens, keyring=KEYRING
    ),
    "otps.issue": lambda api, user, opened: api(otps.issue, "new@x.org", "signin", key=KEY),
    "otps.verify_link": lambda api, user, opened: api(otps.verify_link, LINK, "signin"),
    "accounts.sign_up": lambda api, user, opened: api(accounts.sign_up, "new@x.org", key=KEY),
    "devices.remember": lambda api, user, opened: api(devices.remember, user.id),
    "devices.is_trusted": lambda api, user, opened: api(devices.is_trusted, user.id, LINK),
    "devices.list": lambda api, user, opened: api(devices.list, user.id),
    "devices.forget": lambda api, user, opened: api(devices.forget, user.id, ROW_ID),
    "devices.forget_all": lambda api, user, opened: api(devices.forget_all, user.id),
    "sessions.create": lambda api, user, opened: api(sessions.create, user.id),
    "sessions.create capped": lambda api, user, opened: api(sessions.create, user.id, cap=1),
    "sessions.validate": lambda api, user, opened: api(sessions.validate, opened.token),
    "sessions.validate with roles": lambda api, user, opened: api(
        sessions.validate, opened.token, roles=True
    ),
    "sessions.elevate": lambda api, user, opened: api(sessions.elevate, opened.token, aal=2),
    "sessions.list": lambda api, user, opened: api(sessions.list, user.id),
    "sessions.revoke": lambda api, user, opened: api(sessions.revoke, opened.session.id),
    "sessions.revoke_others": lambda api, user, opened: api(sessions.revoke_others, user.id, user.id),
    "sessions.revoke_all": lambda api, user, opened: api(sessions.revoke_all, user.id),
    "refresh_tokens.issue": lambda api, user, opened: api(refresh_tokens.issue, opened.session.id),
    "roles.create": lambda api, user, opened: api(roles.create, "new"),
    "roles.create again": lambda api, user, opened: api(roles.create, "user"),
    "roles.delete": lambda api, user, opened: api(roles.delete, "user"),
    "roles.list": lambda api, user, opened: api(roles.list),
    "roles.grant": lambda api, user, opened: api(roles.grant, user.id, "admin"),
    "roles.grant again": lambda api, user, opened: api(roles.grant, user.id, "user"),
    "roles.revoke": lambda api, user, opened: api(roles.revoke, user.id, "user"),
    "roles.of_user": lambda api, user, opened: api(roles.of_user, user.id),
    "roles.permissions_of": lambda api, user, opened: api(roles.permissions_of, user.id),
    "roles.allow": lambda api, user, opened: api(roles.allow, "user", "c:d"),
    "roles.allow again": lambda api, user, opened: api(roles.allow, "user", "a:b"),
    "roles.disallow": lambda api, user, opened: api(roles.disallow, "user", "a:b"),
    "roles.has_role": lambda api, user, opened: api(roles.has_role, user.id, "user"),
    "roles.has_permission": lambda api, user, opened: api(roles.has_permission, user.id, "a:b"),
    "audit.set_context": lambda api, user, opened: api(audit.set_context, actor_id=user.id),
    "audit.clear_context": lambda api, user, opened: api(audit.clear_context),
    "audit.list": lambda api, user, opened: api(audit.list),
    "audit.record": lambda api, user, opened: api(audit.record, "app.x"),
    "totp.enroll": lambda api, user, opened: enroll(api, user, confirmed=False),
    "totp.confirm": lambda api, user, opened: enroll(api, user),
    "totp.list": lambda api, user, opened: api(totp.list, user.id),
    "totp.rename": lambda api, user, opened: on_factor(api, user, totp.rename, "x"),
    "totp.remove": lambda api, user, opened: on_factor(api, user, totp.remove),
    "totp.reencrypt": lambda api, user, opened: api(totp.reencrypt, keyring=NEW_RING),
    "recovery_codes.regenerate": lambda api, user, opened: api(recovery_codes.regenerate, user.id, key=KEY),
    "recovery_codes.remaining": lambda api, user, opened: api(recovery_codes.remaining, user.id),
    "passkeys.begin_registration": lambda api, user, opened: api(
        passkeys.begin_registration, user.id, relying_party=PARTY, account="x"
    ),
    "passkeys.finish_registration": lambda api, user, opened: register(api, user, Authenticator()),
    "passkeys.begin_authentication": lambda api, user, opened: api(
        passkeys.begin_authentication, relying_party=PARTY
    ),
    "passkeys.list": lambda api, user, opened: api(passkeys.list, user.id),
    "passkeys.rename": lambda api, user, opened: on_passkey(api, user, passkeys.rename, "x"),
    "passkeys.remove": lambda api, user, opened: on_passkey(api, user, passkeys.remove),
    "factors.of_user": lambda api, user, opened: api(factors.of_user, user.id),
    "sessions.is_live": lambda api, user, opened: api(sessions.is_live, opened.session.id),
    "rate_limits.peek": lambda api, user, opened: api(rate_limits.peek, "a", limit=1, period=DAY),
    "rate_limits.reset": lambda api, user, opened: api(rate_limits.reset, "a"),
    "outbox.enqueue": lambda api, user, opened: api(
        outbox.enqueue, user.email, "signin", {"app": "A", "code": "1"}, keyring=RING
    ),
    "maintenance.purge": lambda api, user, opened: api(maintenance.purge),
    "maintenance.backlog": lambda api, user, opened: api(maintenance.backlog),
}
READS = {
    "users.export",
    "users.get",
    "users.get_by_email",
    "users.reactivate",
    "devices.is_trusted",
    "devices.list",
    "identities.list",
    "identities.tokens",
    "sessions.list",
    "sessions.is_live",
    "rate_limits.peek",
    "roles.create again",
    "roles.list",
    "roles.grant again",
    "roles.of_user",
    "roles.permissions_of",
    "roles.allow again",
    "roles.has_role",
    "roles.has_permission",
    "audit.set_context",
    "audit.clear_context",
    "audit.list",
    "totp.list",
    "recovery_codes.remaining",
    "passkeys.list",
    "factors.of_user",
    "maintenance.backlog",
}


async def register(api: Api, user: User, device: Authenticator) -> Any:
    asked = await api(passkeys.begin_registration, user.id, relying_party=PARTY, account="x")
    answer = device.create(asked.options)
    return await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)


async def enroll(api: Api, user: User, *, confirmed: bool = True) -> Any:
    """Enroll an app. The code before the current one confirms it."""
    enrolled = await api(totp.enroll, user.id, keyring=RING, issuer="x", account="y")
    if confirmed:
        code = totp_code(enrolled.secret, int(time.time()) // 30 - 1)
        assert await api(totp.confirm, user.id, enrolled.factor_id, code, keyring=RING, policy=LAX)
    return enrolled


async def on_factor(api: Api, user: User, operation: Any, *args: Any) -> Any:
    [factor] = await api(totp.list, user.id)
    return await api(operation, user.id, factor.id, *args)


async def on_passkey(api: Api, user: User, operation: Any, *args: Any) -> Any:
    [passkey] = await api(passkeys.list, user.id)
    return await api(operation, user.id, passkey.id, *args)


@pytest.fixture
async def opened(api: Api, user: User, sign_in: SignIn, sql: Sql) -> NewSession:
    """A session that is due to be touched, of a user who may do something and has a factor of each
    kind. There are a link and a known device, too.
    """
    await enroll(api, user)
    await register(api, user, Authenticator())
    opened = await sign_in()
    await api(rate_limits.hit, "a", limit=3, period=DAY)
    soon = sql.before(sql.now, -DAY)
    sql(
        "INSERT INTO authsql_otps (subject, purpose, issue_id, code_hash, link_hash, expires_at)"
        f" VALUES ('linked@x.org', 'signin', %s, %s, %s, {soon})",
        ROW_ID,
        bytes(32),
        hashlib.sha256(bytes(32)).digest(),
    )
    sql(
        "INSERT INTO authsql_known_devices (id, user_id, secret_hash, expires_at)"
        f" VALUES (%s, %s, %s, {soon})",
        ROW_ID,
        opened.session.user_id,
        bytes(32),
    )
    sql("INSERT INTO authsql_role_permissions (role, permission) VALUES ('user', 'a:b')")
    sql.age("authsql_sessions", ("created_at", "last_seen_at"), DAY)
    return opened


@pytest.fixture(autouse=True)
async def linked(api: Api, user: User) -> None:
    """An identity with tokens, and another account that one could be linked to."""
    assert await api(identities.link, user.id, "google", "1")
    assert await api(identities.store_tokens, "google", "1", keyring=BEFORE, access_token="x")
    await api(users.create, "verified@x.org", email_verified=True)


@pytest.mark.parametrize("name", UNCOUNTED)
async def test_rolls_back_with_the_callers_transaction(
    api: Api, sql: Sql, user: User, opened: NewSession, name: str
) -> None:
    before = sql.dump()
    await api.begin()
    await UNCOUNTED[name](api, user, opened)
    assert api.in_transaction
    assert sql.dump() == before, "nothing is seen by others yet"
    await api.rollback()
    assert sql.dump() == before


@pytest.mark.parametrize("name", sorted(UNCOUNTED.keys() - READS))
async def test_commits_with_the_callers_transaction(
    api: Api, sql: Sql, user: User, opened: NewSession, name: str
) -> None:
    before = sql.dump()
    await api.begin()
    await UNCOUNTED[name](api, user, opened)
    await api.commit()
    assert sql.dump() != before


@pytest.mark.parametrize("name", UNCOUNTED)
async def test_with_autocommit_the_operation_commits(
    api: Api, sql: Sql, user: User, opened: NewSession, name: str
) -> None:
    before = sql.dump()
    await UNCOUNTED[name](api, user, opened)
    assert not api.in_transaction
    assert (sql.dump() == before) == (name in READS)


@pytest.mark.parametrize("name", sorted(UNCOUNTED.keys() - READS))
async def test_without_autocommit_the_transaction_is_the_callers(
    connect: Connect, sql: Sql, user: User, opened: NewSession, name: str
) -> None:
    before = sql.dump()
    api = await connect(autocommit=False)
    await UNCOUNTED[name](api, user, opened)
    assert api.in_transaction
    assert sql.dump() == before
    await api.rollback()
    assert sql.dump() == before
    await UNCOUNTED[name](api, user, opened)
    await api.commit()
    assert sql.dump() != before


@pytest.fixture
async def counted(api: Api, user: User, opened: NewSession) -> dict[str, Callable[[Api], Awaitable[Any]]]:
    issued = await api(otps.issue, user.email, "signin", key=KEY)
    wrong = other_than(issued.code)
    stolen = await api(refresh_tokens.issue, opened.session.id)
    first = await api(refresh_tokens.rotate, stolen.token)
    await api(refresh_tokens.rotate, first.token)
    enrolled = await enroll(api, user)
    code = totp_code(enrolled.secret, int(time.time()) // 30 + 1)
    recovery, *_ = await api(recovery_codes.regenerate, user.id, key=KEY)
    device = Authenticator()
    await register(api, user, device)
    asked = await api(passkeys.begin_authentication, relying_party=PARTY)
    answer = device.get(asked.options)
    for _ in range(3):
        await api(outbox.enqueue, user.email, "signin", {"app": "A", "code": "1"}, keyring=RING)
    sent, failed = await api(outbox.lease, batch=2)
    mail: dict[str, Any] = {"sender": "b@x.org", "keyring": RING}
    return {
        "rate_limits.hit": lambda api: api(rate_limits.hit, "a", limit=3, period=DAY),
        "outbox.lease": lambda api: api(outbox.lease),
        "outbox.mark_sent": lambda api: api(outbox.mark_sent, sent.id, sent.lease_id),
        "outbox.mark_failed": lambda api: api(outbox.mark_failed, failed.id, failed.lease_id, "busy"),
        "outbox.deliver": lambda api: api(outbox.deliver, lambda _: None, **mail),
        "passwords.verify": lambda api: api(passwords.verify, user.email, "wrong password", policy=FAST),
        "passwords.verify right": lambda api: api(passwords.verify, user.email, PASSWORD, policy=FAST),
        "passwords.change": lambda api: api(
            passwords.change, user.id, PASSWORD, "a new password", policy=FAST
        ),
        "otps.verify": lambda api: api(otps.verify, user.email, "signin", wrong, key=KEY),
        "otps.verify right": lambda api: api(otps.verify, user.email, "signin", issued.code, key=KEY),
        "refresh_tokens.rotate": lambda api: api(refresh_tokens.rotate, stolen.token),
        "totp.verify": lambda api: api(totp.verify, user.id, other_than(code), keyring=RING),
        "totp.verify right": lambda api: api(totp.verify, user.id, code, keyring=RING),
        "recovery_codes.verify": lambda api: api(recovery_codes.verify, user.id, recovery, key=KEY),
        "passkeys.finish_authentication": lambda api: api(
            passkeys.finish_authentication, asked.id, answer, relying_party=PARTY
        ),
    }


COUNTED = [
    "rate_limits.hit",
    "outbox.lease",
    "outbox.mark_sent",
    "outbox.mark_failed",
    "outbox.deliver",
    "passwords.verify",
    "passwords.verify right",
    "passwords.change",
    "otps.verify",
    "otps.verify right",
    "refresh_tokens.rotate",
    "totp.verify",
    "totp.verify right",
    "recovery_codes.verify",
    "passkeys.finish_authentication",
]


@pytest.mark.parametrize("name", COUNTED)
async def test_counted_refuses_an_open_transaction(
    api: Api, sql: Sql, counted: dict[str, Callable[[Api], Awaitable[Any]]], name: str
) -> None:
    before = sql.dump()
    await api.begin()
    with pytest.raises(TransactionOpen):
        await counted[name](api)
    assert api.in_transaction, "which stays open"
    assert await api.sql("SELECT 1"), "and usable"
    await api.commit()
    assert sql.dump() == before
    await counted[name](api)
    assert sql.dump() != before


@pytest.mark.parametrize("name", COUNTED)
async def test_counted_without_autocommit_survives_a_rollback(
    connect: Connect, sql: Sql, counted: dict[str, Callable[[Api], Awaitable[Any]]], name: str
) -> None:
    before = sql.dump()
    api = await connect(autocommit=False)
    await counted[name](api)
    assert not api.in_transaction
    after = sql.dump()
    assert after != before
    await api.rollback()
    assert sql.dump() == after


async def test_flow_without_autocommit(connect: Connect, sql: Sql, user: User, opened: NewSession) -> None:
    api = await connect(autocommit=False)
    for _ in range(4):
        refused(await api(passwords.verify, user.email, "wrong password", policy=FAST), Reason.WRONG)
        await api.rollback()
    assert sql.one("SELECT failed_attempts FROM authsql_users WHERE id = %s", user.id) == 4
    assert await api(passwords.verify, user.email, PASSWORD, policy=FAST)
    issued = await api(refresh_tokens.issue, opened.session.id)
    await api.commit()
    assert isinstance(await api(refresh_tokens.rotate, issued.token), RotatedToken)
    assert (await api(refresh_tokens.rotate, issued.token)).repeated
    assert not api.in_transaction


async def test_taken_email_leaves_the_transaction_usable(api: Api, sql: Sql, user: User) -> None:
    await api.begin()
    await api(users.create, "first@x.org")
    with pytest.raises(EmailTaken):
        await api(users.create, user.email.upper())
    assert api.in_transaction
    await api(users.create, "second@x.org")
    await api.commit()
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 4


async def test_taken_email_of_a_reactivation_leaves_it_usable(api: Api, sql: Sql, user: User) -> None:
    await api(users.soft_delete, user.id)
    await api(users.create, user.email)
    sql.elapse(2 * DAY)
    await api.begin()
    with pytest.raises(EmailTaken):
        await api(users.reactivate, user.id)
    await api(users.create, "second@x.org")
    await api.commit()
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 4


async def test_taken_email_leaves_no_transaction_behind(api: Api, user: User) -> None:
    with pytest.raises(EmailTaken):
        await api(users.create, user.email)
    assert not api.in_transaction


async def test_capped_create_is_all_or_nothing(api: Api, sql: Sql, user: User, opened: NewSession) -> None:
    """The second of its statements fails, or a part of the one."""
    if sql.is_mysql:
        sql(
            "CREATE TRIGGER authsql_test_fail BEFORE INSERT ON authsql_sessions FOR EACH ROW"
            " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'"
        )
    else:
        sql(
            "CREATE FUNCTION authsql_test_fail() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no'; END $$"
        )
        sql(
            "CREATE TRIGGER authsql_test_fail BEFORE INSERT ON authsql_sessions"
            " FOR EACH ROW EXECUTE FUNCTION authsql_test_fail()"
        )
    try:
        before = sql.dump()
        with pytest.raises(Exception, match="no"):
            await api(sessions.create, user.id, cap=1)
        assert sql.dump() == before
        assert not api.in_transaction
    finally:
        sql("DROP TRIGGER authsql_test_fail" + ("" if sql.is_mysql else " ON authsql_sessions"))
    assert await api(sessions.create, user.id, cap=1)


# The owner of the tests' server may set deadlock_timeout.
@pytest.mark.owner
async def test_deadlock_in_the_callers_transaction(
    api: Api, connect: Connect, sql: Sql, user: User, new_user: Callable[..., Awaitable[User]]
) -> None:
    """The other has done more, so that MySQL gives up on the caller's."""
    second = await new_user()
    database = sql.database
    if not sql.is_mysql:
        await api.sql("SET deadlock_timeout = '100ms'")
    other = Sql(database, database.connect(autocommit=False))
    for number in range(20):
        other("INSERT INTO authsql_users (email) VALUES (%s)", f"{number}@weight.org")
    other("UPDATE authsql_users SET name = 'x' WHERE id = %s", second.id)
    await api.begin()
    await api(users.update_profile, user.id, name="y")

    import threading

    waits = threading.Thread(
        target=lambda: other("UPDATE authsql_users SET name = 'x' WHERE id = %s", user.id)
    )
    if not sql.is_mysql:
        other("SET deadlock_timeout = '30s'")
    waits.start()
    try:
        waiting = (
            "SELECT COUNT(*) FROM performance_schema.data_lock_waits"
            if sql.is_mysql
            else "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
        )
        for _ in range(2000):
            if sql.one(waiting):
                break
        else:
            pytest.fail("nobody waits")
        with pytest.raises(RetryTransaction) as raised:
            await api(users.update_profile, second.id, name="y")
        assert raised.value.__cause__ is not None
        await api.rollback()
    finally:
        waits.join(30)
        other.connection.rollback()
    await api.begin()
    assert await api(users.update_profile, user.id, name="z")
    await api.commit()
