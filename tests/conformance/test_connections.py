"""Whatever connection the caller has: the same outcomes, prepared statements, and few round trips."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import mysql.connector
import mysql.connector.pooling
import psycopg
import psycopg_pool
import pytest
from mysql.connector.constants import ClientFlag
from psycopg.rows import dict_row, namedtuple_row

from authsql import (
    Delivery,
    EmailTaken,
    Policy,
    Reason,
    RelyingParty,
    RotatedToken,
    SchemaMissing,
    UnknownRole,
    UnsupportedConnection,
    UserNotFound,
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
from authsql.migrations import migrate
from authsql.models import NewSession, User
from tests.conformance.authenticator import ORIGIN, Authenticator
from tests.conformance.conftest import Connect, NewUser, SignIn
from tests.flows import FLOWS, Started, begin
from tests.servers import Database, rows
from tests.support import (
    BCRYPT,
    FAST,
    HOUR,
    KEY,
    PASSWORD,
    RING,
    Api,
    Sql,
    other_than,
    refused,
    totp_code,
)

PARTY = RelyingParty("example.org", "Example", (ORIGIN,))


async def second_factors(api: Api, user: User) -> None:
    """The core of TOTP, recovery codes and passkeys."""
    enrolled = await api(totp.enroll, user.id, keyring=RING, issuer="x", account=user.email)
    now = int(time.time()) // 30
    first, second = (totp_code(enrolled.secret, now + offset) for offset in (0, 1))
    assert await api(totp.confirm, user.id, enrolled.factor_id, first, keyring=RING) is True
    assert (await api(totp.verify, user.id, second, keyring=RING)).factor_id == enrolled.factor_id
    refused(await api(totp.verify, user.id, second, keyring=RING), Reason.SPENT)
    code, *_ = await api(recovery_codes.regenerate, user.id, key=KEY)
    assert (await api(recovery_codes.verify, user.id, code, key=KEY)).remaining == 9
    refused(await api(recovery_codes.verify, user.id, code, key=KEY), Reason.SPENT)
    device = Authenticator()
    asked = await api(passkeys.begin_registration, user.id, relying_party=PARTY, account="x")
    answer = device.create(asked.options)
    made = await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)
    assert await api(passkeys.list, user.id) == (made,)
    for owner in (user.id, None):
        asked = await api(passkeys.begin_authentication, owner, relying_party=PARTY)
        answer = device.get(asked.options)
        proof = await api(passkeys.finish_authentication, asked.id, answer, relying_party=PARTY)
        assert (proof.user_id, proof.passkey_id) == (user.id, made.id)
    found = await api(factors.of_user, user.id)
    assert (found.totp, found.passkeys, found.recovery_codes) == (1, 1, 9)
    assert await api(passkeys.rename, user.id, made.id, "x") is True
    assert await api(passkeys.remove, user.id, made.id) is True
    assert await api(totp.remove, user.id, enrolled.factor_id) is True


KEYRING = Keyring({"a": KEY}, "a")
NEXT = Keyring({"a": KEY, "b": bytes(32)}, "b")


async def flow(api: Api, email: str = "Flow@x.org") -> None:
    """The core of everything, with its outcomes."""
    await api(audit.clear_context)
    user = await api(users.create, email, name="F", avatar={"a": [1]})
    await api(audit.set_context, actor_id=user.id, session_id=user.id, ip="192.0.2.9", user_agent="F/1")
    assert await api(users.get, user.id) == user
    with pytest.raises(EmailTaken):
        await api(users.create, email.lower())
    assert (await api(users.update_profile, user.id, name="F")).name == "F"
    assert await api(users.mark_email_verified, user.id, email) is True
    assert await api(users.mark_email_verified, user.id, email) is True
    assert await api(passwords.set, user.id, PASSWORD, policy=FAST) is True
    refused(await api(passwords.verify, email, "wrong password", policy=FAST), Reason.WRONG)
    assert (await api(passwords.verify, email, PASSWORD, policy=FAST)).user_id == user.id
    assert await api(passwords.change, user.id, PASSWORD, "a new password", policy=FAST) is True
    issued = await api(otps.issue, email, "signin", key=KEY, user_id=user.id)
    refused(await api(otps.issue, email, "signin", key=KEY), Reason.COOLING_DOWN)
    refused(await api(otps.verify, email, "signin", other_than(issued.code), key=KEY), Reason.WRONG)
    assert (await api(otps.verify, email, "signin", issued.code, key=KEY)).issue_id == issued.issue_id
    refused(await api(otps.verify, email, "signin", issued.code, key=KEY), Reason.SPENT)
    opened = await api(sessions.create, user.id, ip="192.0.2.1", cap=1)
    capped = await api(sessions.create, user.id, cap=1)
    assert capped.ended == 1
    refused(await api(sessions.validate, opened.token), Reason.REVOKED)
    assert await api(sessions.validate, capped.token) == capped.session
    assert await api(roles.create, "editor", description="é") is True
    assert await api(roles.create, "editor") is False
    assert await api(roles.allow, "editor", "a:b") is True
    assert await api(roles.allow, "editor", "a:b") is False
    assert await api(roles.grant, user.id, "editor") is True
    assert await api(roles.grant, user.id, "editor") is False
    with pytest.raises(UnknownRole):
        await api(roles.grant, user.id, "nobody")
    with pytest.raises(UserNotFound):
        await api(roles.grant, capped.session.id, "editor")
    assert [(each.name, each.permissions) for each in await api(roles.list)][1] == ("editor", ("a:b",))
    assert (await api(roles.has_role, user.id, "editor"), await api(roles.of_user, user.id)) == (
        True,
        ("editor", "user"),
    )
    assert (await api(roles.has_permission, user.id, "a:b"), await api(roles.permissions_of, user.id)) == (
        True,
        ("a:b",),
    )
    found = await api(sessions.validate, capped.token, roles=True)
    assert (found.roles, found.permissions) == ({"editor", "user"}, {"a:b"})
    assert await api(roles.disallow, "editor", "a:b") is True
    assert await api(roles.revoke, user.id, "editor") is True
    assert await api(roles.delete, "editor") is True
    await second_factors(api, user)
    capped = await api(sessions.elevate, capped.token, aal=2)
    assert await api(sessions.validate, capped.token) == capped.session
    token = (await api(refresh_tokens.issue, capped.session.id)).token
    first = await api(refresh_tokens.rotate, token)
    again = await api(refresh_tokens.rotate, token)
    assert isinstance(first, RotatedToken)
    assert (first.token, first.repeated, again.repeated) == (again.token, False, True)
    assert (await api(refresh_tokens.rotate, first.token)).generation == 2
    refused(await api(refresh_tokens.rotate, token), Reason.REUSED)
    assert await api(sessions.revoke_all, user.id) == 0
    made = await api(devices.remember, user.id)
    found = await api(passwords.verify, email, "a new password", device=made.token, policy=FAST)
    assert found.known_device
    for number, name in enumerate(("verify_email", "reset_password", "change_email")):
        subject = email if number < 2 else f"new-{email}"
        started = await begin(api, name, subject, user=user)
        wrong = started.with_code(other_than(started.issued.code))
        refused(await started.spend(api, wrong), Reason.WRONG)
        assert await started.spend(api, started.proof()), name
        refused(await started.spend(api, started.proof("link")), Reason.SPENT)
    for how in ("code", "link"):
        pending = await begin(api, "confirm_sign_up", f"{how}-{email}")
        assert await pending.spend(api, pending.proof(how))
        signin = await api(otps.issue, f"in-{how}-{email}", "signin", key=KEY, link=True)
        given = Started("sign_in", f"in-{how}-{email}", signin, None).proof(how)
        assert (await api(accounts.sign_in, given, create=True)).outcome == "created"
    assert await api(sessions.is_live, capped.session.id) is False
    await mail_and_limits(api, email)
    assert await api(maintenance.purge)
    # A flow has changed it.
    email = (await api(users.get, user.id)).email
    refused(await api(identities.sign_in, "google", email, email=email), Reason.OWNERSHIP_REQUIRED)
    assert await api(identities.link, user.id, "google", email, email=email, profile={"a": 1}) is True
    assert await api(identities.link, user.id, "google", email) is True
    refused(await api(identities.sign_in, "github", email), Reason.EMAIL_REQUIRED)
    assert (await api(identities.sign_in, "google", email)).outcome == "existing"
    assert await api(identities.store_tokens, "google", email, keyring=KEYRING, access_token="1", scopes="a")
    assert await api(identities.store_tokens, "google", email, keyring=KEYRING, access_token="2")
    assert await api(identities.reencrypt_tokens, keyring=NEXT) == 1
    tokens = await api(identities.tokens, "google", email, keyring=NEXT)
    assert (tokens.access_token, tokens.scopes, tokens.expired) == ("2", ("a",), False)
    assert [each.profile for each in await api(identities.list, user.id)] == [{"a": 1}]
    made = await api(identities.sign_in, "github", email, email=f"other-{email}", email_verified=True)
    assert (made.outcome, made.email_verified) == ("created", True)
    refused(await api(identities.link, made.user_id, "google", email), Reason.TAKEN)
    refused(await api(identities.unlink, made.user_id, "github"), Reason.LAST_WAY_IN)
    trusting = Policy(link_verified_emails=True)
    linked = await api(
        identities.sign_in, "a", email, email=f"other-{email}", email_verified=True, policy=trusting
    )
    assert (linked.outcome, linked.user_id) == ("linked", made.user_id)
    assert await api(identities.unlink, made.user_id, "github") is True
    assert await api(users.delete, made.user_id) is True
    assert await api(identities.unlink, user.id, "google") is True
    assert await api(users.soft_delete, user.id)
    refused(await api(users.reactivate, user.id), Reason.NOT_YET)
    assert await api(users.delete, user.id) is True
    await api(audit.record, "app.flowed", user_id=user.id, detail={"é": 1})
    newest, deleted, *_ = found = await api(audit.list, user_id=user.id)
    assert (newest.event, newest.detail, newest.ip) == ("app.flowed", {"é": 1}, "192.0.2.9")
    assert (deleted.event, deleted.actor_id) == ("user.deleted", user.id)
    assert (found[-1].event, found[-1].actor_id) == ("user.created", None)
    assert len(found) == 54


async def mail_and_limits(api: Api, email: str) -> None:
    limit: dict[str, Any] = {"limit": 2, "period": HOUR}
    for left in (1, 0):
        assert (await api(rate_limits.hit, email, **limit)).remaining == left
    refusal = refused(await api(rate_limits.hit, email, **limit), Reason.LIMITED)
    assert refused(await api(rate_limits.peek, email, **limit), Reason.LIMITED) == refusal
    assert await api(rate_limits.reset, email) is True
    code = {"app": "A", "code": "271828"}
    queued = await api(outbox.enqueue, email, "signin", code, keyring=RING, dedup_key=email)
    again = await api(outbox.enqueue, email, "signin", code, keyring=RING, dedup_key=email)
    assert (again.id, again.duplicate, queued.duplicate) == (queued.id, True, False)
    [mail] = await api(outbox.lease)
    assert (mail.id, mail.recipient, mail.attempts) == (queued.id, email, 1)
    assert await api(outbox.mark_failed, mail.id, mail.lease_id, "busy") is True
    other = await api(outbox.enqueue, email, "signin", code, keyring=RING)
    sent: list[Any] = []
    assert await api(outbox.deliver, sent.append, keyring=RING, sender="a@x.org") == Delivery(sent=1)
    assert [message["Message-ID"] for message in sent] == [f"<{other.id}@x.org>"]


async def test_flow(api: Api) -> None:
    await flow(api)


ISOLATION = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.mark.parametrize("level", ISOLATION)
async def test_isolation_levels(api: Api, level: str) -> None:
    if hasattr(api.connection, "pgconn"):
        await api.sql(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")
    else:
        await api.sql(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
    await flow(api)


@pytest.mark.only("mysql")
@pytest.mark.parametrize("found_rows", [False, True])
async def test_found_rows_make_no_difference(connect: Connect, found_rows: bool) -> None:
    flags = ClientFlag.get_default()
    await flow(await connect(client_flags=flags | ClientFlag.FOUND_ROWS if found_rows else flags))


@pytest.mark.only("mysql")
@pytest.mark.parametrize(
    "options",
    [{"use_pure": True}, {"use_pure": False}, {"raw": True}, {"buffered": True}, {"get_warnings": True}],
)
async def test_options_of_mysql(database: Database, options: dict[str, Any]) -> None:
    await flow(Api(database.connect(**options), is_async=False))


@pytest.mark.only("postgres")
@pytest.mark.parametrize(
    "options",
    [
        {"row_factory": dict_row},
        {"row_factory": namedtuple_row},
        {"prepare_threshold": None},
        {"prepare_threshold": 0},
    ],
    ids=["dict_row", "namedtuple_row", "never prepared", "prepared at once"],
)
async def test_options_of_postgres(connect: Connect, options: dict[str, Any]) -> None:
    await flow(await connect(**options))


@pytest.mark.only("postgres")
async def test_cursor_factory_of_the_caller(api: Api) -> None:
    api.connection.cursor_factory = psycopg.AsyncClientCursor if api.is_async else psycopg.ClientCursor
    await flow(api)


@pytest.mark.only("postgres")
def test_pool_of_postgres(database: Database) -> None:
    with psycopg_pool.ConnectionPool(database.url, min_size=1, max_size=2, open=True) as pool:
        with pool.connection() as conn:
            user = users.create(conn, "a@x.org")
        for _ in range(3):
            with pool.connection() as conn:
                assert users.get(conn, user.id) == user
        with pytest.raises(UnsupportedConnection):
            users.get(pool, user.id)  # type: ignore[call-overload]  # the pool itself is no connection


@pytest.mark.only("mysql")
async def test_pool_of_mysql(database: Database) -> None:
    from tests.servers import _mysql_arguments

    pool = mysql.connector.pooling.MySQLConnectionPool(
        pool_size=1, pool_name="authsql", autocommit=True, **_mysql_arguments(database.url)
    )
    try:
        for number in range(3):
            taken: Any = pool.get_connection()
            await flow(Api(taken, is_async=False), f"{number}@x.org")
            taken.close()
    finally:
        pool._remove_connections()


@pytest.mark.only("postgres")
def test_schema(empty_database: Database) -> None:
    rows(empty_database.connect(), "CREATE SCHEMA auth")
    migrate(empty_database.url + "?schema=auth")
    conn = empty_database.connect(options="-c search_path=auth")
    user = users.create(conn, "a@x.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    assert passwords.set(conn, user.id, "another one", policy=FAST)
    assert isinstance(sessions.create(conn, user.id, cap=1), NewSession)
    assert rows(conn, "SELECT role FROM auth.authsql_user_roles") == [("user",)]
    with pytest.raises(SchemaMissing):
        users.get(empty_database.connect(), user.id)


async def test_schema_missing(empty_database: Database) -> None:
    conn = empty_database.connect()
    with pytest.raises(SchemaMissing, match="authsql migrate") as raised:
        users.create(conn, "a@x.org")
    assert raised.value.__cause__ is not None
    with pytest.raises(SchemaMissing):
        passwords.verify(conn, "a@x.org", PASSWORD, policy=FAST)
    with pytest.raises(SchemaMissing):
        maintenance.purge(conn)


def prepares(sql_: Any) -> dict[str, int]:
    return {name: int(value) for name, value in sql_}


async def status(api: Api) -> dict[str, int]:
    return prepares(
        await api.sql(
            "SHOW SESSION STATUS WHERE Variable_name LIKE 'Com_stmt%' OR Variable_name IN"
            " ('Questions', 'Com_commit', 'Com_begin', 'Com_rollback')"
        )
    )


@pytest.mark.only("mysql")
async def test_statements_of_mysql_are_prepared_once(api: Api, user: User) -> None:
    before = await status(api)
    for _ in range(20):
        await api(users.get, user.id)
    after = await status(api)
    assert after["Com_stmt_prepare"] - before["Com_stmt_prepare"] == 1
    assert after["Com_stmt_execute"] - before["Com_stmt_execute"] == 20
    assert after["Com_stmt_reset"] == before["Com_stmt_reset"]
    assert after["Com_stmt_close"] == before["Com_stmt_close"]


@pytest.mark.only("postgres")
async def test_statements_of_postgres_are_prepared(api: Api, user: User) -> None:
    for _ in range(10):
        await api(users.get, user.id)
    found = await api.sql(
        "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE %s",
        "%FROM authsql_users AS u%WHERE u.id = $1",
    )
    assert len(found) == 1
    assert found[0][0] >= 4


@pytest.mark.only("mysql")
@pytest.mark.parametrize("how", ["cmd_reset_connection", "cmd_change_user", "reconnect"])
async def test_statements_survive(api: Api, database: Database, user: User, how: str) -> None:
    from tests.servers import _mysql_arguments

    given = _mysql_arguments(database.url)
    arguments = {
        "cmd_change_user": [given["user"], given["password"], given["database"]],
    }.get(how, [])
    user = await api(users.get, user.id)
    for _ in range(2):
        assert await api(users.get, user.id) == user
        result = getattr(api.connection, how)(*arguments)
        if api.is_async:
            await result
        assert await api(users.get, user.id) == user
        assert await api(users.get_by_email, user.email) == user


# Statements of PostgreSQL, of MySQL. What has to be atomic in MySQL is framed by two round trips more.
HAPPY = {
    "users.create": (1, 2),
    "users.get": (1, 1),
    "users.get_by_email": (1, 1),
    "users.update_profile": (1, 2),
    "users.mark_email_verified": (1, 1),
    "users.soft_delete": (1, 2),
    "users.delete": (1, 1),
    "users.export": (1, 1),
    "users.erase": (1, 7),
    "passwords.set": (1, 2),
    "passwords.verify": (2, 3),
    "passwords.verify from_device": (2, 3),
    "passwords.change": (2, 4),
    "passwords.import_hash": (1, 1),
    "passwords.verify, imported": (3, 4),
    "identities.sign_in": (1, 2),
    "identities.sign_in, created": (2, 4),
    "identities.link": (1, 3),
    "identities.unlink": (1, 2),
    "identities.list": (1, 1),
    "identities.store_tokens": (1, 1),
    "identities.tokens": (1, 1),
    "identities.forget_tokens": (1, 1),
    "identities.reencrypt_tokens": (2, 2),
    "otps.issue": (1, 2),
    "otps.verify": (1, 2),
    "otps.verify_link": (1, 2),
    "accounts.sign_up": (1, 3),
    "accounts.confirm_sign_up": (1, 5),
    "accounts.confirm_sign_up link": (2, 6),
    "accounts.verify_email": (1, 4),
    "accounts.verify_email link": (2, 5),
    "accounts.sign_in": (1, 10),
    "accounts.sign_in link": (2, 11),
    "accounts.reset_password": (2, 10),
    "accounts.reset_password link": (2, 10),
    "accounts.change_email": (1, 6),
    "accounts.change_email link": (2, 7),
    "devices.remember": (1, 2),
    "devices.is_trusted": (1, 1),
    "devices.list": (1, 1),
    "devices.forget": (1, 1),
    "devices.forget_all": (1, 1),
    "sessions.create": (1, 3),
    "sessions.create capped": (1, 4),
    "sessions.validate": (1, 1),
    "sessions.validate, touch due": (2, 2),
    "sessions.validate with roles": (1, 1),
    "sessions.elevate": (1, 2),
    "sessions.list": (1, 1),
    "sessions.revoke": (1, 1),
    "sessions.revoke_others": (1, 1),
    "sessions.revoke_all": (1, 1),
    "roles.create": (1, 1),
    "roles.create again": (1, 1),
    "roles.delete": (1, 1),
    "roles.list": (1, 1),
    "roles.grant": (1, 1),
    "roles.grant again": (1, 1),
    "roles.revoke": (1, 1),
    "roles.of_user": (1, 1),
    "roles.permissions_of": (1, 1),
    "roles.allow": (1, 1),
    "roles.allow again": (1, 1),
    "roles.disallow": (1, 1),
    "roles.has_role": (1, 1),
    "roles.has_permission": (1, 1),
    "roles.set_current_user": (1, 1),
    "refresh_tokens.issue": (1, 2),
    "refresh_tokens.rotate": (1, 2),
    "audit.set_context": (1, 1),
    "audit.clear_context": (1, 1),
    "audit.list": (1, 1),
    "audit.list of a user": (1, 1),
    "audit.list of an event": (1, 1),
    "audit.record": (1, 1),
    "totp.enroll": (1, 2),
    "totp.confirm": (2, 2),
    "totp.verify": (2, 3),
    "totp.list": (1, 1),
    "totp.rename": (1, 2),
    "totp.remove": (1, 1),
    "totp.reencrypt of two": (3, 4),
    "recovery_codes.regenerate": (1, 3),
    "recovery_codes.verify": (1, 2),
    "recovery_codes.remaining": (1, 1),
    "passkeys.begin_registration": (1, 2),
    "passkeys.finish_registration": (2, 4),
    "passkeys.begin_authentication": (1, 2),
    "passkeys.begin_authentication discoverable": (1, 2),
    "passkeys.finish_authentication": (2, 3),
    "passkeys.list": (1, 1),
    "passkeys.rename": (1, 2),
    "passkeys.remove": (1, 2),
    "factors.of_user": (1, 1),
    "sessions.is_live": (1, 1),
    "rate_limits.hit": (1, 2),
    "rate_limits.hit refused": (1, 2),
    "rate_limits.peek": (1, 1),
    "rate_limits.reset": (1, 1),
    "outbox.enqueue": (1, 2),
    "outbox.enqueue duplicate": (2, 3),
    "outbox.lease": (2, 3),
    "outbox.mark_sent": (1, 1),
    "outbox.mark_failed": (1, 1),
    "outbox.deliver": (3, 4),
    "outbox.deliver nothing": (2, 3),
    "maintenance.purge": (2 + len(maintenance._TABLES), 2 + len(maintenance._TABLES)),
    "maintenance.backlog": (1, 1),
}


async def prepare(api: Api, sql: Sql, user: User) -> dict[str, tuple[Any, ...]]:
    """Give a user second factors, and say how each operation on them is called."""
    labels = {"keyring": RING, "issuer": "x", "account": "y"}
    pending = await api(totp.enroll, user.id, **labels)
    enrolled = await api(totp.enroll, user.id, **labels)
    code = sql.code(enrolled.secret)
    assert await api(totp.confirm, user.id, enrolled.factor_id, code, keyring=RING)
    recovery, *_ = await api(recovery_codes.regenerate, user.id, key=KEY)
    device = Authenticator()
    asked = await api(passkeys.begin_registration, user.id, relying_party=PARTY, account="x")
    made = await api(
        passkeys.finish_registration, user.id, asked.id, device.create(asked.options), relying_party=PARTY
    )
    creation = await api(passkeys.begin_registration, user.id, relying_party=PARTY, account="x")
    request = await api(passkeys.begin_authentication, user.id, relying_party=PARTY)
    answer, created = device.get(request.options), Authenticator().create(creation.options)
    return {
        "totp.enroll": (totp.enroll, user.id),
        "totp.confirm": (totp.confirm, user.id, pending.factor_id, sql.code(pending.secret)),
        "totp.verify": (totp.verify, user.id, sql.code(enrolled.secret, 1)),
        "totp.list": (totp.list, user.id),
        "totp.rename": (totp.rename, user.id, enrolled.factor_id, "x"),
        "totp.remove": (totp.remove, user.id, enrolled.factor_id),
        "totp.reencrypt": (totp.reencrypt,),
        "recovery_codes.regenerate": (recovery_codes.regenerate, user.id),
        "recovery_codes.verify": (recovery_codes.verify, user.id, recovery),
        "recovery_codes.remaining": (recovery_codes.remaining, user.id),
        "passkeys.begin_registration": (passkeys.begin_registration, user.id),
        "passkeys.finish_registration": (passkeys.finish_registration, user.id, creation.id, created),
        "passkeys.begin_authentication": (passkeys.begin_authentication, user.id),
        "passkeys.finish_authentication": (passkeys.finish_authentication, request.id, answer),
        "passkeys.list": (passkeys.list, user.id),
        "passkeys.rename": (passkeys.rename, user.id, made.id, "x"),
        "passkeys.remove": (passkeys.remove, user.id, made.id),
        "factors.of_user": (factors.of_user, user.id),
    }


FACTORS = {
    name.partition(" ")[0] for name in HAPPY if name.startswith(("totp", "recovery", "passkeys", "factors"))
}


@pytest.mark.parametrize("name", HAPPY)
async def test_statements_of_each_operation(
    api: Api,
    sql: Sql,
    user: User,
    new_user: NewUser,
    sign_in: SignIn,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    opened = await sign_in()
    bare, imported = await new_user(password=None), await new_user(password=None)
    assert await api(passwords.import_hash, imported.id, BCRYPT)
    token = (await api(refresh_tokens.issue, opened.session.id)).token
    assert await api(roles.allow, "user", "a:b")
    issued = await api(otps.issue, user.email, "password-change", key=KEY, link=True)
    device = await api(devices.remember, user.id)
    assert await api(identities.link, user.id, "google", "1")
    assert await api(identities.store_tokens, "google", "1", keyring=KEYRING, access_token="x")
    operation, _, how = name.partition(" ")
    flow = operation.removeprefix("accounts.")
    subject = "new@x.org" if flow in {"confirm_sign_up", "change_email"} else user.email
    started = await begin(api, flow if flow in FLOWS else "verify_email", subject, user=user)
    spend, arguments, spend_keywords = started.call
    prepared = await prepare(api, sql, user) if operation in FACTORS else {}
    if how == "touch due":
        sql.age("authsql_sessions", ("created_at", "last_seen_at"), HOUR)
    work: dict[str, tuple[Any, ...]] = {
        "users.create": (users.create, "new@x.org"),
        "users.get": (users.get, user.id),
        "users.get_by_email": (users.get_by_email, user.email),
        "users.update_profile": (users.update_profile, user.id),
        "users.mark_email_verified": (users.mark_email_verified, user.id, user.email),
        "users.soft_delete": (users.soft_delete, user.id),
        "users.delete": (users.delete, user.id),
        "users.export": (users.export, user.id),
        "users.erase": (users.erase, user.id),
        "passwords.set": (passwords.set, user.id, "a new password"),
        "passwords.verify": (passwords.verify, user.email, PASSWORD),
        "passwords.change": (passwords.change, user.id, PASSWORD, "a new password"),
        "passwords.import_hash": (passwords.import_hash, bare.id, BCRYPT),
        "passwords.verify,": (passwords.verify, imported.id, PASSWORD),
        "identities.sign_in": (identities.sign_in, "google", "1"),
        "identities.sign_in,": (identities.sign_in, "google", "new"),
        "identities.link": (identities.link, user.id, "google", "2"),
        "identities.unlink": (identities.unlink, user.id, "google"),
        "identities.list": (identities.list, user.id),
        "identities.store_tokens": (identities.store_tokens, "google", "1"),
        "identities.tokens": (identities.tokens, "google", "1"),
        "identities.forget_tokens": (identities.forget_tokens, "google", "1"),
        "identities.reencrypt_tokens": (identities.reencrypt_tokens,),
        "otps.issue": (otps.issue, "new@x.org", "signin"),
        "otps.verify": (otps.verify, user.email, "password-change", issued.code),
        "otps.verify_link": (otps.verify_link, issued.link, "password-change"),
        "accounts.sign_up": (accounts.sign_up, "new@x.org", PASSWORD),
        **{f"accounts.{name}": (spend, *arguments, started.proof(how)) for name in FLOWS},
        "devices.remember": (devices.remember, user.id),
        "devices.is_trusted": (devices.is_trusted, user.id, device.token),
        "devices.list": (devices.list, user.id),
        "devices.forget": (devices.forget, user.id, device.device.id),
        "devices.forget_all": (devices.forget_all, user.id),
        "sessions.create": (sessions.create, user.id),
        "sessions.validate": (sessions.validate, opened.token),
        "sessions.validate,": (sessions.validate, opened.token),
        "sessions.list": (sessions.list, user.id),
        "sessions.revoke": (sessions.revoke, opened.session.id),
        "sessions.revoke_others": (sessions.revoke_others, user.id, opened.session.id),
        "sessions.revoke_all": (sessions.revoke_all, user.id),
        "roles.create": (roles.create, "user" if how == "again" else "new"),
        "roles.delete": (roles.delete, "admin"),
        "roles.list": (roles.list,),
        "roles.grant": (roles.grant, user.id, "user" if how == "again" else "admin"),
        "roles.revoke": (roles.revoke, user.id, "user"),
        "roles.of_user": (roles.of_user, user.id),
        "roles.permissions_of": (roles.permissions_of, user.id),
        "roles.allow": (roles.allow, "user", "a:b" if how == "again" else "c:d"),
        "roles.disallow": (roles.disallow, "user", "a:b"),
        "roles.has_role": (roles.has_role, user.id, "user"),
        "roles.has_permission": (roles.has_permission, user.id, "a:b"),
        "roles.set_current_user": (roles.set_current_user, user.id),
        "refresh_tokens.issue": (refresh_tokens.issue, opened.session.id),
        "refresh_tokens.rotate": (refresh_tokens.rotate, token),
        "audit.set_context": (audit.set_context,),
        "audit.clear_context": (audit.clear_context,),
        "audit.list": (audit.list,),
        "audit.record": (audit.record, "app.x"),
        "sessions.elevate": (sessions.elevate, opened.token),
        **prepared,
        "sessions.is_live": (sessions.is_live, opened.session.id),
        "rate_limits.hit": (rate_limits.hit, "a"),
        "rate_limits.peek": (rate_limits.peek, "a"),
        "rate_limits.reset": (rate_limits.reset, "a"),
        "outbox.enqueue": (outbox.enqueue, "a@x.org", "signin", {"app": "A", "code": "1"}),
        "outbox.lease": (outbox.lease,),
        "outbox.mark_sent": (outbox.mark_sent, uuid4(), uuid4()),
        "outbox.mark_failed": (outbox.mark_failed, uuid4(), uuid4(), "busy"),
        "outbox.deliver": (outbox.deliver, lambda _: None),
        "maintenance.purge": (maintenance.purge,),
        "maintenance.backlog": (maintenance.backlog,),
    }
    keywords: dict[str, Any] = spend_keywords if flow in FLOWS else {}
    if operation.startswith("passkeys.") and "_" in operation:
        keywords["relying_party"] = PARTY
    if operation == "passkeys.begin_registration":
        keywords["account"] = "x"
    if how == "discoverable":
        work[operation] = (passkeys.begin_authentication,)
    if operation == "totp.enroll":
        keywords |= {"issuer": "x", "account": "y"}
    if operation in {"totp.enroll", "totp.confirm", "totp.verify"}:
        keywords["keyring"] = RING
    if operation == "totp.reencrypt":
        keywords["keyring"] = Keyring({"2026": KEY, "2027": bytes(32)}, "2027")
    if operation == "sessions.elevate":
        keywords["aal"] = 2
    if operation.startswith("passwords.") or operation == "accounts.sign_up":
        keywords["policy"] = FAST
    if operation in {"otps.issue", "otps.verify", "accounts.sign_up"} or operation in {
        "recovery_codes.regenerate",
        "recovery_codes.verify",
    }:
        keywords["key"] = KEY
    if how == "from_device":
        keywords["device"] = device.token
    if how == "of a user":
        keywords["user_id"] = user.id
    if how == "of an event":
        keywords["event"] = "user.created"
    if operation in {"identities.store_tokens", "identities.tokens", "identities.reencrypt_tokens"}:
        keywords["keyring"] = NEXT
    if operation == "identities.store_tokens":
        keywords["access_token"] = "y"
    if how == "created":
        keywords["email"] = "new@x.org"
    if how == "capped":
        keywords["cap"] = 3
    if how == "with roles":
        keywords["roles"] = True
    keywords |= {
        "rate_limits.hit": {"limit": 1, "period": HOUR},
        "rate_limits.peek": {"limit": 1, "period": HOUR},
        "outbox.enqueue": {"keyring": RING, "dedup_key": "x"},
        "outbox.deliver": {"keyring": RING, "sender": "b@x.org"},
    }.get(operation, {})
    if name in {"rate_limits.hit refused", "outbox.enqueue duplicate", "outbox.deliver"}:
        first = "outbox.enqueue" if operation == "outbox.deliver" else operation
        await api(*work[first], **{"keyring": RING} if operation == "outbox.deliver" else keywords)
    if operation == "roles.set_current_user":
        await api.begin()
    if sql.is_mysql:
        before = await status(api)
        await api(*work[operation], **keywords)
        after = await status(api)
        # Com_stmt_execute counts one twice where the server had to look at a table or a view again first.
        # What is no prepared statement is the frame of a transaction, and the first look at the status.
        framed = after["Com_begin"] - before["Com_begin"] + after["Com_commit"] - before["Com_commit"]
        assert after["Questions"] - before["Questions"] - framed - 1 == HAPPY[name][1]
        assert framed in {0, 2}
        assert after["Com_rollback"] == before["Com_rollback"]
        return
    kind: Any = psycopg.AsyncCursor if api.is_async else psycopg.Cursor
    original, calls = kind.execute, []

    def execute(self: Any, query: Any, *rest: Any, **more: Any) -> Any:
        calls.append(query)
        return original(self, query, *rest, **more)

    monkeypatch.setattr(kind, "execute", execute)
    await api(*work[operation], **keywords)
    assert len(calls) == HAPPY[name][0]
