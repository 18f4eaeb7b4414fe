"""The migrations that this package brings, read from `sql/<dialect>/` with yoyo's own reader.

So our runner and a stock yoyo agree on what a migration's statements are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from yoyo.migrations import get_migration_hash, read_sql_migration

from authsql._statements import Dialect, sql_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Direction = Literal["apply", "rollback"]

_FILE = re.compile(r"(\d{4})\.(\w+)\.sql")
_ROLLBACK = re.compile(r"\bRollback: *(.+?)(?:\n\s*\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One migration with its rollback. `id` and `hash` are what yoyo knows it by."""

    number: int
    name: str
    id: str
    hash: str
    apply: tuple[str, ...]
    rollback: tuple[str, ...]
    loses: str
    """What a rollback does to the data, as the header of the file says it."""

    def statements(self, direction: Direction) -> tuple[str, ...]:
        """The statements of the file, or of its rollback file."""
        return self.apply if direction == "apply" else self.rollback


@cache
def migration_files(dialect: Dialect) -> tuple[MigrationFile, ...]:
    """All migrations of a dialect in their order."""
    found = []
    for path in sorted((sql_root() / dialect).glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match:
            found.append(_read(path, int(match[1]), match[2], dialect))
    return tuple(found)


def check_target(files: Sequence[MigrationFile], target: int | None) -> None:
    """Raise ValueError unless there is a migration of this number; 0 is before the first one."""
    if target is not None and target not in {0, *(file.number for file in files)}:
        raise ValueError(f"there is no migration {target}: the last one is {files[-1].number}")


def _read(path: Path, number: int, name: str, dialect: Dialect) -> MigrationFile:
    directives, header, forward = read_sql_migration(str(path))
    _, _, back = read_sql_migration(str(path.with_suffix(".rollback.sql")))
    # Undoing a part of a migration needs the pairs that yoyo makes: the first statement with the last of the
    # rollback.
    if dialect == "mysql" and len(forward) != len(back):
        raise ValueError(f"{path.name} has {len(forward)} statements and its rollback {len(back)}")
    if (directives.get("transactional", "true") == "true") is (dialect == "mysql"):
        raise ValueError(f"{path.name}: MySQL has no transactions around DDL, PostgreSQL must not do without")
    lost = _ROLLBACK.search(header)
    return MigrationFile(
        number=number,
        name=name,
        id=path.stem,
        hash=get_migration_hash(path.stem),
        apply=tuple(forward),
        rollback=tuple(back),
        loses=" ".join(lost[1].split()) if lost else "",
    )
