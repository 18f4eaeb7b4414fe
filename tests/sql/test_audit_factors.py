"""What the audit log says of second factors, whoever changes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from authsql import (
    NewSession,
    RecoveryCodes,
    RelyingParty,
    TotpEnrollment,
    identities,
    maintenance,
    passkeys,
    recovery_codes,
    sessions,
    totp,
    users,
)
from authsql.keyring import Keyring
from authsql.models import User
from tests.conformance.authenticator import ORIGIN, Authenticator
from tests.servers import SyncConnection
from tests.support import DAY, FAST, KEY, RING, Sql, Trail, totp_code

PARTY = RelyingParty("example.org", "Example", (ORIGIN,))


@pytest.fixture
def user(conn: SyncConnection) -> User:
    return users.create(conn, "ann@example.org")


@pytest.fixture
def trail(sql: Sql, user: User) -> Trail:
    trail = Trail(sql)
    trail.look()
    return trail


def enroll(conn: SyncConnection, user: User) -> TotpEnrollment:
    enrolled = totp.enroll(conn, user.id, keyring=RING, issuer="x", account="y", name="Phone")
    assert isinstance(enrolled, TotpEnrollment)
    return enrolled


def wrong(sql: Sql, secret: str) -> str:
    right = {totp_code(secret, sql.step() + offset) for offset in range(-4, 8)}
    return next(code for code in (f"{number:06d}" for number in range(100)) if code not in right)


def test_totp(sql: Sql, conn: SyncConnection, user: User, trail: Trail) -> None:
    enrolled = enroll(conn, user)
    factor = {"factor": str(enrolled.factor_id)}
    [entry] = trail.look()
    assert (entry.event, entry.user_id, entry.detail) == ("totp.enrolled", user.id, factor)
    code = sql.code(enrolled.secret)
    assert totp.confirm(conn, user.id, enrolled.factor_id, code, keyring=RING)
    assert trail.events() == [f"totp.confirmed {factor}"]
    assert totp.verify(conn, user.id, sql.code(enrolled.secret, 1), keyring=RING)
    assert trail.events() == ["totp.attempted {'failures': 1}", f"totp.verified {factor}"]
    for number in range(1, FAST.totp_lock_after):
        totp.verify(conn, user.id, wrong(sql, enrolled.secret), keyring=RING)
        assert trail.events() == [f"totp.attempted {{'failures': {number}}}"]
    totp.verify(conn, user.id, wrong(sql, enrolled.secret), keyring=RING)
    attempted, locked = sorted(trail.look(), key=lambda each: each.event)
    assert (attempted.event, locked.event) == ("totp.attempted", "totp.locked")
    until = sql.one("SELECT locked_until FROM authsql_totp_attempts")
    assert locked.detail["retry_at"] == until.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    totp.verify(conn, user.id, sql.code(enrolled.secret), keyring=RING)
    assert trail.events() == [], "nothing was tried"
    assert totp.rename(conn, user.id, enrolled.factor_id, "x")
    assert trail.events() == []
    assert totp.reencrypt(conn, keyring=Keyring({"2026": KEY, "2027": bytes(32)}, "2027")) == 1
    assert trail.events() == [f"totp.secret_read {factor}"]
    assert totp.remove(conn, user.id, enrolled.factor_id)
    assert trail.events() == [f"totp.removed {factor}"]


def test_totp_by_hand(sql: Sql, conn: SyncConnection, user: User, trail: Trail) -> None:
    columns = "(user_id, secret, key_name, confirmed_at, last_step, last_used_at)"
    sql(
        f"INSERT INTO authsql_totp_factors {columns} VALUES (%s, %s, 'x', {sql.now}, 1, {sql.now})",
        user.id,
        bytes(82),
    )
    assert [each.partition(" ")[0] for each in trail.events()] == ["totp.confirmed", "totp.enrolled"]
    sql("UPDATE authsql_totp_factors SET secret = %s, key_name = 'y'", bytes(83))
    sql("UPDATE authsql_totp_attempts SET failed_attempts = 0, locked_until = NULL")
    assert trail.events() == []
    until = "UPDATE authsql_totp_factors SET reencrypt_until = %s"
    for hour, events in ((2, 1), (2, 0), (1, 1), (3, 1)):
        sql(until, datetime(2100, 1, 1, hour, tzinfo=UTC))
        assert [each.partition(" ")[0] for each in trail.events()] == ["totp.secret_read"] * events
    sql(until, None)
    assert trail.events() == []
    sql("UPDATE authsql_totp_attempts SET failed_attempts = 7")
    assert trail.events() == ["totp.attempted {'failures': 7}"]
    sql("DELETE FROM authsql_totp_factors")
    assert [each.partition(" ")[0] for each in trail.events()] == ["totp.removed"]


def test_an_enrolment_that_was_never_confirmed(
    sql: Sql, conn: SyncConnection, user: User, trail: Trail
) -> None:
    enroll(conn, user)
    enrolled = enroll(conn, user)
    trail.look()
    assert totp.remove(conn, user.id, enrolled.factor_id)
    sql.elapse(DAY)
    trail.look()
    maintenance.purge(conn)
    assert sql.one("SELECT COUNT(*) FROM authsql_totp_factors") == 0
    assert trail.events() == []


def test_recovery_codes(sql: Sql, conn: SyncConnection, user: User, trail: Trail) -> None:
    codes: object = ()
    for _ in range(2):
        codes = recovery_codes.regenerate(conn, user.id, key=KEY)
        assert isinstance(codes, RecoveryCodes)
        [entry] = trail.look()
        assert (entry.event, entry.user_id, entry.detail) == ("recovery_codes.regenerated", user.id, {})
    assert isinstance(codes, RecoveryCodes)
    assert recovery_codes.verify(conn, user.id, codes.codes[4], key=KEY)
    assert trail.events() == ["recovery_code.spent {'number': 5}"]
    recovery_codes.verify(conn, user.id, codes.codes[4], key=KEY)
    recovery_codes.verify(conn, user.id, "0" * 24, key=KEY)
    assert trail.events() == []


def test_passkeys(sql: Sql, conn: SyncConnection, user: User, trail: Trail) -> None:
    device = Authenticator()
    asked = passkeys.begin_registration(conn, user.id, relying_party=PARTY, account="x")
    assert asked
    answer = device.create(asked.options)
    assert trail.events() == []
    made = passkeys.finish_registration(conn, user.id, asked.id, answer, relying_party=PARTY)
    assert made
    passkey = {"passkey": str(made.id)}
    [entry] = trail.look()
    assert (entry.event, entry.user_id, entry.detail) == ("passkey.added", user.id, passkey)
    for event in ("passkey.verified", "passkey.cloned"):
        asked = passkeys.begin_authentication(conn, user.id, relying_party=PARTY)
        assert asked
        answer = device.get(asked.options)
        passkeys.finish_authentication(conn, asked.id, answer, relying_party=PARTY)
        assert trail.events() == [f"{event} {passkey}"]
        device.counts = False
    assert passkeys.rename(conn, user.id, made.id, "x")
    assert trail.events() == []
    assert passkeys.remove(conn, user.id, made.id).reason == "last_way_in"  # type: ignore[union-attr]  # it is
    assert trail.events() == []
    assert identities.link(conn, user.id, "google", "1")
    trail.look()
    assert passkeys.remove(conn, user.id, made.id) is True
    assert trail.events() == [f"passkey.removed {passkey}"]


def test_elevation(sql: Sql, conn: SyncConnection, user: User, trail: Trail) -> None:
    opened = sessions.create(conn, user.id)
    assert isinstance(opened, NewSession)
    trail.look()
    elevated = sessions.elevate(conn, opened.token, aal=2)
    assert isinstance(elevated, NewSession)
    [entry] = trail.look()
    assert (entry.event, entry.user_id, entry.session_id) == (
        "session.elevated",
        user.id,
        opened.session.id,
    )
    assert entry.detail == {"aal": 2, "was": 1}
    assert sessions.elevate(conn, elevated.token, aal=2)
    assert trail.events() == ["session.elevated {'aal': 2, 'was': 2}"]
    sql(f"UPDATE authsql_sessions SET last_seen_at = {sql.now}")
    assert trail.events() == []
    sql("UPDATE authsql_sessions SET aal = 3")
    assert trail.events() == ["session.elevated {'aal': 3, 'was': 2}"], "by hand, too"


def test_what_goes_with_its_user(sql: Sql, conn: SyncConnection, user: User, trail: Trail) -> None:
    """The same in both dialects: a foreign key's deletion fires no trigger in MySQL."""
    enrolled = enroll(conn, user)
    assert totp.confirm(conn, user.id, enrolled.factor_id, sql.code(enrolled.secret), keyring=RING)
    assert recovery_codes.regenerate(conn, user.id, key=KEY)
    asked = passkeys.begin_registration(conn, user.id, relying_party=PARTY, account="x")
    assert asked
    answer = Authenticator().create(asked.options)
    assert passkeys.finish_registration(conn, user.id, asked.id, answer, relying_party=PARTY)
    trail.look()
    assert users.delete(conn, user.id)
    assert trail.events() == ["user.deleted"]
