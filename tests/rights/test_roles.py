"""The roles of `sql/*/optional`: each right that is granted works, and whatever is not granted is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import mysql.connector
import psycopg
import pytest
from typer.testing import CliRunner

from authsql import passwords, users
from authsql._cli import app
from authsql.migrations import migrate, rollback, status
from tests.roles import Role, as_role, grant
from tests.servers import Database, Dialect, SyncConnection, rows
from tests.support import FAST, PASSWORD

ALL = "SELECT INSERT UPDATE DELETE"
# What the application may do to each table; by dialect where they differ.
APP: dict[str, str | dict[str, str]] = {
    "authsql_users": ALL,
    "authsql_sessions": ALL,
    "authsql_identities": ALL,
    "authsql_identity_tokens": ALL,
    "authsql_known_devices": ALL,
    "authsql_passkeys": ALL,
    "authsql_passkey_challenges": ALL,
    "authsql_rate_limits": ALL,
    "authsql_outbox": ALL,
    "authsql_refresh_tokens": "SELECT INSERT UPDATE",
    "authsql_roles": "SELECT INSERT DELETE",
    "authsql_user_roles": "SELECT INSERT DELETE",
    "authsql_role_permissions": "SELECT INSERT DELETE",
    # PostgreSQL's function deletes the sign-up together with moving its password.
    "authsql_signups": {"postgres": "SELECT INSERT UPDATE", "mysql": ""},
    "authsql_passwords": {"postgres": ALL, "mysql": ""},
    "authsql_otps": {"postgres": ALL, "mysql": ""},
    "authsql_totp_factors": {"postgres": ALL, "mysql": ""},
    "authsql_recovery_codes": {"postgres": ALL, "mysql": ""},
    # MySQL's views of these five, where the hidden column is there to be written, and NULL.
    "authsql_app_signups": ALL,
    "authsql_app_passwords": ALL,
    "authsql_app_otps": ALL,
    "authsql_app_totp_factors": ALL,
    "authsql_app_recovery_codes": "SELECT INSERT DELETE",
    "authsql_totp_attempts": "SELECT UPDATE",
    "authsql_former_emails": {"postgres": ALL, "mysql": "SELECT UPDATE DELETE"},
    "authsql_audit_log": "SELECT UPDATE DELETE",
    "authsql_app_events": "INSERT",
    "authsql_retention": "SELECT",
    "authsql_purge_runs": "SELECT UPDATE",
    "authsql_purge_overview": "SELECT",
    "authsql_ways_in": "SELECT",
}
# Columns that the application of PostgreSQL can neither read nor write: beside each there is one that it can
# only write. And the only columns of a table that it can change.
HIDDEN = {
    "authsql_passwords": "hash",
    "authsql_otps": "code_hash",
    "authsql_signups": "hash",
    "authsql_totp_factors": "secret",
    "authsql_recovery_codes": "code_hash",
}
CHANGEABLE = {
    "authsql_audit_log": {"ip", "user_agent", "detail"},
    "authsql_purge_runs": {"last_run_at", "deleted_rows"},
    "authsql_recovery_codes": {"spent_at"},
}

VIEWS = {
    "authsql_schema_version",
    "authsql_active_sessions",
    "authsql_user_overview",
    "authsql_user_permissions",
    "authsql_pending_otps",
    "authsql_pending_mail",
    "authsql_expiry_backlog",
    "authsql_purge_overview",
    "authsql_audit_trail",
}
SECRET = {
    "authsql_passwords": {"hash"},
    "authsql_otps": {"code_hash", "link_hash"},
    "authsql_signups": {"hash", "email", "name", "subject"},
    "authsql_totp_factors": {"secret"},
    "authsql_recovery_codes": {"code_hash"},
    "authsql_sessions": {"secret_hash"},
    "authsql_refresh_tokens": {"family_hash", "current_hash", "previous_hash", "seal"},
    "authsql_known_devices": {"secret_hash"},
    "authsql_passkeys": {"public_key", "credential"},
    "authsql_passkey_challenges": {"challenge_hash"},
    "authsql_identity_tokens": {"access_token", "refresh_token", "id_token"},
    "authsql_outbox": {"body", "dedup_hash"},
    "authsql_rate_limits": {"key_hash"},
}
DEFINERS = {
    "authsql_password_form",
    "authsql_password_matches",
    "authsql_code_matches",
    "authsql_store_signup_password",
    "authsql_totp_enrolment_secret",
    "authsql_totp_secret",
    "authsql_totp_outdated_secret",
    "authsql_recovery_code_number",
}
# In MySQL EXECUTE is granted for each, also where it runs with the caller's rights.
DEFINERS_OF_MYSQL = DEFINERS | {
    "authsql_spend_recovery_code",
    "authsql_has_role",
    "authsql_has_permission",
    "authsql_current_user_id",
}


@dataclass(frozen=True)
class Column:
    table: str
    name: str
    is_generated: bool


def columns(conn: SyncConnection, dialect: Dialect) -> list[Column]:
    """Every column of every table and view of authsql."""
    identity = " OR is_identity = 'YES'" if dialect == "postgres" else ""
    schema = "current_schema()" if dialect == "postgres" else "DATABASE()"
    found = rows(
        conn,
        f"SELECT table_name, column_name, COALESCE(generation_expression, '') <> ''{identity}"
        f" FROM information_schema.columns WHERE table_schema = {schema} AND table_name LIKE 'authsql%'"
        " ORDER BY table_name, ordinal_position",
    )
    generated = {(table, name) for table, name, generated in found if generated}
    # A view does not tell, and cannot write such a column either.
    return [
        Column(table, name, (table.replace("authsql_app_", "authsql_"), name) in generated)
        for table, name, _ in found
    ]


def is_refused(conn: SyncConnection, statement: str) -> bool:
    """Whether the rights do not suffice for a statement that, if they did, would find and change nothing."""
    try:
        rows(conn, statement)
    except psycopg.errors.InsufficientPrivilege:
        return True
    except mysql.connector.Error as error:
        # Denied for the table, a column, a routine; a view whose tables are denied.
        if error.errno not in {1142, 1143, 1370, 1356}:
            raise
        return True
    return False


def harmless(column: Column, verb: str, dialect: Dialect) -> str:
    nothing = "" if dialect == "postgres" else " FROM DUAL"
    return {
        "SELECT": f"SELECT {column.name} FROM {column.table} WHERE 1 = 0",
        "INSERT": f"INSERT INTO {column.table} ({column.name}) SELECT NULL{nothing} WHERE 1 = 0",
        "UPDATE": f"UPDATE {column.table} SET {column.name} = NULL WHERE 1 = 0",
        "DELETE": f"DELETE FROM {column.table} WHERE 1 = 0",
    }[verb]


def refusals(database: Database, role: Role) -> Iterator[tuple[Column, str, bool]]:
    """Each column and verb, and whether it is refused."""
    found = columns(database.connect(), database.dialect)
    mine = as_role(database, role).connect()
    for column in found:
        for verb in ALL.split():
            if column.is_generated and verb != "SELECT":
                continue
            if verb == "DELETE" and column != next(each for each in found if each.table == column.table):
                continue
            if verb != "SELECT" and column.table in (VIEWS | {"authsql_ways_in"}) - {
                "authsql_schema_version"
            }:
                # What is no table by itself takes nothing from anybody.
                continue
            yield column, verb, is_refused(mine, harmless(column, verb, database.dialect))


def test_the_application(database: Database) -> None:
    for column, verb, refused in refusals(database, "authsql_app"):
        granted = APP.get(column.table, "")
        if isinstance(granted, dict):
            granted = granted[database.dialect]
        allowed = verb in granted.split()
        hidden = HIDDEN.get(column.table, "")
        if column.name == hidden:
            allowed = allowed and verb == "DELETE"
        elif column.name == f"new_{hidden}":
            allowed = allowed and verb != "SELECT"
        if verb == "UPDATE":
            allowed = allowed and column.name in CHANGEABLE.get(column.table, {column.name})
        assert refused is not allowed, f"{verb} {column}"


def test_the_reader(database: Database) -> None:
    for column, verb, refused in refusals(database, "authsql_reader"):
        if verb != "SELECT":
            assert refused, f"{verb} {column}"
        elif column.table in VIEWS:
            assert not refused, f"{verb} {column}"
        else:
            assert refused, f"{verb} {column}"


def test_nothing_but_rows(database: Database) -> None:
    """Neither role may empty a table, refer to it, put a trigger on it, change it, or make anything."""
    conn = database.connect()
    if database.dialect == "postgres":
        verbs = ["TRUNCATE", "REFERENCES", "TRIGGER"]
        if rows(conn, "SHOW server_version_num")[0][0] >= "170000":
            verbs.append("MAINTAIN")
        for role in ("authsql_app", "authsql_reader"):
            found = rows(
                conn,
                "SELECT c.relname, v.verb FROM pg_class AS c CROSS JOIN unnest(%s::text[]) AS v (verb)"
                " WHERE c.relkind IN ('r', 'v') AND c.relname LIKE 'authsql%%'"
                " AND has_table_privilege(%s, c.oid, v.verb)",
                (verbs, role),
            )
            assert found == []
            [may] = rows(
                conn,
                "SELECT has_schema_privilege(%s, current_schema(), 'USAGE'),"
                " has_schema_privilege(%s, current_schema(), 'CREATE')",
                (role, role),
            )
            assert may == (True, False)
            assert rows(
                conn,
                "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolcanlogin"
                " FROM pg_roles WHERE rolname = %s",
                (role,),
            ) == [(False,)]
        return
    for role in ("authsql_app", "authsql_reader"):
        lines = [str(line) for (line,) in rows(conn, f"SHOW GRANTS FOR {role}")]
        mine = [line for line in lines if f"`{database.name}`" in line]
        assert len(mine) > 5
        for line in mine:
            verbs_given, _, on = line.removeprefix("GRANT ").partition(" ON ")
            verbs_given = re.sub(r" \([^)]*\)", "", verbs_given)
            assert set(verbs_given.split(", ")) <= {"SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE"}, line
            assert f"`{database.name}`.`authsql_" in on, line
            assert "GRANT OPTION" not in line
        # On the server it may connect, and nothing else.
        assert [line for line in lines if "*.*" in line] == [f"GRANT USAGE ON *.* TO `{role}`@`%`"]


def test_the_owner_of_tables_is_owner_of_nothing_else(database: Database) -> None:
    grant(database.url, "owner.sql", "authsql_owner")
    owner = as_role(database, "authsql_owner").connect()
    refused = ["CREATE ROLE mine", "CREATE USER mine", "CREATE DATABASE mine"]
    refused.append("CREATE TABLE authsql_others.t (i int)")
    if database.dialect == "postgres":
        rows(database.connect(), "CREATE SCHEMA authsql_others")
        refused += ["ALTER SYSTEM SET max_connections = 10", "CREATE SCHEMA mine"]
        refused += ["SELECT rolpassword FROM pg_authid"]
    else:
        refused += ["SET GLOBAL max_connections = 10", "SELECT authentication_string FROM mysql.user"]
    for statement in refused:
        with pytest.raises((psycopg.Error, mysql.connector.Error)) as error:
            rows(owner, statement)
        denied = getattr(error.value, "errno", None) in {1044, 1142, 1227}
        assert denied or isinstance(error.value, psycopg.errors.InsufficientPrivilege), statement


def test_every_secret_is_known_here(database: Database) -> None:
    found = {(column.table, column.name) for column in columns(database.connect(), database.dialect)}
    assert {(table, name) for table, names in SECRET.items() for name in names} <= found
    # What is written in MySQL by who may not read it is empty once it is stored.
    found = {
        (table, name)
        for table, name in found
        if not table.startswith("authsql_app_") and not name.startswith("new_")
    }
    unnamed = {
        (table, name)
        for table, name in found
        if name.endswith(("hash", "secret", "seal", "_token")) and name not in SECRET.get(table, set())
    }
    assert not unnamed


def test_functions_of_the_owner(database: Database) -> None:
    """Nobody but the application runs those that answer with the owner's rights."""
    conn = database.connect()
    if database.dialect == "postgres":
        asked = (
            "SELECT p.proname, has_function_privilege({}, p.oid, 'EXECUTE') FROM pg_proc AS p"
            " WHERE p.proname LIKE 'authsql%%' AND p.prosecdef"
        )
        for role in ("authsql_app", "authsql_reader", "public"):
            found = {name for name, may in rows(conn, asked.format("%s"), (role,)) if may}
            assert found == (DEFINERS if role == "authsql_app" else set()), role
        return
    asked = (
        "SELECT routine_name FROM mysql.procs_priv"
        " WHERE db = DATABASE() AND user = %s AND FIND_IN_SET('Execute', proc_priv) > 0"
    )
    assert {name for (name,) in rows(conn, asked, ("authsql_app",))} == DEFINERS_OF_MYSQL
    assert rows(conn, asked, ("authsql_reader",)) == []


def test_the_owner_migrates(empty_database: Database) -> None:
    """With optional/owner.sql and nothing else; what it made works for the application, and goes again."""
    grant(empty_database.url, "owner.sql", "authsql_owner")
    owner = as_role(empty_database, "authsql_owner")
    url = owner.url
    if empty_database.dialect == "postgres":
        url += "?options=-c%20role%3Dauthsql_owner"
    migrate(url)
    grant(empty_database.url, "roles.sql", "authsql_app", "authsql_reader")
    app = as_role(empty_database, "authsql_app").connect()
    user = users.create(app, "ann@x.org")
    assert passwords.set(app, user.id, PASSWORD, policy=FAST)
    assert passwords.verify(app, user.email, PASSWORD, policy=FAST)
    assert not passwords.verify(app, user.email, "wrong password", policy=FAST)
    app.close()
    rollback(url, target=0)
    assert not any(each.state == "applied" for each in status(url))


def granted(conn: SyncConnection, database: Database) -> set[tuple[object, ...]]:
    """All rights in this database."""
    if database.dialect == "postgres":
        return {
            *rows(conn, "SELECT oid, relacl::text FROM pg_class WHERE relname LIKE 'authsql%'"),
            *rows(conn, "SELECT attrelid, attnum, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL"),
            *rows(conn, "SELECT oid, proacl::text FROM pg_proc WHERE proname LIKE 'authsql%'"),
            *rows(conn, "SELECT oid, nspacl::text FROM pg_namespace"),
        }
    return {
        line
        for role in ("authsql_owner", "authsql_app", "authsql_reader")
        for line in rows(conn, f"SHOW GRANTS FOR {role}")
        # Others belong to databases of other workers.
        if database.name in str(line).replace("\\", "")
    }


@pytest.mark.parametrize("file", ["owner.sql", "roles.sql"])
def test_once_more_changes_nothing(database: Database, file: str) -> None:
    conn = database.connect()
    grant(database.url, file)
    before = granted(conn, database)
    grant(database.url, file)
    assert len(before) > 20
    assert granted(conn, database) == before


@pytest.mark.parametrize("subject", ["users", "sessions", "otps", "backlog", "migrations"])
def test_the_reader_inspects(database: Database, subject: str) -> None:
    url = as_role(database, "authsql_reader").url
    found = CliRunner().invoke(app, ["inspect", subject, "--json", "--database", url])
    assert found.exit_code == 0, found.output
