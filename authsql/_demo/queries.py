"""The statements of the demo, `sql/<dialect>/queries/demo.sql`, as operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from authsql._driver import Query
from authsql._operation import Steps, operation


@operation()
def look(name: str, parameters: Mapping[str, object]) -> Steps[Sequence[Mapping[str, Any]]]:
    """Return the rows of a statement."""
    rows: Sequence[Mapping[str, Any]] = (yield Query(f"demo.{name}", parameters)).rows
    return rows


@operation()
def age(name: str) -> Steps[int]:
    """Make time pass for some rows. Returns how many."""
    count: int = (yield Query(f"demo.{name}", {})).count
    return count
