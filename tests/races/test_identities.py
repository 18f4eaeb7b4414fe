"""Callbacks of providers that come all at once: one account, one link, no error, and no account without an
owner.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from authsql import (
    EmailTaken,
    Reason,
    Refusal,
    RetryTransaction,
    SignedIn,
    identities,
    passkeys,
    passwords,
    sessions,
    users,
)
from authsql.keyring import Keyring
from authsql.models import User
from tests.conftest import ConnectAsync
from tests.servers import Database, SyncConnection, rows
from tests.support import FAST, PASSWORD, Crowd, Sql, crowd_of, with_policy

SIZE = 16
ROUNDS = 8
LINKING = with_policy(link_verified_emails=True)
LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]
ORPHANS = (
    "SELECT COUNT(*) FROM authsql_users WHERE id NOT IN (SELECT user_id FROM authsql_identities)"
    " AND id NOT IN (SELECT user_id FROM authsql_passwords)"
)


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


def outcomes(results: list[Any]) -> Counter[Any]:
    """Outcomes of sign-ins and reasons of refusals."""
    return Counter(
        each.reason if isinstance(each, Refusal) else each.outcome if isinstance(each, SignedIn) else each
        for each in results
    )


def owners(results: list[Any]) -> set[UUID]:
    return {each.user_id for each in results if isinstance(each, SignedIn)}


def isolate(conn: SyncConnection, level: str) -> None:
    words = "SESSION" if hasattr(conn, "cmd_query") else "SESSION CHARACTERISTICS AS"
    rows(conn, f"SET {words} TRANSACTION ISOLATION LEVEL {level}")


@pytest.mark.parametrize("policy", [FAST, LINKING], ids=["", "linking"])
@pytest.mark.parametrize("level", LEVELS)
def test_one_identity(crowd: Crowd, sql: Sql, level: str, policy: Any) -> None:
    crowd.run(lambda mine, _: isolate(mine, level))
    for number in range(ROUNDS):

        def call_back(mine: SyncConnection, _: int, number: int = number) -> object:
            return identities.sign_in(
                mine, "google", f"{number}", email=f"{number}@x.org", email_verified=True, policy=policy
            )

        results = crowd.run(call_back)
        assert outcomes(results) == {"created": 1, "existing": SIZE - 1}
        assert len(owners(results)) == 1
        for table in ("users", "identities", "user_roles"):
            assert sql.one(f"SELECT COUNT(*) FROM authsql_{table}") == number + 1


@pytest.mark.parametrize("level", LEVELS)
def test_one_identity_with_as_many_emails(crowd: Crowd, sql: Sql, level: str) -> None:
    """Who comes too late has made an account already when the link fails: it must not stay."""
    crowd.run(lambda mine, _: isolate(mine, level))
    for number in range(ROUNDS):

        def call_back(mine: SyncConnection, who: int, number: int = number) -> object:
            return identities.sign_in(mine, "google", f"{number}", email=f"{who}-{number}@x.org")

        results = crowd.run(call_back)
        assert outcomes(results) == {"created": 1, "existing": SIZE - 1}
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1
    assert sql.one(ORPHANS) == 0


def test_one_email_of_as_many_identities(crowd: Crowd, sql: Sql) -> None:
    for number in range(ROUNDS):

        def call_back(mine: SyncConnection, who: int, number: int = number) -> object:
            email = f"Ann{number}@X.org" if who % 2 else f"ann{number}@x.org"
            return identities.sign_in(
                mine, ("google", "github")[who % 2], f"{who}-{number}", email=email, email_verified=True
            )

        results = crowd.run(call_back)
        assert outcomes(results) == {"created": 1, Reason.OWNERSHIP_REQUIRED: SIZE - 1}
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1
        assert sql.one("SELECT COUNT(*) FROM authsql_identities") == number + 1


def test_one_email_of_two_providers_that_are_trusted(crowd: Crowd, sql: Sql) -> None:
    for number in range(ROUNDS):

        def call_back(mine: SyncConnection, who: int, number: int = number) -> object:
            return identities.sign_in(
                mine,
                ("google", "github")[who % 2],
                f"{number}",
                email=f"{number}@x.org",
                email_verified=True,
                policy=LINKING,
            )

        results = crowd.run(call_back)
        assert outcomes(results) == {"created": 1, "linked": 1, "existing": SIZE - 2}
        assert len(owners(results)) == 1
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1
        assert sql.one("SELECT COUNT(*) FROM authsql_identities") == 2 * (number + 1)


def test_sign_up_with_the_same_email(crowd: Crowd, sql: Sql) -> None:
    for number in range(ROUNDS):
        email = f"{number}@x.org"

        def work(mine: SyncConnection, who: int, email: str = email) -> object:
            if who % 2:
                return identities.sign_in(mine, "google", email, email=email, email_verified=True)
            try:
                return users.create(mine, email).id
            except EmailTaken:
                return EmailTaken

        results = crowd.run(work)
        made = [each for each in results if isinstance(each, UUID)]
        found = outcomes(results[1::2])
        if made:
            assert found == {Reason.OWNERSHIP_REQUIRED: SIZE // 2}
        else:
            assert found == {"created": 1, "existing": SIZE // 2 - 1}
        assert len(made) <= 1
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1


def test_soft_deletion_of_the_account_with_the_email(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """The e-mail becomes free while it is asked for."""
    for number in range(ROUNDS):
        email = f"{number}@x.org"
        user = users.create(conn, email, email_verified=True)
        assert passwords.set(conn, user.id, PASSWORD, policy=FAST)

        def work(mine: SyncConnection, who: int, user: User = user, email: str = email) -> object:
            if who == 0:
                return users.soft_delete(mine, user.id)
            return identities.sign_in(mine, "google", email, email=email, email_verified=True, policy=LINKING)

        found = outcomes(crowd.run(work)[1:])
        # Linked before the deletion, it stays with the account that was deleted.
        assert found.keys() <= {"created", "linked", "existing", Reason.DELETED}
        assert found["created"] + found["linked"] == 1
        assert sql.one("SELECT COUNT(*) FROM authsql_identities") == number + 1
    assert sql.one(ORPHANS) == 0


def retried(conn: SyncConnection, work: Callable[[], Any]) -> tuple[Any, int]:
    """Work in a transaction of the caller's, run again as RetryTransaction says, if it was lost."""
    for tries in range(1, 200):
        rows(conn, "BEGIN")
        try:
            answer = work()
            conn.commit()
        except (RetryTransaction, psycopg.errors.SerializationFailure):
            pause = random.uniform(0, min(0.001 * 2**tries, 0.1))
        else:
            return answer, tries
        finally:
            # Whatever it was: others wait for what this one has locked.
            conn.rollback()
        time.sleep(pause)
    raise AssertionError("never got through")


@pytest.mark.parametrize("level", LEVELS)
def test_in_transactions_of_the_callers(crowd: Crowd, sql: Sql, level: str) -> None:
    crowd.run(lambda mine, _: isolate(mine, level))
    for number in range(ROUNDS):

        def call_back(mine: SyncConnection, _: int, number: int = number) -> object:
            def work() -> SignedIn:
                signed_in = identities.sign_in(mine, "google", f"{number}", email=f"{number}@x.org")
                assert isinstance(signed_in, SignedIn)
                assert sessions.create(mine, signed_in.user_id)
                return signed_in

            return retried(mine, work)[0]

        results = crowd.run(call_back)
        assert outcomes(results) == {"created": 1, "existing": SIZE - 1}
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1
        assert sql.one("SELECT COUNT(*) FROM authsql_sessions") == SIZE * (number + 1)


def test_link_to_one_account(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")

        def link(mine: SyncConnection, _: int, user: User = user, number: int = number) -> object:
            return identities.link(mine, user.id, "google", f"{number}", email="other@x.org")

        assert crowd.run(link) == [True] * SIZE
        assert sql.one("SELECT COUNT(*) FROM authsql_identities") == number + 1


def test_link_to_as_many_accounts(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    made = [users.create(conn, f"{who}@x.org") for who in range(SIZE)]
    for number in range(ROUNDS):

        def link(mine: SyncConnection, who: int, number: int = number) -> object:
            return identities.link(mine, made[who].id, "google", f"{number}", email=f"{who}@x.org")

        results = crowd.run(link)
        assert outcomes(results) == {True: 1, Reason.TAKEN: SIZE - 1}
        [identity] = identities.list(conn, made[results.index(True)].id)[number and -1 :][-1:]
        assert identity.email == f"{results.index(True)}@x.org"


@pytest.mark.parametrize("level", LEVELS)
def test_the_last_two_ways_in(crowd: Crowd, conn: SyncConnection, sql: Sql, level: str) -> None:
    """Each takes another identity: one stays, whoever is first."""
    crowd.run(lambda mine, _: isolate(mine, level))
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        for who in range(SIZE):
            assert identities.link(conn, user.id, "google", f"{who}-{number}")

        def unlink(mine: SyncConnection, who: int, user: User = user, number: int = number) -> object:
            return identities.unlink(mine, user.id, "google", f"{who}-{number}")

        assert outcomes(crowd.run(unlink)) == {True: SIZE - 1, Reason.LAST_WAY_IN: 1}
        assert len(identities.list(conn, user.id)) == 1


@pytest.mark.parametrize("level", LEVELS)
def test_the_last_two_ways_in_within_transactions(
    crowd: Crowd, conn: SyncConnection, sql: Sql, level: str
) -> None:
    """Each has looked before: its snapshot, where it has one, still shows both."""
    crowd.run(lambda mine, _: isolate(mine, level))
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        for who in range(SIZE):
            assert identities.link(conn, user.id, "google", f"{who}-{number}")

        def unlink(mine: SyncConnection, who: int, user: User = user, number: int = number) -> object:
            def work() -> object:
                assert identities.list(mine, user.id)
                return identities.unlink(mine, user.id, "google", f"{who}-{number}")

            return retried(mine, work)[0]

        assert outcomes(crowd.run(unlink)) == {True: SIZE - 1, Reason.LAST_WAY_IN: 1}
        assert len(identities.list(conn, user.id)) == 1


@pytest.mark.parametrize("within", [False, True], ids=["", "within transactions"])
@pytest.mark.parametrize("level", LEVELS)
def test_the_last_ways_in_of_two_kinds(
    crowd: Crowd, conn: SyncConnection, sql: Sql, level: str, *, within: bool
) -> None:
    """Half of them take an identity each, and half a passkey: one way in stays, whoever is first."""
    crowd.run(lambda mine, _: isolate(mine, level))
    for number in range(ROUNDS // 2):
        user = users.create(conn, f"{number}@x.org")
        keys = {who: uuid4() for who in range(1, SIZE, 2)}
        for who in range(SIZE):
            if who in keys:
                sql(
                    "INSERT INTO authsql_passkeys (id, user_id, credential, public_key, transports, aaguid,"
                    " backup_eligible, backed_up) VALUES (%s, %s, %s, %s, '[]', %s, FALSE, FALSE)",
                    *(keys[who], user.id, keys[who].bytes, b"x", str(UUID(int=0))),
                )
            else:
                assert identities.link(conn, user.id, "google", f"{who}-{number}")

        def take(
            mine: SyncConnection,
            who: int,
            user: User = user,
            number: int = number,
            keys: dict[int, UUID] = keys,
        ) -> object:
            def work() -> object:
                if within:
                    assert passkeys.list(mine, user.id) or identities.list(mine, user.id)
                if who in keys:
                    return passkeys.remove(mine, user.id, keys[who])
                return identities.unlink(mine, user.id, "google", f"{who}-{number}")

            return retried(mine, work)[0] if within else work()

        assert outcomes(crowd.run(take)) == {True: SIZE - 1, Reason.LAST_WAY_IN: 1}
        assert len(passkeys.list(conn, user.id)) + len(identities.list(conn, user.id)) == 1


def test_unlink_the_same(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    user = users.create(conn, "ann@x.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    for _ in range(ROUNDS):
        assert identities.link(conn, user.id, "google", "1")
        results = crowd.run(lambda mine, _: identities.unlink(mine, user.id, "google"))
        assert outcomes(results) == {True: 1, Reason.UNKNOWN: SIZE - 1}


def test_unlink_against_sign_in(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Who signs in after it was unlinked is unknown again, and the e-mail is somebody's."""
    user = users.create(conn, "ann@x.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    for _ in range(ROUNDS):
        assert identities.link(conn, user.id, "google", "1")

        def work(mine: SyncConnection, who: int) -> object:
            if who == 0:
                return identities.unlink(mine, user.id, "google")
            return identities.sign_in(mine, "google", "1", email="ann@x.org")

        results = crowd.run(work)
        assert results[0] is True
        assert outcomes(results[1:]).keys() <= {"existing", Reason.OWNERSHIP_REQUIRED}
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == 1


def test_tokens_stored_while_they_are_encrypted_anew(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """What was stored last stays, whichever key it is under; nothing is unreadable."""
    old, new = bytes(32), bytes(range(32))
    before, after = Keyring({"old": old}, "old"), Keyring({"old": old, "new": new}, "new")
    user = users.create(conn, "ann@x.org")
    for who in range(SIZE):
        assert identities.link(conn, user.id, "google", f"{who}")
    for number in range(ROUNDS):
        for who in range(SIZE):
            assert identities.store_tokens(
                conn, "google", f"{who}", keyring=before, access_token="first", refresh_token=f"r{number}"
            )

        def work(mine: SyncConnection, who: int) -> object:
            if who % 2:
                return identities.reencrypt_tokens(mine, keyring=after)
            return [
                identities.store_tokens(mine, "google", f"{one}", keyring=before, access_token=f"{who}")
                for one in range(SIZE)
            ]

        results = crowd.run(work)
        assert results[0] == [True] * SIZE
        while identities.reencrypt_tokens(conn, keyring=after):
            pass
        alone = Keyring({"new": new}, "new")
        for who in range(SIZE):
            found = identities.tokens(conn, "google", f"{who}", keyring=alone)
            assert found is not None
            assert found.access_token in {f"{one}" for one in range(0, SIZE, 2)}
            assert found.refresh_token == f"r{number}"


async def test_tasks_call_back(aconnect: ConnectAsync, sql: Sql) -> None:
    connections = [await aconnect() for _ in range(SIZE)]
    for number in range(ROUNDS):
        results = await asyncio.gather(
            *[
                identities.sign_in(each, "google", f"{number}", email=f"{number}@x.org")
                for each in connections
            ]
        )
        assert outcomes(list(results)) == {"created": 1, "existing": SIZE - 1}
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1
