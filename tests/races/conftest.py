"""Sixteen threads at once, each with a connection of its own."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from authsql import Reason, Refusal, passwords, users
from authsql.models import User
from tests.servers import Database, SyncConnection, rows
from tests.support import FAST, PASSWORD, Crowd, crowd_of

SIZE = 16
ROUNDS = 8
WAITING = {
    "postgres": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mysql": "SELECT COUNT(*) FROM performance_schema.data_lock_waits",
}


def commit_once_waited_for(database: Database, changing: SyncConnection) -> threading.Thread:
    """Commit a transaction as soon as somebody waits for what it has locked."""
    watching = database.connect()

    def commit() -> None:
        deadline = time.monotonic() + 20
        while not rows(watching, WAITING[database.dialect])[0][0] and time.monotonic() < deadline:
            time.sleep(0.01)
        changing.commit()

    thread = threading.Thread(target=commit)
    thread.start()
    return thread


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


@pytest.fixture
def user(conn: SyncConnection) -> User:
    user = users.create(conn, "ann@example.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    return user


def reasons(results: Iterable[object]) -> Counter[Reason | None]:
    return Counter(each.reason if isinstance(each, Refusal) else None for each in results)
