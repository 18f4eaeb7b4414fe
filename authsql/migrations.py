"""Apply the migrations, roll them back, and tell which a database has.

yoyo does that too, with the same files and the same books; use whichever you like. This runner adds what yoyo
lacks: a run that was killed at any moment is finished by the next one, and what a DBA applied with psql or
mysql is known.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from authsql._explain import first_line, hint
from authsql._migration_files import check_target
from authsql._migration_journal import JournalledRun
from authsql._migration_lock import run_lock
from authsql._migration_run import MigrationFailed, MigrationLocked, Record, Run
from authsql._modules import UnknownModule, select
from authsql._url import ConnectionFailed, DatabaseURL, DriverMissing, InvalidDatabaseURL
from authsql._yoyo import open_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from authsql._migration_files import MigrationFile

__all__ = [
    "ConnectionFailed",
    "DriverMissing",
    "InvalidDatabaseURL",
    "MigrationFailed",
    "MigrationLocked",
    "MigrationStatus",
    "UnknownModule",
    "migrate",
    "rollback",
    "status",
]


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration, as a database has it."""

    number: int
    name: str
    applied_at: datetime | None
    state: Literal["applied", "pending", "interrupted", "unknown"]
    """`interrupted`: a killed run left a part of it (MySQL), which the next run finishes. `unknown`: a later
    version of authsql applied it."""
    loses: str
    """What its rollback does to the data, in words."""


def migrate(
    url: str,
    *,
    target: int | None = None,
    only: Iterable[str] = (),
    progress: Callable[[str], None] | None = None,
    break_lock: bool = False,
) -> list[MigrationStatus]:
    """Apply the migrations that a database lacks, up to number `target`, and return those that were applied.

    `only` names subjects (`sessions`): those are applied, with all that they need. `progress` is told what
    goes on, a line at a time. Another run that is under way is waited for. `break_lock` removes the lock that
    a killed stock yoyo left. Raises MigrationFailed, MigrationLocked, ConnectionFailed, DriverMissing,
    InvalidDatabaseURL, or UnknownModule.
    """
    wanted = _wanted(url, only)
    with _run(url, progress, break_lock=break_lock) as run:
        check_target(run.files, target)
        run.check_database()
        done = []
        interrupted = run.finish_interrupted()
        if interrupted is not None and interrupted[1] == "apply":
            done.append(interrupted[0])
        run.reconcile()
        recorded = run.recorded()
        for file in run.files:
            if (
                file.number not in recorded
                and file.number in wanted
                and (target is None or file.number <= target)
            ):
                run.perform(file, "apply")
                done.append(file)
        recorded = run.recorded()
        return [_status(file, recorded) for file in done]


def rollback(
    url: str,
    *,
    target: int | None = None,
    steps: int | None = None,
    only: Iterable[str] = (),
    progress: Callable[[str], None] | None = None,
    break_lock: bool = False,
) -> list[MigrationStatus]:
    """Roll back the migrations after number `target`, or the last `steps`, or those of some subjects (`only`)
    with all that need them; return them.

    That drops their tables, with what is in them. Otherwise the same as `migrate`.
    """
    asked = list(only)
    if [target is None, steps is None, not asked].count(False) != 1:
        raise ValueError("give either target or steps, or only")
    chosen = _wanted(url, asked, dependents=True)
    with _run(url, progress, break_lock=break_lock) as run:
        check_target(run.files, target)
        done = []
        interrupted = run.finish_interrupted()
        if interrupted is not None and interrupted[1] == "rollback":
            done.append(interrupted[0])
        run.reconcile()
        recorded = run.recorded()
        unknown = recorded.keys() - {file.number for file in run.files}
        if unknown:
            raise MigrationFailed(
                f"this version of authsql does not have migration {max(unknown)}, which the database has",
                "use the version of authsql that applied it",
            )
        present = [file for file in reversed(run.files) if file.number in recorded and file.number in chosen]
        wanted = present[: max(0, steps - len(done))] if steps is not None else present
        for file in wanted:
            if target is None or file.number > target:
                run.perform(file, "rollback")
                done.append(file)
        return [_status(file, {}) for file in done]


def status(url: str, *, only: Iterable[str] = ()) -> list[MigrationStatus]:
    """Tell of each migration whether the database has it; of those of some subjects and what they need, if
    `only` names some. Changes nothing. Raises what `migrate` raises.
    """
    asked = list(only)
    wanted = _wanted(url, asked)
    with _connected(url, None) as run:
        recorded = run.recorded()
        progress = run.progress()
        interrupted = progress.migration if progress else None
        known = [_status(file, recorded, interrupted) for file in run.files if file.number in wanted]
        strangers = recorded.keys() - {file.number for file in run.files} if not asked else set[int]()
        return known + [
            MigrationStatus(number, recorded[number].name, recorded[number].applied_at, "unknown", "")
            for number in sorted(strangers)
        ]


@contextlib.contextmanager
def _connected(url: str, progress: Callable[[str], None] | None) -> Iterator[Run]:
    target = DatabaseURL.parse(url)
    kind = JournalledRun if target.dialect == "mysql" else Run
    with open_backend(target) as backend:
        try:
            yield kind(target, backend, progress or _silent)
        except backend.driver.Error as error:
            raise MigrationFailed(first_line(error), hint(error)) from error


@contextlib.contextmanager
def _run(url: str, progress: Callable[[str], None] | None, *, break_lock: bool) -> Iterator[Run]:
    with _connected(url, progress) as run, run_lock(run, break_lock=break_lock):
        try:
            yield run
        except MigrationFailed:
            # Of a lost connection, the first error tells more.
            with contextlib.suppress(run.backend.driver.Error):
                run.close()
            raise
        run.close()


def _wanted(url: str, only: Iterable[str], *, dependents: bool = False) -> set[int]:
    files = select(DatabaseURL.parse(url).dialect, only, dependents=dependents)
    return {file.number for file in files}


def _status(
    file: MigrationFile, recorded: dict[int, Record], interrupted: str | None = None
) -> MigrationStatus:
    record = recorded.get(file.number)
    state: Literal["applied", "pending", "interrupted"] = "applied" if record else "pending"
    if file.id == interrupted:
        state = "interrupted"
    return MigrationStatus(file.number, file.name, record.applied_at if record else None, state, file.loses)


def _silent(_: str) -> None:
    """Progress that nobody listens to."""
