"""Sixteen threads grant, revoke and delete at once: of each change one is told that it was theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from authsql import UnknownRole, UserNotFound, roles, users
from authsql.models import User
from tests.servers import Database, SyncConnection
from tests.support import Crowd, Sql, crowd_of

SIZE = 16
ROUNDS = 8


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


@pytest.fixture
def user(conn: SyncConnection) -> User:
    return users.create(conn, "ann@example.org")


def test_one_grant_is_told_that_it_was_new(crowd: Crowd, conn: SyncConnection, user: User) -> None:
    for _ in range(ROUNDS):
        results = crowd.run(lambda mine, _: roles.grant(mine, user.id, "admin"))
        assert Counter(results) == {True: 1, False: SIZE - 1}
        assert roles.of_user(conn, user.id) == ("admin", "user")
        results = crowd.run(lambda mine, _: roles.revoke(mine, user.id, "admin"))
        assert Counter(results) == {True: 1, False: SIZE - 1}
        assert roles.of_user(conn, user.id) == ("user",)


def test_one_creation_and_one_deletion_of_a_role(crowd: Crowd, conn: SyncConnection) -> None:
    for _ in range(ROUNDS):
        results = crowd.run(lambda mine, who: roles.create(mine, "editor", description=str(who)))
        assert Counter(results) == {True: 1, False: SIZE - 1}
        [editor] = [each for each in roles.list(conn) if each.name == "editor"]
        assert editor.description == str(results.index(True))
        results = crowd.run(lambda mine, _: roles.delete(mine, "editor"))
        assert Counter(results) == {True: 1, False: SIZE - 1}


def test_one_permission_is_new(crowd: Crowd) -> None:
    for _ in range(ROUNDS):
        results = crowd.run(lambda mine, _: roles.allow(mine, "admin", "invoices:read"))
        assert Counter(results) == {True: 1, False: SIZE - 1}
        results = crowd.run(lambda mine, _: roles.disallow(mine, "admin", "invoices:read"))
        assert Counter(results) == {True: 1, False: SIZE - 1}


def test_grants_against_revocations(crowd: Crowd, conn: SyncConnection, user: User) -> None:
    """What each was told adds up to what is there."""
    for _ in range(ROUNDS):
        before = roles.has_role(conn, user.id, "admin")

        def work(mine: SyncConnection, who: int) -> bool:
            change = roles.grant if who % 2 else roles.revoke
            return change(mine, user.id, "admin")

        results = crowd.run(work)
        assert before + sum(results[1::2]) - sum(results[::2]) == roles.has_role(conn, user.id, "admin")


def test_grants_against_the_end_of_the_role(crowd: Crowd, conn: SyncConnection, sql: Sql, user: User) -> None:
    for _ in range(ROUNDS):
        assert roles.create(conn, "editor")

        def work(mine: SyncConnection, who: int) -> object:
            try:
                return roles.delete(mine, "editor") if who == 0 else roles.grant(mine, user.id, "editor")
            except UnknownRole as unknown:
                return type(unknown)

        results = crowd.run(work)
        assert results[0] is True
        assert set(results[1:]) <= {True, False, UnknownRole}
        assert roles.of_user(conn, user.id) == ("user",)
        assert sql.one("SELECT COUNT(*) FROM authsql_user_roles WHERE role = 'editor'") == 0


def test_grants_against_the_end_of_the_user(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")

        def work(mine: SyncConnection, who: int, user: User = user) -> object:
            try:
                return users.delete(mine, user.id) if who == 0 else roles.grant(mine, user.id, "admin")
            except UserNotFound as unknown:
                return type(unknown)

        results = crowd.run(work)
        assert results[0] is True
        assert set(results[1:]) <= {True, False, UserNotFound}
        assert sql.one("SELECT COUNT(*) FROM authsql_user_roles") == 0


def test_sign_up_against_the_end_of_a_default_role(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """An account, or none: never an account with a role that is gone."""
    for number in range(ROUNDS):
        assert roles.create(conn, "guest", default=True)
        before = sql.one("SELECT COUNT(*) FROM authsql_users")

        def work(mine: SyncConnection, who: int, number: int = number) -> object:
            if who == 0:
                return roles.delete(mine, "guest")
            try:
                return users.create(mine, f"{number}-{who}@x.org")
            except UnknownRole as unknown:
                return unknown

        results = crowd.run(work)
        assert results[0] is True
        made = sum(isinstance(each, User) for each in results)
        assert made + sum(isinstance(each, UnknownRole) for each in results) == SIZE - 1
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == before + made
        assert sql.one("SELECT COUNT(*) FROM authsql_user_roles WHERE role = 'guest'") == 0
