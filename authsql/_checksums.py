"""Checksums of the released migration files, which never change: `sql/checksums.txt`.

Its form is that of sha256sum: `cd sql && sha256sum --check checksums.txt`.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from authsql._statements import DIALECTS, Dialect, sql_root

if TYPE_CHECKING:
    from pathlib import Path

NAME = "checksums.txt"
_MIGRATION = re.compile(r"(\d{4})\.(\w+)(?:\.rollback)?\.sql")


def released() -> dict[str, str]:
    """The checksum of each released file, by its path in sql/."""
    lines = (sql_root() / NAME).read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines if line)}


def present(dialect: Dialect) -> dict[str, str]:
    """The checksum of each migration file there is, rollbacks included."""
    paths = sorted((sql_root() / dialect).glob("[0-9]*.sql"))
    return {f"{dialect}/{path.name}": _digest(path) for path in paths}


def wanted(dialect: Dialect) -> set[str]:
    """The migration files that there should be: those that were released, and those of the other dialect."""
    every = [*released(), *(path for other in DIALECTS for path in present(other))]
    names = {path.partition("/")[2] for path in every}
    # With each file its rollback, and the other way round.
    whole = {name.replace(".rollback.sql", ".sql") for name in names}
    return {f"{dialect}/{name}" for name in whole | {f"{name[:-4]}.rollback.sql" for name in whole}}


def migrations(dialect: Dialect) -> dict[int, str]:
    """The migrations that there should be: number and name, whether or not their files can be read."""
    found = (_MIGRATION.fullmatch(path.partition("/")[2]) for path in wanted(dialect))
    return dict(sorted((int(match[1]), match[2]) for match in found if match))


def write() -> str:
    """The text of the file for the migrations there are. Raises ValueError if a released one changed."""
    there = {path: digest for dialect in DIALECTS for path, digest in present(dialect).items()}
    if changed := sorted(path for path, digest in released().items() if there.get(path) != digest):
        raise ValueError(
            f"changed or missing, though released: {', '.join(changed)}; a change is a new migration"
        )
    lines = [f"{digest}  {path}" for path, digest in there.items()]
    return "\n".join(lines) + "\n"


def _digest(path: Path) -> str:
    # As in the repository, whatever a checkout made of the ends of lines.
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
