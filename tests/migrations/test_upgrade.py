"""An upgrade of a database of release 0.1 while it is in use.

AUTHSQL_TEST_SESSIONS says how many sessions it has: a million, unless told otherwise; for every ten there
is a user with a password, and a code.

What the statements of the old version may see: they wait, for a statement of a migration (MySQL) or for a
whole one (PostgreSQL), which is short, as none reads the table of sessions; a validate does not even wait in
PostgreSQL. They see no error, no row that is missing, and none that anybody else has changed.

A transaction of several statements may have to be run again: it may lose a deadlock with a migration of
PostgreSQL, which takes several tables, and MySQL may tell it that a table has changed since it began (1412).
If the migration loses the deadlock, it is rolled back as a whole, and `migrate` is called again.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import mysql.connector
import psycopg
import pytest

from authsql import audit, passwords, refresh_tokens, sessions, users
from authsql.migrations import MigrationFailed, migrate, status
from authsql.models import RefreshToken, RotatedToken
from tests.bulk import SECRET, fill_codes, fill_people, fill_sessions, fill_user, token
from tests.servers import Database
from tests.support import DAY, FAST, MINUTE, PASSWORD, Sql

COUNT = int(os.environ.get("AUTHSQL_TEST_SESSIONS", "1000000"))
PEOPLE = COUNT // 10
THREADS = 4
HASH = hashlib.sha256(SECRET).digest()


@dataclass
class Visitor:
    """What the old version does, in its own words: the statements name no column that 0.1 has not."""

    sql: Sql
    user_id: uuid.UUID
    who: int
    opened: list[uuid.UUID] = field(default_factory=list)
    ended: list[uuid.UUID] = field(default_factory=list)
    touched: list[int] = field(default_factory=list)

    def visit(self) -> None:
        number = self.who + 1 + len(self.touched) * THREADS
        key = uuid.UUID(int=number % COUNT + 1)
        validate = (
            "SELECT user_id, revoked_at IS NULL, expires_at > " + self.sql.now + " FROM authsql_sessions"
            " WHERE id = %s AND secret_hash = %s"
        )
        [[owner, *live]] = self.sql(validate, key, HASH)
        assert (self.sql.uuid(owner), [bool(each) for each in live]) == (self.user_id, [True, True])
        self.sql(
            f"UPDATE authsql_sessions SET last_seen_at = {self.sql.now} WHERE id = %s"
            f" AND revoked_at IS NULL AND expires_at > {self.sql.now}",
            key,
        )
        self.touched.append(key.int)
        mine = uuid.uuid4()
        week = self.sql.before(self.sql.now, -7 * DAY)
        self.sql(f"UPDATE authsql_users SET last_login_at = {self.sql.now} WHERE id = %s", self.user_id)
        self.sql(
            "INSERT INTO authsql_sessions (id, user_id, secret_hash, expires_at, absolute_expires_at)"
            f" VALUES (%s, %s, %s, {week}, {week})",
            mine,
            self.user_id,
            HASH,
        )
        self.opened.append(mine)
        assert self.sql(validate, mine, HASH)
        if len(self.opened) % 2:
            self.sql(
                f"UPDATE authsql_sessions SET revoked_at = {self.sql.now}, revoke_reason = 'sign_out'"
                " WHERE id = %s AND revoked_at IS NULL",
                mine,
            )
            self.ended.append(mine)


def test_nothing_is_lost(empty_database: Database) -> None:
    migrate(empty_database.url, target=10)
    sql = Sql(empty_database, empty_database.connect())
    owner = fill_user(sql)
    fill_sessions(sql, owner, COUNT)
    fill_people(sql, PEOPLE)
    fill_codes(sql, PEOPLE, age=MINUTE)
    over = threading.Event()
    visitors = [Visitor(Sql(empty_database, empty_database.connect()), owner, n) for n in range(THREADS)]

    def use(visitor: Visitor) -> None:
        while not over.is_set():
            visitor.visit()
        visitor.visit()

    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(use, visitor) for visitor in visitors]
        try:
            while not all(len(visitor.touched) > 5 for visitor in visitors):
                assert not any(each.done() for each in running)
            before = [len(visitor.touched) for visitor in visitors]
            migrate(empty_database.url)
            during = [len(visitor.touched) for visitor in visitors]
        finally:
            over.set()
        for each in running:
            each.result(60)
    assert {each.state for each in status(empty_database.url)} == {"applied"}
    assert all(later > earlier for earlier, later in zip(before, during, strict=True))

    opened = {key for visitor in visitors for key in visitor.opened}
    ended = {key for visitor in visitors for key in visitor.ended}
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions") == COUNT + len(opened)
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions WHERE revoked_at IS NOT NULL") == len(ended)
    touched = {number for visitor in visitors for number in visitor.touched}
    since = f"last_seen_at > {sql.before('created_at', -MINUTE)}"
    assert sql.one(f"SELECT COUNT(*) FROM authsql_sessions WHERE {since}") == len(touched)

    for table, there in (("users", PEOPLE + 1), ("passwords", PEOPLE), ("otps", PEOPLE)):
        assert sql.one(f"SELECT COUNT(*) FROM authsql_{table}") == there
    # All answers, by the new version.
    conn = sql.connection
    for number in (1, 2, COUNT // 2, COUNT):
        assert sessions.validate(conn, token(number))
    issued = refresh_tokens.issue(conn, uuid.UUID(int=COUNT))
    assert isinstance(issued, RefreshToken)
    assert isinstance(refresh_tokens.rotate(conn, issued.token), RotatedToken)
    assert passwords.set(conn, owner, PASSWORD, policy=FAST)
    assert passwords.verify(conn, owner, PASSWORD, policy=FAST)
    assert sessions.create(conn, owner)
    assert users.get(conn, owner)
    # The log begins with the migration that makes it.
    recorded = sql.one("SELECT COUNT(*) FROM authsql_audit_log WHERE event = 'session.created'")
    assert 0 < recorded <= len(opened) + 1
    assert audit.list(conn, event="session.created", limit=1)[0].user_id == owner


@pytest.mark.only("postgres")
def test_a_deadlock_is_lost_by_one_of_the_two(empty_database: Database) -> None:
    """The transaction has sessions and wants users, and the migration the other way round."""
    migrate(empty_database.url, target=10)
    sql = Sql(empty_database, empty_database.connect())
    owner = fill_user(sql)
    fill_sessions(sql, owner, 1)
    old = Sql(empty_database, empty_database.connect(autocommit=False))
    old(f"UPDATE authsql_sessions SET last_seen_at = {old.now}")
    lost = list[str]()
    waits = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = 'authsql_sessions'::regclass"
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(migrate, empty_database.url)
        while not sql.one(waits):
            assert not run.done()
        try:
            old("UPDATE authsql_users SET last_login_at = now()")
            old.connection.commit()
        except psycopg.errors.DeadlockDetected:
            old.connection.rollback()
            lost.append("the transaction")
        try:
            run.result(60)
        except MigrationFailed as error:
            lost.append(str(error))
    assert len(lost) == 1
    assert lost == ["the transaction"] or "deadlock" in lost[0]
    migrate(empty_database.url)
    assert {each.state for each in status(empty_database.url)} == {"applied"}
    assert sessions.validate(sql.connection, token(1))


@pytest.mark.only("mysql")
def test_a_snapshot_from_before_is_told_so(empty_database: Database) -> None:
    migrate(empty_database.url, target=10)
    sql = Sql(empty_database, empty_database.connect())
    fill_user(sql)
    old = Sql(empty_database, empty_database.connect(autocommit=False))
    old("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    migrate(empty_database.url)
    with pytest.raises(mysql.connector.Error) as caught:
        old("SELECT id FROM authsql_users")
    assert caught.value.errno == 1412
    old.connection.rollback()
    assert len(old("SELECT id FROM authsql_users")) == 1
