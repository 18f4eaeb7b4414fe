"""The flows, with sixteen callers at once: each code is spent by one, and with it all that belongs to it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from authsql import (
    Code,
    EmailSignIn,
    EmailTaken,
    Link,
    PendingSignUp,
    Reason,
    Refusal,
    accounts,
    otps,
    passwords,
    sessions,
    users,
)
from authsql.models import IssuedCode, NewSession, User
from tests.flows import EACH, Started, begin, proof
from tests.races.conftest import ROUNDS, SIZE, reasons
from tests.servers import SyncConnection
from tests.support import FAST, KEY, MINUTE, PASSWORD, Api, Crowd, Sql, other_than


def started(conn: SyncConnection, flow: str, number: int) -> Started:
    """Begin a flow for an account of its own."""
    owner = users.create(conn, f"old{number}@x.org") if flow == "change_email" else None
    return asyncio.run(begin(Api(conn, is_async=False), flow, f"{number}@x.org", user=owner))


def issue(conn: SyncConnection, subject: str, purpose: str, user: User | None = None) -> IssuedCode:
    issued = otps.issue(conn, subject, purpose, key=KEY, user_id=user.id if user else None, link=True)
    assert isinstance(issued, IssuedCode)
    return issued


def spend(conn: SyncConnection, one: Started, given: Code | Link) -> Any:
    operation, arguments, keywords = one.call
    return operation(conn, *arguments, given, **keywords)


@EACH
def test_code_and_link_are_spent_once(crowd: Crowd, conn: SyncConnection, sql: Sql, flow: str) -> None:
    for number in range(ROUNDS):
        one = started(conn, flow, number)

        def work(mine: SyncConnection, who: int, one: Started = one) -> object:
            return spend(mine, one, one.proof(("code", "link")[who % 2]))

        found = reasons(crowd.run(work))
        assert found == {None: 1, Reason.SPENT: SIZE - 1}
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1
        assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NULL OR attempts > 1") == 0


@EACH
def test_attempts_stay_within_the_cap(crowd: Crowd, conn: SyncConnection, sql: Sql, flow: str) -> None:
    """All but one guess wrong; the right one may come too late, but no sixth attempt is compared."""
    for number in range(ROUNDS):
        one = started(conn, flow, number)

        def guess(mine: SyncConnection, who: int, one: Started = one) -> object:
            code = one.issued.code if who == 7 else other_than(one.issued.code)
            return spend(mine, one, one.with_code(code))

        found = reasons(crowd.run(guess))
        assert set(found) <= {None, Reason.WRONG, Reason.SPENT, Reason.EXHAUSTED}
        assert found[None] <= 1
        assert found[None] or found[Reason.WRONG] == FAST.code_attempts
        counted = found[None] + found[Reason.WRONG]
        assert counted <= FAST.code_attempts
        assert sql.one("SELECT attempts FROM authsql_otps WHERE subject = %s", f"{number}@x.org") == counted


def test_sign_in_creates_one_account(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        email = f"{number}@x.org"
        issued = issue(conn, email, "signin")

        def work(mine: SyncConnection, who: int, email: str = email, issued: IssuedCode = issued) -> object:
            return accounts.sign_in(mine, proof("code", email, issued), create=True)

        results = crowd.run(work)
        assert reasons(results) == {None: 1, Reason.SPENT: SIZE - 1}
        [made] = [each for each in results if isinstance(each, EmailSignIn)]
        assert made.outcome == "created"
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1


def test_sign_in_against_sign_up(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Whoever makes the account, there is one, and who has the code gets in."""
    for number in range(ROUNDS):
        email = f"{number}@x.org"
        issued = issue(conn, email, "signin")

        def work(mine: SyncConnection, who: int, email: str = email, issued: IssuedCode = issued) -> object:
            if who % 2:
                return accounts.sign_in(mine, proof("link", email, issued), create=True)
            try:
                return users.create(mine, email.upper())
            except EmailTaken as taken:
                return taken

        results = crowd.run(work)
        made = [each for each in results if isinstance(each, User)]
        [entered] = [each for each in results if isinstance(each, EmailSignIn)]
        assert entered.outcome == ("claimed" if made else "created")
        assert len(made) <= 1
        assert all(each.id == entered.user_id for each in made)
        assert sql.one("SELECT COUNT(*) FROM authsql_users") == number + 1


def test_confirmation_against_another_sign_up(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """The account is that of the sign-up whose code was given, or there is none."""
    for number in range(ROUNDS):
        one = started(conn, "confirm_sign_up", number)
        sql.age("authsql_otps", ("created_at", "resend_at"), MINUTE, subject=one.subject)

        def work(mine: SyncConnection, who: int, one: Started = one) -> object:
            if who % 2:
                return accounts.sign_up(mine, one.subject, "another password", key=KEY, policy=FAST)
            return spend(mine, one, one.proof())

        results = crowd.run(work)
        made = [each for each in results if isinstance(each, User)]
        assert len(made) <= 1
        pending = [each for each in results if isinstance(each, PendingSignUp)]
        assert len(pending) <= 1
        found = passwords.verify(conn, one.subject, "password", policy=FAST)
        assert bool(found) is bool(made)
        assert not passwords.verify(conn, one.subject, "another password", policy=FAST)
        assert bool(made) or bool(pending)


def test_reset_stores_the_password_of_who_won(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    for number in range(ROUNDS):
        one = started(conn, "reset_password", number)

        def work(mine: SyncConnection, who: int, one: Started = one) -> object:
            given = one.proof(("code", "link")[who % 2])
            return accounts.reset_password(mine, given, f"new password {who}", policy=FAST)

        results = crowd.run(work)
        assert reasons(results) == {None: 1, Reason.SPENT: SIZE - 1}
        [winner] = [who for who, each in enumerate(results) if not isinstance(each, Refusal)]
        assert passwords.verify(conn, one.subject, f"new password {winner}", policy=FAST)


def test_reset_against_the_old_password(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """When the reset is done, the old password is not right any more, and what it opened has ended."""
    for number in range(ROUNDS):
        one = started(conn, "reset_password", number)
        assert one.user is not None
        owner = one.user
        assert passwords.set(conn, owner.id, PASSWORD, policy=FAST)
        opened = sessions.create(conn, owner.id)
        assert isinstance(opened, NewSession)

        def work(mine: SyncConnection, who: int, one: Started = one) -> object:
            if who % 4 == 0:
                return spend(mine, one, one.proof())
            return passwords.verify(mine, one.subject, PASSWORD, policy=FAST)

        results = crowd.run(work)
        assert reasons(results[::4]) == {None: 1, Reason.SPENT: SIZE // 4 - 1}
        checks = [each for who, each in enumerate(results) if who % 4]
        assert set(reasons(checks)) <= {None, Reason.WRONG, Reason.CHANGED, Reason.LOCKED}
        assert not sessions.validate(conn, opened.token)
        sql("UPDATE authsql_users SET locked_until = NULL, failed_attempts = 0")
        assert not passwords.verify(conn, one.subject, PASSWORD, policy=FAST)
        assert passwords.verify(conn, one.subject, "a new password", policy=FAST)


def test_change_of_the_email_against_deletion(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """The account changed its e-mail before it went, or did not: with the code, or without."""
    outcomes: Counter[bool] = Counter()
    for number in range(ROUNDS):
        one = started(conn, "change_email", number)
        assert one.user is not None
        owner = one.user

        def work(mine: SyncConnection, who: int, one: Started = one, owner: User = owner) -> object:
            if who == SIZE // 2:
                return users.soft_delete(mine, owner.id)
            return spend(mine, one, one.proof(("code", "link")[who % 2]))

        results = crowd.run(work)
        assert isinstance(results[SIZE // 2], User)
        found = reasons(each for who, each in enumerate(results) if who != SIZE // 2)
        assert set(found) <= {None, Reason.SPENT, Reason.UNKNOWN}
        assert found[None] <= 1
        changed = found[None] == 1
        outcomes[changed] += 1
        email = sql.one("SELECT email FROM authsql_users WHERE id = %s", owner.id)
        assert email == (one.subject if changed else owner.email)
        spent = sql.one(
            "SELECT COUNT(*) FROM authsql_otps WHERE subject = %s AND spent_at IS NOT NULL", one.subject
        )
        former = sql.one("SELECT COUNT(*) FROM authsql_former_emails WHERE user_id = %s", owner.id)
        assert spent == former == changed
    assert outcomes.total() == ROUNDS


def test_change_of_the_email_against_sign_up(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """One account has the address. The code of who does not get it stays good."""
    for number in range(ROUNDS):
        one = started(conn, "change_email", number)

        def work(mine: SyncConnection, who: int, one: Started = one) -> object:
            try:
                if who % 2:
                    return users.create(mine, one.subject)
                return spend(mine, one, one.proof())
            except EmailTaken as taken:
                return taken

        results = crowd.run(work)
        made = [each for each in results if isinstance(each, User)]
        changed = [
            each
            for who, each in enumerate(results)
            if not who % 2 and each and not isinstance(each, EmailTaken)
        ]
        assert len(made) + len(changed) == 1
        spent = sql.one(
            "SELECT COUNT(*) FROM authsql_otps WHERE subject = %s AND spent_at IS NOT NULL", one.subject
        )
        assert spent == len(changed)
