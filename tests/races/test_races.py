"""Sixteen threads at once, each with a connection of its own: of every one-time thing there is one."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

from authsql import (
    EmailTaken,
    IssuedCode,
    Reason,
    Refusal,
    RotatedToken,
    VerifiedCode,
    VerifiedPassword,
    otps,
    passwords,
    refresh_tokens,
    sessions,
    users,
)
from authsql.models import NewSession, RefreshToken, User
from tests.conftest import ConnectAsync
from tests.races.conftest import ROUNDS, SIZE, reasons
from tests.servers import Database, SyncConnection
from tests.support import FAST, KEY, MINUTE, PASSWORD, SECOND, Crowd, Sql, other_than, refused


def issue(conn: SyncConnection, subject: str) -> IssuedCode:
    issued = otps.issue(conn, subject, "signin", key=KEY)
    assert isinstance(issued, IssuedCode)
    return issued


def open_session(conn: SyncConnection, user: User) -> NewSession:
    opened = sessions.create(conn, user.id)
    assert isinstance(opened, NewSession)
    return opened


def family(conn: SyncConnection, user: User) -> RefreshToken:
    issued = refresh_tokens.issue(conn, open_session(conn, user).session.id)
    assert isinstance(issued, RefreshToken)
    return issued


def test_code_is_spent_once(crowd: Crowd, conn: SyncConnection) -> None:
    for number in range(ROUNDS):
        subject = f"{number}@x.org"
        code = issue(conn, subject).code

        def spend(mine: SyncConnection, _: int, subject: str = subject, code: str = code) -> object:
            return otps.verify(mine, subject, "signin", code, key=KEY)

        results = crowd.run(spend)
        assert reasons(results) == {None: 1, Reason.SPENT: SIZE - 1}
        assert sum(isinstance(each, VerifiedCode) for each in results) == 1


def test_link_is_spent_once(crowd: Crowd, conn: SyncConnection) -> None:
    for number in range(ROUNDS):
        issued = otps.issue(conn, f"{number}@x.org", "signin", key=KEY, link=True)
        assert isinstance(issued, IssuedCode)

        def spend(mine: SyncConnection, _: int, link: str = issued.link or "") -> object:
            return otps.verify_link(mine, link, "signin")

        assert reasons(crowd.run(spend)) == {None: 1, Reason.SPENT: SIZE - 1}


def test_attempts_on_a_code_stay_within_the_cap(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """All but one guess wrong; the right one may come too late, but no sixth attempt is compared."""
    for number in range(ROUNDS):
        subject = f"{number}@x.org"
        code = issue(conn, subject).code

        def guess(mine: SyncConnection, who: int, subject: str = subject, code: str = code) -> object:
            tried = code if who == 7 else other_than(code)
            return otps.verify(mine, subject, "signin", tried, key=KEY)

        found = reasons(crowd.run(guess))
        assert found[None] <= 1
        assert found[None] + found[Reason.WRONG] <= FAST.code_attempts
        assert found[None] or found[Reason.WRONG] == FAST.code_attempts
        assert set(found) <= {None, Reason.WRONG, Reason.SPENT, Reason.EXHAUSTED}
        attempts = sql.one("SELECT attempts FROM authsql_otps WHERE subject = %s", subject)
        assert attempts == found[None] + found[Reason.WRONG]


def test_one_code_is_issued(crowd: Crowd, sql: Sql) -> None:
    for number in range(ROUNDS):
        subject = f"{number}@x.org"

        def ask(mine: SyncConnection, _: int, subject: str = subject) -> object:
            return otps.issue(mine, subject, "signin", key=KEY)

        for _ in range(2):
            results = crowd.run(ask)
            assert reasons(results) == {None: 1, Reason.COOLING_DOWN: SIZE - 1}
            assert all(each.retry_at for each in results if isinstance(each, Refusal))
            [issued] = [each for each in results if isinstance(each, IssuedCode)]
            assert otps.verify(sql.connection, subject, "signin", issued.code, key=KEY)
            sql.age("authsql_otps", ("created_at", "expires_at", "resend_at"), MINUTE, subject=subject)
        assert sql.one("SELECT window_count FROM authsql_otps WHERE subject = %s", subject) == 2


def test_password_attempts_stay_within_the_limit(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        assert passwords.set(conn, user.id, PASSWORD, policy=FAST)

        def guess(mine: SyncConnection, who: int, user: User = user) -> object:
            return passwords.verify(mine, user.id if who % 2 else user.email, "wrong password", policy=FAST)

        found = reasons(crowd.run(guess))
        assert found == {Reason.WRONG: FAST.lock_after, Reason.LOCKED: SIZE - FAST.lock_after}
        attempts = sql.one("SELECT failed_attempts FROM authsql_users WHERE id = %s", user.id)
        assert attempts == FAST.lock_after


def test_who_finds_it_locked_is_told_until_when(crowd: Crowd, conn: SyncConnection) -> None:
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")

        def guess(mine: SyncConnection, _: int, user: User = user) -> object:
            return passwords.verify(mine, user.id, "wrong password", policy=FAST)

        refusals = [each for each in crowd.run(guess) if isinstance(each, Refusal)]
        assert all(each.retry_at for each in refusals if each.reason is Reason.LOCKED)


def test_password_attempts_with_a_right_one(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """A success clears the count: with one among them, at most twice the limit are wrong."""
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        assert passwords.set(conn, user.id, PASSWORD, policy=FAST)

        def guess(mine: SyncConnection, who: int, user: User = user) -> object:
            return passwords.verify(mine, user.id, PASSWORD if who == 0 else "wrong password", policy=FAST)

        results = crowd.run(guess)
        found = reasons(results)
        assert set(found) <= {None, Reason.WRONG, Reason.LOCKED}
        assert found[Reason.WRONG] + found[None] <= 2 * FAST.lock_after
        if found[None] == 0:
            assert found[Reason.WRONG] == FAST.lock_after
        assert sum(isinstance(each, VerifiedPassword) for each in results) == found[None]


def test_right_passwords_all_at_once(crowd: Crowd, conn: SyncConnection, sql: Sql, user: User) -> None:
    """Who comes while others are being checked may find it locked; none is told that it is wrong."""
    for _ in range(ROUNDS):
        found = reasons(crowd.run(lambda mine, _: passwords.verify(mine, user.id, PASSWORD, policy=FAST)))
        assert set(found) <= {None, Reason.LOCKED}
        assert found[None] >= 1
        assert sql.one("SELECT failed_attempts FROM authsql_users WHERE id = %s", user.id) == 0


def test_rotation(crowd: Crowd, conn: SyncConnection, sql: Sql, user: User) -> None:
    for _ in range(ROUNDS):
        token = family(conn, user).token
        for generation in (1, 2, 3):

            def rotate(mine: SyncConnection, _: int, token: str = token) -> object:
                return refresh_tokens.rotate(mine, token)

            results = crowd.run(rotate)
            rotated = [each for each in results if isinstance(each, RotatedToken)]
            assert len(rotated) == SIZE, reasons(results)
            assert [each.repeated for each in rotated].count(False) == 1
            assert len({each.token for each in rotated}) == 1
            assert {each.generation for each in rotated} == {generation}
            token = rotated[0].token
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions WHERE revoked_at IS NOT NULL") == 0


def test_rotation_against_reuse(crowd: Crowd, conn: SyncConnection, sql: Sql, user: User) -> None:
    """Half present the current token, half one that was rotated away long ago: the session ends, for all."""
    for _ in range(ROUNDS):
        stolen = family(conn, user)
        current = refresh_tokens.rotate(conn, stolen.token)
        assert isinstance(current, RotatedToken)
        sql.age("authsql_refresh_tokens", ("created_at", "rotated_at"), MINUTE, session_id=stolen.session_id)

        def rotate(
            mine: SyncConnection, who: int, old: str = stolen.token, new: str = current.token
        ) -> object:
            return refresh_tokens.rotate(mine, old if who % 2 else new)

        results = crowd.run(rotate)
        thieves, owners = results[1::2], results[::2]
        assert reasons(thieves).keys() <= {Reason.REUSED, Reason.REVOKED}
        assert Reason.REUSED in reasons(thieves)
        assert reasons(owners).keys() <= {None, Reason.REVOKED}
        assert len({each.token for each in owners if isinstance(each, RotatedToken)}) <= 1
        refused(refresh_tokens.rotate(conn, current.token), Reason.REVOKED)
        reason = sql.one("SELECT revoke_reason FROM authsql_sessions WHERE id = %s", stolen.session_id)
        assert reason == "refresh_token_reuse"


def test_rotation_against_sign_out(crowd: Crowd, conn: SyncConnection, sql: Sql, user: User) -> None:
    for _ in range(ROUNDS):
        issued = family(conn, user)

        def work(mine: SyncConnection, who: int, issued: RefreshToken = issued) -> object:
            if who == 0:
                return sessions.revoke(mine, issued.session_id, reason="sign_out")
            return refresh_tokens.rotate(mine, issued.token)

        results = crowd.run(work)
        assert results[0] is True
        assert reasons(results[1:]).keys() <= {None, Reason.REVOKED}
        refused(refresh_tokens.rotate(conn, issued.token), Reason.REVOKED)
        reason = sql.one("SELECT revoke_reason FROM authsql_sessions WHERE id = %s", issued.session_id)
        assert reason == "sign_out"


def test_cap_of_sessions(crowd: Crowd, database: Database, conn: SyncConnection, sql: Sql) -> None:
    """Exactly three stay, and nobody ever sees a fourth."""
    watcher = Sql(database, database.connect())
    question = "SELECT COUNT(*) FROM authsql_sessions WHERE user_id = %s AND revoked_at IS NULL"
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        seen: list[int] = []
        done = threading.Event()

        def watch(user: User = user, seen: list[int] = seen, done: threading.Event = done) -> None:
            while not done.is_set():
                seen.append(watcher.one(question, user.id))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            results = crowd.run(lambda mine, _, user=user: sessions.create(mine, user.id, cap=3))  # type: ignore[misc]
        finally:
            done.set()
            thread.join(30)
        assert max(seen) <= 3
        assert all(isinstance(each, NewSession) for each in results)
        assert sum(each.ended for each in results if isinstance(each, NewSession)) == SIZE - 3
        assert sql.one(question, user.id) == 3
        assert len(sessions.list(conn, user.id)) == 3


def test_sign_up(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        email = f"Jos\u00e9-{number}@Example.org"

        def sign_up(mine: SyncConnection, who: int, email: str = email) -> object:
            spelling = (email, email.upper(), email.lower(), email.swapcase())[who % 4]
            try:
                return users.create(mine, spelling)
            except EmailTaken as taken:
                return taken

        results = crowd.run(sign_up)
        assert Counter(type(each) for each in results) == {User: 1, EmailTaken: SIZE - 1}
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1
        assert sql.one("SELECT COUNT(*) FROM authsql_user_roles") == number + 1
        assert users.get_by_email(conn, email) in results


def test_touch_is_written_once(crowd: Crowd, conn: SyncConnection, sql: Sql, user: User) -> None:
    counted = "authsql_test_touches"
    sql(f"CREATE TABLE {counted} (at varchar(60))")
    if sql.is_mysql:
        sql(
            "CREATE TRIGGER authsql_test_count AFTER UPDATE ON authsql_sessions FOR EACH ROW"
            f" INSERT INTO {counted} VALUES (CAST(NEW.last_seen_at AS CHAR))"
        )
    else:
        sql(
            "CREATE FUNCTION authsql_test_count() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN INSERT INTO {counted} VALUES (NEW.last_seen_at::text); RETURN NULL; END $$"
        )
        sql(
            "CREATE TRIGGER authsql_test_count AFTER UPDATE ON authsql_sessions"
            " FOR EACH ROW EXECUTE FUNCTION authsql_test_count()"
        )
    try:
        for _ in range(ROUNDS):
            token = open_session(conn, user).token
            sql.elapse(5 * MINUTE)
            sql(f"DELETE FROM {counted}")
            results = crowd.run(lambda mine, _, token=token: sessions.validate(mine, token))  # type: ignore[misc]
            assert all(results)
            assert sql.one(f"SELECT COUNT(*) FROM {counted}") == 1
    finally:
        sql("DROP TRIGGER authsql_test_count" + ("" if sql.is_mysql else " ON authsql_sessions"))
        sql(f"DROP TABLE {counted}")


def test_change_of_a_password(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """One wins; who lost is told that it was changed, or that it is wrong now."""
    for number in range(ROUNDS):
        user = users.create(conn, f"{number}@x.org")
        assert passwords.set(conn, user.id, PASSWORD, policy=FAST)

        def change(mine: SyncConnection, who: int, user: User = user) -> object:
            return passwords.change(mine, user.id, PASSWORD, f"new password {who}", policy=FAST)

        results = crowd.run(change)
        found = reasons(results)
        assert found[None] == 1
        assert set(found) <= {None, Reason.CHANGED, Reason.WRONG, Reason.LOCKED}
        sql.elapse(60 * MINUTE)
        winner = results.index(True)
        assert passwords.verify(conn, user.id, f"new password {winner}", policy=FAST)


def test_reactivation_against_sign_up(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        email = f"{number}@x.org"
        user = users.create(conn, email)
        users.soft_delete(conn, user.id)
        sql.elapse(FAST.reactivation_wait + SECOND)

        def work(mine: SyncConnection, who: int, user: User = user) -> object:
            try:
                return users.reactivate(mine, user.id) if who % 2 else users.create(mine, user.email.upper())
            except EmailTaken as taken:
                return taken

        results = crowd.run(work)
        assert sum(isinstance(each, User) for each in results) == 1
        assert set(map(type, results)) <= {User, EmailTaken, Refusal}
        assert (
            sql.one(
                "SELECT COUNT(*) FROM authsql_users WHERE LOWER(email) = %s AND deleted_at IS NULL", email
            )
            == 1
        )


async def test_tasks_rotate(aconnect: ConnectAsync, conn: SyncConnection, user: User) -> None:
    connections = [await aconnect() for _ in range(SIZE)]
    for _ in range(ROUNDS):
        token = family(conn, user).token
        results = await asyncio.gather(*[refresh_tokens.rotate(each, token) for each in connections])
        rotated = [each for each in results if isinstance(each, RotatedToken)]
        assert len(rotated) == SIZE
        assert [each.repeated for each in rotated].count(False) == 1
        assert len({each.token for each in rotated}) == 1


async def test_tasks_spend_a_code(aconnect: ConnectAsync, conn: SyncConnection) -> None:
    connections = [await aconnect() for _ in range(SIZE)]
    for number in range(ROUNDS):
        subject = f"{number}@x.org"
        code = issue(conn, subject).code
        results = await asyncio.gather(
            *[otps.verify(each, subject, "signin", code, key=KEY) for each in connections]
        )
        assert reasons(list(results)) == {None: 1, Reason.SPENT: SIZE - 1}
