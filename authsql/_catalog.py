"""What a database's catalog should say of authsql's objects, and what it says.

`sql/<dialect>/catalog.json` holds for each migration the objects that it makes, changes or drops, as the live
catalog told them (`make catalog`). Those of the migrations that a database has, one after the other, are what
it should have.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from authsql._statements import Dialect, sql_root, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

Attributes: TypeAlias = "dict[str, str]"
Objects: TypeAlias = "dict[str, Attributes]"
"""Objects by kind and name: `column authsql_users.email`."""
Delta: TypeAlias = "dict[str, Attributes | None]"
"""What a migration does to them. None: it drops the object."""
Ask: TypeAlias = "Callable[[str], list[dict[str, Any]]]"
"""Runs a named statement."""

# MySQL writes the character set of a text into an expression, and another one after an ALTER TABLE.
_INTRODUCER = re.compile(r"\b_[a-z0-9]+(?=\\*')")
# PostgreSQL 15 writes out the table of a column where there is only one, later versions do not.
_QUALIFIER = re.compile(r"\b[a-z]+\.(?=[a-z_]+\b)")


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that is not as it should be."""

    object: str
    kind: Literal["missing", "extra", "different"]
    attributes: tuple[tuple[str, str, str], ...] = ()
    """What is different: the attribute, what it is, what it should be."""


def kinds(dialect: Dialect) -> tuple[str, ...]:
    """The kinds of objects that are looked at."""
    return tuple(name.partition(".")[2] for name in statements(dialect) if name.startswith("catalog."))


def read(dialect: Dialect, ask: Ask, only: Collection[str] | None = None) -> Objects:
    """Ask a database for its objects, of some kinds only if these are given."""
    found: Objects = {}
    for kind in kinds(dialect):
        if only is None or kind in only:
            for row in ask(f"catalog.{kind}"):
                found[f"{kind} {row['name']}"] = {
                    name: _plain(value) for name, value in row.items() if name != "name" and value is not None
                }
    return found


def delta(before: Objects, after: Objects) -> Delta:
    """Tell what was done between two readings."""
    changed: Delta = {name: after[name] for name in after if before.get(name) != after[name]}
    return dict(sorted((changed | dict.fromkeys(before.keys() - after.keys())).items()))


@cache
def _snapshot(dialect: Dialect) -> dict[str, Delta]:
    path = sql_root() / dialect / "catalog.json"
    found: dict[str, Delta] = json.loads(path.read_text(encoding="utf-8"))
    return found


def names(dialect: Dialect) -> tuple[str, ...]:
    """The migrations that the snapshot knows."""
    return tuple(_snapshot(dialect))


def known(dialect: Dialect, migrations: Collection[str]) -> bool:
    """Tell whether the snapshot knows all of these migrations, by name."""
    return set(migrations) <= _snapshot(dialect).keys()


def expected(dialect: Dialect, migrations: Collection[str]) -> Objects:
    """Put together what a database has to have that has these migrations."""
    found: Objects = {}
    for name, changes in _snapshot(dialect).items():
        if name in migrations:
            for key, attributes in changes.items():
                if attributes is None:
                    found.pop(key, None)
                else:
                    found[key] = attributes
    return found


def compare(wanted: Mapping[str, Attributes], found: Mapping[str, Attributes]) -> list[Difference]:
    """Tell what is missing, different, or there besides. What belongs to a missing table is not told."""
    differences: list[Difference] = []
    lost = {name.partition(" ")[2] for name in wanted if name.startswith("table ") and name not in found}
    for name in sorted(wanted.keys() | found.keys()):
        if name not in found:
            table, dot, _ = name.partition(" ")[2].partition(".")
            if not (dot and table in lost):
                differences.append(Difference(name, "missing"))
        elif name not in wanted:
            differences.append(Difference(name, "extra"))
        elif changed := _changed(found[name], wanted[name], loosely=name.startswith("view ")):
            differences.append(Difference(name, "different", changed))
    return differences


def _changed(here: Attributes, there: Attributes, *, loosely: bool) -> tuple[tuple[str, str, str], ...]:
    same = _loose if loosely else _same
    return tuple(
        (name, here.get(name, ""), there.get(name, ""))
        for name in sorted(here.keys() | there.keys())
        if same(here.get(name, "")) != same(there.get(name, ""))
    )


def parts_at(here: str, there: str) -> int:
    """The first character, from 1 on, in which two texts differ."""
    pairs = zip(_same(here), _same(there), strict=False)
    shorter = min(len(_same(here)), len(_same(there)))
    return next((place for place, (one, other) in enumerate(pairs) if one != other), shorter) + 1


def _same(text: str) -> str:
    """A text without what the server itself may write differently one day."""
    return _INTRODUCER.sub("", text)


def _loose(text: str) -> str:
    """The text of a view without what servers of different versions write differently."""
    return "".join(_QUALIFIER.sub("", _same(text)).replace("(", "").replace(")", "").split())


def _plain(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode()
    if isinstance(value, set | frozenset):
        return ",".join(sorted(value))
    return str(value).lower() if isinstance(value, bool) else str(value)
