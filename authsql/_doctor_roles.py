"""Check of the connected user's rights, one by one, against those of the roles in `optional/roles.sql`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from authsql import _catalog
from authsql._doctor_context import Context, Finding, Severity
from authsql._doctor_operations import denied
from authsql._mysql_grants import account_rights
from authsql._rights import DATABASE, Rights, fitting, minus, objects, of_role, on, plus, told

OK, INFO, WARNING, ERROR = Severity
APP, READER = "authsql_app", "authsql_reader"


@dataclass(frozen=True, slots=True)
class Account:
    """What the connected user may do with what is there."""

    name: str
    rights: Rights
    columns: dict[str, set[str]]
    """Of each object that is there, or may be. A routine has none, and its name ends in ()."""
    free: frozenset[str] = frozenset()
    """Objects on which a right says nothing of this user: its own ones, and functions of anybody's."""


def read(context: Context, name: str) -> Account:
    """Ask what there is, and what the user may do with it."""
    rows = context.ask("doctor.objects")
    columns = _columns(context, rows)
    if context.dialect == "mysql":
        rights = account_rights(context.granted, context.target.database or "", columns)
        return Account(name, on(rights, {*columns, DATABASE}), columns)
    found = {
        (str(row["object"]), str(row["verb"])): frozenset(row["columns"])
        for row in context.ask("doctor.rights")
        if row["columns"]
    }
    free = frozenset(str(row["object"]) for row in rows if row["owned"] or row["is_public"])
    return Account(name, found, columns, free)


def known_columns(context: Context) -> dict[str, set[str]]:
    """Of each object that is there, or may be, its columns."""
    return _columns(context, context.ask("doctor.objects"))


def _columns(context: Context, rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    found = _known(context) if context.dialect == "mysql" else {}
    for row in rows:
        found.setdefault(str(row["object"]), set()).update({row["column_name"]} - {None})
    return found


def readable(rights: Rights) -> list[str]:
    """What some rights let one read: tables, or columns."""
    return [
        name if column == "*" else f"{name}.{column}"
        for (name, verb), those in sorted(rights.items())
        for column in sorted(those)
        if verb == "SELECT"
    ]


def _known(context: Context) -> dict[str, set[str]]:
    # What the account has no right on does not show: so what the applied migrations made is there. Where it
    # cannot be told which they are, anything may be.
    snapshot = _catalog.names(context.dialect)
    have = [name for name in snapshot if name in context.applied or not context.knows_migrations]
    return objects(_catalog.expected(context.dialect, have))


def compare(context: Context, account: Account) -> Iterator[Finding]:
    """What the user may do beyond the roles, and what it lacks of them."""
    columns = account.columns
    app, reader = (fitting(of_role(context.dialect, role), columns) for role in (APP, READER))
    surplus = {
        key: those
        for key, those in minus(account.rights, plus(app, reader), columns).items()
        if key[0] not in account.free
    }
    yield from _too_wide(context, account, surplus)
    lacking = minus(app, account.rights, columns)
    inspects = not minus(reader, account.rights, columns)
    if not lacking and not surplus:
        more = f" and of {READER}" if inspects else ""
        yield Finding("rights", OK, f"{account.name} has the rights of {APP}{more}, and no others")
    elif lacking:
        yield from _too_narrow(context, account, lacking, inspects=inspects)


def _too_wide(context: Context, account: Account, surplus: Rights) -> Iterator[Finding]:
    roles = "authsql optional roles"
    if read := readable(surplus):
        advice = f"a hash that was read can be tried out elsewhere: REVOKE, and GRANT {APP} ({roles})"
        yield Finding(
            "rights", WARNING, f"{account.name} can read what {APP} cannot: {', '.join(read)}", advice
        )
    rest = {key: those for key, those in surplus.items() if key[1] != "SELECT"}
    if rest:
        said = f"{account.name} has more rights than {APP}: {told(rest)}"
        yield Finding("rights", WARNING, said, f"no operation needs that: REVOKE it ({roles})")


def _too_narrow(context: Context, account: Account, lacking: Rights, *, inspects: bool) -> Iterator[Finding]:
    name, columns = account.name, account.columns
    reader = fitting(of_role(context.dialect, READER), columns)
    own = {key: those for key, those in account.rights.items() if key[0] not in account.free}
    if not own:
        advice = f'give it {APP}, or {READER}: sql/README.md, "Least privilege"'
        yield Finding("rights", WARNING, f"{name} has no right on what is authsql's", advice)
    elif not minus(own, reader, columns):
        if inspects:
            said = f"{name} has the rights of {READER}: it can inspect, and run no operation"
            yield Finding("rights", OK, said)
        else:
            lacks = told(minus(reader, account.rights, columns))
            said = f"{name} has a part of the rights of {READER}, and lacks {lacks}"
            yield Finding("rights", INFO, said, "authsql inspect fails on these")
    else:
        said = f"{name} lacks of the rights of {APP}: {told(lacking)}"
        if failing := denied(context, {key[0] for key in lacking}):
            said += f". These fail: {', '.join(failing)}"
        advice = "right if the application does without; else `authsql optional roles`, anew after an upgrade"
        if context.dialect == "mysql" and not context.knows_migrations:
            advice += ". What is not there cannot be told from what may not be seen"
        yield Finding("rights", INFO, said, advice)


def inactive(context: Context, name: str) -> Iterator[Finding]:
    """Roles that the user was given and does not have."""
    found = [str(row["name"]) for row in context.ask("doctor.inactive_roles")]
    if not found:
        return
    roles = ", ".join(found)
    if context.dialect == "mysql":
        user = "@".join(f"'{part}'" for part in name.rsplit("@", 1))
        said, advice = "not active", f"SET DEFAULT ROLE {roles} TO {user}"
    else:
        said, advice = "not inherited", f"let it inherit: ALTER ROLE {name} INHERIT"
    ours = any(role.startswith("authsql_") for role in found)
    told = f"granted to {name}, but {said}, so that the rights do not count: {roles}"
    yield Finding("rights", WARNING if ours else INFO, told, advice)
