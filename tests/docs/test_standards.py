"""docs/standards.md names every operation, and no test that there is not."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest

import authsql

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "standards.md").read_text(encoding="utf-8")


def operations() -> list[str]:
    found = []
    for module in pkgutil.iter_modules(authsql.__path__):
        if module.name.startswith("_"):
            continue
        for name, value in vars(importlib.import_module(f"authsql.{module.name}")).items():
            is_its_own = getattr(value, "__module__", "") == f"authsql.{module.name}"
            # An operation is a generator behind a decorator, and shows a connection before its arguments.
            if is_its_own and hasattr(value, "__wrapped__") and hasattr(value, "__signature__"):
                found.append(f"{module.name}.{name}")
    return found


def named_tests() -> list[str]:
    """`tests/file.py::name`, or `::name` or `name` of the file before it in the same row, or a file."""
    found = []
    for row in TEXT.splitlines():
        file = ""
        for word in re.findall(r"`([^`]+)`", row):
            if word.startswith("tests/"):
                file = word.partition("::")[0]
                found.append(word)
            elif word.startswith("::"):
                found.append(file + word)
            elif word.startswith("test_"):
                found.append(f"{file}::{word}")
    return found


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    found = set()
    for each in tree.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(each.name)
        if isinstance(each, ast.ClassDef):
            methods = [
                one.name for one in each.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            found |= {f"{each.name}::{method}" for method in methods} | set(methods)
    return frozenset(found)


@pytest.mark.parametrize("name", operations())
def test_every_operation_is_named(name: str) -> None:
    assert re.search(rf"`{re.escape(name)}[`(]", TEXT)


@pytest.mark.parametrize("name", sorted(set(named_tests())))
def test_every_test_exists(name: str) -> None:
    file, _, function = name.partition("::")
    assert (ROOT / file).is_file()
    assert not function or function in functions(file)


def test_there_are_some() -> None:
    assert len(operations()) > 50
    assert len(named_tests()) > 60


def test_every_row_has_a_test() -> None:
    met, _, _ = TEXT.partition("## Not met here")
    for row in re.findall(r"^\| (?!clause|---).*$", met, re.MULTILINE):
        cells = re.split(r"(?<!\\)\|", row)[1:-1]
        assert len(cells) == 4, row
        assert "`tests/" in cells[3], row
