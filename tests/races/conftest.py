"""Sixteen threads at once, each with a connection of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from authsql import Reason, Refusal, passwords, users
from authsql.models import User
from tests.servers import Database, SyncConnection
from tests.support import FAST, PASSWORD, Crowd, Sql, crowd_of

SIZE = 16
ROUNDS = 8


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


@pytest.fixture
def sql(database: Database, conn: SyncConnection) -> Sql:
    return Sql(database, conn)


@pytest.fixture
def user(conn: SyncConnection) -> User:
    user = users.create(conn, "ann@example.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    return user


def reasons(results: Iterable[object]) -> Counter[Reason | None]:
    return Counter(each.reason if isinstance(each, Refusal) else None for each in results)
