"""The command `authsql purge`."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from authsql import maintenance
from authsql._cli_common import DatabaseOption, app, expected
from authsql._url import connect, database_url


@app.command()
def purge(
    database: DatabaseOption = None,
    batch: Annotated[
        int,
        typer.Option(
            "--batch", metavar="N", min=1, max=1_000_000, help="Rows of a table in one transaction."
        ),
    ] = 10_000,
    *,
    once: Annotated[bool, typer.Option("--once", help="Delete one batch of each table, and stop.")] = False,
) -> None:
    """Delete what has expired.

    For a database without a scheduler of its own. What has expired is not accepted, purged or not.

    \b
    Examples:
        authsql purge
        */5 * * * * authsql purge --batch 5000      (crontab)
    """  # noqa: D301
    with expected(), contextlib.closing(connect(database_url(database))) as connection:
        total = sum(table.expired_rows for table in maintenance.backlog(connection))
        deleted: dict[str, int] = {}
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("purging", total=total)
            more = True
            while more:
                round_ = maintenance.purge(connection, batch=batch)
                for table in round_:
                    deleted[table.table_name] = deleted.get(table.table_name, 0) + table.deleted
                bar.update(task, advance=sum(table.deleted for table in round_))
                more = not once and any(table.deleted >= batch for table in round_)
        for name, count in deleted.items():
            typer.echo(f"{name}: {count} deleted")
