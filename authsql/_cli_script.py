"""The commands `authsql script` and `authsql add`: migrations for who applies them by other means."""

from __future__ import annotations

from typing import Annotated

import typer

from authsql._cli_common import DatabaseOption, DialectOption, OnlyOption, app, chosen_dialect, expected
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
