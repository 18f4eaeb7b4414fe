"""The command `authsql`, also `python -m authsql`: says what to install where it lacks what it is made of."""

from __future__ import annotations

import sys

_EXTRA = {"typer", "click", "rich"}


def main() -> None:
    """Run the command line."""
    try:
        from authsql._cli import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("the command authsql needs some more packages: pip install 'authsql[cli]'\n")
        sys.exit(2)
    app()


if __name__ == "__main__":
    main()
