"""The roles of `sql/*/optional`, and a login for each, so that tests can work with their rights.

Roles belong to a whole server: those that are made here stay, `authsql_test_*` being the logins.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import mysql.connector
import psycopg
import sqlparse
from mysql.connector.abstracts import MySQLConnectionAbstract
from psycopg import sql

from authsql._optional import optional
from authsql.migrations import migrate
from tests.servers import Database, rows

Role: TypeAlias = Literal["authsql_owner", "authsql_app", "authsql_reader"]


def migrate_and_grant(url: str) -> None:
    """Apply every migration and then optional/roles.sql."""
    migrate(url)
    grant(url, "roles.sql", "authsql_app", "authsql_reader")


def grant(url: str, file: str, *roles: Role, only: Iterable[str] = ()) -> None:
    """Apply a file of sql/*/optional as the administrator, and make a login for each of the roles."""
    if url.startswith("mysql"):
        _grant_mysql(url, optional("mysql", file, only=only), roles)
    else:
        _grant_postgres(url, optional("postgres", file, only=only), roles)


def as_role(database: Database, role: Role) -> Database:
    """The same database for a login that has nothing but this role."""
    parts = urlsplit(database.url)
    address = parts.netloc.rpartition("@")[2]
    url = parts._replace(netloc=f"{_login(role)}:{_password(database.url)}@{address}").geturl()
    return Database(url, database.target, database._opened)


def _login(role: Role) -> str:
    return role.replace("authsql_", "authsql_test_")


def _password(url: str) -> str:
    # As secret as that of the administrator, and the same in every worker.
    return hashlib.sha256(f"{urlsplit(url).password} and its roles".encode()).hexdigest()


def _grant_postgres(url: str, text: str, roles: tuple[Role, ...]) -> None:
    # Roles are the server's, and another worker may be making the same. A lock is one database's.
    with (
        psycopg.connect(url, dbname="postgres", autocommit=True) as gate,
        psycopg.connect(url, autocommit=True) as dba,
    ):
        gate.execute("SELECT pg_advisory_lock(hashtextextended('authsql tests: roles', 0))")
        dba.execute(text.encode())
        for role in roles:
            login, password = sql.Identifier(_login(role)), sql.Literal(_password(url))
            if dba.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (_login(role),)).fetchone() is None:
                make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}")
                dba.execute(make.format(login, password, sql.Identifier(role)))
            else:
                dba.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(login, password))


def _grant_mysql(url: str, text: str, roles: tuple[Role, ...]) -> None:
    parts = urlsplit(url)
    connection = mysql.connector.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=parts.username or "root",
        password=parts.password or "",
        database=parts.path.removeprefix("/"),
        autocommit=True,
    )
    with contextlib.closing(connection) as dba:
        assert isinstance(dba, MySQLConnectionAbstract)
        for statement in sqlparse.split(sqlparse.format(text, strip_comments=True)):
            rows(dba, statement.removesuffix(";"))
        for role in roles:
            login = f"{_login(role)}@'%'"
            rows(dba, f"CREATE USER IF NOT EXISTS {login} IDENTIFIED BY '{_password(url)}'")
            rows(dba, f"ALTER USER {login} IDENTIFIED BY '{_password(url)}'")
            rows(dba, f"GRANT {role} TO {login}")
            rows(dba, f"SET DEFAULT ROLE {role} TO {login}")
