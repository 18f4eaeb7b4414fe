"""The commands. What they do is elsewhere; here is what an operator reads and answers.

What may be expected to fail is one line on stderr, and a hint if there is one: exit status 1, or 2 for wrong
use.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

import authsql
from authsql import maintenance, migrations
from authsql._explain import first_line, hint
from authsql._url import DatabaseURL, InvalidDatabaseURL, connect, database_url
from authsql.errors import AuthsqlError
from authsql.migrations import MigrationFailed, MigrationStatus

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


@app.callback(invoke_without_command=True)
def main(
    *, version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False
) -> None:
    """Keep the authentication storage in a PostgreSQL or MySQL database.

    \b
    Begin with:
        export AUTHSQL_DATABASE_URL=postgresql://user:password@localhost/app
        authsql migrate
    """  # noqa: D301
    if version:
        typer.echo(f"authsql {authsql.__version__}")
        raise typer.Exit


@app.command()
def migrate(
    database: DatabaseOption = None,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", min=0, help="Up to migration number N, not all.")
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be applied, and change nothing.")
    ] = False,
    break_lock: BreakLockOption = False,
) -> None:
    """Apply the migrations that the database does not have yet.

    A run that was killed is finished by the next one. Two at a time wait for each other.

    \b
    Examples:
        authsql migrate --dry-run
        authsql migrate -d mysql://app:secret@localhost/app
        authsql migrate --to 8
    """  # noqa: D301
    with _expected():
        url = database_url(database)
        if dry_run:
            wanted = [
                m
                for m in migrations.status(url)
                if m.state == "interrupted" or (m.state == "pending" and (to is None or m.number <= to))
            ]
            for migration in wanted:
                verb = "finish" if migration.state == "interrupted" else "apply"
                typer.echo(f"would {verb} {_label(migration)}")
        else:
            wanted = migrations.migrate(url, target=to, progress=typer.echo, break_lock=break_lock)
        if not wanted:
            typer.echo("nothing to apply")


@app.command()
def status(
    database: DatabaseOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """Show which migrations the database has. Exit status 1 if it lacks one.

    \b
    Examples:
        authsql status
        authsql status --json | jq '.[] | select(.state != "applied")'
    """  # noqa: D301
    with _expected():
        found = migrations.status(database_url(database))
    if as_json:
        typer.echo(
            json.dumps(
                [
                    {
                        "number": m.number,
                        "name": m.name,
                        "state": m.state,
                        "applied_at": m.applied_at.isoformat() if m.applied_at else None,
                    }
                    for m in found
                ],
                indent=2,
            )
        )
    else:
        table = Table("migration", "state", "applied at (UTC)")
        for migration in found:
            at = f"{migration.applied_at:%Y-%m-%d %H:%M:%S}" if migration.applied_at else ""
            table.add_row(_label(migration), migration.state, at)
        Console().print(table)
    if any(m.state in {"pending", "interrupted"} for m in found):
        raise typer.Exit(1)


@app.command()
def rollback(
    database: DatabaseOption = None,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", min=0, help="Those after number N; 0: all.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", metavar="K", min=1, help="The last K.")] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    break_lock: BreakLockOption = False,
) -> None:
    """Roll back migrations: those after number N, or the last K. That drops tables, with what is in them.

    \b
    Examples:
        authsql rollback --steps 1
        authsql rollback --to 8
        authsql rollback --to 0 --yes
    """  # noqa: D301
    if (to is None) is (steps is None):
        raise typer.BadParameter("give either --to N or --steps K")
    with _expected():
        url = database_url(database)
        present = [m for m in reversed(migrations.status(url)) if m.state != "pending"]
        wanted = present[:steps] if steps is not None else [m for m in present if to is None or m.number > to]
        if not wanted:
            typer.echo("nothing to roll back")
            return
        for migration in wanted:
            typer.echo(f"{_label(migration)}: {migration.loses}")
        if not yes:
            typer.confirm(f"Roll back {len(wanted)} of {DatabaseURL.parse(url)}?", abort=True)
        # Those that were shown, even if somebody rolled back some meanwhile.
        below = to if to is not None else max((m.number for m in present[len(wanted) :]), default=0)
        migrations.rollback(url, target=below, progress=typer.echo, break_lock=break_lock)


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
    with _expected(), contextlib.closing(connect(database_url(database))) as connection:
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
                more = not once and any(table.more for table in round_)
        for name, count in deleted.items():
            typer.echo(f"{name}: {count} deleted")


@app.command()
def demo(
    database: Annotated[
        str | None,
        typer.Option(
            "--database", "-d", metavar="URL", help="Use this database, not one made for the purpose."
        ),
    ] = None,
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the server, schema or database that was made.")
    ] = False,
) -> None:
    """Play the life of an account, and show what the database holds after each step.

    On a server of yours it works in a schema (PostgreSQL) or database (MySQL) of its own, and removes it.

    \b
    Examples:
        authsql demo
        authsql demo -d postgresql://localhost/scratch --keep
    """  # noqa: D301
    from authsql import _demo

    with _expected():
        code = _demo.run(database, keep)
    raise typer.Exit(code)


@contextlib.contextmanager
def _expected() -> Iterator[None]:
    """Turn what may be expected to fail into a line on stderr and an exit status."""
    try:
        yield
    except InvalidDatabaseURL as error:
        _stop(str(error), None, 2)
    except MigrationFailed as error:
        _stop(error.message, error.hint, 1)
    except AuthsqlError as error:
        _stop(str(error), hint(error.__cause__) if error.__cause__ else None, 1)
    except ValueError as error:
        _stop(str(error), None, 2)
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"psycopg", "mysql"}:
            raise
        _stop(first_line(error), hint(error), 1)


def _stop(message: str, advice: str | None, code: int) -> None:
    sys.stderr.write(f"authsql: {message}\n")
    if advice:
        sys.stderr.write(f"hint: {advice}\n")
    raise typer.Exit(code)


def _label(migration: MigrationStatus) -> str:
    return f"{migration.number:04}.{migration.name}"
