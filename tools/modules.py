"""What each migration names of the others, read out of the files: to be compared with `sql/modules.toml`.

`python -m tools.modules` prints the rows that the table lacks.
"""

from __future__ import annotations

import re
import sys
import tomllib

from authsql._migration_files import migration_files
from authsql._modules import build
from authsql._statements import DIALECTS, Dialect, sql_root

# A text may hold two dashes, and a comment an apostrophe: whichever begins first.
_COMMENT = re.compile(r"('(?:[^']|'')*')|--[^\n]*")
_DESCRIPTION = re.compile(r"\bCOMMENT\s*=?\s*'(?:[^']|'')*'|^COMMENT ON .*", re.DOTALL)
_OBJECT = re.compile(
    r"\b(?:CREATE|ALTER)\s+(?:OR\s+REPLACE\s+)?(?:UNIQUE\s+)?(?:SQL\s+SECURITY\s+\w+\s+)?"
    r"(TABLE|VIEW|FUNCTION|PROCEDURE|EVENT|TRIGGER|INDEX|TYPE|DOMAIN|SEQUENCE)\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)"
)
_NAME = re.compile(r"\bauthsql_\w+")


def code(statement: str) -> str:
    """A statement without its comments, and without the descriptions that go into the catalog."""
    return _DESCRIPTION.sub("", _COMMENT.sub(lambda found: found[1] or "", statement).strip())


def named(dialect: Dialect) -> dict[str, set[str]]:
    """Tell for each migration those that it needs: who last made or replaced an object that it names.

    One that replaces a view or function needs who did so before: after it, theirs would undo it.
    """
    owner: dict[str, str] = {}
    needs: dict[str, set[str]] = {}
    for file in migration_files(dialect):
        statements = [code(text) for text in file.apply]
        made = {match[2] for text in statements for match in _OBJECT.finditer(text) if not _altered(match)}
        names = {name for text in statements for name in _NAME.findall(text)}
        needs[file.name] = {owner[name] for name in names if name in owner} - {file.name}
        owner |= dict.fromkeys(made, file.name)
    return needs


def changed(dialect: Dialect) -> dict[str, set[str]]:
    """Tell for each migration those that changed a table which it names: it may name a column of theirs."""
    changers: dict[str, set[str]] = {}
    found: dict[str, set[str]] = {}
    for file in migration_files(dialect):
        statements = [code(text) for text in file.apply]
        names = {name for text in statements for name in _NAME.findall(text)}
        found[file.name] = set().union(*(changers.get(name, set()) for name in names))
        for text in statements:
            for match in _OBJECT.finditer(text):
                if _altered(match):
                    changers.setdefault(match[2], set()).add(file.name)
    return found


def _altered(match: re.Match[str]) -> bool:
    # What is altered stays whose it was: a column or a setting is added, and nothing takes its place.
    return match[0].startswith("ALTER") and match[1] in ("TABLE", "FUNCTION")


def missing() -> dict[str, list[str]]:
    """The rows that the table lacks: what a migration names in either dialect, but for what those need."""
    table = tomllib.loads((sql_root() / "modules.toml").read_text(encoding="utf-8"))
    order = [file.name for file in migration_files("postgres")]
    needs = {name: set().union(*(named(dialect)[name] for dialect in DIALECTS)) for name in order}
    known = {name: list[object](table.get(name, {}).get("needs", sorted(needs[name]))) for name in order}
    every = build(order, {name: {"needs": wanted} for name, wanted in known.items()})
    return {
        name: [
            need
            for need in order
            if need in needs[name] and not any(need in every.closure([n]) for n in needs[name] - {need})
        ]
        for name in order
        if name not in table
    }


def main() -> None:
    for name, needs in missing().items():
        listed = ", ".join(f'"{need}"' for need in needs)
        sys.stdout.write(f"\n[{name}]\nneeds = [{listed}]\n")


if __name__ == "__main__":
    main()
