"""What the commands have in common: the application, options, and how a failure is told.

What may be expected to fail is one line on stderr, and a hint if there is one: exit status 1, or 2 for wrong
use.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from authsql._explain import first_line, hint, is_denied
from authsql._statements import Dialect
from authsql._url import DatabaseURL, InvalidDatabaseURL, database_url
from authsql.errors import AuthsqlError
from authsql.migrations import MigrationFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

# A traceback with the values of variables, as typer would print it, could show a password.
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        "-d",
        metavar="URL",
        help="postgresql://user:password@host/database or mysql://user:password@host/database. If not given:"
        " the environment variable AUTHSQL_DATABASE_URL, or in pyproject.toml"
        ' database = "URL" of the table tool.authsql.',
    ),
]
BreakLockOption = Annotated[
    bool,
    typer.Option(
        "--break-lock", help="Remove the lock of a `yoyo`: see that it was killed and does not run."
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="SUBJECT",
        help="Only this subject and what it needs, for example sessions. Several: give it again.",
    ),
]
DialectOption = Annotated[
    str | None,
    typer.Option(
        "--dialect", metavar="NAME", help="postgres or mysql. If not given: that of the configured database."
    ),
]


def chosen_dialect(asked: str | None, database: str | None = None) -> Dialect:
    """Return the dialect asked for, else that of the configured database. Raises InvalidDatabaseURL."""
    if asked is None:
        try:
            return DatabaseURL.parse(database_url(database)).dialect
        except InvalidDatabaseURL as error:
            raise InvalidDatabaseURL(f"which dialect? Give --dialect postgres or mysql; {error}") from None
    known: dict[str, Dialect] = {"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql"}
    if asked.lower() not in known:
        raise typer.BadParameter(f"there is no dialect {asked!r}: postgres or mysql")
    return known[asked.lower()]


@contextlib.contextmanager
def expected(*, lacking: str | None = None) -> Iterator[None]:
    """Turn what may be expected to fail into a line on stderr and an exit status. `lacking` is the hint where
    the database user lacks a right, if that is not one that migrations need.
    """
    try:
        yield
    except MigrationFailed as error:
        stop(error.message, error.hint, 1)
    except AuthsqlError as error:
        wrong_use = isinstance(error, ValueError)
        stop(str(error), hint(error.__cause__) if error.__cause__ else None, 2 if wrong_use else 1)
    except ValueError as error:
        stop(str(error), None, 2)
    except FileNotFoundError as error:
        stop(f"{error.filename} is not there", "if it is a part of authsql, install that anew", 1)
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"psycopg", "mysql"}:
            raise
        stop(first_line(error), lacking if lacking and is_denied(error) else hint(error), 1)


def stop(message: str, advice: str | None, code: int) -> NoReturn:
    """End the command: a line on stderr, and an exit status."""
    sys.stderr.write(f"authsql: {message}\n")
    if advice:
        sys.stderr.write(f"hint: {advice}\n")
    raise typer.Exit(code)
