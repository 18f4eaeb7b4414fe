"""Somebody has the application's connection for any statement: what can they read, and what not?

They can read what the application can, sign anybody in, and overwrite. They cannot take the hashes of
passwords and codes away to try them out elsewhere, nor the secrets of authenticator apps.
"""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

import mysql.connector
import psycopg
import pytest

from authsql import (
    IssuedCode,
    NewSession,
    TotpEnrollment,
    accounts,
    devices,
    otps,
    passwords,
    recovery_codes,
    sessions,
    totp,
    users,
)
from authsql.models import PendingSignUp, User
from tests.roles import as_role
from tests.servers import Database, SyncConnection, rows
from tests.support import FAST, KEY, PASSWORD, RING, Sql

HOLDERS = (
    ("authsql_passwords", "hash", "user_id"),
    ("authsql_otps", "code_hash", "issue_id"),
    ("authsql_signups", "hash", "issue_id"),
    ("authsql_totp_factors", "secret", "id"),
    ("authsql_recovery_codes", "code_hash", "user_id"),
)
# {table} has {secret}, and {key}, which may be read.
BOTH = (
    "SELECT {secret} FROM {table}",
    "SELECT * FROM {table}",
    "TABLE {table}",
    "SELECT t.{secret} AS {key} FROM {table} AS t",
    "SELECT {key} FROM {table} WHERE {secret} IS NOT NULL",
    "SELECT {key} FROM {table} ORDER BY {secret}",
    "SELECT count(*) FROM {table} GROUP BY {secret}",
    "SELECT count(DISTINCT {secret}) FROM {table}",
    "SELECT max({secret}) OVER () FROM {table}",
    "SELECT {key} FROM {table} UNION SELECT {secret} FROM {table}",
    "SELECT a.{key} FROM {table} AS a INNER JOIN {table} AS b ON a.{secret} = b.{secret}",
    "WITH t AS (SELECT {secret} FROM {table}) SELECT * FROM t",
    "SELECT (SELECT count(*) FROM {table} AS t WHERE t.{secret} > u.email) FROM authsql_users AS u",
    # Columns that a join takes by name, which MySQL does not ask rights for.
    "SELECT * FROM {table} AS a INNER JOIN {table} AS b USING ({secret})",
    "SELECT * FROM {table} AS a NATURAL LEFT JOIN (SELECT 'x' AS {secret}) AS b",
    "SELECT count(*) FROM {table} AS a INNER JOIN (SELECT 0 AS {secret}) AS b USING ({secret})",
    "UPDATE {table} SET {secret} = {secret}",
    "UPDATE {table} SET {key} = {key} WHERE {secret} IS NULL",
    "DELETE FROM {table} WHERE {secret} IS NULL",
    "UPDATE authsql_users SET name = (SELECT max({secret}) FROM {table})",
    "CREATE VIEW seen AS SELECT {secret} FROM {table}",
    "CREATE TABLE seen AS SELECT {secret} FROM {table}",
    "DROP TABLE {table}",
    "ALTER TABLE {table} DROP COLUMN {secret}",
    "TRUNCATE TABLE {table}",
)
POSTGRES = (
    "SELECT t FROM {table} AS t",
    "SELECT row_to_json(t) FROM {table} AS t",
    "SELECT t::text FROM {table} AS t",
    "SELECT count(t) FROM {table} AS t",
    "COPY {table} TO STDOUT",
    "COPY (SELECT {secret} FROM {table}) TO STDOUT",
    "COPY {table} TO PROGRAM 'cat'",
    "UPDATE {table} SET {key} = {key} RETURNING {secret}",
    "DELETE FROM {table} RETURNING *",
    "CREATE TEMP TABLE seen AS SELECT {secret} FROM {table}",
    "CREATE STATISTICS seen ON {secret}, {key} FROM {table}",
    "CREATE TRIGGER seen AFTER UPDATE ON {table} EXECUTE FUNCTION authsql_tg_touch()",
    "CREATE POLICY seen ON {table}",
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "SET ROLE authsql_owner",
    "SET SESSION AUTHORIZATION postgres",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT rolpassword FROM pg_authid",
)
MYSQL = (
    "SELECT JSON_ARRAYAGG({secret}) FROM {table}",
    "SELECT {secret} FROM {table} INTO OUTFILE '/tmp/seen'",
    "SELECT {secret} INTO @seen FROM {table} LIMIT 1",
    "DO (SELECT {secret} FROM {table} LIMIT 1)",
    "SET @seen = (SELECT {secret} FROM {table} LIMIT 1)",
    "CREATE TEMPORARY TABLE seen AS SELECT {secret} FROM {table}",
    "CREATE TRIGGER seen BEFORE UPDATE ON {table} FOR EACH ROW SET @seen = OLD.{secret}",
    "CREATE FUNCTION seen() RETURNS TEXT READS SQL DATA RETURN (SELECT {secret} FROM {table} LIMIT 1)",
    "EXPLAIN ANALYZE SELECT {secret} FROM {table}",
    "SET ROLE authsql_owner",
    "SELECT authentication_string FROM mysql.user",
    "SELECT sql_text FROM performance_schema.events_statements_history",
    "UPDATE {table} AS a NATURAL JOIN (SELECT 0 AS {secret}) AS b SET a.{key} = a.{key}",
    "DELETE a FROM {table} AS a NATURAL JOIN (SELECT 0 AS {secret}) AS b",
)


@pytest.fixture
def ann(conn: SyncConnection) -> User:
    """Somebody with one of each."""
    user = users.create(conn, "ann@x.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    assert isinstance(otps.issue(conn, "ann@x.org", "signin", key=KEY, user_id=user.id), IssuedCode)
    assert isinstance(accounts.sign_up(conn, "bob@x.org", PASSWORD, key=KEY, policy=FAST), PendingSignUp)
    enrolled = totp.enroll(conn, user.id, keyring=RING, issuer="x", account="y")
    assert isinstance(enrolled, TotpEnrollment)
    confirmed = "expires_at = NULL, confirmed_at = created_at, last_step = 1, last_used_at = created_at"
    rows(conn, f"UPDATE authsql_totp_factors SET {confirmed}")
    assert recovery_codes.regenerate(conn, user.id, key=KEY)
    return user


@pytest.fixture
def secrets(sql: Sql, ann: User) -> list[str]:
    """What must not come out, as it would look like."""
    found: list[str] = []
    for table, secret, _ in HOLDERS:
        for (value,) in sql(f"SELECT {secret} FROM {table}"):
            if isinstance(value, str):
                found.append(value.rpartition("$")[2])
            else:
                raw = bytes(value)
                found += [raw.hex(), raw.hex().upper(), base64.b64encode(raw).decode(), repr(raw)[2:-1]]
    assert len(found) > 40
    return found


@pytest.fixture
def attacker(database: Database) -> SyncConnection:
    return as_role(database, "authsql_app").connect()


def told(attacker: SyncConnection, statement: str) -> tuple[bool, str]:
    """Whether a statement came through, and all that was said."""
    try:
        found: Any = rows(attacker, statement)
    except (psycopg.Error, mysql.connector.Error) as error:
        diag = getattr(error, "diag", None)
        return False, f"{error} {getattr(diag, 'message_detail', '')}"
    return True, repr(found)


def refused(conn: SyncConnection, statement: str) -> str:
    """What is said to a statement that must not come through."""
    came_through, answer = told(conn, statement)
    assert not came_through, statement
    return answer


def seen_as(table: str, dialect: str) -> str:
    """What an application has rights on: in MySQL a view of the table."""
    return table if dialect == "postgres" else table.replace("authsql_", "authsql_app_")


def test_no_statement_reads_a_secret(
    database: Database, attacker: SyncConnection, secrets: list[str]
) -> None:
    for table, secret, key in HOLDERS:
        for statement in BOTH + (POSTGRES if database.dialect == "postgres" else MYSQL):
            asked = statement.format(table=table, secret=secret, key=key)
            came_through, answer = told(attacker, asked)
            assert not came_through, f"{asked}: {answer}"
            assert not any(secret in answer for secret in secrets), asked


@pytest.mark.only("mysql")
def test_no_statement_reads_a_secret_through_a_view(
    database: Database, conn: SyncConnection, secrets: list[str]
) -> None:
    """Which has the column, to be written. What a statement changes is taken back, for the next one."""
    attacker = as_role(database, "authsql_app").connect(autocommit=False)
    before = [rows(conn, f"CHECKSUM TABLE {table}") for table, _, _ in HOLDERS]
    came_through = set()
    for table, secret, key in HOLDERS:
        for statement in BOTH + MYSQL:
            asked = statement.format(table=seen_as(table, "mysql"), secret=secret, key=key)
            answers = [told(attacker, asked), told(attacker, "SHOW WARNINGS")]
            if answers[0][0]:
                came_through.add(statement)
            assert not any(secret in answer for secret in secrets for _, answer in answers), asked
            attacker.rollback()
    assert len(came_through) > 15
    assert [rows(conn, f"CHECKSUM TABLE {table}") for table, _, _ in HOLDERS] == before


@pytest.mark.only("mysql")
def test_what_a_right_on_one_column_would_give(attacker: SyncConnection, ann: User) -> None:
    """A checksum of all columns, a histogram of any, a HANDLER: there is no right on the tables, and of a
    view there are none of these.
    """
    for table, secret, _ in HOLDERS:
        for statement in (
            f"CHECKSUM TABLE {table}",
            f"ANALYZE TABLE {table} UPDATE HISTOGRAM ON {secret}",
            f"HANDLER {table} OPEN",
        ):
            assert "1142" in refused(attacker, statement)
        view = table.replace("authsql_", "authsql_app_")
        assert [checksum for _, checksum in rows(attacker, f"CHECKSUM TABLE {view}")] == [None]
        assert "1347" in refused(attacker, f"HANDLER {view} OPEN")
        [(_, _, kind, _)] = rows(attacker, f"ANALYZE TABLE {view} UPDATE HISTOGRAM ON {secret}")
        assert kind == "Error"
    assert rows(attacker, "SELECT COUNT(*) FROM information_schema.column_statistics") == [(0,)]


@pytest.mark.only("postgres")
def test_an_error_shows_no_row(attacker: SyncConnection, ann: User, secrets: list[str]) -> None:
    """PostgreSQL prints the row that a constraint refuses: the columns that one may read, and those that the
    statement names. Of an INSERT that became an UPDATE, or a MERGE, that is the row that was stored.
    """
    for name, key, wrong in (
        ("passwords", "user_id", "changed_at = NULL"),
        ("otps", "subject, purpose", "attempts = -1"),
        ("signups", "subject, purpose", "email = 'x'"),
        ("totp_factors", "id", "key_name = ''"),
    ):
        table = f"authsql_{name}"
        hidden = next(secret for holder, secret, _ in HOLDERS if holder == table)
        assert told(attacker, f"UPDATE {table} SET {wrong}")[1].count("iolates") == 1
        named = {
            column
            for (column,) in rows(
                attacker,
                "SELECT column_name FROM information_schema.column_privileges WHERE table_name = %s"
                " AND privilege_type = 'INSERT' AND grantee = 'authsql_app'",
                (table,),
            )
        }
        assert f"new_{hidden}" in named
        for column in (hidden, f"new_{hidden}"):
            names = ", ".join(sorted(named - {hidden, f"new_{hidden}"}))
            values = f"{names}, NULL FROM {table}"
            on = " AND ".join(f"t.{each} = s.{each}" for each in key.split(", "))
            keys = ", ".join(f"s.{each}" for each in key.split(", "))
            upsert = f"INSERT INTO {table} ({names}, {column}) SELECT {values} ON CONFLICT ({key})"
            merge = f"MERGE INTO {table} AS t USING (SELECT {names} FROM {table}) AS s ON {on}"
            insert = f"WHEN NOT MATCHED THEN INSERT ({key}, {column}) VALUES ({keys}, NULL)"
            for statement in (
                f"{upsert} DO UPDATE SET {wrong}",
                f"{merge} WHEN MATCHED THEN UPDATE SET {wrong} {insert}",
                f"UPDATE {table} SET {column} = NULL, {wrong}",
            ):
                came_through, answer = told(attacker, statement)
                assert not came_through
                assert ("iolates" if column != hidden else "permission denied") in answer, answer
                assert not any(secret[:20] in answer for secret in secrets), answer
    # Of these an application changes one column, which takes anything.
    codes = "authsql_recovery_codes"
    upsert = f"INSERT INTO {codes} (user_id, number, new_code_hash) SELECT user_id, number, NULL FROM {codes}"
    for statement in (
        f"UPDATE {codes} SET number = 0",
        f"{upsert} ON CONFLICT (user_id, number) DO UPDATE SET number = 0",
        f"{upsert} ON CONFLICT (user_id, number) DO UPDATE SET new_code_hash = excluded.new_code_hash",
    ):
        assert "permission denied" in refused(attacker, statement)
    came_through, answer = told(
        attacker, "SELECT authsql_store_signup_password(NULL, subject, purpose) FROM authsql_signups"
    )
    assert came_through
    assert not any(secret[:20] in answer for secret in secrets)
    assert told(attacker, "SELECT * FROM pg_stats WHERE attname IN ('hash', 'code_hash', 'secret')") == (
        True,
        "[]",
    )


@pytest.mark.only("postgres")
def test_functions_of_the_owner_are_not_led_astray(
    attacker: SyncConnection, conn: SyncConnection, ann: User
) -> None:
    """By tables, functions and operators of the caller's that have the names of what they use."""
    stored = rows(conn, "SELECT hash FROM authsql_passwords WHERE user_id = %s", (ann.id,))[0][0]
    spy = "'BEGIN INSERT INTO pg_temp.seen VALUES (a), (b); RETURN true; END'"
    for statement in (
        "CREATE TEMP TABLE authsql_passwords (user_id uuid, hash text)",
        f"INSERT INTO pg_temp.authsql_passwords VALUES ('{ann.id}', 'mine')",
        "CREATE TEMP TABLE seen (what text)",
        f"CREATE FUNCTION pg_temp.spy(a text, b text) RETURNS boolean LANGUAGE plpgsql AS {spy}",
        "CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.spy)",
        "CREATE FUNCTION pg_temp.repeat(a text, b integer) RETURNS text LANGUAGE sql AS 'SELECT a'",
        "CREATE FUNCTION pg_temp.left(a text, b integer) RETURNS text LANGUAGE sql AS 'SELECT a'",
        "SET search_path = pg_temp, pg_catalog, public",
    ):
        rows(attacker, statement)
    assert rows(attacker, "SELECT public.authsql_password_matches(%s, 'mine')", (ann.id,)) == [(False,)]
    assert rows(attacker, "SELECT public.authsql_password_matches(%s, %s)", (ann.id, stored)) == [(True,)]
    [(form,)] = rows(attacker, "SELECT public.authsql_password_form(%s)", (ann.id,))
    assert form == stored.rpartition("$")[0] + "$" + "A" * len(stored.rpartition("$")[2])
    assert rows(attacker, "SELECT * FROM pg_temp.seen") == []


def test_a_factor_gives_its_secret_on_its_own_conditions(
    database: Database, attacker: SyncConnection, conn: SyncConnection, ann: User
) -> None:
    """Not as an enrolment that it was, and not after an attempt of somebody else's."""
    other = users.create(conn, "eve@x.org")
    enrolled = totp.enroll(conn, other.id, keyring=RING, issuer="x", account="y")
    assert isinstance(enrolled, TotpEnrollment)
    mine = f"'{other.id}'" if database.dialect == "postgres" else f"UUID_TO_BIN('{other.id}')"
    rows(attacker, f"UPDATE authsql_totp_attempts SET failed_attempts = 1 WHERE user_id = {mine}")
    factors = seen_as("authsql_totp_factors", database.dialect)
    later = "CURRENT_TIMESTAMP + INTERVAL '1' HOUR"
    unconfirmed = f"confirmed_at = NULL, last_step = NULL, last_used_at = NULL, expires_at = {later}"
    for statement, why in (
        (f"UPDATE {factors} SET {unconfirmed} WHERE user_id <> {mine}", "a factor stays confirmed"),
        (f"UPDATE {factors} SET user_id = {mine} WHERE user_id <> {mine}", "a factor stays confirmed"),
        (f"UPDATE {factors} SET id = user_id WHERE user_id <> {mine}", "a factor stays confirmed"),
        ("UPDATE authsql_totp_attempts SET user_id = " + mine, "a count of failed codes stays"),
        (f"INSERT INTO authsql_totp_attempts (user_id) VALUES ({mine})", "denied"),
    ):
        assert why in refused(attacker, statement)
    for until in ("'2100-01-01'", "'infinity'" if database.dialect == "postgres" else "'9999-12-31'"):
        rows(attacker, f"UPDATE {factors} SET reencrypt_until = {until}")
        asked = f"SELECT authsql_totp_outdated_secret(id) FROM {factors}"
        assert rows(attacker, asked) == [(None,), (None,)]


def test_no_index_tells_the_order_of_what_cannot_be_read(database: Database, conn: SyncConnection) -> None:
    """Rows come in the order of an index, whoever asks."""
    asked = (
        "SELECT c.relname, a.attname FROM pg_index AS i INNER JOIN pg_class AS c ON c.oid = i.indrelid"
        " INNER JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[])"
        if database.dialect == "postgres"
        else "SELECT table_name, column_name FROM information_schema.statistics"
        " WHERE table_schema = DATABASE()"
    )
    indexed = set(rows(conn, asked))
    assert ("authsql_recovery_codes", "number") in indexed
    assert not {(table, secret) for table, secret, _ in HOLDERS} & indexed


def test_what_they_can_read(
    database: Database, attacker: SyncConnection, ann: User, secrets: list[str]
) -> None:
    """E-mails, and how a password is to be hashed, but not the outcome. Of a factor the secret, encrypted,
    once an attempt is counted or its key is being changed, which the log tells of.
    """
    assert rows(attacker, "SELECT email FROM authsql_users") == [("ann@x.org",)]
    table = seen_as("authsql_passwords", database.dialect)
    [(form,)] = rows(attacker, f"SELECT authsql_password_form(user_id) FROM {table}")
    assert form.startswith("$argon2id$v=19$m=")
    assert set(form.rpartition("$")[2]) == {"A"}
    table = seen_as("authsql_totp_factors", database.dialect)
    now = "UTC_TIMESTAMP(6)" if database.dialect == "mysql" else "statement_timestamp()"
    soon = f"{now} + INTERVAL '9' MINUTE"
    for function, opened, event in (
        ("secret", "authsql_totp_attempts SET failed_attempts = 1", "totp.attempted"),
        ("outdated_secret", f"{table} SET reencrypt_until = {soon}", "totp.secret_read"),
    ):
        asked = f"SELECT authsql_totp_{function}(id) FROM {table}"
        assert rows(attacker, asked) == [(None,)]
        rows(attacker, f"UPDATE {opened}")
        [(encrypted,)] = rows(attacker, asked)
        assert bytes(encrypted).hex() in secrets
        found = rows(attacker, "SELECT event FROM authsql_audit_log WHERE event = %s", (event,))
        assert found == [(event,)]


def test_what_they_can_do(
    database: Database, attacker: SyncConnection, conn: SyncConnection, ann: User
) -> None:
    """Overwrite: the rights are an application's, which sets passwords. But the log has it, and keeps it."""
    table = seen_as("authsql_passwords", database.dialect)
    column = "hash" if database.dialect == "mysql" else "new_hash"
    rows(attacker, f"UPDATE {table} SET {column} = '$argon2id$of my own, whose password I know'")
    count = "SELECT count(*) FROM authsql_audit_log WHERE event = 'password.changed'"
    assert rows(attacker, count) == [(1,)]
    for statement in (
        "DELETE FROM authsql_audit_log",
        "UPDATE authsql_audit_log SET event = 'x.y'",
        "INSERT INTO authsql_audit_log (event) VALUES ('user.created')",
        "INSERT INTO authsql_app_events (event) VALUES ('user.created')",
        "UPDATE authsql_retention SET keep_days = 1",
        "INSERT INTO authsql_retention (table_name, keep_days) VALUES ('x', 1)",
    ):
        assert not told(attacker, statement)[0], statement
    assert rows(conn, count) == [(1,)]


@pytest.mark.only("mysql")
def test_the_clock_of_the_log_is_its_own(
    database: Database, attacker: SyncConnection, conn: SyncConnection, ann: User
) -> None:
    """SET timestamp takes no privilege, and moves what the session takes for now."""
    for day in (400, -400):
        rows(attacker, "SET timestamp = DEFAULT")
        rows(attacker, f"SET timestamp = UNIX_TIMESTAMP() + {day * 86400}")
        assert "takes inserts only" in refused(attacker, "DELETE FROM authsql_audit_log")
        rows(attacker, "INSERT INTO authsql_app_events (event) VALUES ('app.x')")
        rows(attacker, "UPDATE authsql_users SET email = CONCAT('x', email)")
        # A day from now by the server's clock: what the session takes for past, or for far ahead.
        rows(attacker, f"UPDATE authsql_users SET locked_until = UTC_TIMESTAMP(6) + INTERVAL {1 - day} DAY")
        rows(attacker, "UPDATE authsql_users SET locked_until = NULL")
        rows(attacker, "SET timestamp = DEFAULT")
        rows(attacker, "DELETE FROM authsql_audit_log WHERE occurred_at < UTC_TIMESTAMP(6) - INTERVAL 1 HOUR")
    found = rows(
        conn,
        "SELECT event, MAX(ABS(TIMESTAMPDIFF(SECOND, occurred_at, UTC_TIMESTAMP(6)))) < 60, COUNT(*)"
        " FROM authsql_audit_log WHERE event LIKE 'account.%' OR event IN ('app.x', 'email.changed')"
        " GROUP BY event ORDER BY event",
    )
    assert found == [
        (event, 1, 2) for event in ("account.locked", "account.unlocked", "app.x", "email.changed")
    ]
    # A live session, and a device that is known, are told of when they go.
    assert sessions.create(conn, ann.id)
    assert devices.remember(conn, ann.id)
    rows(attacker, f"SET timestamp = UNIX_TIMESTAMP() + {400 * 86400}")
    rows(attacker, "DELETE FROM authsql_sessions")
    rows(attacker, "DELETE FROM authsql_known_devices")
    last = rows(conn, "SELECT event FROM authsql_audit_log ORDER BY number DESC LIMIT 2")
    assert last == [("device.forgotten",), ("session.revoked",)]


@pytest.mark.only("mysql")
@pytest.mark.parametrize("number", [2**63 - 1, 2**31, 0])
def test_nobody_chooses_the_number_of_an_entry(
    attacker: SyncConnection, conn: SyncConnection, ann: User, number: int
) -> None:
    """SET insert_id takes no privilege either, and after the highest number there is no other."""
    for statement in (
        "UPDATE authsql_users SET email = 'changed@x.org'",
        "INSERT INTO authsql_app_events (event) VALUES ('app.x')",
    ):
        rows(attacker, f"SET insert_id = {number}")
        assert "the audit log numbers its entries itself" in refused(attacker, statement)
    last = rows(conn, "SELECT MAX(number) FROM authsql_audit_log")[0][0]
    users.create(conn, "next@x.org")
    numbers = [row[0] for row in rows(conn, "SELECT number FROM authsql_audit_log ORDER BY number")]
    assert numbers[0] == 1
    assert last < numbers[-1] < last + 20


@pytest.mark.only("postgres")
def test_a_schema_of_the_callers_does_not_stand_in(
    database: Database, attacker: SyncConnection, conn: SyncConnection, ann: User
) -> None:
    """In the path that a server has from the start, "$user" comes first: the caller, or the owner."""
    [(caller, owner)] = rows(
        attacker, "SELECT session_user, tableowner FROM pg_tables WHERE tablename = 'authsql_users'"
    )
    rows(conn, f'CREATE SCHEMA "{caller}" AUTHORIZATION "{caller}"')
    rows(attacker, f'CREATE TABLE "{caller}".authsql_retention (table_name text, keep_days integer)')
    rows(attacker, f"""INSERT INTO "{caller}".authsql_retention VALUES ('authsql_audit_log', -1)""")
    assert "takes inserts only" in refused(attacker, "DELETE FROM public.authsql_audit_log")
    # A changed password ends the sessions, and not those of another table.
    assert sessions.create(conn, ann.id)
    rows(attacker, f'CREATE TABLE "{caller}".authsql_sessions (LIKE public.authsql_sessions)')
    rows(
        attacker,
        "UPDATE public.authsql_passwords SET new_hash = '$argon2id$of my own, whose password I know'",
    )
    assert rows(conn, "SELECT revoke_reason FROM authsql_sessions") == [("password_change",)]

    rows(conn, f'GRANT CREATE ON DATABASE "{database.name}" TO "{caller}"')
    log = f'"{owner}".authsql_audit_log'
    spy = f"""'BEGIN INSERT INTO "{owner}".seen VALUES (current_user); RETURN NEW; END'"""
    for statement in (
        f'CREATE SCHEMA "{owner}"',
        f'GRANT ALL ON SCHEMA "{owner}" TO PUBLIC',
        f"CREATE TABLE {log} (LIKE public.authsql_audit_log)",
        f'CREATE TABLE "{owner}".seen (who text)',
        f'CREATE FUNCTION "{owner}".spy() RETURNS trigger LANGUAGE plpgsql AS {spy}',
        f'CREATE TRIGGER spy BEFORE INSERT ON {log} FOR EACH ROW EXECUTE FUNCTION "{owner}".spy()',
        "UPDATE public.authsql_users SET email = 'changed@x.org'",
    ):
        rows(attacker, statement)
    assert rows(attacker, f'SELECT who FROM "{owner}".seen') == []
    assert rows(attacker, "SELECT event FROM public.authsql_audit_log ORDER BY number DESC LIMIT 1") == [
        ("email.changed",)
    ]


def test_a_passkey_is_not_made_another(
    database: Database, sql: Sql, attacker: SyncConnection, ann: User
) -> None:
    """An entry would not make it good: whoever has the key signs in."""
    eve = users.create(sql.connection, "eve@x.org")
    transports = "JSON_ARRAY()" if sql.is_mysql else "'[]'"
    sql(
        "INSERT INTO authsql_passkeys"
        " (id, user_id, credential, public_key, transports, aaguid, backup_eligible, backed_up)"
        f" VALUES ({sql.new_id}, %s, 'one', 'key', {transports}, %s, false, false)",
        ann.id,
        str(UUID(int=0)),
    )
    for column, value in (
        ("public_key", "'mine'"),
        ("credential", "'mine'"),
        ("user_id", f"(SELECT u.id FROM authsql_users AS u WHERE u.email = '{eve.email}')"),
        ("id", sql.new_id),
        ("backup_eligible", "true"),
    ):
        came_through, answer = told(attacker, f"UPDATE authsql_passkeys SET {column} = {value}, name = 'x'")
        assert not came_through, column
        assert "a passkey stays as it was registered" in answer
    rows(attacker, "UPDATE authsql_passkeys SET name = 'x', sign_count = 1, public_key = public_key")
    assert sql.one("SELECT name FROM authsql_passkeys") == "x"


def test_what_leaves_no_entry(database: Database, sql: Sql, attacker: SyncConnection, ann: User) -> None:
    """sql/README.md says that much: what the log does not have of what they do."""
    opened = sessions.create(sql.connection, ann.id)
    assert isinstance(opened, NewSession)
    before = sql.one("SELECT COUNT(*) FROM authsql_audit_log")
    codes = seen_as("authsql_otps", database.dialect)
    hashed = "UNHEX(REPEAT('ab', 32))" if sql.is_mysql else "decode(repeat('ab', 32), 'hex')"
    later = "UTC_TIMESTAMP(6) + INTERVAL 1 HOUR" if sql.is_mysql else "now() + interval '1 hour'"
    columns = "session_id, family_hash, current_hash, expires_at"
    values = f"id, {hashed}, {hashed}, {later}"
    for statement in (
        f"INSERT INTO authsql_refresh_tokens ({columns}) SELECT {values} FROM authsql_sessions",
        f"UPDATE {codes} SET link_hash = {hashed}",
        f"UPDATE {codes} SET subject = 'eve@x.org' WHERE purpose = 'signin'",
        f"UPDATE authsql_sessions SET expires_at = {later}",
    ):
        rows(attacker, statement)
    assert sql.one("SELECT COUNT(*) FROM authsql_audit_log") == before
    for column in ("ip", "user_agent"):
        rows(attacker, f"UPDATE authsql_audit_log SET {column} = NULL")
    rows(attacker, "UPDATE authsql_audit_log SET detail = '{}'")
    assert sql.one("SELECT COUNT(*) FROM authsql_audit_log") == before
