"""`authsql doctor` on what a login may do: compared with the roles of optional/roles.sql, right by right."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from authsql.doctor import Finding, Severity, examine
from authsql.migrations import migrate
from tests.doctor.test_doctor import found, user
from tests.migrations.test_cli import command
from tests.roles import as_role, migrate_and_grant
from tests.servers import Database, SyncConnection, rows

OK, INFO, WARNING, ERROR = Severity


@contextlib.contextmanager
def login(database: Database, *grants: str, take: str = "") -> Iterator[str]:
    """A login with the rights of authsql_app, more, and less."""
    with user(database, *grants) as url:
        name = urlsplit(url).username
        if database.dialect == "postgres":
            rows(database.connect(), f"GRANT authsql_app TO {name}")
        else:
            # A right of a role is not taken from one login: so each of the role's is given again.
            conn = database.connect()
            for (text,) in rows(conn, "SHOW GRANTS FOR authsql_app"):
                if f"`{database.name}`." in text:
                    rows(conn, text.replace("`authsql_app`@`%`", f"`{name}`@`%`"))
            if take:
                rows(conn, f"REVOKE {take} FROM {name}")
        yield url


def only(url: str) -> Finding:
    (finding,) = found(url, "rights")
    return finding


def test_the_application(database: Database, conn: SyncConnection) -> None:
    url = as_role(database, "authsql_app").url
    finding = only(url)
    assert finding.severity is OK
    assert finding.message.endswith(" has the rights of authsql_app, and no others")
    with login(database) as narrow:
        assert only(narrow).severity is OK
    # Which migrations there are it may not read, and that is no fault.
    assert {f.severity for f in examine(url) if f.check != "scheduler"} == {OK, INFO}
    assert [f.severity for f in found(url, "migrations")] == [INFO]
    assert [f.severity for f in found(url, "catalog")] == [INFO]
    # The scheduler of a MySQL server may be off, which is a warning to whoever asks.
    stands = database.dialect == "mysql" and rows(conn, "SELECT @@event_scheduler") != [("ON",)]
    assert [f.check for f in examine(url) if f.severity is WARNING] == (["scheduler"] if stands else [])
    assert command("doctor", "--strict", "-d", url).exit_code == (1 if stands else 0)
    assert command("doctor", "-d", url).exit_code == 0


def test_the_reader(database: Database) -> None:
    url = as_role(database, "authsql_reader").url
    finding = only(url)
    assert finding.severity is OK
    assert finding.message.endswith("the rights of authsql_reader: it can inspect, and run no operation")
    assert {f.severity for f in examine(url) if f.check != "scheduler"} == {OK, INFO}


def test_both(database: Database) -> None:
    if database.dialect == "postgres":
        with user(database, "authsql_app", "authsql_reader") as url:
            assert only(url).message.endswith("rights of authsql_app and of authsql_reader, and no others")
    else:
        with user(database, "authsql_app, authsql_reader") as url:
            rows(database.connect(), f"SET DEFAULT ROLE ALL TO {urlsplit(url).username}")
            assert only(url).message.endswith("rights of authsql_app and of authsql_reader, and no others")


def test_a_part_of_the_reader(database: Database) -> None:
    with user(database, "SELECT ON authsql_schema_version") as url:
        finding = only(url)
        assert finding.severity is INFO
        assert " has a part of the rights of authsql_reader, and lacks SELECT on authsql_" in finding.message


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("SELECT ON authsql_passwords", "can read what authsql_app cannot: authsql_passwords{hash}"),
        ("SELECT (code_hash) ON authsql_otps", "can read what authsql_app cannot: authsql_otps.code_hash"),
        (
            "UPDATE ON authsql_retention",
            "has more rights than authsql_app: UPDATE on authsql_retention",
        ),
        (
            "UPDATE (event, ip) ON authsql_audit_log",
            "has more rights than authsql_app: UPDATE (event) on authsql_audit_log",
        ),
    ],
)
def test_one_right_too_many(database: Database, more: str, told: str) -> None:
    # In MySQL the application has rights on a view of it, and none on the table.
    column = ".hash, authsql_passwords.new_hash" if database.dialect == "postgres" else ""
    with login(database, more) as url:
        finding = only(url)
        assert finding.severity is WARNING
        assert finding.message.partition(" ")[2] == told.format(hash=column)


@pytest.mark.only("mysql")
def test_a_table_where_the_application_has_a_view(database: Database) -> None:
    """A right on any column of it shows others."""
    with login(database, "SELECT (user_id) ON authsql_passwords") as url:
        assert only(url).message.endswith("cannot: authsql_passwords.user_id")


def test_rights_on_all_tables(database: Database) -> None:
    """As they are often given: both kinds of too much are named, and once each."""
    on = "ALL TABLES IN SCHEMA public" if database.dialect == "postgres" else f"`{database.name}`.*"
    with user(database, f"SELECT, INSERT, UPDATE, DELETE ON {on}", "authsql_app") as url:
        if database.dialect == "mysql":
            rows(database.connect(), f"SET DEFAULT ROLE ALL TO {urlsplit(url).username}")
        readable, more = found(url, "rights")
        assert (readable.severity, more.severity) == (WARNING, WARNING)
        for column in (
            *("authsql_passwords.hash", "authsql_otps.code_hash", "authsql_signups.hash"),
            *("authsql_totp_factors.secret", "authsql_recovery_codes.code_hash"),
        ):
            name = column if database.dialect == "postgres" else column.partition(".")[0]
            assert name in readable.message
        assert " more rights than authsql_app: INSERT, UPDATE, DELETE on " in more.message
        assert "authsql_retention, authsql_schema_version" in more.message


@pytest.mark.only("postgres")
def test_more_in_postgres(database: Database) -> None:
    with login(database, "TRUNCATE, TRIGGER ON authsql_users") as url:
        assert only(url).message.endswith("than authsql_app: TRIGGER, TRUNCATE on authsql_users")
    with login(database, "EXECUTE ON FUNCTION authsql_tg_known_devices_audit() ") as url:
        assert only(url).message.endswith("EXECUTE on authsql_tg_known_devices_audit()")
    with user(database) as url:
        name = urlsplit(url).username
        rows(database.connect(), f"GRANT SELECT ON authsql_users TO {name} WITH GRANT OPTION")
        assert "GRANT OPTION on authsql_users" in found(url, "rights")[0].message


@pytest.mark.only("mysql")
def test_more_in_mysql(database: Database) -> None:
    with login(database, f"DROP, CREATE TEMPORARY TABLES ON `{database.name}`.*") as url:
        assert only(url).message.endswith("than authsql_app: DROP on the whole database")
    with login(database, "TRIGGER ON authsql_users") as url:
        assert only(url).message.endswith("than authsql_app: TRIGGER on authsql_users")
    with login(database, "PROCESS ON *.*") as url:
        first, second = found(url, "rights")
        assert "rights on every database of the server" in first.message
        assert second.severity is OK


def test_one_right_too_few(database: Database) -> None:
    """It is named, with the operations that fail for it and no others."""
    less = (
        ("DELETE ON authsql_known_devices", {"devices.forget", "devices.forget_all"}),
        ("EXECUTE ON FUNCTION authsql_code_matches", {"otps.verify"}),
    )
    for take, failing in less:
        with narrowed(database, take) as url:
            finding = only(url)
            assert finding.severity is INFO
            lacking, _, operations = finding.message.partition(". These fail: ")
            right = take.replace(" ON ", " on ").replace("FUNCTION ", "")
            right += "()" if "FUNCTION" in take else ""
            assert lacking.endswith(f" lacks of the rights of authsql_app: {right}")
            assert failing <= set(operations.split(", ")), operations
            assert not [name for name in operations.split(", ") if name.startswith(("totp", "roles"))]


@contextlib.contextmanager
def narrowed(database: Database, take: str) -> Iterator[str]:
    """A login with the rights of authsql_app but one."""
    if database.dialect == "mysql":
        with login(database, take=take) as url:
            yield url
        return
    # The role's rights are this database's: here they can be taken, and are given again.
    conn = database.connect()
    rows(conn, f"REVOKE {take} FROM authsql_app")
    try:
        yield as_role(database, "authsql_app").url
    finally:
        rows(conn, f"GRANT {take} TO authsql_app")


def test_no_more_than_some(database: Database) -> None:
    """Who uses one table has those operations, and the others are told by their modules."""
    with user(database, "SELECT, INSERT, UPDATE, DELETE ON authsql_rate_limits") as url:
        finding = only(url)
        assert finding.severity is INFO
        failing = finding.message.partition(". These fail: ")[2].split(", ")
        assert {"passwords.*", "sessions.*", "devices.*"} <= set(failing)
        assert not [name for name in failing if name.startswith("rate_limits")]
        assert "authsql_rate_limits" not in finding.message


def test_no_right_at_all(database: Database) -> None:
    with user(database) as url:
        findings = examine(url)
        if database.dialect == "mysql":
            (finding,) = findings
            assert (finding.check, finding.severity) == ("connection", ERROR)
            return
        assert only(url).severity is WARNING
        assert only(url).message.endswith(" has no right on what is authsql's")
        assert ERROR not in {f.severity for f in findings}
        assert json.loads(command("doctor", "--json", "-d", url).stdout)


@pytest.mark.only("mysql")
def test_a_role_that_is_not_active(database: Database) -> None:
    with user(database, "authsql_app") as url:
        name = urlsplit(url).username
        failed, finding = examine(url)
        assert (failed.check, failed.severity) == ("connection", ERROR)
        assert (finding.check, finding.severity) == ("rights", WARNING)
        assert finding.message.endswith("not active, so that the rights do not count: authsql_app")
        assert finding.advice == f"SET DEFAULT ROLE authsql_app TO '{name}'@'%'"
        # The same if something else lets it in.
        rows(database.connect(), f"GRANT SELECT ON authsql_users TO {name}")
        assert finding in found(url, "rights")


@pytest.mark.only("postgres")
def test_a_role_that_is_not_inherited(database: Database) -> None:
    with user(database) as url:
        conn, name = database.connect(), urlsplit(url).username
        rows(conn, f"ALTER ROLE {name} NOINHERIT")
        rows(conn, f"GRANT authsql_app TO {name}")
        finding, without = found(url, "rights")
        assert finding.severity is WARNING
        assert "not inherited, so that the rights do not count: authsql_app" in finding.message
        assert "has no right on what is authsql's" in without.message


def test_what_is_pending_is_not_lacking(empty_database: Database) -> None:
    """The reader may know what is not there; what is there and not granted is named."""
    migrate(empty_database.url, target=10)
    with user(empty_database, "SELECT, INSERT ON authsql_schema_version", "INSERT ON authsql_users") as url:
        message = next(f.message for f in found(url, "rights") if " lacks of the rights " in f.message)
        assert "authsql_sessions" in message
        assert "authsql_audit_log" not in message
        assert "authsql_code_matches" not in message


def test_an_administrator(empty_database: Database) -> None:
    migrate_and_grant(empty_database.url)
    told = {
        "postgres": "is a superuser: right for no application",
        "mysql": "has rights on every database of the server: right for no application",
    }
    first, *rest = found(empty_database.url, "rights")
    assert first.severity is WARNING
    assert told[empty_database.dialect] in first.message
    assert not [f for f in rest if f.severity is not INFO]
