"""How the demo is shown: titles, calls, outcomes and tables, in a terminal and in a pipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, ParamSpec, TypeVar
from uuid import UUID

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from authsql._operation import Operation, PooledConnection, SyncConnection
from authsql.errors import AuthsqlError
from authsql.models import Reason, Refusal

P = ParamSpec("P")
R = TypeVar("R")

WIDTH = 100
"""No wider than this, however wide the terminal is."""
_INDENT = 4
_ABREAST = 7
"""A table with more columns than this is shown with a line for each."""


class NotAsAnnounced(Exception):
    """A step had another outcome. What comes after it would be nonsense."""


@dataclass(frozen=True)
class Name:
    """A value that a call is shown with under its name: it is a secret, or says nothing."""

    text: str
    value: object


class Stage:
    """Prints the demo."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.number = 0
        self._names: list[Name] = []
        is_utf = console.encoding.lower().startswith("utf")
        self._right, self._wrong = ("✓", "✗") if is_utf else ("ok:", "WRONG:")

    def opening(self, lines: Sequence[str]) -> None:
        """Say where the demo plays."""
        self.console.print(Text("authsql demo: the life of an account", style="bold"))
        for line in lines:
            self.note(line)

    def step(self, title: str, about: str = "") -> None:
        """Begin a step."""
        self.number += 1
        self.console.print()
        self.console.print(Text(f"{self.number:2}  {title}", style="bold cyan"))
        if about:
            self._indented(Text(about, style="dim"))

    def note(self, line: str) -> None:
        """Print a remark."""
        for one in Text(line, style="dim").wrap(self.console, self.console.width):
            one.rstrip()
            self.console.print(one, soft_wrap=True)

    def line(self, line: str) -> None:
        """Print what a step says while it goes on."""
        self._indented(Text(line, style="dim"))

    def mail(self, to: str, text: str) -> None:
        """Show the mail that an application would send."""
        self._indented(
            Panel(Text(text), title=f"mail to {to}", title_align="left", box=box.ROUNDED, expand=False)
        )

    def name(self, text: str, value: object) -> None:
        """From here on show this value under this name."""
        self._names.insert(0, Name(text, value))

    def call(
        self,
        conn: SyncConnection | PooledConnection,
        result: str,
        op: Operation[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Print a call of an operation as a line of Python, and make it."""
        name = self._code(f"{result} = ", op, args, kwargs)
        try:
            return op(conn, *args, **kwargs)
        except AuthsqlError as error:
            self.other(f"an answer of {name}", f"{type(error).__name__}: {error}")

    def raises(
        self,
        conn: SyncConnection | PooledConnection,
        error: type[AuthsqlError],
        announced: str,
        op: Operation[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Print a call of an operation as a line of Python, and make it: it is to raise this error."""
        self._code("", op, args, kwargs)
        found: object
        try:
            found = op(conn, *args, **kwargs)
        except AuthsqlError as raised:
            found = raised
        self.check(isinstance(found, error), f"raises {error.__name__}: {announced}", found)

    def time_passes(self, statement: str) -> None:
        """Say that a statement of demo.sql moves rows into the past."""
        self._indented(Text(f"# instead of waiting: {statement} of queries/demo.sql", style="italic dim"))

    def check(self, is_so: bool, announced: str, found: object = None) -> None:
        """Print that a step had the outcome announced. Raises NotAsAnnounced if it had not."""
        if not is_so:
            self.other(announced, _told(found))
        self._indented(Text(f"{self._right} {announced}", style="green"))

    def granted(self, found: R | Refusal, announced: str) -> R:
        """Print that something was granted, and return it."""
        if isinstance(found, Refusal):
            self.other(announced, _told(found))
        self.check(bool(found), announced, found)
        return found

    def refused(self, found: object, reason: Reason, announced: str) -> Refusal:
        """Print that something was refused for this reason."""
        if not isinstance(found, Refusal) or found.reason is not reason:
            self.other(announced, _told(found))
        self.check(True, f"{_told(found)}: {announced}")
        return found

    def other(self, announced: str, found: str) -> NoReturn:
        """Print that a step had another outcome than the one announced."""
        self._indented(Text(f"{self._wrong} announced: {announced}\n  but it was: {found}", style="bold red"))
        raise NotAsAnnounced

    def table(self, title: str, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """Print what a table holds. Times are told from the database's clock."""
        if not rows:
            self._indented(Text(f"{title}: no row", style="dim"))
            return
        names = list(rows[0])
        self._indented(Text(title, style="dim"))
        shown = Table(box=box.ROUNDED, border_style="dim")
        if len(names) <= _ABREAST:
            for name in names:
                shown.add_column(Text(name, style="dim"), overflow="fold")
            for row in rows:
                shown.add_row(*(_cell(row[name], now) for name in names))
        else:
            shown.show_header = False
            shown.add_column(style="dim")
            for _ in rows:
                shown.add_column(overflow="fold")
            for name in names:
                shown.add_row(name, *(_cell(row[name], now) for row in rows))
        self._indented(shown)

    def commands(self, title: str, ways: Sequence[tuple[str, str]]) -> None:
        """Print commands, each on a line of its own that can be copied."""
        self.console.print()
        self.console.print(Text(title, style="bold"))
        for purpose, command in ways:
            self.console.print(Text(f"  {purpose:7} {command}"), soft_wrap=True)

    def ending(self, sentence: str, is_right: bool) -> None:
        """Print how it went."""
        self.console.print()
        self.console.print(Text(sentence, style="bold green" if is_right else "bold red"))

    def _code(
        self, head: str, op: Operation[..., object], args: Sequence[object], kwargs: Mapping[str, object]
    ) -> str:
        """Print a call; what is too long for a line goes on in the next."""
        name = f"{op.__module__.rpartition('.')[2]}.{op.__name__}"
        pieces = ["conn", *map(self._value, args), *(f"{k}={self._value(v)}" for k, v in kwargs.items())]
        lines, line = [], f"{head}{name}("
        for number, argument in enumerate(pieces, 1):
            piece = argument + (")" if number == len(pieces) else ", ")
            if len(line) + len(piece.rstrip()) > self.console.width - _INDENT:
                lines.append(line.rstrip())
                line = "    "
            line += piece
        for one in [*lines, line]:
            self._python(one)
        return name

    def _value(self, value: object) -> str:
        for name in self._names:
            if type(name.value) is type(value) and name.value == value:
                return name.text
        return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)

    def _python(self, line: str) -> None:
        text = Syntax("", "python", theme="ansi_dark", background_color="default").highlight(line)
        text.rstrip()
        self.console.print(Text(" " * _INDENT) + text, soft_wrap=True)

    def _indented(self, what: Text | Table | Panel) -> None:
        if isinstance(what, Text):
            for line in what.wrap(self.console, self.console.width - _INDENT):
                line.rstrip()
                self.console.print(Text(" " * _INDENT) + line, soft_wrap=True)
        else:
            self.console.print(Padding(what, (0, 0, 0, _INDENT), expand=False))


def _told(found: object) -> str:
    """An answer in short, without a secret."""
    if isinstance(found, Refusal):
        more = {"attempts_left": found.attempts_left, "detail": found.detail}
        told = [found.reason.name, *(f"{k}={v!r}" for k, v in more.items() if v is not None)]
        return f"Refusal({', '.join([*told, *(['retry_at=...'] if found.retry_at else [])])})"
    return repr(found)


def _cell(value: object, now: datetime) -> Text:
    match value:
        case None:
            return Text("NULL", style="dim")
        case datetime():
            return Text(_when((value - now).total_seconds()))
        case UUID():
            return Text(str(value))
        case bool():
            return Text(str(value).lower())
        case _:
            return Text(str(value))


def _when(seconds: float) -> str:
    """A time as a distance from now."""
    size = abs(seconds)
    if size < 5:
        return "now"
    unit, length = next(
        (u, n) for u, n in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)) if size >= 2 * n or n == 1
    )
    return f"in {round(size / length)} {unit}" if seconds > 0 else f"{round(size / length)} {unit} ago"
