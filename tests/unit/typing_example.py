"""What a type checker says of an operation on each kind of connection. Never run: `make lint` checks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, assert_type

from authsql import (
    Allowed,
    AuditEntry,
    Delivery,
    NewSession,
    Passkey,
    QueuedMail,
    RecoveryCodes,
    Refusal,
    RelyingParty,
    Role,
    SecondFactors,
    Session,
    TotpFactor,
    User,
    VerifiedPasskey,
    VerifiedPassword,
    audit,
    factors,
    maintenance,
    outbox,
    passkeys,
    passwords,
    rate_limits,
    recovery_codes,
    roles,
    sessions,
    totp,
    users,
)
from authsql.models import Purged
from tests.support import HOUR, RING

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg
    from mysql.connector.abstracts import MySQLConnectionAbstract
    from mysql.connector.aio.abstracts import MySQLConnectionAbstract as AsyncMySQLConnectionAbstract
    from mysql.connector.pooling import PooledMySQLConnection


def on_psycopg(conn: psycopg.Connection[Any], user_id: UUID) -> None:
    assert_type(users.get(conn, user_id), User | None)
    assert_type(users.create(conn, "a@b", name="A"), User)
    assert_type(sessions.create(conn, user_id, cap=5), NewSession | Refusal)
    assert_type(sessions.list(conn, user_id), tuple[Session, ...])
    assert_type(sessions.revoke_all(conn, user_id), int)
    assert_type(passwords.verify(conn, "a@b", "secret"), VerifiedPassword | Refusal)
    assert_type(passwords.change(conn, user_id, "old", "new"), Literal[True] | Refusal)
    assert_type(roles.grant(conn, user_id, "admin"), bool)
    assert_type(roles.list(conn), tuple[Role, ...])
    assert_type(roles.of_user(conn, user_id), tuple[str, ...])
    assert_type(passwords.import_hash(conn, user_id, "$2b$12$"), bool)
    assert_type(maintenance.purge(conn, batch=10), tuple[Purged, ...])
    assert_type(rate_limits.hit(conn, "k", limit=1, period=HOUR), Allowed | Refusal)
    assert_type(outbox.enqueue(conn, "a@b", "signin", keyring=RING), QueuedMail)
    assert_type(outbox.deliver(conn, print, sender="a@b", keyring=RING), Delivery)
    assert_type(audit.list(conn, user_id=user_id), tuple[AuditEntry, ...])
    assert_type(sessions.elevate(conn, "sess_", aal=2), NewSession | Refusal)
    assert_type(factors.of_user(conn, user_id), SecondFactors)
    assert_type(totp.list(conn, user_id), tuple[TotpFactor, ...])
    assert_type(passkeys.list(conn, user_id), tuple[Passkey, ...])
    assert_type(recovery_codes.regenerate(conn, user_id, key=b"x"), RecoveryCodes | Refusal)
    party = RelyingParty("example.org", "Example", ("https://example.org",))
    assert_type(
        passkeys.finish_authentication(conn, user_id, "{}", relying_party=party), VerifiedPasskey | Refusal
    )


async def on_async_psycopg(conn: psycopg.AsyncConnection[Any], user_id: UUID) -> None:
    assert_type(await users.get(conn, user_id), User | None)
    assert_type(await sessions.create(conn, user_id), NewSession | Refusal)


def on_mysql(conn: MySQLConnectionAbstract, user_id: UUID) -> None:
    assert_type(users.get(conn, user_id), User | None)
    assert_type(sessions.create(conn, user_id), NewSession | Refusal)


def on_pooled_mysql(conn: PooledMySQLConnection, user_id: UUID) -> None:
    assert_type(users.get(conn, user_id), User | None)
    assert_type(sessions.create(conn, user_id), NewSession | Refusal)


async def on_async_mysql(conn: AsyncMySQLConnectionAbstract, user_id: UUID) -> None:
    assert_type(await users.get(conn, user_id), User | None)
    assert_type(await sessions.create(conn, user_id), NewSession | Refusal)


def a_refusal_is_false(conn: psycopg.Connection[Any], token: str) -> None:
    found = sessions.validate(conn, token)
    if found:
        assert_type(found, Session)
    if isinstance(found, Refusal):
        assert_type(bool(found), bool)


def what_is_wrong(conn: psycopg.Connection[Any], user_id: UUID) -> None:
    # An unused one of these comments is an error too.
    users.get(conn)  # type: ignore[call-overload]
    users.get(user_id)  # type: ignore[call-overload]
    users.get(conn, str(user_id))  # type: ignore[call-overload]
    sessions.create(conn, user_id, None)  # type: ignore[call-overload]
