"""Check of the statements: whether the database understands them, where not all migrations are applied; which
of them the connected user may not run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import Any

from authsql import _catalog, _rights
from authsql._doctor_context import Context, Finding, Severity
from authsql._explain import code, is_denied
from authsql._statements import Statement, statements

_TOOLS = {"catalog", "connection", "demo", "doctor", "inspect", "migrations", "script"}
_PURGES = "maintenance.purge_"
_PROVEN = tuple(
    f"accounts.{name}"
    for name in ("confirm_sign_up", "verify_email", "sign_in", "reset_password", "change_email")
)
_USED_BY: dict[str, tuple[str, ...]] = {
    "accounts.find_link": _PROVEN,
    "accounts.is_right": ("accounts.reset_password",),
    "audit.list_of_event": ("audit.list",),
    "audit.list_of_user": ("audit.list",),
    "audit.set_context": ("audit.set_context", "audit.clear_context"),
    "identities.create": ("identities.sign_in",),
    "identities.link_verified": ("identities.sign_in",),
    "identities.replace_tokens": ("identities.reencrypt_tokens",),
    "identities.tokens_of_other_keys": ("identities.reencrypt_tokens",),
    "identities.unlink_refusal": ("identities.unlink",),
    "maintenance.note_runs": ("maintenance.purge",),
    "maintenance.purgeable": ("maintenance.purge",),
    "otps.issue_refusal": ("otps.issue", "accounts.sign_up"),
    "outbox.drop_expired": ("outbox.lease", "outbox.deliver"),
    "outbox.duplicate": ("outbox.enqueue",),
    "outbox.lease": ("outbox.lease", "outbox.deliver"),
    "outbox.mark_failed": ("outbox.mark_failed", "outbox.deliver"),
    "outbox.mark_sent": ("outbox.mark_sent", "outbox.deliver"),
    "passkeys.add": ("passkeys.finish_registration",),
    "passkeys.advance": ("passkeys.finish_authentication",),
    "passkeys.begin_discoverable": ("passkeys.begin_authentication",),
    "passkeys.remove_refusal": ("passkeys.remove",),
    "passkeys.spend_authentication": ("passkeys.finish_authentication",),
    "passkeys.spend_registration": ("passkeys.finish_registration",),
    "passkeys.suspect": ("passkeys.finish_authentication",),
    "passwords.attempt": ("passwords.verify",),
    "passwords.attempt_by_id": ("passwords.verify", "passwords.change"),
    "passwords.attempt_from_device": ("passwords.verify(device=...)",),
    "passwords.current": ("passwords.verify", "passwords.change"),
    "passwords.lock_state": ("passwords.verify", "passwords.change"),
    "passwords.rehash": ("passwords.verify",),
    "passwords.succeed": ("passwords.verify",),
    "passwords.succeed_from_device": ("passwords.verify(device=...)",),
    "privacy.erase": ("users.erase",),
    "privacy.export": ("users.export",),
    "rate_limits.peek": ("rate_limits.peek", "rate_limits.hit"),
    "refresh_tokens.revoke_reused": ("refresh_tokens.rotate",),
    "refresh_tokens.state": ("refresh_tokens.rotate",),
    "sessions.create_capped": ("sessions.create(cap=...)",),
    "sessions.touch": ("sessions.validate",),
    "sessions.validate": ("sessions.validate", "sessions.elevate"),
    "sessions.validate_with_roles": ("sessions.validate(roles=True)",),
    "totp.attempt": ("totp.verify",),
    "totp.outdated": ("totp.reencrypt",),
    "totp.pending": ("totp.confirm",),
    "totp.spend": ("totp.verify",),
    "users.reactivate_refusal": ("users.reactivate",),
}
"""The functions that run a statement, where it is not just the one of its name."""
_PARAMETER = re.compile(r"%\((\w+)\)s")
# Of libpq: PG_DIAG_SQLSTATE.
_SQLSTATE = ord("C")
_DENIED = re.compile(r" for (?:table|routine|view) '(?:[^']*\.)?([^'.]+)'")
_PART = re.compile(r"__\d+$")


def functions_of(statement: str) -> tuple[str, ...]:
    """The public functions that run a statement, by the name in its file. One that runs it only if it is
    asked to has the argument with it: sessions.validate(roles=True).
    """
    name = _PART.sub("", statement)
    if name.startswith(_PURGES):
        return ("maintenance.purge",)
    return _USED_BY.get(name, (name,))


def operations(context: Context) -> Iterator[Finding]:
    """Which functions of the Python layer need what is pending: their statements are prepared, not run."""
    if not any(m.state == "pending" for m in context.status) or not context.applied:
        return
    there = _rights.objects(_catalog.expected(context.dialect, context.applied)).keys()
    prepares = _postgres if context.dialect == "postgres" else partial(_mysql, there)
    failing = {
        name for name, statement in _library(context).items() if not prepares(context.connection, statement)
    }
    # What is not there is not purged, and its runs are not noted: that fails if there is nothing at all.
    purges = {name for name in _library(context) if name.startswith(_PURGES)}
    if not purges <= failing:
        failing -= {*purges, "maintenance.note_runs"}
    if told := _named(context, failing):
        yield Finding("operations", Severity.INFO, f"these need what is pending: {', '.join(told)}")


def denied(context: Context, objects: Collection[str]) -> list[str]:
    """Which functions of the Python layer fail for lack of rights on some objects. No statement is run."""
    mentions = _words(objects)
    # A call that gets NULL may be left out of the plan, and is not refused then.
    calls = _words(name for name in objects if name.endswith("()"))
    refuses = _postgres_refuses if context.dialect == "postgres" else _mysql_refuses

    def fails(statement: Statement) -> bool:
        # What mentions none of them may be refused as well: some is for the owner alone.
        told = mentions.search(statement.text) is not None
        return calls.search(statement.text) is not None or refuses(context.connection, statement, told)

    failing = {name for name, statement in _library(context).items() if fails(statement)}
    return [name if "." in name else f"{name}.*" for name in _named(context, failing)]


def _library(context: Context) -> dict[str, Statement]:
    """The statements that functions run."""
    every = statements(context.dialect)
    return {name: every[name] for name in every if name.partition(".")[0] not in _TOOLS}


def _words(objects: Iterable[str]) -> re.Pattern[str]:
    names = [re.escape(name.removesuffix("()")) for name in objects]
    return re.compile(rf"\b(?:{'|'.join(names)})\b" if names else r"(?!)")


def _named(context: Context, failing: Iterable[str]) -> list[str]:
    """The functions that run these statements; a module's alone where it is all of them."""
    every = {function for name in _library(context) for function in functions_of(name)}
    found = {function for name in failing for function in functions_of(name)}
    # An argument is of no interest where the function fails without it, too.
    found = {name for name in found if name.partition("(")[0] not in found - {name}}
    told: list[str] = []
    for module in sorted({name.partition(".")[0] for name in found}):
        functions = {name for name in found if name.startswith(f"{module}.")}
        plain = {name for name in every if name.startswith(f"{module}.") and "(" not in name}
        told += [module] if functions == plain else sorted(functions)
    return told


def _postgres(connection: Any, statement: Statement) -> bool:
    answer = connection.pgconn.prepare(f"authsql_doctor.{statement.name}".encode(), _numbered(statement))
    # PGRES_COMMAND_OK
    return bool(answer.status == 1)


def _numbered(statement: Statement) -> bytes:
    order = list(dict.fromkeys(statement.parameters))
    return _PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", statement.text).encode()


def _postgres_refuses(connection: Any, statement: Statement, mentioned: bool) -> bool:
    if not mentioned:
        return False
    # Preparing asks for no right, planning for every one.
    nothing = [None] * len(set(statement.parameters))
    answer = connection.pgconn.exec_params(b"EXPLAIN " + _numbered(statement), nothing)
    return bool(answer.error_field(_SQLSTATE) == b"42501")


def _mysql(there: Collection[str], connection: Any, statement: Statement) -> bool:
    error = _mysql_error(connection, statement)
    if error is None or not is_denied(error):
        return error is None
    # Denied is what is not there, and what is: of that, the check of the rights tells.
    found = _DENIED.search(str(error))
    return found is not None and (found[1] in there or f"{found[1]}()" in there)


def _mysql_refuses(connection: Any, statement: Statement, mentioned: bool) -> bool:
    error = _mysql_error(connection, statement)
    if error is None:
        return False
    # 1356: of a view, not even what it selects from is told.
    return (mentioned and is_denied(error)) or code(error) == 1356


def _mysql_error(connection: Any, statement: Statement) -> Exception | None:
    try:
        prepared = connection.cmd_stmt_prepare(statement.native.encode())
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "mysql":
            raise
        return error
    connection.cmd_stmt_close(prepared["statement_id"] if isinstance(prepared, dict) else prepared)
    return None
