"""Sixteen threads at once: what happens once is recorded once, and nobody waits for the log or its purge."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from authsql import (
    VerifiedCode,
    VerifiedPassword,
    audit,
    maintenance,
    otps,
    passwords,
    refresh_tokens,
    sessions,
    users,
)
from authsql.models import NewSession, Purged, User
from tests.servers import Database, SyncConnection
from tests.support import DAY, FAST, KEY, PASSWORD, Crowd, Sql, Trail, crowd_of, other_than, with_policy

SIZE = 16
ROUNDS = 8
# So that nobody is locked out by the others.
PATIENT = with_policy(lock_after=1000, block_after=10_000)


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


def new_user(conn: SyncConnection, number: int) -> User:
    user = users.create(conn, f"{number}@x.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    return user


def counts(trail: Trail) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in trail.look():
        found[entry.event] = found.get(entry.event, 0) + 1
    return found


def test_each_right_password_is_recorded(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Of two that are found right at the same time, the second clears a count that is cleared already."""
    trail = Trail(sql)
    for number in range(ROUNDS):
        user = new_user(conn, number)
        trail.look()

        def verify(mine: SyncConnection, who: int, user: User = user) -> object:
            audit.set_context(mine, actor_id=UUID(int=who))
            return passwords.verify(mine, user.id, PASSWORD, policy=PATIENT)

        results = crowd.run(verify)
        assert sum(isinstance(each, VerifiedPassword) for each in results) == SIZE
        entries = trail.look()
        for event in ("password.attempted", "password.verified"):
            actors = [entry.actor_id for entry in entries if entry.event == event]
            assert sorted(actors, key=str) == [UUID(int=who) for who in range(SIZE)]
        assert len(entries) == 2 * SIZE


def test_what_is_won_once_is_recorded_once(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    trail = Trail(sql)
    for number in range(ROUNDS):
        user = new_user(conn, number)
        opened = sessions.create(conn, user.id)
        assert isinstance(opened, NewSession)
        issued = otps.issue(conn, user.email, "signin", key=KEY)
        assert issued
        code = issued.code
        trail.look()

        def work(
            mine: SyncConnection,
            who: int,
            user: User = user,
            opened: NewSession = opened,
            code: str = code,
        ) -> object:
            sessions.revoke(mine, opened.session.id)
            tried = code if who % 2 else other_than(code)
            found = otps.verify(mine, user.email, "signin", tried, key=KEY)
            users.mark_email_verified(mine, user.id, user.email)
            return found

        results = crowd.run(work)
        found = counts(trail)
        right = sum(isinstance(each, VerifiedCode) for each in results)
        wrong = sum(not each and getattr(each, "attempts_left", None) is not None for each in results)
        assert right == found.get("code.verified", 0) <= 1
        assert wrong == found.get("code.failed", 0)
        assert (found["session.revoked"], found["email.verified"]) == (1, 1)


def test_each_entry_has_the_context_of_its_connection(crowd: Crowd, sql: Sql) -> None:
    trail = Trail(sql)
    actors = [uuid4() for _ in range(SIZE)]
    for number in range(ROUNDS):

        def work(mine: SyncConnection, who: int, number: int = number) -> UUID:
            audit.set_context(mine, actor_id=actors[who], ip=f"192.0.2.{who}")
            user = users.create(mine, f"{number}-{who}@x.org")
            assert sessions.create(mine, user.id)
            return user.id

        made = crowd.run(work)
        entries = trail.look()
        assert len(entries) == 3 * SIZE
        for entry in entries:
            assert entry.user_id is not None
            who = made.index(entry.user_id)
            assert (entry.actor_id, entry.ip) == (actors[who], f"192.0.2.{who}")


def test_purge_beside_everything_else(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Half of them purge accounts and the log while the others fill both. Each row goes once, no live one."""
    for number in range(ROUNDS):
        gone = [users.create(conn, f"gone-{number}-{n}@x.org") for n in range(20)]
        for user in gone:
            assert sessions.create(conn, user.id)
            assert users.soft_delete(conn, user.id)
        sql.elapse(40 * DAY)
        at = sql.before(sql.now, 400 * DAY)
        for n in range(20):
            sql(f"INSERT INTO authsql_audit_log (event, occurred_at) VALUES ('app.old-{number}-{n}', {at})")
        trail = Trail(sql)
        trail.look()

        def work(mine: SyncConnection, who: int, number: int = number) -> tuple[Purged, ...] | UUID:
            if who % 2:
                return maintenance.purge(mine, batch=70)
            user = users.create(mine, f"live-{number}-{who}@x.org")
            opened = sessions.create(mine, user.id)
            assert isinstance(opened, NewSession)
            issued = refresh_tokens.issue(mine, opened.session.id)
            assert issued
            assert refresh_tokens.rotate(mine, issued.token)
            assert users.soft_delete(mine, user.id)
            return user.id

        results = crowd.run(work)
        last = maintenance.purge(conn, batch=10_000)
        purged = [each for each in [*results, last] if isinstance(each, tuple)]
        for table in ("authsql_users", "authsql_audit_log"):
            # The server's own scheduler may take a part in it.
            assert sum(p.deleted for each in purged for p in each if p.table_name == table) <= 20
        found = [entry.user_id for entry in trail.look() if entry.event == "user.deleted"]
        assert sorted(map(str, found)) == sorted(str(user.id) for user in gone)
        assert (
            sql.one("SELECT COUNT(*) FROM authsql_audit_log WHERE SUBSTRING(event, 1, 8) = 'app.old-'") == 0
        )
        for each in results:
            if isinstance(each, UUID):
                assert users.get(conn, each)
        # Else those of this round would be old enough in the next.
        sql("UPDATE authsql_users SET deleted_at = NULL, reactivatable_at = NULL")
