"""A purge beside traffic: no error reaches a caller, no live row is lost, nobody waits for more than a batch.

AUTHSQL_TEST_PURGED says how many sessions, and how many codes, are purged: 100000 takes a minute or two.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from uuid import UUID

from authsql import maintenance, otps, passwords, refresh_tokens, sessions, users
from authsql.migrations import migrate
from authsql.models import NewSession, RefreshToken, RotatedToken
from tests.bulk import fill_codes, fill_sessions, fill_user
from tests.schedule.conftest import every_second
from tests.servers import Database, SyncConnection, rows
from tests.support import DAY, FAST, KEY, PASSWORD, Sql, crowd_of

SIZE = 8
COUNT, BATCH = int(os.environ.get("AUTHSQL_TEST_PURGED", "20000")), 2000


def fill(database: Database, count: int) -> Sql:
    """So many expired sessions, and as many codes."""
    migrate(database.url, target=10)
    sql = Sql(database, database.connect())
    fill_sessions(sql, fill_user(sql), count, age=40 * DAY)
    fill_codes(sql, count, age=2 * DAY)
    migrate(database.url)
    return sql


def visit(conn: SyncConnection, user_id: UUID, number: int) -> tuple[str, str]:
    """What a visitor does; the tokens that must be good afterwards."""
    assert passwords.verify(conn, user_id, PASSWORD, policy=FAST)
    opened = sessions.create(conn, user_id)
    assert isinstance(opened, NewSession)
    issued = refresh_tokens.issue(conn, opened.session.id)
    assert isinstance(issued, RefreshToken)
    assert sessions.validate(conn, opened.token)
    rotated = refresh_tokens.rotate(conn, issued.token)
    assert isinstance(rotated, RotatedToken)
    code = otps.issue(conn, f"{user_id}-{number}@x.org", "signin", key=KEY)
    assert code
    assert otps.verify(conn, f"{user_id}-{number}@x.org", "signin", code.code, key=KEY)
    return opened.token, rotated.token


def owners_of(sql: Sql) -> list[UUID]:
    owners = [users.create(sql.connection, f"{number}@example.org").id for number in range(SIZE)]
    for owner in owners:
        assert passwords.set(sql.connection, owner, PASSWORD, policy=FAST)
    return owners


def ends_beside_traffic(
    sql: Sql, purges: Callable[[SyncConnection], object], *, within: float = 60
) -> list[tuple[str, str]]:
    """Purge while visitors come and go: all that they were given is good, and nothing else is left."""
    owners = owners_of(sql)
    over = threading.Event()

    def work(conn: SyncConnection, who: int) -> list[tuple[str, str]]:
        if who == SIZE:
            try:
                purges(conn)
            finally:
                over.set()
            return []
        good: list[tuple[str, str]] = []
        # An expired code's place is taken, too, while it is being purged.
        while not over.is_set() or not good:
            good.append(visit(conn, owners[who], len(good)))
            again = otps.issue(conn, f"{COUNT - len(good) * SIZE - who}@bulk", "signin", key=KEY)
            assert again
        return good

    assert not is_clean(sql.connection)
    with crowd_of(sql.database, SIZE + 1) as crowd:
        visits = [each for some in crowd.run(work, within=within) for each in some]
    assert is_clean(sql.connection)
    for token, refresh in visits:
        assert sessions.validate(sql.connection, token)
        assert refresh_tokens.rotate(sql.connection, refresh)
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions") == len(visits)
    assert sql.one("SELECT COUNT(*) FROM authsql_refresh_tokens") == len(visits)
    assert sql.one("SELECT COUNT(*) FROM authsql_otps") == 2 * len(visits)
    return visits


def is_clean(conn: SyncConnection) -> bool:
    return not any(each.expired_rows for each in maintenance.backlog(conn))


def test_it_ends_beside_traffic(empty_database: Database) -> None:
    rounds = 1

    def purges(conn: SyncConnection) -> None:
        nonlocal rounds
        while any(each.more for each in maintenance.purge(conn, batch=BATCH)):
            rounds += 1

    assert ends_beside_traffic(fill(empty_database, COUNT), purges)
    assert rounds > 2


def test_the_scheduler_beside_traffic(scheduled: Database) -> None:
    """The same of the database's own: events, which run side by side, or the job of pg_cron.

    A pg_cron that runs each minute at the most often takes two minutes for it.
    """

    def purges(conn: SyncConnection) -> None:
        every_second(scheduled, conn)
        deadline = time.monotonic() + 240
        while not is_clean(conn):
            assert time.monotonic() < deadline, maintenance.backlog(conn)
            time.sleep(0.1)

    assert ends_beside_traffic(fill(scheduled, COUNT), purges, within=300)


def test_a_batch_that_is_not_over_stops_nobody(empty_database: Database) -> None:
    """It is left open, with every lock that it has, until the visitors are through.

    In MySQL by READ COMMITTED. By its default, REPEATABLE READ, a batch has gaps locked as well, and who adds
    a row there waits for its end.
    """
    sql = fill(empty_database, 1000)
    owners = owners_of(sql)
    purging = empty_database.connect(autocommit=False)
    if sql.is_mysql:
        rows(purging, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    tickets = itertools.count()

    def work(conn: SyncConnection, who: int) -> None:
        limit = "SESSION innodb_lock_wait_timeout = 5" if sql.is_mysql else "lock_timeout = '5s'"
        rows(conn, f"SET {limit}")
        visit(conn, owners[who], next(tickets))

    # A part, and then all that is left.
    for batch, left in ((400, 600), (5000, 0)):
        found = {each.table_name: each.deleted for each in maintenance.purge(purging, batch=batch)}
        assert found["authsql_sessions"] == found["authsql_otps"] == min(batch, 600)
        with crowd_of(empty_database, SIZE) as crowd:
            crowd.run(work)
        purging.commit()
        waiting = {each.table_name: each.expired_rows for each in maintenance.backlog(sql.connection)}
        assert waiting["authsql_sessions"] == waiting["authsql_otps"] == left
