"""Public operations: each says what it does, and takes a connection first."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import pydoc
from types import ModuleType
from typing import Any

import pytest

import authsql
from authsql import UnsupportedConnection, maintenance


def names() -> list[str]:
    return [each.name for each in pkgutil.iter_modules(authsql.__path__) if not each.name.startswith("_")]


def is_operation(value: Any) -> bool:
    # A generator behind a decorator, which shows a connection before its arguments.
    return hasattr(value, "__wrapped__") and hasattr(value, "__signature__")


# Each public module that has one. No list: a new one would not be in it.
MODULES = [
    module
    for module in (importlib.import_module(f"authsql.{name}") for name in names())
    if any(is_operation(value) and value.__module__ == module.__name__ for value in vars(module).values())
]


def operations(module: ModuleType) -> dict[str, Any]:
    """The functions that a module makes itself, and that are meant for others."""
    return {
        name: value
        for name, value in vars(module).items()
        if is_operation(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }


EACH = [pytest.param(f, id=f"{m.__name__}.{name}") for m in MODULES for name, f in operations(m).items()]


def test_they_are_found() -> None:
    assert len(MODULES) >= 17
    assert len(EACH) >= 80
    assert {m.__name__.partition(".")[2] for m in MODULES} <= set(authsql.__all__)


@pytest.mark.parametrize("function", EACH)
def test_it_has_a_docstring(function: Any) -> None:
    doc = inspect.getdoc(function)
    assert doc
    assert doc[0].isupper()
    assert doc.rstrip().endswith(".")


@pytest.mark.parametrize("function", EACH)
def test_a_connection_comes_first(function: Any) -> None:
    first, *others = inspect.signature(function).parameters.values()
    assert first.name == "conn"
    assert first.kind is inspect.Parameter.POSITIONAL_ONLY
    assert all(p.annotation is not inspect.Parameter.empty for p in others)


@pytest.mark.parametrize("function", EACH)
def test_help_shows_what_is_returned(function: Any) -> None:
    returns = inspect.signature(function).return_annotation
    assert isinstance(returns, str)
    assert "Steps" not in returns
    assert returns.count("[") == returns.count("]")
    assert f"-> {returns!r}" in pydoc.plain(pydoc.render_doc(function)).replace('"', "'")


@pytest.mark.parametrize("connection", [None, 5, "postgresql://localhost", object()])
def test_what_is_no_connection(connection: Any) -> None:
    with pytest.raises(UnsupportedConnection, match="psycopg 3 or mysql-connector-python"):
        maintenance.backlog(connection)


def test_every_public_name_is_there() -> None:
    assert all(hasattr(authsql, name) for name in authsql.__all__)
    assert len(set(authsql.__all__)) == len(authsql.__all__)
