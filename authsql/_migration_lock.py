"""The lock of a run of migrations: held by a connection, so that it ends with a run that is killed.

A stock yoyo is kept out as well, by the row that it looks for. That row is never committed: it, too, ends
with the connection. What is committed there is the lock of a stock yoyo, which outlives it if it is killed.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from authsql._migration_run import MigrationLocked, Run, execute
from authsql._url import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL = 0.2
"""Seconds between two tries."""
PATIENCE = 10.0
"""Seconds to wait for a stock yoyo: so long do two of them wait for each other."""


@contextlib.contextmanager
def run_lock(run: Run, *, break_lock: bool) -> Iterator[None]:
    """Hold the lock, for which another run is waited for.

    Raises MigrationLocked if a stock yoyo does not give way.
    """
    guard = connect(run.url)
    try:
        execute(guard, run.text("keep_guard"))
        guard.autocommit = False
        broken = not break_lock
        said, given_up_at = "", time.monotonic() + PATIENCE
        while True:
            why = "waiting for another migration run"
            if execute(guard, run.text("lock_run"))[0][0][0]:
                run.prepare()
                if not broken:
                    run.query("break_yoyo_lock")
                    broken = True
                if execute(guard, run.text("hold_yoyo_lock"), {"pid": os.getpid()})[1]:
                    break
                holder = run.query("yoyo_lock_holder")
                if holder and time.monotonic() > given_up_at:
                    raise _locked(*holder[0])
                why = "waiting for a yoyo"
            # Another run, and the yoyo that wants to remove its row, must not wait for a lock of ours.
            guard.rollback()
            if why != said:
                run.say(why)
                said = why
            time.sleep(POLL)
        yield
    finally:
        with contextlib.suppress(run.backend.driver.Error):
            guard.rollback()
        guard.close()


def _locked(process: int, seconds: int) -> MigrationLocked:
    return MigrationLocked(
        f"yoyo locked this database {_age(seconds)} ago (process {process}, wherever it ran)",
        "if that process is gone, it was killed: run again with --break-lock",
    )


def _age(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{seconds // 60} minutes" if seconds < 7200 else f"{seconds // 3600} hours"
