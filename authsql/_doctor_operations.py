"""Check of the statements: whether the database understands them, where not all migrations are applied; which
of them the connected user may not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from authsql._doctor_context import Context, Finding, Severity
from authsql._explain import code, is_denied
from authsql._statements import Statement, statements

_TOOLS = {"catalog", "demo", "doctor", "inspect", "migrations", "script"}
_PARAMETER = re.compile(r"%\((\w+)\)s")
# Of libpq: PG_DIAG_SQLSTATE.
_SQLSTATE = ord("C")
_PART = re.compile(r"__\d+$")


def operations(context: Context) -> Iterator[Finding]:
    """Which functions of the Python layer need what is pending: their statements are prepared, not run."""
    if not any(m.state == "pending" for m in context.status) or not context.applied:
        return
    prepares = _postgres if context.dialect == "postgres" else _mysql
    told = _named(context, lambda statement: not prepares(context.connection, statement))
    if told:
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

    return [name if "." in name else f"{name}.*" for name in _named(context, fails)]


def _words(objects: Iterable[str]) -> re.Pattern[str]:
    names = [re.escape(name.removesuffix("()")) for name in objects]
    return re.compile(rf"\b(?:{'|'.join(names)})\b" if names else r"(?!)")


def _named(context: Context, fails: Callable[[Statement], bool]) -> list[str]:
    by_module: dict[str, set[str]] = {}
    failing: dict[str, set[str]] = {}
    for name, statement in statements(context.dialect).items():
        module = name.partition(".")[0]
        if module not in _TOOLS:
            function = _PART.sub("", name)
            by_module.setdefault(module, set()).add(function)
            if fails(statement):
                failing.setdefault(module, set()).add(function)
    told: list[str] = []
    for module, functions in sorted(failing.items()):
        told += [module] if functions == by_module[module] else sorted(functions)
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


def _mysql(connection: Any, statement: Statement) -> bool:
    return _mysql_error(connection, statement) is None


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
