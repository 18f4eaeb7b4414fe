"""Check of the statements: whether the database understands them, where not all migrations are applied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from authsql._doctor_context import Context, Finding, Severity
from authsql._statements import Statement, statements

_TOOLS = {"catalog", "demo", "doctor", "inspect", "migrations", "script"}
_PARAMETER = re.compile(r"%\((\w+)\)s")
_PART = re.compile(r"__\d+$")


def operations(context: Context) -> Iterator[Finding]:
    """Which functions of the Python layer need what is pending: their statements are prepared, not run."""
    if not any(m.state == "pending" for m in context.status) or not context.applied:
        return
    by_module: dict[str, set[str]] = {}
    failing: dict[str, set[str]] = {}
    prepares = _postgres if context.dialect == "postgres" else _mysql
    for name, statement in statements(context.dialect).items():
        module = name.partition(".")[0]
        if module not in _TOOLS:
            function = _PART.sub("", name)
            by_module.setdefault(module, set()).add(function)
            if not prepares(context.connection, statement):
                failing.setdefault(module, set()).add(function)
    told: list[str] = []
    for module, functions in sorted(failing.items()):
        told += [module] if functions == by_module[module] else sorted(functions)
    if told:
        yield Finding("operations", Severity.INFO, f"these need what is pending: {', '.join(told)}")


def _postgres(connection: Any, statement: Statement) -> bool:
    order = list(dict.fromkeys(statement.parameters))
    text = _PARAMETER.sub(lambda found: f"${order.index(found[1]) + 1}", statement.text)
    answer = connection.pgconn.prepare(f"authsql_doctor.{statement.name}".encode(), text.encode())
    # PGRES_COMMAND_OK
    return bool(answer.status == 1)


def _mysql(connection: Any, statement: Statement) -> bool:
    try:
        prepared = connection.cmd_stmt_prepare(statement.native.encode())
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "mysql":
            raise
        return False
    connection.cmd_stmt_close(prepared["statement_id"] if isinstance(prepared, dict) else prepared)
    return True
