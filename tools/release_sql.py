"""Write the release's SQL: all migrations as one file for each dialect, `authsql-X.Y-<dialect>.sql`.

`python -m tools.release_sql [FOLDER]`
"""

from __future__ import annotations

import sys
from pathlib import Path

import authsql
from authsql._script import script
from authsql._statements import DIALECTS


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    folder.mkdir(parents=True, exist_ok=True)
    short = ".".join(authsql.__version__.split(".")[:2])
    for dialect in DIALECTS:
        path = folder / f"authsql-{short}-{dialect}.sql"
        path.write_text(script(dialect), encoding="utf-8", newline="\n")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
