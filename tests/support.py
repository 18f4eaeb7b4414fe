"""What the tests of the operations share: fast policies, raw statements in both dialects, and moving time.

Time is moved by making rows older, never by sleeping.
"""

from __future__ import annotations

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from argon2.profiles import CHEAPEST

from authsql import Policy, Refusal
from authsql._passwords import candidate
from authsql.keyring import Keyring
from authsql.models import Reason
from tests.servers import AsyncConnection, Database, Rows, SyncConnection, rows, rows_async

T = TypeVar("T")

FAST = Policy(argon2=CHEAPEST)
"""The defaults, but for a password hash that takes a millisecond."""
KEY = bytes(range(32))
RING = Keyring({"2026": bytes(range(32))}, "2026")
PASSWORD = "correct horse battery staple"
BCRYPT = "$2b$04$A9U9jIa7ra0/vKW.aLD92eDKc0MeUCdyu3rfBCY62koBELfvEB5zG"
"""PASSWORD as bcrypt hashed it."""
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


def check(stored: str | None, password: str, policy: Policy = FAST) -> bool:
    """Whether the password is the stored one, told as the database and the library tell it together."""
    if stored is None:
        candidate(None, password, policy)
        return False
    length = 31 if stored.startswith("$2") else len(stored.rpartition("$")[2])
    return candidate(stored[:-length] + "A" * length, password, policy) == stored


TABLES = {
    "authsql_users": (
        "email_verified_at",
        "last_login_at",
        "locked_until",
        "password_verified_at",
        "deleted_at",
        "reactivatable_at",
        "created_at",
    ),
    "authsql_roles": ("created_at",),
    "authsql_user_roles": ("granted_at",),
    "authsql_role_permissions": ("granted_at",),
    "authsql_passwords": ("changed_at", "rehashed_at", "must_change_since"),
    "authsql_identities": ("last_login_at", "created_at"),
    "authsql_identity_tokens": ("expires_at", "created_at"),
    "authsql_otps": ("created_at", "expires_at", "resend_at", "spent_at", "window_ends_at"),
    "authsql_sessions": (
        "created_at",
        "authenticated_at",
        "last_seen_at",
        "expires_at",
        "absolute_expires_at",
        "revoked_at",
    ),
    "authsql_signups": ("created_at",),
    "authsql_known_devices": ("trusted_until", "created_at", "last_used_at", "expires_at"),
    "authsql_former_emails": ("changed_at", "expires_at"),
    "authsql_refresh_tokens": ("created_at", "rotated_at", "expires_at"),
    "authsql_rate_limits": ("hit_at", "reset_at", "expires_at"),
    "authsql_outbox": ("next_attempt_at", "sent_at", "failed_at", "created_at", "expires_at", "purge_at"),
    "authsql_totp_factors": ("created_at", "expires_at", "confirmed_at", "last_used_at"),
    "authsql_totp_attempts": ("locked_until",),
    "authsql_recovery_codes": ("created_at", "spent_at"),
    "authsql_passkeys": ("created_at", "last_used_at", "user_verified_at", "cloned_at"),
    "authsql_passkey_challenges": ("created_at", "expires_at", "spent_at"),
}
"""The tables that an operation writes, and their times."""


def with_policy(**changes: Any) -> Policy:
    """FAST with some fields changed."""
    return replace(FAST, **changes)


def refused(result: object, reason: Reason) -> Refusal:
    """Assert that an operation refused for this reason, and return the refusal."""
    assert isinstance(result, Refusal), f"{result} is no refusal"
    assert result.reason is reason
    assert not result
    return result


def totp_code(secret: str, step: int, digits: int = 6) -> str:
    """RFC 4226, section 5.3, without help from the code that is tested. secret is in base32."""
    mac = hmac.digest(base64.b32decode(secret), step.to_bytes(8), "sha1")
    start = mac[-1] & 0xF
    number = int.from_bytes(mac[start : start + 4]) & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}d}"


def other_than(code: str) -> str:
    """Make a wrong code of a right one."""
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


def token_parts(token: str) -> tuple[str, UUID, list[bytes]]:
    """Take a token apart, without help from the code that is tested."""
    prefix, _, body = token.partition("_")
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    return f"{prefix}_", UUID(bytes=raw[:16]), [raw[at : at + 32] for at in range(16, len(raw), 32)]


def make_token(prefix: str, row_id: UUID, *secrets: bytes) -> str:
    return prefix + base64.urlsafe_b64encode(row_id.bytes + b"".join(secrets)).rstrip(b"=").decode()


@dataclass(frozen=True)
class Sql:
    """Raw statements, with what differs between the dialects put right."""

    database: Database
    connection: SyncConnection

    @property
    def is_mysql(self) -> bool:
        return self.database.dialect == "mysql"

    @property
    def new_id(self) -> str:
        """An id of its own for each row. In MySQL a code that is given all its times needs one, too."""
        return "UUID_TO_BIN(UUID())" if self.is_mysql else "gen_random_uuid()"

    @property
    def now(self) -> str:
        return "UTC_TIMESTAMP(6)" if self.is_mysql else "statement_timestamp()"

    def __call__(self, statement: str, *parameters: object) -> Rows:
        return rows(self.connection, statement, [self.to_sql(each) for each in parameters])

    def one(self, statement: str, *parameters: object) -> Any:
        """Run what finds one row of one column, and return that value."""
        found = self(statement, *parameters)
        assert len(found) == 1, found
        return self.from_sql(found[0][0])

    def to_sql(self, value: object) -> object:
        return value.bytes if self.is_mysql and isinstance(value, UUID) else value

    def from_sql(self, value: Any) -> Any:
        if isinstance(value, bytearray | memoryview):
            return bytes(value)
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value

    def uuid(self, value: Any) -> UUID:
        return value if isinstance(value, UUID) else UUID(bytes=bytes(value))

    def step(self) -> int:
        """Return the number of the current 30 seconds, by the database's clock."""
        if self.is_mysql:
            return int(self.one("SELECT FLOOR(UNIX_TIMESTAMP() / 30)"))
        return int(self.one("SELECT floor(extract(epoch FROM statement_timestamp()) / 30)"))

    def code(self, secret: str, offset: int = 0) -> str:
        """Return the code that an app with this secret shows now, or so many times 30 seconds later."""
        return totp_code(secret, self.step() + offset)

    def before(self, expression: str, by: timedelta) -> str:
        """Write an expression for a time that is earlier by so much."""
        span = by // MICROSECOND
        if self.is_mysql:
            return f"{expression} - INTERVAL {span} MICROSECOND"
        return f"{expression} - {span} * interval '1 microsecond'"

    def age(self, table: str, columns: str | Sequence[str], by: timedelta, **where: object) -> None:
        """Move times of the rows WHERE into the past."""
        names = [columns] if isinstance(columns, str) else columns
        changes = ", ".join(f"{name} = {self.before(name, by)}" for name in names)
        condition = " AND ".join(f"{name} = %s" for name in where)
        self(f"UPDATE {table} SET {changes}" + (f" WHERE {condition}" if where else ""), *where.values())

    def elapse(self, by: timedelta) -> None:
        """Let time go by: every time of every row is so much longer ago."""
        for table, columns in TABLES.items():
            self.age(table, columns, by)
        # A time too, in units of 30 seconds.
        self("UPDATE authsql_totp_factors SET last_step = last_step - %s", -(-by // (30 * SECOND)))

    def columns(self, table: str) -> list[str]:
        schema = "DATABASE()" if self.is_mysql else "current_schema()"
        found = self(
            "SELECT column_name FROM information_schema.columns"
            f" WHERE table_schema = {schema} AND table_name = %s ORDER BY ordinal_position",
            table,
        )
        return [str(row[0]) for row in found]

    def tables(self) -> list[str]:
        schema = "DATABASE()" if self.is_mysql else "current_schema()"
        found = self(
            "SELECT table_name FROM information_schema.tables"
            f" WHERE table_schema = {schema} AND table_type = 'BASE TABLE' ORDER BY table_name"
        )
        return [str(row[0]) for row in found]

    def state(self) -> dict[str, list[str]]:
        """The same without the audit log, which also holds what failed."""
        return {table: found for table, found in self.dump().items() if table != "authsql_audit_log"}

    def dump(self) -> dict[str, list[str]]:
        """Every row of every table of authsql, to be compared with another dump."""
        return {
            table: sorted(
                repr([self.from_sql(value) for value in row]) for row in self(f"SELECT * FROM {table}")
            )
            for table in self.tables()
            if table.startswith("authsql_")
        }


@dataclass(frozen=True)
class Entry:
    """An entry of the audit log, as it stands in the table."""

    number: int
    event: str
    user_id: UUID | None
    actor_id: UUID | None
    session_id: UUID | None
    ip: str | None
    user_agent: str | None
    db_user: str
    detail: dict[str, Any]


class Trail:
    """What was written to the audit log since the last look."""

    def __init__(self, sql: Sql) -> None:
        self.sql = sql
        self._last = 0

    def look(self) -> list[Entry]:
        """The new entries, in their order."""
        ip = "ip" if self.sql.is_mysql else "host(ip)"
        found = self.sql(
            f"SELECT number, event, user_id, actor_id, session_id, {ip}, user_agent, db_user, detail"
            " FROM authsql_audit_log WHERE number > %s ORDER BY number",
            self._last,
        )
        entries = [
            Entry(
                number=row[0],
                event=row[1],
                user_id=self._uuid(row[2]),
                actor_id=self._uuid(row[3]),
                session_id=self._uuid(row[4]),
                ip=row[5],
                user_agent=row[6],
                db_user=row[7],
                detail=row[8] if isinstance(row[8], dict) else json.loads(row[8]),
            )
            for row in found
        ]
        self._last = max([self._last, *(entry.number for entry in entries)])
        return entries

    def _uuid(self, value: Any) -> UUID | None:
        return None if value is None else self.sql.uuid(value)

    def events(self) -> list[str]:
        """The new entries' events and details, sorted: `session.revoked {'reason': 'sign_out'}`."""
        return sorted(
            f"{entry.event} {entry.detail}" if entry.detail else entry.event for entry in self.look()
        )


class Api:
    """Operations over one connection, called alike whichever colour it has: `await api(users.get, id)`."""

    def __init__(self, connection: SyncConnection | AsyncConnection, *, is_async: bool) -> None:
        self.connection: Any = connection
        self.is_async = is_async

    async def __call__(self, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = operation(self.connection, *args, **kwargs)
        return await result if self.is_async else result

    async def sql(self, statement: str, *parameters: object) -> Rows:
        """Run a raw statement on this very connection."""
        if self.is_async:
            return await rows_async(self.connection, statement, parameters)
        return rows(self.connection, statement, parameters)

    async def begin(self) -> None:
        await self.sql("BEGIN")

    async def commit(self) -> None:
        await self._call("commit")

    async def rollback(self) -> None:
        await self._call("rollback")

    async def _call(self, method: str) -> None:
        result = getattr(self.connection, method)()
        if self.is_async:
            await result

    @property
    def in_transaction(self) -> bool:
        if hasattr(self.connection, "pgconn"):
            return bool(self.connection.pgconn.transaction_status != 0)
        return bool(self.connection.in_transaction)


class Crowd:
    """Threads with a connection each, that all begin at the same moment."""

    def __init__(self, database: Database, size: int) -> None:
        self.size = size
        self._connections: list[SyncConnection] = [database.connect() for _ in range(size)]
        self._barrier = threading.Barrier(size)
        self._pool = ThreadPoolExecutor(size)

    def run(self, work: Callable[[SyncConnection, int], T], *, within: float = 60) -> list[T]:
        """Do the work in each thread, and return what came of it, in the order of the threads' numbers.

        It is to be done within so many seconds.
        """

        def one(number: int) -> T:
            self._barrier.wait(30)
            return work(self._connections[number], number)

        return [future.result(within) for future in [self._pool.submit(one, n) for n in range(self.size)]]

    def close(self) -> None:
        self._barrier.abort()
        self._pool.shutdown(wait=True)


@contextmanager
def crowd_of(database: Database, size: int) -> Iterator[Crowd]:
    crowd = Crowd(database, size)
    try:
        yield crowd
    finally:
        crowd.close()
