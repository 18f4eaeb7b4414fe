"""Checksums of the released migration files, which never change: `sql/checksums.txt`.

Its form is that of sha256sum: `cd sql && sha256sum --check checksums.txt`.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from authsql._statements import DIALECTS, Dialect, sql_root

if TYPE_CHECKING:
    from pathlib import Path

NAME = "checksums.txt"


def released() -> dict[str, str]:
    """The checksum of each released file, by its path in sql/."""
    lines = (sql_root() / NAME).read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines if line)}


def present(dialect: Dialect) -> dict[str, str]:
    """The checksum of each migration file there is, rollbacks included."""
    paths = sorted((sql_root() / dialect).glob("[0-9]*.sql"))
    return {f"{dialect}/{path.name}": _digest(path) for path in paths}


def write() -> str:
    """The text of the file for the migrations there are."""
    lines = [f"{digest}  {path}" for dialect in DIALECTS for path, digest in present(dialect).items()]
    return "\n".join(lines) + "\n"


def _digest(path: Path) -> str:
    # As in the repository, whatever a checkout made of the ends of lines.
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
