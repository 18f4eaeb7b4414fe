"""Checks of what the connected user may do: too much, or too little."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from authsql._doctor_context import Context, Finding, Severity

OK, INFO, WARNING, ERROR = Severity

MIGRATING = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"),
    *("TRIGGER", "EVENT", "CREATE_VIEW", "CREATE_ROUTINE"),
)
"""What migrations need on a MySQL database: sql/README.md. A space in a right is a _ here."""
USING = ("SELECT", "INSERT", "UPDATE", "DELETE")
_GRANT = re.compile(r"^GRANT (.+?) ON (?:(?:TABLE|FUNCTION|PROCEDURE) )?(\S+) TO ", re.DOTALL)
_COLUMNS = re.compile(r"\([^)]*\)")


def rights(context: Context) -> Iterator[Finding]:
    """Whether the user has the rights that somebody needs who migrates, or who uses, and not many more."""
    yield from _postgres(context) if context.dialect == "postgres" else _mysql(context)


def _postgres(context: Context) -> Iterator[Finding]:
    role = context.ask("doctor.role")[0]
    name, tables = role["name"], context.ask("doctor.rights")
    if role["schema"] is None:
        yield Finding("rights", ERROR, "no schema of search_path is there, or may be used")
    if role["superuser"]:
        told = f"{name} is a superuser: right for no application"
        yield Finding("rights", WARNING, told, "migrate as an owner, use as a narrower role: sql/README.md")
        return
    owned = [row["table_name"] for row in tables if row["owner"]]
    if owned or (not tables and role["creates"]):
        told = f"{name} owns the tables, or may make them: right for migrations, too wide for an application"
        yield Finding("rights", INFO, told, "give the application a role of its own: sql/README.md")
        return
    pending = any(m.state == "pending" for m in context.status)
    if pending and not role["creates"]:
        told = f"{name} may not create in schema {role['schema']}, and migrations are pending"
        yield Finding("rights", WARNING, told, "migrate as the owner")
    surplus = [row["table_name"] for row in tables if row["surplus"]]
    if surplus:
        told = f"{name} has TRUNCATE, REFERENCES or TRIGGER on {', '.join(surplus)}"
        yield Finding("rights", WARNING, told, "no operation needs that: REVOKE it")
    without = [row["table_name"] for row in tables if not row["any_use"]]
    if without:
        told = f"{name} has no right at all on {', '.join(without)}"
        yield Finding("rights", INFO, told, "its operations fail there; sql/README.md lists what each needs")
    if not surplus and not without:
        yield Finding("rights", OK, f"{name} uses the tables, and owns none")


def _mysql(context: Context) -> Iterator[Finding]:
    name = context.ask("doctor.role")[0]["name"]
    texts = [str(next(iter(row.values()))) for row in context.ask("doctor.rights")]
    everywhere = rights_on(texts, {"*.*"})
    here = context.grants
    pending = any(m.state in {"pending", "interrupted"} for m in context.status)
    lacking = [right for right in MIGRATING if right not in here]
    if everywhere - {"USAGE"}:
        told = f"{name} has rights on every database of the server: right for no application"
        advice = "grant on this database alone: sql/README.md"
        yield Finding("rights", WARNING, told, advice)
    elif not lacking:
        told = f"{name} may migrate: too wide for an application"
        yield Finding("rights", INFO, told, "give the application an account of its own: sql/README.md")
    elif pending:
        told = f"{name} lacks {_words(lacking)}, and migrations are pending"
        yield Finding("rights", WARNING, told, "migrate as an account that has them")
    elif extra := [right for right in MIGRATING if right in here and right not in USING]:
        told = f"{name} has {_words(extra)}: too wide for an application, too narrow to migrate"
        yield Finding("rights", WARNING, told)
    else:
        yield Finding("rights", OK, f"{name} uses the tables, and can change none")
    trusts = context.server["trusts_creators"] or not context.server["log_bin"] or "SUPER" in everywhere
    if not trusts and not lacking:
        told = "there is a binary log, and who makes triggers is not trusted: migrations fail (error 1419)"
        advice = "SET PERSIST log_bin_trust_function_creators = 1, or migrate with SUPER"
        yield Finding("rights", WARNING if pending else INFO, told, advice)


def _words(rights: Iterable[str]) -> str:
    return ", ".join(right.replace("_", " ") for right in rights)


def database_rights(texts: Iterable[str], database: str) -> set[str]:
    """Read what SHOW GRANTS tells of the rights on a whole database."""
    escaped = database.replace("_", r"\_")
    found = rights_on(texts, {"*.*", f"`{database}`.*", f"`{escaped}`.*"})
    return found | {*MIGRATING, "SHOW_VIEW", "EXECUTE"} if "ALL_PRIVILEGES" in found else found


def rights_on(texts: Iterable[str], objects: set[str]) -> set[str]:
    """Read the rights on some objects out of statements GRANT."""
    found: set[str] = set()
    for text in texts:
        grant = _GRANT.match(text)
        if grant and grant[2] in objects:
            found.update(
                right.strip().upper().replace(" ", "_") for right in _COLUMNS.sub("", grant[1]).split(",")
            )
    return found
