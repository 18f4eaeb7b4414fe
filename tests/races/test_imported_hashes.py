"""Hashes from elsewhere, sixteen at once: imported once, renewed, and never put over a newer password."""

from __future__ import annotations

from collections.abc import Iterator

import bcrypt
import pytest

from authsql import Pepper, Reason, Refusal, VerifiedPassword, passwords, sessions, users
from authsql.models import NewSession, User
from tests.servers import Database, SyncConnection
from tests.support import BCRYPT, PASSWORD, Crowd, Sql, crowd_of, refused, with_policy

SIZE = 16
ROUNDS = 8
NEW = "another password"
# No attempt finds the account locked by those that are being checked.
POLICY = with_policy(lock_after=50, pepper=Pepper({"2026": bytes(32)}, "2026"))


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


def bare(conn: SyncConnection, number: int) -> User:
    return users.create(conn, f"{number}@x.org")


def test_an_imported_hash_is_verified_by_all(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        user = bare(conn, number)
        assert passwords.import_hash(conn, user.id, BCRYPT, policy=POLICY)
        opened = sessions.create(conn, user.id)
        assert isinstance(opened, NewSession)
        [before] = sql("SELECT changed_at FROM authsql_passwords WHERE user_id = %s", user.id)

        def verify(mine: SyncConnection, _: int, user: User = user) -> object:
            return passwords.verify(mine, user.id, PASSWORD, policy=POLICY)

        results = crowd.run(verify)
        assert all(isinstance(each, VerifiedPassword) for each in results), results
        [(stored, changed_at)] = sql(
            "SELECT hash, changed_at FROM authsql_passwords WHERE user_id = %s", user.id
        )
        assert str(stored).startswith("$argon2id-hmac-sha256$")
        assert changed_at == before[0]
        assert sessions.validate(conn, opened.token)
        assert passwords.verify(conn, user.id, PASSWORD, policy=POLICY)
        refused(passwords.verify(conn, user.id, "wrong password", policy=POLICY), Reason.WRONG)


def test_a_renewal_does_not_undo_a_change(crowd: Crowd, conn: SyncConnection) -> None:
    for number in range(ROUNDS):
        user = bare(conn, number)
        assert passwords.import_hash(conn, user.id, BCRYPT, policy=POLICY)

        def work(mine: SyncConnection, who: int, user: User = user) -> object:
            if who == 0:
                return passwords.set(mine, user.id, NEW, policy=POLICY)
            return passwords.verify(mine, user.id, PASSWORD, policy=POLICY)

        results = crowd.run(work)
        assert results[0] is True
        for each in results[1:]:
            if isinstance(each, Refusal):
                assert each.reason in {Reason.CHANGED, Reason.WRONG}
        assert passwords.verify(conn, user.id, NEW, policy=POLICY)
        refused(passwords.verify(conn, user.id, PASSWORD, policy=POLICY), Reason.WRONG)


def test_one_import_wins(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    hashes = [bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode() for _ in range(SIZE)]
    for number in range(ROUNDS):
        user = bare(conn, number)

        def bring(mine: SyncConnection, who: int, user: User = user) -> bool:
            return passwords.import_hash(mine, user.id, hashes[who], policy=POLICY)

        results = crowd.run(bring)
        assert results.count(True) == 1
        stored = sql.one("SELECT hash FROM authsql_passwords WHERE user_id = %s", user.id)
        assert stored == hashes[results.index(True)]


def test_an_import_replaces_no_password_that_comes_first(crowd: Crowd, conn: SyncConnection) -> None:
    for number in range(ROUNDS):
        user = bare(conn, number)

        def work(mine: SyncConnection, who: int, user: User = user) -> object:
            if who == 0:
                return passwords.set(mine, user.id, NEW, policy=POLICY)
            return passwords.import_hash(mine, user.id, BCRYPT, policy=POLICY)

        results = crowd.run(work)
        assert results[0] is True
        assert results[1:].count(True) <= 1
        assert passwords.verify(conn, user.id, NEW, policy=POLICY), "the import came before it, or not at all"


def test_an_import_against_a_deletion(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    question = "SELECT COUNT(*) FROM authsql_passwords WHERE user_id = %s"
    for number in range(ROUNDS):
        user = bare(conn, number)

        def work(mine: SyncConnection, who: int, user: User = user) -> object:
            if who == 0:
                return users.delete(mine, user.id)
            return passwords.import_hash(mine, user.id, BCRYPT, policy=POLICY)

        results = crowd.run(work)
        assert results[0] is True
        assert set(results[1:]) <= {True, False}
        assert sql.one(question, user.id) == 0


def test_an_import_waits_for_a_deletion_that_is_under_way(
    database: Database, conn: SyncConnection, sql: Sql
) -> None:
    """It then finds no live account, whatever its snapshot was."""
    import threading
    import time

    user = bare(conn, 0)
    waiting = (
        "SELECT COUNT(*) FROM performance_schema.data_lock_waits"
        if sql.is_mysql
        else "SELECT COUNT(*) FROM pg_locks WHERE NOT granted"
    )
    deleting = database.connect(autocommit=False)
    users.soft_delete(deleting, user.id)
    importing, results = database.connect(), []
    if sql.is_mysql:
        Sql(database, importing)("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    thread = threading.Thread(
        target=lambda: results.append(passwords.import_hash(importing, user.id, BCRYPT, policy=POLICY))
    )
    thread.start()
    deadline = time.monotonic() + 20
    while not sql.one(waiting) and time.monotonic() < deadline:
        time.sleep(0.01)
    deleting.commit()
    thread.join(30)
    assert results == [False]
    assert sql.one("SELECT COUNT(*) FROM authsql_passwords") == 0
