"""The command `authsql doctor`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from authsql import doctor as doctors
from authsql._cli_common import DatabaseOption, app, expected
from authsql._url import database_url
from authsql.doctor import Finding, Severity

_STYLE = {
    Severity.OK: "green",
    Severity.INFO: "cyan",
    Severity.WARNING: "yellow",
    Severity.ERROR: "bold red",
}


@app.command()
def doctor(
    database: DatabaseOption = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit status 1 for a warning, too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings and errors only.")] = False,
) -> None:
    """Look a database over, and change nothing: server, driver, TLS, clocks, migrations and their files, each
    object of the catalog, scheduler and backlog of the purge, rights, owners, who else can read a hash.

    Exit status: 0 if there is no error, 1 if there is one (with --strict, or a warning), 2 for wrong use. It
    prints no secret.

    \b
    Examples:
        authsql doctor
        authsql doctor --quiet --strict
        authsql doctor --json | jq '.[] | select(.severity == "error")'
    """  # noqa: D301
    with expected():
        findings = doctors.examine(database_url(database))
    shown = [f for f in findings if not quiet or f.severity in {Severity.WARNING, Severity.ERROR}]
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(finding) for finding in shown], indent=2))
    elif shown:
        _show(shown)
    failing = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if any(finding.severity in failing for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    table = Table("", "check", "finding", pad_edge=False)
    for finding in findings:
        # A name from the catalog is no markup.
        told = Text(finding.message)
        if finding.advice:
            told.append(f"\n-> {finding.advice}", style="dim")
        table.add_row(Text(finding.severity, style=_STYLE[finding.severity]), finding.check, told)
    Console().print(table)
