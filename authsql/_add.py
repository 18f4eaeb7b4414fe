"""Copy the migrations of single subjects into a repository of the user's, for yoyo, psql or mysql to apply.

In a copy, `-- depends:` names what the migration truly needs: the one before it may not be there. The rest is
as it stands here, and so is the name, by which yoyo and authsql know it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from authsql._migration_files import MigrationFile, migration_files
from authsql._modules import modules, select
from authsql._statements import Dialect, sql_root
from authsql.errors import AuthsqlError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_DEPENDS = re.compile(r"^-- depends:.*$", re.MULTILINE)


class FilesDiffer(AuthsqlError):
    """Files are there already and say something else. Nothing was written."""

    hint = "compare them; --force replaces them"


@dataclass(frozen=True, slots=True)
class Copy:
    """What became of one file."""

    path: Path
    outcome: Literal["written", "replaced", "unchanged"]


def add(dialect: Dialect, asked: Iterable[str], into: Path, *, force: bool = False) -> list[Copy]:
    """Write the migrations of some subjects, and of what they need, with their rollbacks.

    A file that is there and the same is left. One that differs is an error before anything is written, unless
    `force`. Raises UnknownModule, FilesDiffer, OSError.
    """
    wanted: list[tuple[Path, str]] = []
    for file in select(dialect, asked):
        wanted += ((into / name, text) for name, text in copies(dialect, file))
    found = {path: path.read_bytes() for path, _ in wanted if path.exists()}
    different = [path for path, text in wanted if path in found and found[path] != text.encode()]
    if different and not force:
        raise FilesDiffer(f"there already, and different: {', '.join(map(str, different))}")
    into.mkdir(parents=True, exist_ok=True)
    done = []
    for path, text in wanted:
        if path not in found or path in different:
            path.write_bytes(text.encode())
        done.append(
            Copy(path, "replaced" if path in different else "unchanged" if path in found else "written")
        )
    return done


def copies(dialect: Dialect, file: MigrationFile) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return name and text of the copy of a migration, and of its rollback."""
    folder = sql_root() / dialect
    needs = modules(dialect).needs[file.name]
    ids = " ".join(other.id for other in migration_files(dialect) if other.name in needs)
    text = (folder / f"{file.id}.sql").read_text(encoding="utf-8")
    back = (folder / f"{file.id}.rollback.sql").read_text(encoding="utf-8")
    return (
        (f"{file.id}.sql", _DEPENDS.sub(f"-- depends: {ids}", text, count=1)),
        (f"{file.id}.rollback.sql", back),
    )
