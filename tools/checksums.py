"""Write `sql/checksums.txt` for the migrations there are, at a release: from then on they do not change.

`python -m tools.checksums`
"""

from __future__ import annotations

from authsql._checksums import NAME, write
from authsql._statements import sql_root


def main() -> None:
    (sql_root() / NAME).write_text(write(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
