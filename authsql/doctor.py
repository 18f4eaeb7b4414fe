"""Look a database over: is it what the migrations make, is it looked after, is the way to it a good one.

Nothing is changed. Nothing that is told is a secret: no password, no row of a table.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from authsql import _doctor_operations, _doctor_owners, _doctor_rights, _doctor_schema, _doctor_server
from authsql._doctor_context import Context, Finding, Severity
from authsql._explain import code, first_line, hint, is_denied
from authsql._url import ConnectionFailed, DatabaseURL, DriverMissing, connect
from authsql.errors import AuthsqlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Finding", "Severity", "examine"]

_CHECKS: tuple[Callable[[Context], Iterator[Finding]], ...] = (
    _doctor_server.server,
    _doctor_server.driver,
    _doctor_server.tls,
    _doctor_server.clock,
    _doctor_server.session,
    _doctor_schema.files,
    _doctor_schema.applied,
    _doctor_schema.yoyo,
    _doctor_operations.operations,
    _doctor_schema.drift,
    _doctor_schema.triggers,
    _doctor_owners.definers,
    _doctor_schema.scheduler,
    _doctor_schema.backlog,
    _doctor_rights.rights,
    _doctor_owners.owners,
    _doctor_owners.creators,
    _doctor_owners.readers,
)


def examine(url: str) -> tuple[Finding, ...]:
    """Examine a database, and return what was found: also what is as it should be.

    A database that does not let us in is a finding, too. A check that fails itself is one, and the others go
    on. Raises InvalidDatabaseURL.
    """
    target = DatabaseURL.parse(url)
    try:
        connection = connect(target)
    except (ConnectionFailed, DriverMissing) as error:
        return (
            Finding("connection", Severity.ERROR, str(error)),
            *_doctor_rights.no_entry(url, target, error),
        )
    findings = [Finding("connection", Severity.OK, f"connected to {target}")]
    with contextlib.closing(connection):
        context = Context(url, target, connection)
        for check in _CHECKS:
            try:
                findings.extend(check(context))
            except AuthsqlError as error:
                findings.append(Finding(_name(check), Severity.ERROR, str(error)))
            except (OSError, LookupError, ValueError) as error:
                # A file of the installation that is not there, or is not as it was.
                told = f"could not be looked at: {first_line(error)}"
                findings.append(Finding(_name(check), Severity.ERROR, told, "install authsql anew"))
            except Exception as error:
                if type(error).__module__.partition(".")[0] not in {"psycopg", "mysql"}:
                    raise
                text = f"could not be looked at: {first_line(error)}"
                if is_denied(error):
                    # What the user lacks is said by the check of the rights.
                    finding = Finding(_name(check), Severity.INFO, text, "ask as the owner")
                else:
                    finding = Finding(_name(check), Severity.WARNING, text, _advice(error))
                findings.append(finding)
    return tuple(findings)


_CALLED = {"applied": "migrations", "drift": "catalog", "backlog": "purge", "session": "encoding"}


def _name(check: Callable[[Context], Iterator[Finding]]) -> str:
    """What the findings of a check are called, where the check itself failed."""
    return _CALLED.get(check.__name__, check.__name__)


def _advice(error: Exception) -> str | None:
    # Of a view in MySQL; who connects with a wrong password comes nowhere near.
    return "no password is wrong: see what is said of definers" if code(error) == 1045 else hint(error)
