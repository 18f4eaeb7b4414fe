"""Which functions run a statement, as `authsql doctor` has it: compared with the source, and named right."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import authsql
from authsql._doctor_operations import _TOOLS, functions_of
from authsql._statements import DIALECTS, Dialect, statements
from authsql.doctor import Severity
from authsql.migrations import migrate
from tests.doctor.test_doctor import found, user
from tests.roles import as_role, grant
from tests.servers import Database

# It passes an id along, and no token of a device, which the source does not tell.
BY_ID_ALONE = ("passwords.change", {"passwords.attempt", "passwords.attempt_from_device"})
SOURCES = {path.stem: ast.parse(path.read_text()) for path in Path(authsql.__file__).parent.glob("*.py")}


def bodies(module: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in SOURCES[module].body if isinstance(node, ast.FunctionDef)}


def imported(module: str) -> dict[str, tuple[str, str]]:
    """Where the functions of authsql come from that a module imports: by their names there."""
    return {
        alias.asname or alias.name: (node.module.removeprefix("authsql."), alias.name)
        for node in SOURCES[module].body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("authsql.")
        for alias in node.names
    }


def queries(module: str, name: str, seen: set[tuple[str, str]]) -> Iterator[str]:
    """The statements that a function names, and those that it calls, within the package."""
    body = bodies(module).get(name) if module in SOURCES else None
    if body is None or (module, name) in seen:
        return
    seen.add((module, name))
    for node in ast.walk(body):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = node.func.id
            if called == "Query":
                (first, *_) = node.args
                if isinstance(first, ast.JoinedStr):
                    first = first.values[0]
                assert isinstance(first, ast.Constant)
                yield str(first.value)
            else:
                yield from queries(*imported(module).get(called, (module, called)), seen)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_statement_has_its_functions(dialect: Dialect) -> None:
    """Those that the source names, no more and no less."""
    runs: dict[str, set[str]] = {}
    for module in SOURCES:
        for function in bodies(module) if not module.startswith("_") else ():
            if not function.startswith("_"):
                wanted = set(queries(module, function, set()))
                for query in wanted - (BY_ID_ALONE[1] if BY_ID_ALONE[0] == f"{module}.{function}" else set()):
                    runs.setdefault(query, set()).add(f"{module}.{function}")
    for name in statements(dialect):
        if name.partition(".")[0] not in _TOOLS:
            named = {function.partition("(")[0] for function in functions_of(name)}
            statement = name.partition("__")[0]
            source = "maintenance.purge_" if statement.startswith("maintenance.purge_") else statement
            assert named == runs[source], name
            for function in named:
                module, _, attribute = function.partition(".")
                assert callable(getattr(importlib.import_module(f"authsql.{module}"), attribute))


def test_what_is_pending(empty_database: Database) -> None:
    """Functions are named, and not their statements."""
    migrate(empty_database.url, only=["sessions"])
    (finding,) = found(empty_database.url, "operations")
    told = finding.message.partition(": ")[2].split(", ")
    assert {"users.export", "users.erase", "audit.list", "sessions.validate(roles=True)"} <= set(told)
    assert "sessions.validate" not in told
    assert not [name for name in told if "privacy" in name or "_by_id" in name or "note_runs" in name]
    migrate(empty_database.url, target=23)
    # The purge goes on without a place to note its runs.
    (finding,) = found(empty_database.url, "operations")
    assert finding.message == "these need what is pending: maintenance.backlog"


@pytest.mark.only("mysql")
def test_what_is_pending_and_what_one_may_not(empty_database: Database) -> None:
    """The server says the same of both: so a subject that is there is not told of as pending."""
    migrate(empty_database.url, only=["sessions"])
    grant(empty_database.url, "roles.sql", "authsql_reader", only=["sessions"])
    (finding,) = found(as_role(empty_database, "authsql_reader").url, "operations")
    told = finding.message.partition(": ")[2].split(", ")
    assert {"outbox", "totp", "audit.list", "otps"} <= set(told)
    assert not {"sessions", "sessions.create", "users", "users.create"} & set(told)


def test_what_is_not_granted(database: Database) -> None:
    with user(database, "SELECT, INSERT, UPDATE, DELETE ON authsql_users") as url:
        finding = next(f for f in found(url, "rights") if "These fail: " in f.message)
        assert finding.severity is Severity.INFO
        told = finding.message.partition(". These fail: ")[2].split(", ")
        assert {"users.export", "passwords.*"} <= set(told)
        assert not [name for name in told if name.startswith(("privacy", "connection"))]
