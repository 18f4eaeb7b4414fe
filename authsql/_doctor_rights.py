"""Checks of what the connected user may do: too much, or too little."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from authsql import _doctor_roles
from authsql._doctor_context import Context, Finding, Severity, listed
from authsql._explain import is_denied
from authsql._mysql_grants import MIGRATING, everywhere
from authsql._url import ConnectionFailed, DatabaseURL, connect

OK, INFO, WARNING, ERROR = Severity
_AS_OWNER = (
    "An application should not run as it: it could read every hash and drop the log,"
    " and hash isolation does not hold for it"
)
_OF_ITS_OWN = "give the application a login of its own, with authsql_app: sql/README.md"


def rights(context: Context) -> Iterator[Finding]:
    """Whether the user may do what somebody needs who migrates, or the roles of optional/roles.sql, and no
    more.
    """
    yield from _postgres(context) if context.dialect == "postgres" else _mysql(context)


def _postgres(context: Context) -> Iterator[Finding]:
    role = context.ask("doctor.role")[0]
    name = role["name"]
    if role["schema"] is None:
        yield Finding("rights", ERROR, "no schema of search_path is there, or may be used")
    if role["superuser"]:
        told = f"{name} is a superuser: right for no application"
        yield Finding("rights", WARNING, told, "migrate as an owner, use as a narrower role: sql/README.md")
        return
    objects = context.ask("doctor.objects")
    tables = {bool(row["owned"]): set[str]() for row in objects}
    for row in objects:
        if row["is_table"]:
            tables[bool(row["owned"])].add(str(row["object"]))
    own, others = sorted(tables.get(True, ())), tables.get(False)
    if own and others:
        told = f"{name} owns {listed(own)}, and not the other tables: what it owns, it may read and change"
        advice = "give them to who owns the rest: ALTER TABLE ... OWNER TO"
        yield Finding("rights", WARNING, told, advice)
    elif own or (not objects and role["creates"]):
        told = f"{name} owns the tables, or may make them: right for migrations, too wide for an application"
        yield Finding("rights", INFO, f"{told}. {_AS_OWNER}", _OF_ITS_OWN)
        return
    yield from _doctor_roles.inactive(context, name)
    if role["creates"]:
        told = f"{name} may create in schema {role['schema']}, and owns no table: too wide for an application"
        yield Finding("rights", WARNING, told, f"REVOKE CREATE ON SCHEMA {role['schema']}")
    elif any(m.state == "pending" for m in context.status):
        told = f"{name} may not create in schema {role['schema']}, and migrations are pending"
        yield Finding("rights", WARNING, told, "migrate as the owner")
    if role["makes_temporary"]:
        told = f"{name} may make temporary tables: on a connection that is not reset, one stands for ours"
        database = role["database"]
        advice = f"have a pool run DISCARD ALL, or REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"
        yield Finding("temporary", INFO, told, advice)
    if objects:
        compared = _doctor_roles.compare(context, _doctor_roles.read(context, name))
        # Of what it owns nothing is said there.
        yield from (finding for finding in compared if finding.severity is not OK or not own)


def _mysql(context: Context) -> Iterator[Finding]:
    name = context.ask("doctor.role")[0]["name"]
    global_rights = everywhere(context.granted)
    pending = any(m.state in {"pending", "interrupted"} for m in context.status)
    lacking = [right for right in MIGRATING if right not in context.grants]
    yield from _doctor_roles.inactive(context, name)
    if global_rights - {"USAGE"}:
        told = f"{name} has rights on every database of the server: right for no application"
        advice = "grant on this database alone: sql/README.md"
        yield Finding("rights", WARNING, told, advice)
    if not lacking:
        if not global_rights - {"USAGE"}:
            told = f"{name} may migrate: too wide for an application. {_AS_OWNER}"
            yield Finding("rights", INFO, told, _OF_ITS_OWN)
        yield from _binary_log(context, pending, global_rights)
        return
    if pending:
        told = f"{name} lacks {_words(lacking)}, and migrations are pending"
        yield Finding("rights", WARNING, told, "migrate as an account that has them")
    yield from _doctor_roles.compare(context, _doctor_roles.read(context, name))


def _binary_log(context: Context, pending: bool, global_rights: set[str]) -> Iterator[Finding]:
    server = context.server
    if not (server["trusts_creators"] or not server["log_bin"] or "SUPER" in global_rights):
        told = "there is a binary log, and who makes triggers is not trusted: migrations fail (error 1419)"
        advice = "SET PERSIST log_bin_trust_function_creators = 1, or migrate with SUPER"
        yield Finding("rights", WARNING if pending else INFO, told, advice)


def no_entry(url: str, target: DatabaseURL, error: Exception) -> Iterator[Finding]:
    """MySQL, where an account without a right on a database is not let in: whether a role would let it."""
    if target.dialect == "mysql" and error.__cause__ is not None and is_denied(error.__cause__):
        outside = replace(target, database=None)
        with contextlib.suppress(ConnectionFailed), contextlib.closing(connect(outside)) as connection:
            context = Context(url, outside, connection)
            name = context.ask("doctor.role")[0]["name"]
            yield from _doctor_roles.inactive(context, name)


def _words(rights: Iterable[str]) -> str:
    return ", ".join(right.replace("_", " ") for right in rights)
