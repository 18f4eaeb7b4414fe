"""The command `authsql purge`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from authsql import maintenance
from authsql._cli_common import DatabaseOption, app, expected
from authsql._url import DatabaseURL, connect, database_url
from authsql._watch import stopped_by_signals
from authsql._watch import watch as run_watch
from authsql.errors import SchemaMissing
from authsql.models import Backlog, Purged


@app.command()
def purge(
    database: DatabaseOption = None,
    batch: Annotated[
        int,
        typer.Option(
            "--batch", metavar="N", min=1, max=1_000_000, help="Rows of a table in one transaction."
        ),
    ] = 10_000,
    every: Annotated[
        int | None,
        typer.Option("--every", metavar="SECONDS", min=1, max=86_400, help="With --watch: 60 if not given."),
    ] = None,
    *,
    once: Annotated[bool, typer.Option("--once", help="Delete one batch of each table, and stop.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, until SIGINT (Ctrl-C) or SIGTERM.")] = False,
) -> None:
    """Delete what has expired.

    For a database without a scheduler of its own. What has expired is not accepted, purged or not.

    With --watch, a batch that is under way when the signal comes is finished, and the exit status is 0. A
    connection that is lost is made again, after 1 to 60 seconds.

    \b
    Examples:
        authsql purge
        authsql purge --watch --every 30
        */5 * * * * authsql purge --batch 5000      (crontab)
    """  # noqa: D301
    if watch and once:
        raise typer.BadParameter("give either --once or --watch")
    if every is not None and not watch:
        raise typer.BadParameter("--every needs --watch")
    with expected():
        if watch:
            _watch(database_url(database), batch, every or 60)
        else:
            _purge(database_url(database), batch, once=once)


def _purge(url: str, batch: int, *, once: bool) -> None:
    with contextlib.closing(connect(url)) as connection:
        deleted: dict[str, int] = {}
        with _progress() as bar:
            task = bar.add_task("purging", total=_expired(connection))
            more = True
            while more:
                round_ = maintenance.purge(connection, batch=batch)
                for table in round_:
                    deleted[table.table_name] = deleted.get(table.table_name, 0) + table.deleted
                bar.update(task, advance=sum(table.deleted for table in round_))
                more = not once and any(table.more for table in round_)
        for name, count in deleted.items():
            typer.echo(f"{name}: {count} deleted")


def _watch(url: str, batch: int, every: int) -> None:
    deleted = 0
    with stopped_by_signals() as stop, _progress() as bar:
        # What is printed goes above it.
        task = bar.add_task(f"purging every {every} s", total=None)

        def begin(connection: Any) -> None:
            # Counted for the bar alone.
            if not bar.disable:
                bar.reset(task, total=_expired(connection))

        def done(tables: Sequence[Purged]) -> None:
            nonlocal deleted
            count = sum(table.deleted for table in tables)
            deleted += count
            bar.update(task, advance=count)
            for table in tables:
                if table.deleted:
                    now = datetime.now(UTC)
                    typer.echo(f"{now:%Y-%m-%dT%H:%M:%SZ} {table.table_name}: {table.deleted} deleted")

        typer.echo(f"purging {DatabaseURL.parse(url)} every {every} s", err=True)
        say = partial(typer.echo, err=True)
        run_watch(url, batch=batch, every=every, stop=stop, done=done, say=say, begin=begin)
    typer.echo(f"stopped: {deleted} deleted", err=True)


def _expired(connection: Any) -> int | None:
    """How many rows a purge would delete now: the total of a bar, which pulses without one."""
    try:
        waiting: tuple[Backlog, ...] = maintenance.backlog(connection)
    except SchemaMissing:
        # The view need not be there, where only some subjects are. What purges says itself what it lacks.
        return None
    return sum(table.expired_rows for table in waiting)


def _progress() -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
