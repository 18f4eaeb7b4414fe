"""The command `authsql inspect`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from authsql._cli_common import DatabaseOption, app, expected
from authsql._inspect import look, parameters
from authsql._url import DatabaseURL, connect, database_url


@app.command()
def inspect(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="users, sessions, otps, backlog, migrations.")],
    database: DatabaseOption = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, max=100_000, help="At most so many rows.")
    ] = 50,
    user: Annotated[
        str | None, typer.Option("--user", "-u", metavar="EMAIL", help="Of one account only.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """Show what the views say: accounts, live sessions, pending codes, the backlog of the purge.

    No secret is shown, nor a hash of one. Times are UTC. Exit status 2 for what there is not.
    Nothing is cut: on a terminal that is too narrow for a table, each row is a block of lines; in a pipe or
    a file, the table is as wide as it has to be.

    \b
    Examples:
        authsql inspect users --limit 20
        authsql inspect sessions --user ada@example.org
        authsql inspect backlog --json
    """  # noqa: D301
    lacking = (
        "authsql_reader may look: GRANT authsql_reader TO the user, or ask as one who has it (sql/README.md)"
    )
    with expected(lacking=lacking):
        url = DatabaseURL.parse(database_url(database))
        taken = parameters(url.dialect, what, limit=limit, user=user)
        with contextlib.closing(connect(url)) as connection:
            rows = look(connection, what, taken)
    if as_json:
        typer.echo(json.dumps([dict(row) for row in rows], indent=2, default=_json))
    elif rows:
        _show(rows)
        if len(rows) == limit:
            typer.echo(f"{limit} rows; there may be more: --limit")
    else:
        typer.echo("nothing there")


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table, or a block for each row where a terminal is too narrow for it. Nothing is cut."""
    table = Table(pad_edge=False)
    for name in rows[0]:
        table.add_column(Text(name), no_wrap=True)
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row.values()))
    # As wide as it wants to be, wherever it goes.
    needed = Measurement.get(endless := Console(width=1_000_000), endless.options, table).maximum
    if not sys.stdout.isatty() or needed <= Console().width:
        Console(width=needed).print(table)
        return
    margin = max(map(len, rows[0]))
    for number, row in enumerate(rows, 1):
        typer.echo(f"-- {number} --")
        for name, value in row.items():
            # The terminal folds what is longer than a line.
            typer.echo(f"{name:<{margin}}  {_shown(value)}".rstrip())


def _shown(value: Any) -> str:
    """A value for the eye. What somebody else wrote must not steer the terminal."""
    if isinstance(value, datetime):
        return f"{_utc(value):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "" if value is None else str(value)
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _json(value: Any) -> str:
    return _utc(value).isoformat() if isinstance(value, datetime) else str(value)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
