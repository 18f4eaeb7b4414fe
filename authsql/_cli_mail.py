"""The command `authsql mail`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from authsql import outbox
from authsql._cli_common import DatabaseOption, app, expected, stop
from authsql._url import DatabaseURL, connect, database_url
from authsql._watch import repeat, stopped_by_signals
from authsql.errors import InvalidInput
from authsql.keyring import Keyring, read_keyring
from authsql.models import Delivery
from authsql.smtp import Smtp

_SMTP, _FROM, _KEYS = "AUTHSQL_SMTP_URL", "AUTHSQL_MAIL_FROM", "AUTHSQL_KEYRING"


@app.command()
def mail(
    database: DatabaseOption = None,
    smtp: Annotated[
        str | None,
        typer.Option(
            "--smtp",
            metavar="URL",
            help="smtp://user:password@host:587 (STARTTLS), smtps://user:password@host:465 (TLS), or"
            f" smtp+plain://host:25 for a relay on this machine. If not given: {_SMTP}. Who looks at the"
            " list of processes sees what is given here.",
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="ADDRESS", help=f'"Example <no-reply@example.org>". If not given: {_FROM}.'
        ),
    ] = None,
    keyring_file: Annotated[
        Path | None,
        typer.Option(
            "--keyring-file",
            metavar="FILE",
            help="Keys that the mail is encrypted under, NAME:KEY a line, the current one first. If not"
            f" given: {_KEYS}, the same with commas.",
        ),
    ] = None,
    *,
    batch: Annotated[
        int, typer.Option("--batch", metavar="N", min=1, max=1000, help="Mails taken at a time.")
    ] = 20,
    every: Annotated[
        int | None,
        typer.Option("--every", metavar="SECONDS", min=1, max=3600, help="With --watch: 5 if not given."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, until SIGINT (Ctrl-C) or SIGTERM.")] = False,
) -> None:
    """Send the mail that waits in the outbox.

    Any number may run at a time: each mail is taken by one. A line for each says its id, its template and
    how it went, never what it says. Exit status 1 if a mail could not be sent; it is tried again later, and
    given up when it is of no use any more. With --watch, a batch that is under way when the signal comes is
    finished, and a connection to the database that is lost is made again.

    \b
    Examples:
        authsql mail --smtp smtps://mail.example.org --from no-reply@example.org
        authsql mail --watch --every 2
        * * * * * authsql mail --batch 100      (crontab)
    """  # noqa: D301
    if every is not None and not watch:
        raise typer.BadParameter("--every needs --watch")
    with expected():
        url = database_url(database)
        send = Smtp.from_url(_setting("mail server", "--smtp", smtp, _SMTP))
        origin = _setting("sender", "--from", sender, _FROM)
        ring = _keyring(keyring_file)
        deliver = partial(outbox.deliver, sender=origin, keyring=ring, batch=batch, progress=typer.echo)
        if watch:
            _watch(url, lambda connection: deliver(connection, send), every or 5)
            return
        with contextlib.closing(connect(url)) as connection:
            total = Delivery()
            while taken(done := deliver(connection, send)):
                total = _sum(total, done)
            total = _sum(total, done)
        typer.echo(_told(total), err=True)
    if total.postponed or total.failed:
        raise typer.Exit(1)


def taken(done: Delivery) -> int:
    """How many mails a batch had."""
    return done.sent + done.postponed + done.failed


def _watch(url: str, deliver: Callable[[Any], Delivery], every: int) -> None:
    total = Delivery()

    def work(connection: Any) -> bool:
        nonlocal total
        done = deliver(connection)
        total = _sum(total, done)
        return taken(done) > 0

    with stopped_by_signals() as asked:
        typer.echo(f"sending the mail of {DatabaseURL.parse(url)}, a look every {every} s", err=True)
        repeat(url, work, every=every, stop=asked, say=partial(typer.echo, err=True))
    typer.echo(f"stopped: {_told(total)}", err=True)


def _sum(one: Delivery, other: Delivery) -> Delivery:
    return Delivery(
        one.sent + other.sent,
        one.postponed + other.postponed,
        one.failed + other.failed,
        one.expired + other.expired,
    )


def _told(total: Delivery) -> str:
    sent, rest = f"{total.sent} sent", f"{total.postponed} postponed, {total.failed} failed"
    return f"{sent}, {rest}, {total.expired} expired unsent"


def _setting(what: str, option: str, given: str | None, variable: str) -> str:
    found = given or os.environ.get(variable)
    if not found:
        raise InvalidInput(f"which {what}? Give {option}, or set {variable}")
    return found


def _keyring(file: Path | None) -> Keyring:
    text = os.environ.get(_KEYS)
    if file is not None:
        try:
            text = file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            # What is in it is not told: it may be a key.
            raise InvalidInput(f"cannot read the keyring file: {type(error).__name__}") from None
    if not text:
        raise InvalidInput(f"which keys? Give --keyring-file, or set {_KEYS}")
    try:
        return read_keyring(text)
    except ImportError:
        stop("mail needs some more packages: pip install 'authsql[mail]'", None, 2)
