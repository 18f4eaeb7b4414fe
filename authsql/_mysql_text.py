"""A statement of MySQL with its values in its text, for a server that cannot run it prepared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

_PLACE = re.compile(r"\?")


def with_values(native: str, values: Sequence[object]) -> str:
    """Put each value in its place. What is text or bytes is written in hexadecimal digits, so that nothing in
    it can be read as SQL.
    """
    left = iter(values)
    return _PLACE.sub(lambda _: _literal(next(left)), native)


def _literal(value: object) -> str:
    """A value with the type that it has as a parameter."""
    match value:
        case None:
            return "NULL"
        case bytes():
            return f"X'{value.hex()}'"
        case str():
            return f"_utf8mb4 X'{value.encode().hex()}'"
        case int():
            return str(value) if value >= 0 else f"({value})"
        case datetime():
            return f"TIMESTAMP'{value.isoformat(' ', 'microseconds')}'"
        case _:
            raise TypeError(f"no parameter of a statement is {type(value).__name__}")
