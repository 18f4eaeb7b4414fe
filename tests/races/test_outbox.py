"""Several senders at once: each mail is taken by one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from authsql import Delivery, LeasedMail, maintenance, outbox
from tests.servers import Database, SyncConnection
from tests.smtp import mail_server
from tests.support import DAY, FAST, RING, Crowd, Sql, crowd_of

SIZE = 16
ROUNDS = 6
CODE = {"app": "Example", "code": "271828"}


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


def queue(conn: SyncConnection, count: int) -> set[Any]:
    return {
        outbox.enqueue(conn, f"{number}@example.org", "signin", CODE, keyring=RING).id
        for number in range(count)
    }


def take_all(conn: SyncConnection, batch: int) -> list[LeasedMail]:
    """Lease until nothing is left. Others may hold the last ones locked: nobody waits for them."""
    taken: list[LeasedMail] = []
    empty = 0
    while empty < 3:
        mails = outbox.lease(conn, batch=batch)
        empty = 0 if mails else empty + 1
        taken += mails
    return taken


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_each_mail_is_leased_once(crowd: Crowd, sql: Sql, batch: int) -> None:
    for _ in range(ROUNDS):
        queued = queue(sql.connection, 40)
        taken = [mail for found in crowd.run(lambda mine, _: take_all(mine, batch)) for mail in found]
        taken += take_all(sql.connection, 50)
        assert Counter(mail.id for mail in taken) == Counter(queued)
        assert {mail.attempts for mail in taken} == {1}
        sql("DELETE FROM authsql_outbox")


def test_each_mail_is_sent_once(crowd: Crowd, sql: Sql) -> None:
    """Over real connections to one mail server."""
    for _ in range(2):
        queued = queue(sql.connection, 60)
        with mail_server() as box:
            settings = box.settings()

            def work(mine: SyncConnection, _: int, settings: Any = settings) -> int:
                sent, empty = 0, 0
                while empty < 3:
                    done = outbox.deliver(mine, settings, sender="a@x.org", keyring=RING, batch=3)
                    assert done == Delivery(sent=done.sent)
                    empty = 0 if done.sent else empty + 1
                    sent += done.sent
                return sent

            sent = sum(crowd.run(work)) + work(sql.connection, 0)
            assert sent == len(queued)
            assert Counter(box.message_ids) == Counter(f"<{each}@x.org>" for each in queued)
        assert sql.one("SELECT COUNT(*) FROM authsql_outbox WHERE sent_at IS NULL OR attempts <> 1") == 0


def test_senders_and_whoever_queues(crowd: Crowd, sql: Sql) -> None:
    """Half queue, half lease, all the time: nothing is lost, nothing is taken twice, nobody fails."""
    for _ in range(ROUNDS):

        def work(mine: SyncConnection, who: int) -> list[Any]:
            if who % 2:
                return list(queue(mine, 8))
            return [mail for _ in range(8) for mail in outbox.lease(mine, batch=4)]

        results = crowd.run(work)
        queued = [each for found in results[1::2] for each in found]
        taken = [mail.id for found in results[::2] for mail in found]
        taken += [mail.id for mail in take_all(sql.connection, 50)]
        assert Counter(taken) == Counter(queued)
        sql("DELETE FROM authsql_outbox")


def test_one_mail_of_a_name(crowd: Crowd, sql: Sql) -> None:
    for number in range(ROUNDS):

        def work(mine: SyncConnection, who: int, number: int = number) -> Any:
            return outbox.enqueue(
                mine, f"{who}@x.org", "signin", CODE, keyring=RING, dedup_key=f"once {number}"
            )

        results = crowd.run(work)
        assert [each.duplicate for each in results].count(False) == 1
        assert len({each.id for each in results}) == 1
        assert sql.one("SELECT COUNT(*) FROM authsql_outbox") == number + 1


def test_one_outcome_of_a_lease(crowd: Crowd, sql: Sql) -> None:
    for _ in range(ROUNDS):
        queue(sql.connection, 1)
        [mail] = outbox.lease(sql.connection)

        def work(mine: SyncConnection, who: int, mail: LeasedMail = mail) -> bool:
            if who % 2:
                return outbox.mark_sent(mine, mail.id, mail.lease_id)
            return outbox.mark_failed(mine, mail.id, mail.lease_id, "busy", final=who % 4 == 0)

        assert crowd.run(work).count(True) == 1
        sql("DELETE FROM authsql_outbox")


def test_an_old_lease_against_a_new_one(crowd: Crowd, sql: Sql) -> None:
    """A sender that was away for longer than its lease comes back while another one takes the mail."""
    for _ in range(ROUNDS):
        queue(sql.connection, 4)
        old = outbox.lease(sql.connection)
        sql.elapse(FAST.mail_lease)

        def work(mine: SyncConnection, who: int, old: Any = old) -> Any:
            if who % 2:
                return outbox.lease(mine, batch=1)
            mail = old[who // 2 % 4]
            return (mail.id, outbox.mark_sent(mine, mail.id, mail.lease_id))

        results = crowd.run(work)
        taken = [mail.id for found in results[1::2] for mail in found]
        sent = [mail_id for mail_id, done in results[::2] if done]
        assert len(taken) == len(set(taken))
        assert len(sent) == len(set(sent))
        assert not set(taken) & set(sent)
        sql("DELETE FROM authsql_outbox")


def test_against_the_purge_and_the_clock(crowd: Crowd, sql: Sql) -> None:
    """What is over is given up or deleted by whoever comes first, and nobody fails."""
    for _ in range(ROUNDS):
        queue(sql.connection, 20)
        sql.age("authsql_outbox", ("expires_at", "purge_at"), 30 * DAY)
        live = queue(sql.connection, 10)

        def work(mine: SyncConnection, who: int) -> Any:
            return maintenance.purge(mine, batch=5) if who % 2 else outbox.lease(mine, batch=2)

        results = crowd.run(work)
        taken = [mail.id for found in results[::2] for mail in found]
        taken += [mail.id for mail in take_all(sql.connection, 50)]
        assert Counter(taken) == Counter(live)
        while any(each.deleted for each in maintenance.purge(sql.connection)):
            pass
        assert sql.one("SELECT COUNT(*) FROM authsql_outbox") == 10
        sql("DELETE FROM authsql_outbox")
