"""What is typed by hand is recorded as well, and the log itself takes inserts only."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mysql.connector
import psycopg
import pytest

from authsql import audit, devices, maintenance, otps, passwords, refresh_tokens, sessions, users
from authsql.models import AuditEntry, NewDevice, NewSession, User
from tests.servers import Database, SyncConnection, rows
from tests.support import DAY, FAST, HOUR, KEY, MINUTE, PASSWORD, Sql, Trail

REFUSED = "the audit log takes inserts only"
HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$by-hand"
DatabaseError = (psycopg.Error, mysql.connector.Error)


ROOT = Path(__file__).parents[2] / "sql"


def test_the_table_of_events_has_them_all() -> None:
    """What the migrations write, in both dialects, is what sql/README.md explains."""
    text = (
        (ROOT / "README.md").read_text(encoding="utf-8").partition("| event | when |")[2].partition("\n\n")[0]
    )
    told = [name for row in text.splitlines() for name in re.findall(r"`(\w+\.\w+)`", row.partition(" |")[0])]
    assert len(told) == len(set(told)) > 40
    for dialect in ("postgres", "mysql"):
        files = (ROOT / dialect).glob("0*.sql")
        written = "\n".join(each.read_text(encoding="utf-8") for each in files)
        assert set(re.findall(r"'((?!authsql\.)[a-z_]+\.[a-z_]+)'", written)) == set(told), dialect


@pytest.fixture
def user(conn: SyncConnection) -> User:
    user = users.create(conn, "ann@example.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    return user


@pytest.fixture
def opened(conn: SyncConnection, user: User) -> NewSession:
    opened = sessions.create(conn, user.id)
    assert isinstance(opened, NewSession)
    return opened


@pytest.fixture
def trail(sql: Sql, opened: NewSession) -> Trail:
    """What is written once there is a user with a session."""
    trail = Trail(sql)
    trail.look()
    return trail


def test_accounts(sql: Sql, user: User, trail: Trail) -> None:
    def update(changes: str) -> list[str]:
        sql(f"UPDATE authsql_users SET {changes} WHERE id = %s", user.id)
        return trail.events()

    soon = sql.before(sql.now, -HOUR)
    assert update("name = 'Ann'") == []
    assert update("email = 'Ann@example.org'") == ["email.changed"]
    assert update(f"email_verified_at = {sql.now}") == ["email.verified"]
    assert update("email = 'ANN@example.org'") == ["email.changed"], "it stays verified"
    assert update("email = 'amy@example.org'") == ["email.changed"]
    assert update(f"email = 'eve@example.org', email_verified_at = {sql.now}") == [
        "email.changed",
        "email.verified",
    ]
    assert update("failed_attempts = 3") == ["password.attempted {'failures': 3}"]
    assert update("failed_attempts = 0") == ["account.unlocked"], "no password was verified by that"
    assert len(update(f"locked_until = {soon}")) == 1
    assert update("locked_until = locked_until") == []
    assert update("locked_until = NULL") == ["account.unlocked"]
    assert update(f"locked_until = {sql.before(sql.now, HOUR)}") == []
    assert update("locked_until = NULL") == [], "that lock was over"
    assert update("email_verified_at = NULL") == ["email.unverified"]
    assert update("email_verified_at = NULL") == []
    assert update(f"deleted_at = {sql.now}") == [
        "session.revoked {'reason': 'user_deleted'}",
        "user.soft_deleted",
    ]
    for change in (f"reactivatable_at = {soon}", "reactivatable_at = NULL"):
        sql(f"UPDATE authsql_users SET {change} WHERE id = %s", user.id)
        [entry] = trail.look()
        until = sql.one("SELECT reactivatable_at FROM authsql_users WHERE id = %s", user.id)
        said = f"{until:%Y-%m-%dT%H:%M:%S.%fZ}" if until else None
        assert (entry.event, entry.detail) == ("user.reactivation_moved", {"reactivatable_at": said})
    assert update("deleted_at = NULL") == ["user.reactivated"]
    sql("INSERT INTO authsql_users (email) VALUES ('hand@example.org')")
    assert trail.events() == ["role.granted {'role': 'user'}", "user.created"]
    sql("DELETE FROM authsql_users")
    assert trail.events() == ["user.deleted", "user.deleted"]


def test_it_says_who_was_logged_in(sql: Sql, user: User, trail: Trail) -> None:
    sql("UPDATE authsql_users SET failed_attempts = 1 WHERE id = %s", user.id)
    [entry] = trail.look()
    assert entry.db_user == sql.one("SELECT " + ("USER()" if sql.is_mysql else "session_user"))
    assert (entry.actor_id, entry.session_id, entry.ip) == (None, None, None)


def test_context_by_hand(sql: Sql, user: User, trail: Trail) -> None:
    actor = uuid.uuid4()
    if sql.is_mysql:
        sql(f"SET @authsql_actor_id = '{actor}', @authsql_ip = '192.0.2.1'")
    else:
        sql(f"SET authsql.actor_id = '{actor}'")
        sql("SET authsql.ip = '192.0.2.1'")
    sql("UPDATE authsql_users SET failed_attempts = 1 WHERE id = %s", user.id)
    [entry] = trail.look()
    assert (entry.actor_id, entry.ip) == (actor, "192.0.2.1")
    sql("SET @authsql_actor_id = 'bob'" if sql.is_mysql else "SET authsql.actor_id = 'bob'")
    with pytest.raises(DatabaseError, match="bob"):
        sql("UPDATE authsql_users SET failed_attempts = 2 WHERE id = %s", user.id)
    assert trail.events() == []


def test_passwords(sql: Sql, user: User, trail: Trail) -> None:
    other = users.create(sql.connection, "other@example.org")
    trail.look()
    sql("UPDATE authsql_passwords SET must_change_since = changed_at")
    assert trail.events() == ["password.change_required"]
    sql(f"UPDATE authsql_passwords SET must_change_since = {sql.now}")
    assert trail.events() == [], "it was already"
    sql("UPDATE authsql_passwords SET must_change_since = NULL")
    assert trail.events() == ["password.change_waived"]
    sql("UPDATE authsql_passwords SET must_change_since = changed_at")
    trail.look()
    sql("UPDATE authsql_passwords SET hash = %s, must_change_since = NULL", HASH)
    assert trail.events() == ["password.changed", "session.revoked {'reason': 'password_change'}"]
    sql(f"UPDATE authsql_passwords SET hash = %s, rehashed_at = {sql.now}", HASH + "2")
    assert trail.events() == ["password.rehashed"], "a new hash leaves an entry, whatever it is called"
    sql("UPDATE authsql_passwords SET user_id = %s", other.id)
    assert [(entry.event, entry.user_id) for entry in trail.look()] == [
        ("password.removed", user.id),
        ("password.set", other.id),
    ]
    sql("DELETE FROM authsql_passwords")
    assert [(entry.event, entry.user_id) for entry in trail.look()] == [("password.removed", other.id)]
    sql("INSERT INTO authsql_passwords (user_id, hash) VALUES (%s, %s)", other.id, HASH)
    assert trail.events() == ["password.set"]
    sql("DELETE FROM authsql_passwords")
    trail.look()
    columns = "user_id, hash, must_change_since"
    sql(f"INSERT INTO authsql_passwords ({columns}) VALUES (%s, %s, {sql.now})", other.id, HASH)
    assert trail.events() == ["password.change_required", "password.set"]


def test_identities(sql: Sql, user: User, trail: Trail) -> None:
    sql(
        "INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('github', 'Sub-17', %s)", user.id
    )
    [entry] = trail.look()
    assert (entry.event, entry.user_id, entry.detail) == ("identity.linked", user.id, {"provider": "github"})
    sql("UPDATE authsql_identities SET email = 'x@x.org'")
    assert trail.events() == []
    sql(f"UPDATE authsql_identities SET last_login_at = {sql.now}, email = 'y@x.org'")
    [entry] = trail.look()
    assert (entry.event, entry.user_id) == ("identity.signed_in", user.id)
    assert entry.detail == {"provider": "github"}
    sql("UPDATE authsql_identities SET email = 'x@x.org'")
    assert trail.events() == []
    sql("UPDATE authsql_identities SET subject = 'Sub-18'")
    assert trail.events() == [
        "identity.linked {'provider': 'github'}",
        "identity.unlinked {'provider': 'github'}",
    ]
    sql("DELETE FROM authsql_identities")
    assert trail.events() == ["identity.unlinked {'provider': 'github'}"]


def test_devices(sql: Sql, user: User, trail: Trail) -> None:
    other = users.create(sql.connection, "other@example.org")
    device = devices.remember(sql.connection, user.id, trust_for=DAY)
    assert isinstance(device, NewDevice)
    trail.look()
    detail = {"device": str(device.device.id)}
    sql("UPDATE authsql_known_devices SET name = 'x', failed_attempts = 0")
    sql("UPDATE authsql_known_devices SET trusted_until = " + sql.before("trusted_until", HOUR))
    assert trail.events() == []
    sql("UPDATE authsql_known_devices SET trusted_until = " + sql.before("trusted_until", -HOUR))
    assert trail.events() == [f"device.trusted {detail}"]
    sql("UPDATE authsql_known_devices SET trusted_until = NULL")
    assert trail.events() == []
    sql("UPDATE authsql_known_devices SET trusted_until = expires_at, failed_attempts = 2")
    assert trail.events() == [
        f"device.trusted {detail}",
        f"password.attempted { ({'device': str(device.device.id), 'failures': 2}) }",
    ]
    sql("UPDATE authsql_known_devices SET secret_hash = %s", bytes(32))
    assert trail.events() == [f"device.changed {detail}"]
    sql("UPDATE authsql_known_devices SET user_id = %s, secret_hash = %s", other.id, bytes([1]) * 32)
    assert [(entry.event, entry.user_id) for entry in trail.look()] == [
        ("device.forgotten", user.id),
        ("device.remembered", other.id),
    ]


def test_codes(sql: Sql, user: User, trail: Trail) -> None:
    assert otps.issue(sql.connection, user.email, "signin", key=KEY, user_id=user.id)
    trail.look()
    sql("UPDATE authsql_otps SET max_attempts = 7")
    sql("UPDATE authsql_otps SET resend_at = created_at")
    assert trail.events() == [], "nobody tried a code"
    sql(f"UPDATE authsql_otps SET spent_at = {sql.now}")
    assert trail.events() == ["code.verified {'purpose': 'signin'}"], "as a link does, which is no attempt"
    sql("UPDATE authsql_otps SET spent_at = NULL, attempts = attempts + 1")
    assert trail.events() == ["code.failed {'purpose': 'signin'}"]
    sql("DELETE FROM authsql_otps")
    assert trail.events() == []


def test_sessions(sql: Sql, user: User, opened: NewSession, trail: Trail) -> None:
    sql("UPDATE authsql_sessions SET device = 'x'")
    assert trail.events() == []
    sql(f"UPDATE authsql_sessions SET revoked_at = {sql.now}")
    assert trail.events() == ["session.revoked {'reason': None}"]
    sql("UPDATE authsql_sessions SET revoke_reason = 'later'")
    sql("DELETE FROM authsql_sessions")
    assert trail.events() == [], "it had ended"
    live = sessions.create(sql.connection, user.id)
    assert isinstance(live, NewSession)
    trail.look()
    sql("DELETE FROM authsql_sessions")
    [entry] = trail.look()
    assert (entry.event, entry.session_id, entry.detail) == (
        "session.revoked",
        live.session.id,
        {"reason": "row_deleted"},
    )


ENDED = "a session stays ended, and its user's"


def test_a_session_stays_ended_and_its_users(sql: Sql, user: User, opened: NewSession) -> None:
    """An entry would not make good that it lives again."""
    other = users.create(sql.connection, "other@example.org")
    now = f"UPDATE authsql_sessions SET last_seen_at = {sql.now}"
    sql(f"{now}, user_id = user_id, revoked_at = NULL")
    with pytest.raises(DatabaseError, match=ENDED):
        sql("UPDATE authsql_sessions SET user_id = %s", other.id)
    assert sessions.revoke(sql.connection, opened.session.id)
    before = sql.dump()
    for change in ("revoked_at = NULL", "revoked_at = NULL, revoke_reason = NULL", "user_id = %s"):
        with pytest.raises(DatabaseError, match=ENDED):
            sql(f"UPDATE authsql_sessions SET {change}", *[other.id] * change.count("%s"))
    if sql.is_mysql:
        sql("SET SESSION sql_mode = ''")
        with pytest.raises(DatabaseError, match=ENDED):
            sql("UPDATE IGNORE authsql_sessions SET revoked_at = NULL, revoke_reason = NULL")
    assert sql.dump() == before
    assert not sessions.validate(sql.connection, opened.token)


def test_a_session_that_is_prolonged(sql: Sql, opened: NewSession, trail: Trail) -> None:
    sql("UPDATE authsql_sessions SET expires_at = absolute_expires_at")
    assert trail.events() == [], "as a touch does"
    sql("UPDATE authsql_sessions SET absolute_expires_at = " + sql.before("absolute_expires_at", -DAY))
    [entry] = trail.look()
    until = sql.one("SELECT absolute_expires_at FROM authsql_sessions")
    assert (entry.event, entry.session_id) == ("session.prolonged", opened.session.id)
    assert entry.detail == {"absolute_expires_at": f"{until:%Y-%m-%dT%H:%M:%S.%fZ}"}
    sql("UPDATE authsql_sessions SET expires_at = " + sql.before("expires_at", HOUR))
    sql("UPDATE authsql_sessions SET absolute_expires_at = expires_at")
    assert trail.events() == []


def test_roles(sql: Sql, user: User, trail: Trail) -> None:
    sql("INSERT INTO authsql_roles (role) VALUES ('editor')")
    assert trail.events() == ["role.created {'role': 'editor', 'is_default': False}"]
    sql("UPDATE authsql_roles SET description = 'Edits.' WHERE role = 'editor'")
    assert trail.events() == []
    sql("UPDATE authsql_roles SET is_default = TRUE WHERE role = 'editor'")
    [entry] = trail.look()
    assert (entry.event, entry.user_id) == ("role.changed", None)
    assert entry.detail == {"role": "editor", "was": "editor", "is_default": True}
    sql("INSERT INTO authsql_user_roles (user_id, role) VALUES (%s, 'admin')", user.id)
    [entry] = trail.look()
    assert (entry.event, entry.user_id, entry.detail) == ("role.granted", user.id, {"role": "admin"})
    sql("UPDATE authsql_user_roles SET granted_at = granted_at")
    assert trail.events() == []
    sql("UPDATE authsql_user_roles SET role = 'editor' WHERE role = 'admin'")
    assert trail.events() == ["role.granted {'role': 'editor'}", "role.revoked {'role': 'admin'}"]
    sql("INSERT INTO authsql_role_permissions (role, permission) VALUES ('editor', 'page:write')")
    [entry] = trail.look()
    assert entry.event == "permission.granted"
    assert entry.detail == {"role": "editor", "permission": "page:write"}
    sql("UPDATE authsql_role_permissions SET permission = 'page:erase'")
    assert sorted(entry.event for entry in trail.look()) == ["permission.granted", "permission.revoked"]
    sql("UPDATE authsql_roles SET role = 'author' WHERE role = 'editor'")
    [entry] = trail.look()
    assert entry.detail == {"role": "author", "was": "editor", "is_default": True}, "once, not for each grant"
    assert sql.one("SELECT COUNT(*) FROM authsql_user_roles WHERE role = 'author'") == 1
    sql("DELETE FROM authsql_role_permissions")
    [entry] = trail.look()
    assert entry.detail == {"role": "author", "permission": "page:erase"}
    sql("INSERT INTO authsql_role_permissions (role, permission) VALUES ('author', 'page:write')")
    trail.look()
    sql("DELETE FROM authsql_roles WHERE role = 'author'")
    assert trail.events() == ["role.deleted {'role': 'author'}"]
    sql("DELETE FROM authsql_user_roles WHERE user_id = %s", user.id)
    assert trail.events() == ["role.revoked {'role': 'user'}"]


def test_what_goes_with_its_user(sql: Sql, user: User, trail: Trail) -> None:
    sql(
        "INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('github', 'Sub-17', %s)", user.id
    )
    assert otps.issue(sql.connection, user.email, "signin", key=KEY, user_id=user.id)
    trail.look()
    sql("DELETE FROM authsql_users WHERE id = %s", user.id)
    assert trail.events() == ["user.deleted"]
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions") == 0


def test_settings(sql: Sql, trail: Trail) -> None:
    sql("UPDATE authsql_retention SET keep_days = 7 WHERE table_name = 'authsql_users'")
    [entry] = trail.look()
    assert (entry.event, entry.user_id) == ("retention.changed", None)
    assert entry.detail == {"table_name": "authsql_users", "keep_days": 7, "was": 30}
    sql("DELETE FROM authsql_retention WHERE table_name = 'authsql_users'")
    [entry] = trail.look()
    assert entry.detail == {"table_name": "authsql_users", "keep_days": None, "was": 7}
    sql("INSERT INTO authsql_retention (table_name, keep_days) VALUES ('authsql_users', 1)")
    [entry] = trail.look()
    assert entry.detail == {"table_name": "authsql_users", "keep_days": 1, "was": None}
    sql("UPDATE authsql_retention SET table_name = 'x', keep_days = 2 WHERE table_name = 'authsql_users'")
    assert [entry.detail for entry in trail.look()] == [
        {"table_name": "authsql_users", "keep_days": None, "was": 1},
        {"table_name": "x", "keep_days": 2, "was": None},
    ]
    for days in (0, 36501):
        with pytest.raises(DatabaseError, match="authsql_retention_keep_days_check"):
            sql("UPDATE authsql_retention SET keep_days = %s", days)
    assert trail.events() == []


def content(sql: Sql) -> list[str]:
    return sql.dump()["authsql_audit_log"]


CHANGES = {
    "number": "number + 1000",
    "occurred_at": None,
    "event": "'user.deleted'",
    "user_id": "NULL",
    "actor_id": "user_id",
    "session_id": "NULL",
    "ip": "'192.0.2.99'",
    "user_agent": "'Another/1'",
    "db_user": "'nobody'",
    "detail": "'{\"aal\": 3}'",
}


@pytest.mark.parametrize("column", CHANGES)
def test_no_entry_is_changed(sql: Sql, user: User, trail: Trail, column: str) -> None:
    assert sessions.create(sql.connection, user.id, ip="192.0.2.1", user_agent="Browser/1")
    before = content(sql)
    to = CHANGES[column] or sql.before("occurred_at", HOUR)
    if column == "number" and not sql.is_mysql:
        # GENERATED ALWAYS refuses it before the trigger does.
        with pytest.raises(psycopg.errors.GeneratedAlways):
            sql("UPDATE authsql_audit_log SET number = 1")
        return
    with pytest.raises(DatabaseError, match=REFUSED):
        sql(
            f"UPDATE authsql_audit_log SET {column} = {to} WHERE event = 'session.created' AND ip IS NOT NULL"
        )
    assert content(sql) == before


def test_a_redaction(sql: Sql, user: User, trail: Trail) -> None:
    assert sessions.create(sql.connection, user.id, ip="192.0.2.1", user_agent="Browser/1")
    sql("UPDATE authsql_audit_log SET ip = ip, user_agent = user_agent, detail = detail")
    assert trail.look()[-1].ip == "192.0.2.1"
    sql("UPDATE authsql_audit_log SET ip = NULL WHERE user_id = %s", user.id)
    sql("UPDATE authsql_audit_log SET user_agent = NULL, detail = '{}' WHERE user_id = %s", user.id)
    entries = Trail(sql).look()
    assert {(entry.ip, entry.user_agent, json.dumps(entry.detail)) for entry in entries} == {
        (None, None, "{}")
    }
    for column, value in (("ip", "'192.0.2.1'"), ("user_agent", "'Browser/1'"), ("detail", "'{\"aal\": 1}'")):
        with pytest.raises(DatabaseError, match=REFUSED):
            sql(f"UPDATE authsql_audit_log SET {column} = {value}")


def insert_old(sql: Sql, *days: int) -> None:
    for each in days:
        at = sql.before(sql.now, each * DAY)
        sql(f"INSERT INTO authsql_audit_log (event, occurred_at) VALUES ('app.day-{each}', {at})")


def test_no_entry_is_deleted_before_its_time(sql: Sql, trail: Trail) -> None:
    insert_old(sql, 364, 366)
    before = content(sql)
    for condition in ("", " WHERE event = 'app.day-364'", " WHERE event LIKE 'app.%'"):
        with pytest.raises(DatabaseError, match=REFUSED):
            rows(sql.connection, f"DELETE FROM authsql_audit_log{condition}")
        assert content(sql) == before
    sql("DELETE FROM authsql_audit_log WHERE event = 'app.day-366'")
    assert len(content(sql)) == len(before) - 1
    sql("DELETE FROM authsql_retention")
    insert_old(sql, 30000)
    with pytest.raises(DatabaseError, match=REFUSED):
        sql("DELETE FROM authsql_audit_log WHERE event = 'app.day-30000'")


@pytest.mark.only("postgres")
def test_no_truncate(sql: Sql, trail: Trail) -> None:
    for statement in ("TRUNCATE authsql_audit_log", "TRUNCATE authsql_audit_log, authsql_users CASCADE"):
        with pytest.raises(DatabaseError, match=REFUSED):
            sql(statement)


@pytest.mark.only("mysql")
def test_no_sql_mode_and_no_ignore_helps(sql: Sql, trail: Trail) -> None:
    before = content(sql)
    sql("SET SESSION sql_mode = ''")
    for statement in (
        "UPDATE authsql_audit_log SET event = 'user.deleted'",
        "UPDATE IGNORE authsql_audit_log SET event = 'user.deleted'",
        "DELETE FROM authsql_audit_log",
        "DELETE IGNORE FROM authsql_audit_log",
    ):
        with pytest.raises(DatabaseError, match=REFUSED):
            sql(statement)
    with pytest.raises(DatabaseError, match=REFUSED):
        sql(
            "INSERT INTO authsql_audit_log (number, event) SELECT n.number, 'x.y' FROM authsql_audit_log AS n"
            " ON DUPLICATE KEY UPDATE event = 'x.z'"
        )
    with pytest.raises(DatabaseError, match=REFUSED):
        sql("REPLACE INTO authsql_audit_log (number, event) SELECT MIN(number), 'x.y' FROM authsql_audit_log")
    assert content(sql) == before


@pytest.mark.only("postgres")
def test_no_upsert_helps(sql: Sql, trail: Trail) -> None:
    with pytest.raises(DatabaseError, match=REFUSED):
        sql(
            "INSERT INTO authsql_audit_log (number, event) OVERRIDING SYSTEM VALUE VALUES (1, 'x.y')"
            " ON CONFLICT (number) DO UPDATE SET event = excluded.event"
        )


@pytest.mark.parametrize(
    "event",
    ["login", "user.", ".created", "User.created", "user..created", "user.x\n", "ü.x", "a." + "x" * 63],
)
def test_events_have_a_form(sql: Sql, event: str) -> None:
    with pytest.raises(DatabaseError):
        sql("INSERT INTO authsql_audit_log (event) VALUES (%s)", event)


def test_the_trail_can_be_read(sql: Sql, user: User, trail: Trail) -> None:
    admin = users.create(sql.connection, "admin@example.org")
    audit.set_context(sql.connection, actor_id=admin.id)
    users.mark_email_verified(sql.connection, user.id, user.email)
    columns = "event, user_id, email, actor_id, actor_email, db_user"
    [found] = sql(f"SELECT {columns} FROM authsql_audit_trail WHERE event = 'email.verified'")
    expected = [str(user.id), user.email, str(admin.id), admin.email]
    assert [str(value) for value in found[1:5]] == expected
    users.delete(sql.connection, user.id)
    [found] = sql(f"SELECT {columns} FROM authsql_audit_trail WHERE event = 'email.verified'")
    assert (str(found[1]), found[2]) == (str(user.id), None)
    assert "created" in {row[0] for row in sql("SELECT SUBSTRING(event, 6, 7) FROM authsql_audit_trail")}


def test_an_entry_is_of_no_use_to_a_thief(sql: Sql) -> None:
    """No e-mail, name, code, token, password, provider's subject or device: not in any column of the log."""
    conn = sql.connection
    told = ["sub-1@example.org", "Ada Known", "Sub-known-17", "Device known", PASSWORD, "Known/1"]
    user = users.create(conn, told[0], name=told[1], avatar={"url": "Known/1"}, email_verified=True)
    sql(
        "INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('github', %s, %s)",
        told[2],
        user.id,
    )
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    for _ in range(6):
        passwords.verify(conn, told[0], "wrong password", policy=FAST)
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    assert passwords.verify(
        conn, told[0], PASSWORD, policy=replace(FAST, argon2=replace(FAST.argon2, time_cost=2))
    )
    assert passwords.change(conn, user.id, PASSWORD, "another password", policy=FAST)
    issued = otps.issue(conn, told[0], "signin", key=KEY)
    assert issued
    told += [issued.code, str(issued.issue_id)]
    otps.verify(conn, told[0], "signin", "0" * 6, key=KEY)
    otps.verify(conn, told[0], "signin", issued.code, key=KEY)
    opened = sessions.create(conn, user.id, device="Device known")
    assert opened
    token = refresh_tokens.issue(conn, opened.session.id)
    assert token
    told += [opened.token, token.token, opened.token[-20:], token.token[-20:]]
    refresh_tokens.rotate(conn, token.token)
    sql("UPDATE authsql_users SET email = 'sub-2@example.org'")
    told += ["sub-2@example.org", "example.org", "$argon2id"]
    sql("DELETE FROM authsql_identities")
    users.soft_delete(conn, user.id)
    sql.age("authsql_users", ("created_at", "deleted_at", "reactivatable_at"), 31 * DAY)
    maintenance.purge(conn)
    entries = audit.list(conn, limit=1000)
    assert len({entry.event for entry in entries}) > 16
    text = "\n".join(content(sql))
    assert [each for each in told if each.lower() in text.lower()] == []
    assert {key for entry in entries for key in entry.detail} <= {
        "role", "failures", "retry_at", "provider", "purpose", "aal", "reason"
    }  # fmt: skip


@pytest.fixture
def application(sql: Sql) -> Iterator[SyncConnection]:
    """Somebody with rights on the tables as sql/README.md has them, and none on the log."""
    name, password = f"app_{secrets.token_hex(4)}", secrets.token_hex(8)
    database = sql.database.name
    tables = ("users", "passwords", "sessions", "otps", "refresh_tokens", "user_roles", "identities", "roles")
    if sql.is_mysql:
        sql(f"CREATE USER {name} IDENTIFIED BY '{password}'")
        for table in tables:
            sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_{table} TO {name}")
        sql(f"GRANT INSERT ON authsql_app_events TO {name}")
    else:
        sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        sql(f"GRANT ALL ON {', '.join(f'authsql_{table}' for table in tables)} TO {name}")
        sql(f"GRANT INSERT ON authsql_app_events TO {name}")
        sql(f"GRANT CREATE, TEMPORARY ON DATABASE {database} TO {name}")
        sql(f"GRANT CREATE ON SCHEMA public TO {name}")
    own = Database(re.sub("//[^@]*@", f"//{name}:{password}@", sql.database.url), sql.database.target)
    try:
        yield own.connect()
    finally:
        own.close_connections()
        if sql.is_mysql:
            sql(f"DROP USER {name}")
        else:
            sql(f"DROP OWNED BY {name}")
            sql(f"DROP ROLE {name}")


def test_who_has_no_right_on_the_log_is_recorded(
    sql: Sql, user: User, trail: Trail, application: SyncConnection
) -> None:
    made = users.create(application, "made@example.org")
    assert sessions.create(application, made.id)
    name = rows(application, "SELECT " + ("USER()" if sql.is_mysql else "session_user"))[0][0]
    found = trail.look()
    assert [entry.event for entry in found] == ["user.created", "role.granted", "session.created"]
    assert {entry.db_user for entry in found} == {name}
    audit.record(application, "app.paid", user_id=made.id)
    [entry] = trail.look()
    assert (entry.event, entry.db_user) == ("app.paid", name)
    for statement in (
        "SELECT COUNT(*) FROM authsql_audit_log",
        "INSERT INTO authsql_audit_log (event) VALUES ('user.created')",
        "UPDATE authsql_audit_log SET ip = NULL",
        "DELETE FROM authsql_audit_log",
        "UPDATE authsql_retention SET keep_days = 1",
        "INSERT INTO authsql_app_events (event) VALUES ('user.created')",
    ):
        with pytest.raises(DatabaseError):
            rows(application, statement)
    with pytest.raises(DatabaseError):
        rows(application, "INSERT INTO authsql_app_events (event, db_user) VALUES ('app.x', 'me')")
    assert trail.events() == []


@pytest.mark.only("postgres")
def test_a_temporary_table_does_not_stand_in_for_the_log(
    sql: Sql, trail: Trail, application: SyncConnection
) -> None:
    """It would take the entries, and with a trigger of its own act with the owner's rights."""
    rows(application, "CREATE TEMPORARY TABLE authsql_audit_log (event text, user_id uuid, detail jsonb)")
    users.create(application, "made@example.org")
    assert rows(application, "SELECT COUNT(*) FROM pg_temp.authsql_audit_log") == [(0,)]
    assert len(trail.look()) == 2


@pytest.mark.only("postgres")
def test_nobody_makes_a_trigger_of_the_functions(sql: Sql, trail: Trail, application: SyncConnection) -> None:
    rows(application, "CREATE TABLE forged (user_id uuid, role text)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(
            application,
            "CREATE TRIGGER forged AFTER INSERT ON forged FOR EACH ROW"
            " EXECUTE FUNCTION authsql_tg_user_roles_audit()",
        )


@pytest.mark.only("postgres")
def test_functions_with_their_owners_rights(sql: Sql) -> None:
    """Their path ends with the temporary schema, and nobody else may make a trigger of them."""
    found = sql(
        "SELECT proname, array_to_string(proconfig, '; '), has_function_privilege('public', oid, 'EXECUTE'),"
        " prorettype::regtype::text FROM pg_proc"
        " WHERE prosecdef AND pronamespace = current_schema()::regnamespace"
    )
    assert len(found) >= 9
    for name, settings, public, kind in found:
        assert settings in ("search_path=public, pg_temp", "search_path=pg_catalog, pg_temp"), name
        assert not (public and kind == "trigger"), name


@pytest.mark.only("postgres")
def test_what_is_not_recorded_costs_no_trigger(sql: Sql) -> None:
    """A touch, a rotation and the note of a sign-in: WHEN or OF keeps the triggers from being called."""
    of: dict[str, str] = dict(
        sql(
            "SELECT t.tgname, pg_get_triggerdef(t.oid) FROM pg_trigger AS t"
            " WHERE t.tgname IN ('authsql_users_update_audit', 'authsql_sessions_update_audit')"
        )
    )
    assert "last_login_at" not in of["authsql_users_update_audit"]
    assert "last_seen_at" not in of["authsql_sessions_update_audit"]
    assert all(" UPDATE OF " in text and " WHEN " in text for text in of.values())
    assert (
        sql(
            "SELECT 1 FROM pg_trigger WHERE tgrelid = 'authsql_refresh_tokens'::regclass AND NOT tgisinternal"
        )
        == []
    )


def test_context_is_that_of_one_connection(sql: Sql, user: User, trail: Trail) -> None:
    other = sql.database.connect()
    audit.set_context(other, actor_id=user.id)
    sql("UPDATE authsql_users SET failed_attempts = 1")
    [entry] = trail.look()
    assert entry.actor_id is None
    found = audit.list(other, limit=1)
    assert isinstance(found[0], AuditEntry)
    sql.elapse(MINUTE)
    assert trail.events() == [], "that time goes by is no event"
