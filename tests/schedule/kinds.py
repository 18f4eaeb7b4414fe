"""Every kind of row that a purge looks at: how one is made, when its end is, and whether it still answers.

What is said here is said by the operations' documentation, not read from the statements that purge.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

from authsql import (
    PasskeyChallenge,
    Reason,
    RelyingParty,
    TotpEnrollment,
    accounts,
    devices,
    otps,
    outbox,
    passkeys,
    rate_limits,
    refresh_tokens,
    sessions,
    totp,
    users,
)
from authsql.models import NewSession, RefreshToken, RotatedToken, User
from tests.support import DAY, FAST, HOUR, KEY, MINUTE, RING, TABLES, Sql

PARTY = RelyingParty("example.org", "Example", ("https://example.org",))
LIMIT = 10

Answers: TypeAlias = Callable[[timedelta], None]
_numbers = itertools.count()


@dataclass(frozen=True)
class Row:
    """One row, made just now."""

    table: str
    key: str
    value: object
    answers: Answers = lambda _: None
    """Asserts, given its age, that it still does what it is for. Called if it has to be there."""
    age: Callable[[Sql, timedelta], None] | None = None
    """Makes it older, where that is not to move all its times."""

    def there(self, sql: Sql) -> bool:
        return bool(sql(f"SELECT 1 FROM {self.table} WHERE {self.key} = %s", self.value))

    def make_older(self, sql: Sql, by: timedelta) -> None:
        if self.age is not None:
            self.age(sql, by)
        else:
            sql.age(self.table, TABLES[self.table], by, **{self.key: self.value})


@dataclass(frozen=True)
class Kind:
    make: Callable[[Sql], Row]
    end: timedelta | None
    """It is to be deleted from this age on; None: never."""

    def is_dead(self, age: timedelta) -> bool:
        return self.end is not None and age >= self.end


def _name() -> str:
    return f"{next(_numbers)}@example.org"


def _user(sql: Sql) -> User:
    return users.create(sql.connection, _name())


def _session(sql: Sql) -> tuple[NewSession, Row]:
    opened = sessions.create(sql.connection, _user(sql).id)
    assert isinstance(opened, NewSession)

    def answers(age: timedelta) -> None:
        assert bool(sessions.validate(sql.connection, opened.token)) is (age < FAST.session_idle)

    return opened, Row("authsql_sessions", "id", opened.session.id, answers)


def _revoked_session(sql: Sql) -> Row:
    opened, row = _session(sql)
    assert sessions.revoke(sql.connection, opened.session.id)
    return Row(row.table, row.key, row.value)


def _session_in_use(sql: Sql) -> Row:
    """One that was used all the time, and whose refresh token was stolen long ago."""
    opened, _ = _session(sql)
    first = refresh_tokens.issue(sql.connection, opened.session.id)
    assert isinstance(first, RefreshToken)
    second = refresh_tokens.rotate(sql.connection, first.token)
    assert isinstance(second, RotatedToken)
    assert refresh_tokens.rotate(sql.connection, second.token)

    def age(sql: Sql, by: timedelta) -> None:
        end = sql.before("absolute_expires_at", by)
        sql(
            f"UPDATE authsql_sessions SET expires_at = LEAST(expires_at, {end}), absolute_expires_at = {end},"
            f" created_at = {sql.before('created_at', by)} WHERE id = %s",
            opened.session.id,
        )

    def answers(_: timedelta) -> None:
        assert sessions.validate(sql.connection, opened.token)
        reused = refresh_tokens.rotate(sql.connection, first.token)
        assert getattr(reused, "reason", None) is Reason.REUSED

    return Row("authsql_sessions", "id", opened.session.id, answers, age)


def _code(sql: Sql) -> Row:
    name = _name()
    issued = otps.issue(sql.connection, name, "signin", key=KEY)
    assert issued

    def answers(age: timedelta) -> None:
        verified = otps.verify(sql.connection, name, "signin", issued.code, key=KEY)
        assert bool(verified) is (age < FAST.code_lifetime)

    return Row("authsql_otps", "subject", name, answers)


def _spent_code(sql: Sql) -> Row:
    row = _code(sql)
    row.answers(timedelta(0))
    return Row(row.table, row.key, row.value)


def _sign_up(sql: Sql) -> Row:
    """The sign-up that waits goes with its code."""
    name = _name()
    assert accounts.sign_up(sql.connection, name, key=KEY)

    def answers(_: timedelta) -> None:
        assert sql.one("SELECT COUNT(*) FROM authsql_signups WHERE subject = %s", name) == 1

    return Row("authsql_otps", "subject", name, answers)


def _device(sql: Sql) -> Row:
    owner = _user(sql)
    known = devices.remember(sql.connection, owner.id, trust_for=90 * DAY)
    assert known

    def answers(age: timedelta) -> None:
        assert devices.is_trusted(sql.connection, owner.id, known.token) is (age < 90 * DAY)
        assert [each.id for each in devices.list(sql.connection, owner.id)] == [known.device.id]

    return Row("authsql_known_devices", "id", known.device.id, answers)


def _former_email(sql: Sql) -> Row:
    owner = _user(sql)
    sql("UPDATE authsql_users SET email = %s WHERE id = %s", _name(), owner.id)
    return Row("authsql_former_emails", "user_id", owner.id)


def _rate_limit(sql: Sql) -> Row:
    name = _name()
    assert rate_limits.hit(sql.connection, name, limit=LIMIT, period=HOUR)
    [[key]] = sql("SELECT key_hash FROM authsql_rate_limits ORDER BY hit_at DESC LIMIT 1")

    def answers(age: timedelta) -> None:
        found = rate_limits.peek(sql.connection, name, limit=LIMIT, period=HOUR)
        assert found
        assert (found.remaining < LIMIT) is (age < HOUR / LIMIT)

    return Row("authsql_rate_limits", "key_hash", bytes(key), answers)


def _mail(state: str) -> Callable[[Sql], Row]:
    def make(sql: Sql) -> Row:
        named = _name()
        context = {"app": "Example", "code": "1"}
        queued = outbox.enqueue(sql.connection, named, "signin", context, keyring=RING, dedup_key=named)
        if state != "queued":
            [mine] = [each for each in outbox.lease(sql.connection, batch=1000) if each.id == queued.id]
            if state == "sent":
                assert outbox.mark_sent(sql.connection, mine.id, mine.lease_id)
            else:
                assert outbox.mark_failed(
                    sql.connection, mine.id, mine.lease_id, "no", final=state == "failed"
                )

        def answers(_: timedelta) -> None:
            again = outbox.enqueue(sql.connection, named, "signin", context, keyring=RING, dedup_key=named)
            assert (again.id, again.duplicate) == (queued.id, True)

        return Row("authsql_outbox", "id", queued.id, answers)

    return make


def _enrolment(sql: Sql) -> tuple[UUID, TotpEnrollment, Row]:
    owner = _user(sql)
    enrolled = totp.enroll(sql.connection, owner.id, keyring=RING, issuer="x", account="y")
    assert isinstance(enrolled, TotpEnrollment)
    return owner.id, enrolled, Row("authsql_totp_factors", "id", enrolled.factor_id)


def _factor(sql: Sql) -> Row:
    owner, enrolled, row = _enrolment(sql)
    assert totp.confirm(sql.connection, owner, enrolled.factor_id, sql.code(enrolled.secret), keyring=RING)

    def answers(_: timedelta) -> None:
        assert [each.id for each in totp.list(sql.connection, owner)] == [enrolled.factor_id]

    return Row(row.table, row.key, row.value, answers)


def _challenge(sql: Sql, *, spent: bool = False) -> Row:
    asked = passkeys.begin_authentication(sql.connection, relying_party=PARTY)
    assert isinstance(asked, PasskeyChallenge)
    if spent:
        sql("UPDATE authsql_passkey_challenges SET spent_at = created_at WHERE id = %s", asked.id)
    return Row("authsql_passkey_challenges", "id", asked.id)


def _live_user(sql: Sql) -> Row:
    owner = _user(sql)

    def answers(_: timedelta) -> None:
        assert users.get(sql.connection, owner.id)

    return Row("authsql_users", "id", owner.id, answers)


def _deleted_user(sql: Sql) -> Row:
    owner = _user(sql)
    assert users.soft_delete(sql.connection, owner.id)

    def answers(age: timedelta) -> None:
        assert bool(users.reactivate(sql.connection, owner.id)) is (age >= FAST.reactivation_wait)

    return Row("authsql_users", "id", owner.id, answers)


def _entry(_: Sql) -> Row:
    """The log takes no updates: it is written as old as it is to be."""
    event = f"app.n{next(_numbers)}"

    def age(sql: Sql, by: timedelta) -> None:
        at = sql.before(sql.now, by)
        sql(f"INSERT INTO authsql_audit_log (event, occurred_at) VALUES (%s, {at})", event)

    return Row("authsql_audit_log", "event", event, age=age)


KINDS: dict[str, Kind] = {
    "session": Kind(lambda sql: _session(sql)[1], FAST.session_absolute),
    "revoked session": Kind(_revoked_session, FAST.session_absolute),
    "session in use": Kind(_session_in_use, FAST.session_absolute),
    "code": Kind(_code, FAST.code_window),
    "spent code": Kind(_spent_code, FAST.code_window),
    "sign-up": Kind(_sign_up, FAST.code_window),
    "device": Kind(_device, FAST.device_lifetime),
    "former e-mail": Kind(_former_email, 90 * DAY),
    # Kept for as long as the limit could be used up.
    "rate limit": Kind(_rate_limit, HOUR + 6 * MINUTE),
    "queued mail": Kind(_mail("queued"), FAST.mail_lifetime + FAST.mail_kept),
    "postponed mail": Kind(_mail("postponed"), FAST.mail_lifetime + FAST.mail_kept),
    "sent mail": Kind(_mail("sent"), FAST.mail_lifetime + FAST.mail_kept),
    "failed mail": Kind(_mail("failed"), FAST.mail_lifetime + FAST.mail_kept),
    "enrolment": Kind(lambda sql: _enrolment(sql)[2], FAST.totp_enrollment_lifetime),
    "TOTP factor": Kind(_factor, None),
    "challenge": Kind(_challenge, FAST.passkey_challenge_lifetime),
    "spent challenge": Kind(lambda sql: _challenge(sql, spent=True), FAST.passkey_challenge_lifetime),
    "user": Kind(_live_user, None),
    "soft-deleted user": Kind(_deleted_user, 30 * DAY),
    "entry of the log": Kind(_entry, 365 * DAY),
}
