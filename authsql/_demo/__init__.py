"""The command `authsql demo`: the life of an account, played on a database made for the purpose.

`place` is where it plays, `life` what happens, `stage` how it is shown.
"""

from __future__ import annotations

import contextlib

from rich.console import Console

from authsql._demo.life import play
from authsql._demo.place import Embedded, Schema, ended_by_signals
from authsql._demo.stage import WIDTH, Stage


def run(database: str | None, keep: bool) -> int:
    """Play the demo and return the exit status: 0 if every step had the outcome that it announces, else 1.

    Without a database, on an embedded PostgreSQL; on a server of the user's, in a schema (PostgreSQL) or
    database (MySQL) of its own. What was made is removed at the end, whatever the end is, or is left with
    `keep`. Raises AuthsqlError, or the driver's error, where there is nothing to play on.
    """
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH)
    stage = Stage(console)
    with ended_by_signals(), contextlib.ExitStack() as ending:
        place = Embedded(keep) if database is None else Schema(database)
        stage.opening(place.about)
        place.open()
        ending.callback(_close, stage, place, keep)
        done = play(stage, place)
    return 0 if done else 1


def _close(stage: Stage, place: Embedded | Schema, keep: bool) -> None:
    if keep:
        stage.commands(f"--keep: {place.what} was left.", place.ways())
        return
    place.remove()
    stage.note(f"{place.what} was removed. `--keep` would leave it, to look around in.")
