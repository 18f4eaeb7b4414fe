"""What somebody with the application's connection would do behind the log's back, and cannot.

tests/rights/test_injection.py has who reads what; here are the ways round the audit log that were found.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from authsql import NewSession, devices, recovery_codes, sessions, users
from authsql.models import User
from tests.rights.test_injection import ann, attacker, refused, seen_as, told
from tests.servers import Database, SyncConnection, rows
from tests.support import KEY, Sql

__all__ = ["ann", "attacker"]


@pytest.fixture
def eve(conn: SyncConnection) -> User:
    return users.create(conn, "eve@x.org")


def literal(key: UUID, dialect: str) -> str:
    return f"'{key}'" if dialect == "postgres" else f"X'{key.hex}'"


def test_no_account_takes_the_place_of_another(
    database: Database, sql: Sql, attacker: SyncConnection, ann: User, eve: User
) -> None:
    """By another id, with all that belongs to that, and no address that changed."""
    anns, eves = (literal(each.id, database.dialect) for each in (ann, eve))
    spare = literal(UUID(int=7 << 76 | 2 << 62 | 1), database.dialect)
    if database.dialect == "postgres":
        swap = (
            f"WITH a AS (UPDATE authsql_users SET id = {spare} WHERE id = {anns} RETURNING 1),"
            f" b AS (UPDATE authsql_users SET id = {anns} WHERE id = {eves} RETURNING 1)"
            " SELECT count(*) FROM a, b"
        )
    else:
        rows(attacker, "SET foreign_key_checks = 0")
        swap = f"UPDATE authsql_users SET id = {spare} WHERE id = {anns}"
    assert "a user keeps their id" in refused(attacker, swap)
    assert {str(sql.uuid(key)): email for key, email in sql("SELECT id, email FROM authsql_users")} == {
        str(ann.id): "ann@x.org",
        str(eve.id): "eve@x.org",
    }


def test_ids_stay(database: Database, conn: SyncConnection, attacker: SyncConnection, ann: User) -> None:
    assert isinstance(sessions.create(conn, ann.id), NewSession)
    assert devices.remember(conn, ann.id)
    spare = literal(UUID(int=7 << 76 | 2 << 62 | 1), database.dialect)
    for table, why in (("sessions", "a session stays ended"), ("known_devices", "a device keeps its id")):
        assert why in refused(attacker, f"UPDATE authsql_{table} SET id = {spare}")


def test_a_recovery_code_is_good_once(
    database: Database, conn: SyncConnection, attacker: SyncConnection, ann: User
) -> None:
    codes = recovery_codes.regenerate(conn, ann.id, key=KEY)
    assert codes
    assert recovery_codes.verify(conn, ann.id, codes.codes[0], key=KEY)
    table = seen_as("authsql_recovery_codes", database.dialect)
    for change in ("spent_at = NULL", "number = number + 50"):
        assert not told(attacker, f"UPDATE {table} SET {change}")[0]
    column = "new_code_hash" if database.dialect == "postgres" else "code_hash"
    assert not told(attacker, f"UPDATE {table} SET {column} = NULL")[0]
    assert not recovery_codes.verify(conn, ann.id, codes.codes[0], key=KEY)
    # Whoever may write more is told why not.
    assert "a recovery code is spent once" in refused(
        conn, "UPDATE authsql_recovery_codes SET spent_at = NULL"
    )


def test_a_factor_keeps_its_secret(database: Database, sql: Sql, attacker: SyncConnection, ann: User) -> None:
    """But where the log has it that keys are being changed: each time, and not for a time long ago."""
    table = seen_as("authsql_totp_factors", database.dialect)
    column = "new_secret" if database.dialect == "postgres" else "secret"
    secret = f"'{'x' * 40}'"
    assert "a factor stays confirmed" in refused(attacker, f"UPDATE {table} SET {column} = {secret}")

    read = "SELECT COUNT(*) FROM authsql_audit_log WHERE event = 'totp.secret_read'"
    now = "statement_timestamp()" if database.dialect == "postgres" else "UTC_TIMESTAMP(6)"
    for number, until in enumerate(
        ("'2100-01-01'", f"{now} + INTERVAL '5' MINUTE", f"{now} + INTERVAL '4' MINUTE")
    ):
        rows(attacker, f"UPDATE {table} SET reencrypt_until = {until}")
        assert sql.one(read) == number + 1
    asked = f"SELECT authsql_totp_outdated_secret(id) IS NOT NULL FROM {table}"
    assert [bool(row[0]) for row in rows(attacker, asked)] == [True]
    rows(attacker, f"UPDATE {table} SET {column} = {secret}, reencrypt_until = NULL")
    assert sql("SELECT secret FROM authsql_totp_factors") == [(b"x" * 40,)]


@pytest.mark.only("mysql")
def test_what_has_passed_does_not_come_back(
    database: Database, sql: Sql, attacker: SyncConnection, ann: User
) -> None:
    """SET timestamp moves what a session takes for now, and opens no secret."""
    sql("UPDATE authsql_totp_factors SET reencrypt_until = UTC_TIMESTAMP(6) - INTERVAL 90 DAY")
    asked = "SELECT authsql_totp_outdated_secret(id) FROM authsql_app_totp_factors"
    for seconds in (90 * 86400, 90 * 86400 + 300):
        rows(attacker, f"SET timestamp = UNIX_TIMESTAMP() - {seconds}")
        assert rows(attacker, asked) == [(None,)]
        rows(attacker, "SET timestamp = DEFAULT")
    sql("DELETE FROM authsql_totp_factors")
    sql(
        "INSERT INTO authsql_totp_factors (user_id, new_secret, key_name, created_at, expires_at)"
        f" SELECT id, '{'x' * 40}', 'k',"
        " UTC_TIMESTAMP(6) - INTERVAL 2 HOUR, UTC_TIMESTAMP(6) - INTERVAL 1 HOUR"
        " FROM authsql_users"
    )
    rows(attacker, "SET timestamp = UNIX_TIMESTAMP() - 5400")
    assert rows(attacker, "SELECT authsql_totp_enrolment_secret(id) FROM authsql_app_totp_factors") == [
        (None,)
    ]


@pytest.mark.only("mysql")
@pytest.mark.parametrize(
    "collation", ["utf16_general_ci", "ucs2_general_ci", "utf16le_general_ci", "utf32_bin"]
)
def test_no_character_set_moves_the_clock(
    sql: Sql, attacker: SyncConnection, ann: User, collation: str
) -> None:
    rows(attacker, f"SET collation_connection = '{collation}'")
    rows(attacker, "INSERT INTO authsql_app_events (event, detail) VALUES ('app.x', '{}')")
    rows(attacker, "UPDATE authsql_users SET failed_attempts = failed_attempts + 1")
    asked = "SELECT MAX(ABS(TIMESTAMPDIFF(SECOND, occurred_at, UTC_TIMESTAMP(6)))) FROM authsql_audit_log"
    assert sql.one(asked) < 60


@pytest.mark.only("mysql")
@pytest.mark.parametrize("zone", ["+14:00", "-12:00", "+05:30", "SYSTEM"])
def test_an_entry_is_of_age_in_any_time_zone(
    sql: Sql, attacker: SyncConnection, ann: User, zone: str
) -> None:
    """What is deleted goes by the system's clock, too, which tells a session its local time."""
    sql("UPDATE authsql_retention SET keep_days = 1 WHERE table_name = 'authsql_audit_log'")
    for event, age in (("x.young", "1 DAY + INTERVAL 60 SECOND"), ("x.old", "1 DAY - INTERVAL 60 SECOND")):
        sql(
            "INSERT INTO authsql_audit_log (event, occurred_at)"
            f" VALUES ('{event}', UTC_TIMESTAMP(6) - INTERVAL {age})"
        )
    rows(attacker, f"SET time_zone = '{zone}'")
    assert "takes inserts only" in refused(attacker, "DELETE FROM authsql_audit_log WHERE event = 'x.young'")
    rows(attacker, "DELETE FROM authsql_audit_log WHERE event = 'x.old'")
    assert sql("SELECT event FROM authsql_audit_log WHERE event LIKE 'x.%'") == [("x.young",)]


@pytest.mark.only("mysql")
def test_nobody_chooses_the_gaps(sql: Sql, attacker: SyncConnection, ann: User) -> None:
    for variable in ("auto_increment_increment", "auto_increment_offset"):
        rows(attacker, f"SET {variable} = 60000")
        assert "numbers its entries itself" in refused(
            attacker, "INSERT INTO authsql_app_events (event) VALUES ('app.x')"
        )
        rows(attacker, f"SET {variable} = DEFAULT")
    rows(attacker, "INSERT INTO authsql_app_events (event) VALUES ('app.x')")


@pytest.mark.only("postgres")
def test_each_entry_has_its_own_time(sql: Sql, attacker: SyncConnection, ann: User) -> None:
    """One statement may be many, and last."""
    rows(
        attacker,
        "DO $$ BEGIN FOR n IN 1..3 LOOP"
        " PERFORM pg_sleep(0.05); INSERT INTO authsql_app_events (event) VALUES ('app.x'); END LOOP; END $$",
    )
    asked = (
        "SELECT EXTRACT(EPOCH FROM max(occurred_at) - min(occurred_at)) FROM authsql_audit_log"
        " WHERE event = 'app.x'"
    )
    assert sql.one(asked) >= 0.1


def test_an_entry_is_emptied_and_not_rewritten(
    database: Database, sql: Sql, attacker: SyncConnection, ann: User
) -> None:
    """Not by what is equal, either: a number with other digits (PostgreSQL), blanks at the end (MySQL)."""
    agent = "@authsql_user_agent" if database.dialect == "mysql" else "authsql.user_agent"
    rows(attacker, f"SET {agent} = 'x'")
    rows(attacker, "UPDATE authsql_users SET failed_attempts = 3")
    entry = "event = 'password.attempted'"
    assert sql.one(f"SELECT COUNT(*) FROM authsql_audit_log WHERE {entry}") == 1
    equal = "user_agent = 'x  '" if database.dialect == "mysql" else """detail = '{"failures": 3.000}'"""
    for change in (equal, "user_agent = 'y'", """detail = '{"failures": 4}'"""):
        answer = refused(attacker, f"UPDATE authsql_audit_log SET {change} WHERE {entry}")
        assert "takes inserts only" in answer
    rows(attacker, f"UPDATE authsql_audit_log SET detail = '{{}}', user_agent = NULL WHERE {entry}")


def test_a_session_that_is_proved_anew_is_told_of(
    database: Database, sql: Sql, conn: SyncConnection, attacker: SyncConnection, ann: User
) -> None:
    assert sessions.create(conn, ann.id)
    rows(attacker, "UPDATE authsql_sessions SET authenticated_at = authenticated_at + INTERVAL '1' DAY")
    assert sql.one("SELECT COUNT(*) FROM authsql_audit_log WHERE event = 'session.elevated'") == 1


@pytest.mark.only("mysql")
def test_blanks_make_another_address(sql: Sql, attacker: SyncConnection, ann: User) -> None:
    """To `=` they are the same."""
    rows(attacker, "UPDATE authsql_users SET email = CONCAT(email, ' ')")
    assert sql.one("SELECT COUNT(*) FROM authsql_audit_log WHERE event = 'email.changed'") == 1


@pytest.mark.only("mysql")
def test_a_hash_that_ends_early_has_no_form(sql: Sql, attacker: SyncConnection, ann: User) -> None:
    sql(
        "UPDATE authsql_passwords"
        " SET hash = '$5$rounds=5000$abcdefgh$0123456789012345678901234567890123456789012$'"
    )
    asked = "SELECT authsql_password_form(user_id) FROM authsql_app_passwords"
    assert rows(attacker, asked) == [(None,)]
