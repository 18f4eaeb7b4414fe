"""The commands `authsql script`, `optional` and `add`: SQL for who applies it by other means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from authsql._add import FilesDiffer
from authsql._add import add as add_files
from authsql._cli_common import DatabaseOption, DialectOption, OnlyOption, app, chosen_dialect, expected, stop
from authsql._optional import optional as optional_text
from authsql._optional import titles
from authsql._script import script as write_script


@app.command()
def script(
    dialect: DialectOption = None,
    database: DatabaseOption = None,
    only: OnlyOption = None,
    first: Annotated[
        int | None, typer.Option("--from", metavar="N", min=1, help="From migration number N.")
    ] = None,
    last: Annotated[int | None, typer.Option("--to", metavar="N", min=1, help="Up to number N.")] = None,
    *,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="The way back of the same migrations: drops their tables.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Leave out the check that the database is at the right place for it."),
    ] = False,
) -> None:
    """Print the migrations as one SQL file, for psql or mysql. No database is asked.

    It writes yoyo's books too: afterwards `authsql status` and yoyo agree that they are applied. PostgreSQL:
    one transaction. The same version prints the same text.

    \b
    Examples:
        authsql script --dialect postgres > authsql.sql && psql -f authsql.sql app
        authsql script --dialect mysql --only sessions | mysql app
        authsql script --dialect mysql --from 9 --rollback
    """  # noqa: D301
    with expected():
        text = write_script(
            chosen_dialect(dialect, database),
            only=only or (),
            first=first,
            last=last,
            direction="rollback" if rollback else "apply",
            force=force,
        )
    typer.echo(text, nl=False)


@app.command()
def optional(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The file, for example roles. If not given: a list.")
    ] = None,
    dialect: DialectOption = None,
    database: DatabaseOption = None,
    only: OnlyOption = None,
    prefix: Annotated[
        str,
        typer.Option("--prefix", metavar="NAME", help="Call the roles NAME_app, NAME_reader and NAME_owner."),
    ] = "authsql",
) -> None:
    """Print SQL that needs more rights than a migration has: roles, and what schedules the purge.

    roles.sql gives rights on all that the migrations make. After `authsql migrate --only` name the same
    subjects here. Roles are a server's: where more than one of its databases has authsql, give those of each
    a prefix. No database is asked or changed.

    \b
    Examples:
        authsql optional --dialect postgres
        authsql optional roles --dialect postgres | psql -1 -v ON_ERROR_STOP=1 app
        authsql optional roles --dialect mysql --only sessions | mysql app
        authsql optional roles --dialect mysql --prefix shop | mysql shop
    """  # noqa: D301
    with expected():
        known = chosen_dialect(dialect, database)
        if name is None:
            for each, title in titles(known).items():
                typer.echo(f"{each:<15}  {title}")
        else:
            typer.echo(optional_text(known, name, only=only or (), prefix=prefix), nl=False)


@app.command()
def add(
    names: Annotated[
        list[str],
        typer.Argument(metavar="SUBJECT...", help="auth (all of it), or subjects: auth/session, otps."),
    ],
    into: Annotated[
        Path, typer.Option("--into", metavar="DIR", help="The folder to copy to; made if it is not there.")
    ] = Path("migrations"),
    dialect: DialectOption = None,
    database: DatabaseOption = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there and say something else.")
    ] = False,
) -> None:
    """Copy the migrations of a subject, and of all that it needs, into your own repository.

    They keep their names, so that yoyo, psql, mysql and `authsql migrate` agree on what is applied. What is
    there already and the same is left alone. No database is asked or changed.

    \b
    Examples:
        authsql add auth --dialect postgres
        authsql add auth/session --dialect mysql --into db/migrations
    """  # noqa: D301
    with expected():
        known = chosen_dialect(dialect, database)
        try:
            done = add_files(known, names, into, force=force)
        except FilesDiffer as error:
            stop(str(error), error.hint, 1)
        except OSError as error:
            stop(f"cannot write to {into}: {error.strerror}", None, 1)
    for copy in done:
        typer.echo(f"{copy.outcome:<9}  {copy.path}")
    scheme = "postgresql+psycopg" if known == "postgres" else "mysql+connector"
    only = "" if "auth" in names else "".join(f" --only {name}" for name in names)
    typer.echo(f"next: yoyo apply --database {scheme}://user:password@host/database {into}")
    typer.echo(f"  or: authsql migrate{only}")
