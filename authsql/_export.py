"""The document of `users.export`, alike from both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

_TIMES = ("_at", "_until", "_since")


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """Put times into ISO 8601 in UTC, and lists into their order: the oldest, or the first by name, first."""
    found: dict[str, Any] = {}
    for name, section in document.items():
        if isinstance(section, list):
            rows = [_row(row) for row in section]
            found[name] = sorted(rows, key=_order)
        else:
            found[name] = _row(section) if section is not None else None
    return found


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _time(value) if name.endswith(_TIMES) else value for name, value in sorted(row.items())}


def _time(value: str | None) -> str | None:
    if value is None:
        return None
    time = datetime.fromisoformat(value)
    # MySQL's have no zone, and are UTC.
    return (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)).isoformat()


def _order(row: dict[str, Any]) -> tuple[int, str, str]:
    return row.get("number", 0), row.get("created_at", ""), str(sorted(row.items()))
