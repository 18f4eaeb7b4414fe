"""Sixteen threads at once on second factors: of every one-time thing there is one, and counts are exact."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from authsql import (
    NewSession,
    Passkey,
    PasskeyChallenge,
    Reason,
    RecoveryCodes,
    Refusal,
    RelyingParty,
    RotatedToken,
    TotpEnrollment,
    VerifiedPasskey,
    VerifiedRecoveryCode,
    VerifiedTotp,
    passkeys,
    recovery_codes,
    refresh_tokens,
    sessions,
    totp,
    users,
)
from authsql.keyring import Keyring
from authsql.models import User
from tests.conformance.authenticator import ORIGIN, Authenticator
from tests.conftest import ConnectAsync
from tests.servers import Database, SyncConnection
from tests.support import FAST, KEY, RING, Crowd, Sql, crowd_of, totp_code, with_policy

SIZE = 16
ROUNDS = 8
UNLOCKED = with_policy(totp_lock_after=100)
PARTY = RelyingParty("example.org", "Example", (ORIGIN,))


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, SIZE) as crowd:
        yield crowd


def reasons(results: list[Any]) -> Counter[Reason | None]:
    return Counter(each.reason if isinstance(each, Refusal) else None for each in results)


def enroll(sql: Sql, user: User, *, confirm: bool = True) -> TotpEnrollment:
    enrolled = totp.enroll(sql.connection, user.id, keyring=RING, issuer="x", account="y")
    assert isinstance(enrolled, TotpEnrollment)
    if confirm:
        code = sql.code(enrolled.secret)
        assert totp.confirm(sql.connection, user.id, enrolled.factor_id, code, keyring=RING) is True
        sql("UPDATE authsql_totp_factors SET last_step = last_step - 10 WHERE user_id = %s", user.id)
    return enrolled


def wrong(sql: Sql, *enrolled: TotpEnrollment) -> str:
    now = sql.step()
    right = {totp_code(each.secret, now + offset) for each in enrolled for offset in range(-4, 8)}
    return next(code for code in (f"{number:06d}" for number in range(1000)) if code not in right)


def failed(sql: Sql, user: User) -> int:
    found = sql.one("SELECT failed_attempts FROM authsql_totp_attempts WHERE user_id = %s", user.id)
    assert isinstance(found, int)
    return found


def challenge(conn: SyncConnection, user: User) -> PasskeyChallenge:
    asked = passkeys.begin_authentication(conn, user.id, relying_party=PARTY)
    assert isinstance(asked, PasskeyChallenge)
    return asked


def registration(conn: SyncConnection, user: User) -> PasskeyChallenge:
    asked = passkeys.begin_registration(conn, user.id, relying_party=PARTY, account="x")
    assert isinstance(asked, PasskeyChallenge)
    return asked


def register(conn: SyncConnection, user: User, device: Authenticator) -> Passkey:
    asked = registration(conn, user)
    answer = device.create(asked.options)
    made = passkeys.finish_registration(conn, user.id, asked.id, answer, relying_party=PARTY)
    assert isinstance(made, Passkey)
    return made


def test_totp_code_is_spent_once(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        code = sql.code(enroll(sql, user).secret)

        def spend(mine: SyncConnection, _: int, user: User = user, code: str = code) -> object:
            return totp.verify(mine, user.id, code, keyring=RING, policy=UNLOCKED)

        results = crowd.run(spend)
        assert reasons(results) == {None: 1, Reason.SPENT: SIZE - 1}
        assert sum(isinstance(each, VerifiedTotp) for each in results) == 1
        # Whoever came after the one that was right failed, and who came before was forgiven.
        assert 0 <= failed(sql, user) < SIZE


def test_totp_codes_of_two_factors(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        codes = [sql.code(enroll(sql, user).secret) for _ in range(2)]

        def spend(mine: SyncConnection, who: int, user: User = user, codes: list[str] = codes) -> object:
            return totp.verify(mine, user.id, codes[who % 2], keyring=RING, policy=UNLOCKED)

        results = crowd.run(spend)
        for half in (results[::2], results[1::2]):
            assert reasons(half) == {None: 1, Reason.SPENT: SIZE // 2 - 1}


def test_totp_secrets_are_encrypted_anew(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """By many at once, batch by batch, while their owners sign in and others enrol: none is lost."""
    old, ring = bytes(range(32)), RING
    people = [users.create(conn, f"{number}@x.org") for number in range(SIZE)]
    enrolled = [enroll(sql, user) for user in people]
    for number in range(ROUNDS):
        name = f"2{number:03d}"
        both = Keyring({ring.current: old, name: (new := bytes([number]) * 32)}, name)
        begun, ring = ring, Keyring({name: new}, name)
        codes = [sql.code(each.secret) for each in enrolled]

        def work(
            mine: SyncConnection,
            who: int,
            begun: Keyring = begun,
            both: Keyring = both,
            codes: list[str] = codes,
        ) -> object:
            if who % 4 == 0:
                return totp.verify(mine, people[who].id, codes[who], keyring=both, policy=UNLOCKED)
            if who % 4 == 1:
                return totp.enroll(mine, people[who].id, keyring=begun, issuer="x", account="y")
            while totp.reencrypt(mine, keyring=both, batch=3):
                pass
            return True

        results = crowd.run(work)
        assert all(isinstance(each, VerifiedTotp) for each in results[::4])
        while totp.reencrypt(conn, keyring=both):
            pass
        assert sql("SELECT DISTINCT key_name FROM authsql_totp_factors") == [(name,)]
        sql("UPDATE authsql_totp_factors SET last_step = last_step - 10 WHERE last_step IS NOT NULL")
        for user, each in zip(people, enrolled, strict=True):
            assert totp.verify(conn, user.id, sql.code(each.secret), keyring=ring), number
        sql("UPDATE authsql_totp_factors SET last_step = last_step - 10 WHERE last_step IS NOT NULL")
        old = new
    assert sql.one("SELECT COUNT(*) FROM authsql_totp_factors WHERE reencrypt_until IS NOT NULL") == 0


def test_totp_guesses_stay_within_the_limit(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """However many factors there are."""
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        code = wrong(sql, *[enroll(sql, user) for _ in range(1 + number % 3)])

        def guess(mine: SyncConnection, _: int, user: User = user, code: str = code) -> object:
            return totp.verify(mine, user.id, code, keyring=RING)

        results = crowd.run(guess)
        limit = FAST.totp_lock_after
        assert reasons(results) == {Reason.WRONG: limit, Reason.LOCKED: SIZE - limit}
        assert failed(sql, user) == limit
        refusals = [each for each in results if isinstance(each, Refusal)]
        assert all(each.retry_at for each in refusals if each.reason is Reason.LOCKED)
        # Who was counted before it locked may hear of it too.
        assert len({each.retry_at for each in refusals if each.retry_at}) == 1


def test_totp_guesses_up_to_the_block(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    policy = with_policy(totp_lock_after=100, totp_block_after=100)
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        code = wrong(sql, enroll(sql, user))
        sql("UPDATE authsql_totp_attempts SET failed_attempts = 93 WHERE user_id = %s", user.id)

        def guess(mine: SyncConnection, _: int, user: User = user, code: str = code) -> object:
            return totp.verify(mine, user.id, code, keyring=RING, policy=policy)

        assert reasons(crowd.run(guess)) == {Reason.WRONG: 7, Reason.BLOCKED: SIZE - 7}
        assert failed(sql, user) == 100


def test_totp_guesses_with_a_right_one(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """A success clears the count: with one among them, at most twice the limit are wrong."""
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        enrolled = enroll(sql, user)
        right, bad = sql.code(enrolled.secret), wrong(sql, enrolled)

        def guess(
            mine: SyncConnection, who: int, user: User = user, right: str = right, bad: str = bad
        ) -> object:
            return totp.verify(mine, user.id, bad if who else right, keyring=RING)

        found = reasons(crowd.run(guess))
        assert set(found) <= {None, Reason.WRONG, Reason.LOCKED}
        assert found[None] + found[Reason.WRONG] <= 2 * FAST.totp_lock_after
        if not found[None]:
            assert found[Reason.WRONG] == FAST.totp_lock_after


def test_confirmation(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        enrolled = enroll(sql, user, confirm=False)
        code = sql.code(enrolled.secret)

        def confirm(
            mine: SyncConnection,
            _: int,
            user: User = user,
            enrolled: TotpEnrollment = enrolled,
            code: str = code,
        ) -> object:
            return totp.confirm(mine, user.id, enrolled.factor_id, code, keyring=RING)

        assert reasons(crowd.run(confirm)) == {None: 1, Reason.SPENT: SIZE - 1}


def test_enrolment_while_codes_are_checked(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Everything that locks the factors and their count, at the same time and on the same user."""
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        first = enroll(sql, user)
        code = sql.code(first.secret)
        pending = [enroll(sql, user, confirm=False) for _ in range(4)]
        doomed = [enroll(sql, user) for _ in range(4)]

        def work(
            mine: SyncConnection,
            who: int,
            user: User = user,
            code: str = code,
            pending: list[TotpEnrollment] = pending,
            doomed: list[TotpEnrollment] = doomed,
        ) -> object:
            each = who // 4
            match who % 4:
                case 0:
                    return totp.verify(mine, user.id, code, keyring=RING, policy=UNLOCKED)
                case 1:
                    return totp.enroll(mine, user.id, keyring=RING, issuer="x", account="y")
                case 2:
                    shown = Sql(sql.database, mine).code(pending[each].secret)
                    return totp.confirm(mine, user.id, pending[each].factor_id, shown, keyring=RING)
                case _:
                    return totp.remove(mine, user.id, doomed[each].factor_id)

        results = crowd.run(work)
        assert reasons(results[::4]) == {None: 1, Reason.SPENT: 3}
        assert all(isinstance(each, TotpEnrollment) for each in results[1::4])
        assert results[2::4] == [True] * 4
        assert results[3::4] == [True] * 4
        assert len(totp.list(conn, user.id)) == 5


def test_recovery_code_is_spent_once(crowd: Crowd, conn: SyncConnection) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        codes = recovery_codes.regenerate(conn, user.id, key=KEY)
        assert isinstance(codes, RecoveryCodes)

        def spend(mine: SyncConnection, _: int, user: User = user, code: str = codes.codes[0]) -> object:
            return recovery_codes.verify(mine, user.id, code, key=KEY)

        results = crowd.run(spend)
        assert reasons(results) == {None: 1, Reason.SPENT: SIZE - 1}
        assert VerifiedRecoveryCode(user.id, 9) in results
        assert recovery_codes.remaining(conn, user.id) == 9


def test_one_set_of_recovery_codes_is_left(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """The first sets at the same time, and then sets that replace one; each of a size of its own."""
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        for _ in range(2):

            def make(mine: SyncConnection, who: int, user: User = user) -> object:
                return recovery_codes.regenerate(mine, user.id, key=KEY, count=who + 1)

            sets = crowd.run(make)
            left = recovery_codes.remaining(conn, user.id)
            assert sql.one("SELECT COUNT(*) FROM authsql_recovery_codes WHERE user_id = %s", user.id) == left
            codes = sets[left - 1]
            assert isinstance(codes, RecoveryCodes)
            assert len(codes) == left
            assert all(recovery_codes.verify(conn, user.id, code, key=KEY) for code in codes)


def test_challenge_is_answered_once(crowd: Crowd, conn: SyncConnection) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        device = Authenticator(counts=False)
        register(conn, user, device)
        asked = challenge(conn, user)
        answer = device.get(asked.options)

        def finish(
            mine: SyncConnection, _: int, asked: PasskeyChallenge = asked, answer: dict[str, Any] = answer
        ) -> object:
            return passkeys.finish_authentication(mine, asked.id, answer, relying_party=PARTY)

        results = crowd.run(finish)
        assert reasons(results) == {None: 1, Reason.SPENT: SIZE - 1}
        assert sum(isinstance(each, VerifiedPasskey) for each in results) == 1


def test_one_use_for_each_count(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """A challenge for each, and one count for all: a copy of the key is in use."""
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        device = Authenticator()
        register(conn, user, device)
        asked = [challenge(conn, user) for _ in range(SIZE)]
        answers = []
        for each in asked:
            device.credentials[0].count = 6
            answers.append(device.get(each.options))

        def finish(
            mine: SyncConnection,
            who: int,
            asked: list[PasskeyChallenge] = asked,
            answers: list[dict[str, Any]] = answers,
        ) -> object:
            return passkeys.finish_authentication(mine, asked[who].id, answers[who], relying_party=PARTY)

        assert reasons(crowd.run(finish)) == {None: 1, Reason.CLONED: SIZE - 1}
        assert sql.one("SELECT sign_count FROM authsql_passkeys WHERE user_id = %s", user.id) == 7


def test_a_registration_is_finished_once(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Sixteen authenticators answer one challenge, each with a credential of its own."""
    for number in range(ROUNDS):
        owner = users.create(conn, f"{number}@x.org")
        asked = registration(conn, owner)
        answers = [Authenticator().create(asked.options) for _ in range(SIZE)]

        def finish(
            mine: SyncConnection,
            who: int,
            owner: User = owner,
            asked: PasskeyChallenge = asked,
            answers: list[Any] = answers,
        ) -> object:
            return passkeys.finish_registration(mine, owner.id, asked.id, answers[who], relying_party=PARTY)

        assert reasons(crowd.run(finish)) == {None: 1, Reason.SPENT: SIZE - 1}
        assert sql.one("SELECT COUNT(*) FROM authsql_passkeys") == number + 1


def test_a_credential_is_registered_once(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """By sixteen users at the same time."""
    for number in range(ROUNDS):
        owners = [users.create(conn, f"{number}-{who}@x.org") for who in range(SIZE)]
        asked = [registration(conn, owner) for owner in owners]
        device = Authenticator()
        device.create(asked[0].options)
        answers = [
            device.register(device.credentials[0], json.loads(each.options)["challenge"]) for each in asked
        ]

        def finish(
            mine: SyncConnection,
            who: int,
            owners: list[User] = owners,
            asked: list[PasskeyChallenge] = asked,
            answers: list[dict[str, Any]] = answers,
        ) -> object:
            return passkeys.finish_registration(
                mine, owners[who].id, asked[who].id, answers[who], relying_party=PARTY
            )

        assert reasons(crowd.run(finish)) == {None: 1, Reason.TAKEN: SIZE - 1}
        assert sql.one("SELECT COUNT(*) FROM authsql_passkeys") == number + 1


def test_elevation(crowd: Crowd, conn: SyncConnection) -> None:
    user = users.create(conn, "ann@example.org")
    for _ in range(ROUNDS):
        opened = sessions.create(conn, user.id)
        assert isinstance(opened, NewSession)

        def elevate(mine: SyncConnection, _: int, token: str = opened.token) -> object:
            return sessions.elevate(mine, token, aal=2)

        results = crowd.run(elevate)
        assert reasons(results) == {None: 1, Reason.UNKNOWN: SIZE - 1}
        [winner] = [each for each in results if isinstance(each, NewSession)]
        assert sessions.validate(conn, winner.token)


def test_elevation_against_rotation(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """No refresh token from before gives anything at the new level."""
    user = users.create(conn, "ann@example.org")
    for _ in range(ROUNDS):
        opened = sessions.create(conn, user.id)
        assert isinstance(opened, NewSession)
        issued = refresh_tokens.issue(conn, opened.session.id)
        assert issued

        def work(
            mine: SyncConnection, who: int, session: str = opened.token, refresh: str = issued.token
        ) -> object:
            return refresh_tokens.rotate(mine, refresh) if who else sessions.elevate(mine, session, aal=2)

        elevated, *rotated = crowd.run(work)
        assert isinstance(elevated, NewSession)
        assert set(reasons(rotated)) <= {None, Reason.UNKNOWN}
        for each in rotated:
            if isinstance(each, RotatedToken):
                assert each.aal == 1
                found = refresh_tokens.rotate(conn, each.token)
                assert isinstance(found, Refusal)
                assert found.reason is Reason.UNKNOWN
        session = sessions.validate(conn, elevated.token)
        assert session
        assert session.aal == 2


async def test_tasks_spend_a_totp_code(aconnect: ConnectAsync, conn: SyncConnection, sql: Sql) -> None:
    connections = [await aconnect() for _ in range(SIZE)]
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        code = sql.code(enroll(sql, user).secret)
        results = await asyncio.gather(
            *[totp.verify(each, user.id, code, keyring=RING, policy=UNLOCKED) for each in connections]
        )
        assert reasons(list(results)) == {None: 1, Reason.SPENT: SIZE - 1}
