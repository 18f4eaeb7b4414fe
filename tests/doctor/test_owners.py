"""`authsql doctor` on whose the objects are: an account that was dropped, an owner who is another one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from authsql import users
from authsql._mysql_grants import MIGRATING
from authsql.doctor import Severity
from authsql.migrations import migrate
from tests.doctor.test_doctor import found, said, user
from tests.migrations.test_cli import command
from tests.roles import as_role, grant
from tests.servers import Database, rows

OK, INFO, WARNING, ERROR = Severity
RIGHTS = f"{', '.join(MIGRATING)}, SHOW VIEW, EXECUTE, ALTER ROUTINE".replace("_", " ")


@pytest.fixture
def migrator(empty_database: Database) -> Iterator[str]:
    """MySQL: the account that migrated and was dropped then."""
    conn = empty_database.connect()
    name, password = f"authsql_test_{secrets.token_hex(4)}", f"hush{secrets.token_hex(6)}"
    rows(conn, f"CREATE USER {name} IDENTIFIED BY '{password}'")
    rows(conn, f"GRANT {RIGHTS} ON `{empty_database.name}`.* TO {name}")
    parts = urlsplit(empty_database.url)
    migrate(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}").geturl())
    grant(empty_database.url, "roles.sql", "authsql_app", "authsql_reader")
    yield name
    rows(conn, f"DROP USER IF EXISTS {name}")


@pytest.mark.only("mysql")
def test_the_definer_is_gone(empty_database: Database, migrator: str) -> None:
    conn = empty_database.connect()
    app, reader = (as_role(empty_database, role) for role in ("authsql_app", "authsql_reader"))
    with user(empty_database, f"{RIGHTS} ON `{empty_database.name}`.*") as other:
        urls = (empty_database.url, app.url, reader.url, other)
        for url in urls:
            told = {f"views, triggers, routines and events have the rights of '{migrator}'@'%'": OK}
            assert said(url, "definers") == told
        rows(conn, f"DROP USER {migrator}")
        for url in urls:
            (finding,) = found(url, "definers")
            assert finding.severity is ERROR
            assert finding.message.startswith(f"'{migrator}'@'%' is not there")
            assert finding.advice is not None
            assert f"CREATE USER '{migrator}'@'%' ACCOUNT LOCK" in finding.advice
            assert command("doctor", "-d", url).exit_code == 1
        (whole,) = said(empty_database.url, "definers")
        assert re.search(r" run: \d+ events, \d+ routines, \d+ triggers, \d+ views$", whole)
    # What is advised puts it right.
    rows(conn, f"CREATE USER '{migrator}'@'%' ACCOUNT LOCK")
    (lame,) = found(empty_database.url, "definers")
    assert lame.severity is ERROR
    assert lame.message == f"'{migrator}'@'%' lacks rights with which authsql's objects run"
    rows(conn, f"GRANT {RIGHTS} ON `{empty_database.name}`.* TO {migrator}")
    assert [list(said(url, "definers").values()) for url in (empty_database.url, app.url)] == [[OK], [OK]]
    assert users.create(app.connect(), "ada@example.org").email == "ada@example.org"
    assert {f.severity for f in found(app.url, "purge")} <= {OK, INFO}


@pytest.mark.only("postgres")
def test_who_may_create_in_the_schema(changeable: Database) -> None:
    """Their functions are taken for the server's, where they fit better: hashes, and the log, are theirs."""
    conn = changeable.connect()
    app = as_role(changeable, "authsql_app")
    assert said(changeable.url, "schema") == {"nobody but owners may create in schema public": OK}
    rows(conn, "GRANT CREATE ON SCHEMA public TO authsql_app")
    try:
        (one,) = found(changeable.url, "schema")
        assert one.severity is WARNING
        assert one.message.startswith("authsql_app may create in schema public")
    finally:
        rows(conn, "REVOKE CREATE ON SCHEMA public FROM authsql_app")
    rows(conn, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    for url in (changeable.url, app.url):
        (all_of_them,) = found(url, "schema")
        assert all_of_them.severity is ERROR
        assert all_of_them.message.startswith("everybody may create in schema public")
        assert all_of_them.advice is not None
        assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC" in all_of_them.advice
    with pytest.raises(
        psycopg.errors.RaiseException, match="everybody may create in schema public"
    ) as raised:
        grant(changeable.url, "roles.sql", "authsql_app")
    assert "REVOKE CREATE ON SCHEMA public FROM PUBLIC" in (raised.value.diag.message_hint or "")


def test_who_else_reads_a_hash(changeable: Database) -> None:
    """As its owner or an administrator sees it."""
    nobody = {
        "nobody else has a right to read what an application may not, on authsql's tables and views": OK
    }
    # Of roles that tests running beside this one make, on the same server.
    told = {text: s for text, s in said(changeable.url, "readers").items() if s is not INFO}
    assert told == nobody
    conn, is_mysql = changeable.connect(), changeable.dialect == "mysql"
    host = "@%" if is_mysql else ""
    with user(
        changeable, "SELECT ON authsql_passwords", "SELECT (code_hash, subject) ON authsql_otps"
    ) as url:
        name = urlsplit(url).username
        told = said(changeable.url, "readers")
        text = next(text for text in told if text.startswith(f"{name}{host} can read what "))
        assert told[text] is WARNING
        assert text.endswith(
            "cannot: authsql_otps.code_hash, authsql_otps.subject, authsql_passwords"
            if is_mysql
            else "cannot: authsql_otps.code_hash, authsql_passwords.hash, authsql_passwords.new_hash"
        )
        # Of itself it is told by the rights.
        assert not [text for text in said(url, "readers") if f"{name}" in text]
        rows(conn, f"REVOKE SELECT ON authsql_passwords FROM {name}")
        rows(conn, f"REVOKE SELECT (code_hash, subject) ON authsql_otps FROM {name}")
        # What the roles may read, others may.
        rows(conn, f"GRANT SELECT ON authsql_users TO {name}")
        assert not [text for text in said(changeable.url, "readers") if f"{name}" in text]
    on = f"`{changeable.name}`.*" if is_mysql else "ALL TABLES IN SCHEMA public"
    with user(changeable, f"SELECT ON {on}") as url:
        told = said(changeable.url, "readers")
        text = next(text for text in told if f"{urlsplit(url).username}" in text)
        assert told[text] is WARNING
        for table in ("passwords", "otps", "signups", "totp_factors", "recovery_codes"):
            assert f"authsql_{table}" in text


@pytest.mark.only("postgres")
def test_everybody_and_a_backup_read(changeable: Database) -> None:
    conn = changeable.connect()
    rows(conn, "GRANT SELECT ON authsql_passwords TO public")
    columns = "authsql_passwords.hash, authsql_passwords.new_hash"
    everybody = f"PUBLIC can read what authsql_app cannot: {columns}"
    assert said(changeable.url, "readers")[everybody] is WARNING
    with user(changeable, "pg_read_all_data") as url:
        assert said(url, "readers")[everybody] is WARNING
        told = said(changeable.url, "readers")
        (text,) = (text for text in told if text.startswith(f"{urlsplit(url).username} "))
        assert told[text] is INFO
    with user(changeable) as url:
        name = urlsplit(url).username
        rows(conn, f"ALTER TABLE authsql_passwords OWNER TO {name}")
        assert said(changeable.url, "owners") == {
            f"{name} owns authsql_passwords, and postgres the rest": WARNING
        }
        rows(conn, "ALTER TABLE authsql_passwords OWNER TO postgres")


@pytest.mark.only("mysql")
def test_an_account_that_reads_every_database(changeable: Database) -> None:
    with user(changeable, "SELECT, SHOW VIEW ON *.*") as url:
        told = said(changeable.url, "readers")
        (text,) = (text for text in told if f"{urlsplit(url).username}@%" in text)
        assert told[text] is WARNING
    # A pattern that another database's name matches, too.
    name = changeable.name.replace("_", "\\_")
    with user(changeable, f"SELECT ON `{name[:-1]}%`.*") as url:
        assert any(f"{urlsplit(url).username}@%" in text for text in said(changeable.url, "readers"))
    with user(changeable, "SELECT ON `authsql\\_other`.*") as url:
        assert not any(f"{urlsplit(url).username}@%" in text for text in said(changeable.url, "readers"))


@pytest.mark.only("postgres")
def test_an_application_that_owns_some_tables(database: Database) -> None:
    url = as_role(database, "authsql_app").url
    name = urlsplit(url).username
    conn = database.connect()
    rows(conn, f"ALTER TABLE authsql_passwords OWNER TO {name}")
    first, *others = found(url, "rights")
    assert first.severity is WARNING
    assert first.message.startswith(f"{name} owns authsql_passwords, and not the other tables")
    assert others == []
    assert command("doctor", "--strict", "-d", url).exit_code == 1
    rows(conn, "GRANT UPDATE ON authsql_retention TO authsql_app")
    assert "more rights than authsql_app: UPDATE on authsql_retention" in found(url, "rights")[1].message


def test_who_may_do_everything_is_told_that_it_is_no_application(empty_database: Database) -> None:
    is_mysql = empty_database.dialect == "mysql"
    on = f"{RIGHTS} ON `{empty_database.name}`.*" if is_mysql else "CREATE ON SCHEMA public"
    with user(empty_database, on) as url:
        migrate(url)
        finding = found(url, "rights")[0]
        assert finding.severity is INFO
        assert "An application should not run as it" in finding.message
        assert "hash isolation does not hold for it" in finding.message
