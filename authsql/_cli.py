"""The commands. What they do is elsewhere; here, and in the modules `_cli_*`, is what an operator reads and
answers.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import authsql
from authsql import _cli_doctor, _cli_inspect, _cli_mail, _cli_purge, _cli_script, migrations  # noqa: F401  # they add their commands
from authsql._cli_common import BreakLockOption, DatabaseOption, OnlyOption, app, expected
from authsql._migration_files import check_target, migration_files
from authsql._modules import select
from authsql._url import DatabaseURL, database_url
from authsql.migrations import MigrationStatus

__all__ = ["app"]


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
    only: OnlyOption = None,
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
        authsql migrate --only sessions
    """  # noqa: D301
    with expected():
        url = database_url(database)
        if dry_run:
            check_target(migration_files(DatabaseURL.parse(url).dialect), to)
            wanted = [
                m
                for m in migrations.status(url, only=only or ())
                if m.state == "interrupted" or (m.state == "pending" and (to is None or m.number <= to))
            ]
            for migration in wanted:
                verb = "finish" if migration.state == "interrupted" else "apply"
                typer.echo(f"would {verb} {_label(migration)}")
        else:
            wanted = migrations.migrate(
                url, target=to, only=only or (), progress=typer.echo, break_lock=break_lock
            )
        if not wanted:
            typer.echo("nothing to apply")


@app.command()
def status(
    database: DatabaseOption = None,
    only: OnlyOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """Show which migrations the database has. Exit status 1 if it lacks one.

    \b
    Examples:
        authsql status
        authsql status --only sessions
        authsql status --json | jq '.[] | select(.state != "applied")'
    """  # noqa: D301
    with expected():
        found = migrations.status(database_url(database), only=only or ())
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
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="SUBJECT", help="This subject, and all that needs it."),
    ] = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    break_lock: BreakLockOption = False,
) -> None:
    """Roll back migrations: those after number N, the last K, or those of a subject with all that needs it.
    That drops tables, with what is in them.

    \b
    Examples:
        authsql rollback --steps 1
        authsql rollback --to 8
        authsql rollback --only refresh_tokens
        authsql rollback --to 0 --yes
    """  # noqa: D301
    if [to is None, steps is None, not only].count(False) != 1:
        raise typer.BadParameter("give either --to N or --steps K, or --only SUBJECT")
    with expected():
        url = database_url(database)
        check_target(migration_files(DatabaseURL.parse(url).dialect), to)
        # Those that are shown, even if somebody rolls back some meanwhile: the last K are those after one.
        present = [m for m in reversed(migrations.status(url)) if m.state != "pending"]
        if only:
            chosen = {file.number for file in select(DatabaseURL.parse(url).dialect, only, dependents=True)}
            wanted = [m for m in present if m.number in chosen]
        elif steps is not None:
            wanted = present[:steps]
            to = max((m.number for m in present[steps:]), default=0)
        else:
            wanted = [m for m in present if to is None or m.number > to]
        if not wanted:
            typer.echo("nothing to roll back")
            return
        for migration in wanted:
            typer.echo(f"{_label(migration)}: {migration.loses}")
        if not yes:
            typer.confirm(f"Roll back {len(wanted)} of {DatabaseURL.parse(url)}?", abort=True)
        migrations.rollback(url, target=to, only=only or (), progress=typer.echo, break_lock=break_lock)


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

    with expected():
        code = _demo.run(database, keep)
    raise typer.Exit(code)


def _label(migration: MigrationStatus) -> str:
    return f"{migration.number:04}.{migration.name}"
