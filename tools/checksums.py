"""Write `sql/checksums.txt` for the migrations there are, at a release: from then on they do not change. If
one that was released is not as it was, nothing is written.

`python -m tools.checksums`
"""

from __future__ import annotations

import sys

from authsql._checksums import NAME, write
from authsql._statements import sql_root


def main() -> None:
    try:
        text = write()
    except ValueError as error:
        sys.exit(str(error))
    (sql_root() / NAME).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
