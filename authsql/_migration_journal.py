"""A run of migrations where each DDL statement commits by itself (MySQL): it keeps a journal of what is done.

The table _authsql_progress says how many statements of a migration are done. The statement after them may
have been done too, when its run was killed before it could write that down: there, and only there, "it exists
already" means done.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from authsql._explain import code, is_denied, is_lost
from authsql._migration_run import MigrationFailed, Progress, Record, Run, execute

if TYPE_CHECKING:
    from authsql._migration_files import Direction, MigrationFile

_TABLE = "_authsql_progress"
_BACK: dict[Direction, Direction] = {"apply": "rollback", "rollback": "apply"}

# Errors that a statement meets if it was done before, by what it does: a table, column, index, trigger,
# routine, event, foreign key or check that is there already, or is not there any more.
_IS_THERE = frozenset({1050, 1060, 1061, 1304, 1359, 1537, 1826, 3822})
_IS_GONE = frozenset({1051, 1091, 1146, 1305, 1360, 1539, 3821, 3940})
_DONE_BEFORE = {
    "CREATE": _IS_THERE,
    "DROP": _IS_GONE,
    "ALTER": _IS_THERE | _IS_GONE,
    "RENAME": _IS_THERE | _IS_GONE,
}
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*(\w*)", re.DOTALL)


class _StatementFailed(Exception):
    def __init__(self, position: int, error: Exception) -> None:
        super().__init__(position, error)
        self.position = position
        self.error = error


class JournalledRun(Run):
    """Applies and rolls back statement by statement, and goes on where a killed run stopped."""

    def check_database(self) -> None:
        """Nothing: each table has its own character set here."""

    def recorded(self) -> dict[int, Record]:
        """The migrations that this database has by its own account, whoever applied them."""
        found = super().recorded()
        if not found:
            # MySQL shows no table that one has no right on. Whether one is there, it tells only who may know.
            try:
                self.query("recorded")
            except self.backend.driver.Error as error:
                if is_denied(error):
                    raise
        return found

    def progress(self) -> Progress | None:
        """What a killed run left unfinished."""
        if _TABLE not in self.tables():
            return None
        rows = self.query("progress")
        return Progress(*rows[0]) if rows else None

    def finish_interrupted(self) -> tuple[MigrationFile, Direction] | None:
        """Go on with what a killed run left unfinished, and tell what it was."""
        progress = self.progress()
        if progress is None:
            return None
        file = next((file for file in self.files if file.id == progress.migration), None)
        if file is None:
            raise MigrationFailed(
                f"{progress.migration} was interrupted, and this version of authsql does not have it"
            )
        self.say(f"{file.id} was interrupted after {progress.done} statements")
        direction, done = progress.direction, progress.done
        recorded = file.number in self.recorded()
        # Its record is the last thing that a migration writes, and the first that its rollback removes. If it
        # is not as the journal has it, somebody completed or undid the migration by hand.
        expected = done == (len(file.apply) if direction == "apply" else 0)
        if recorded is not expected:
            return file, self._end(file, "apply" if recorded else "rollback")
        self.announce(file, direction)
        return file, self._go_on(file, direction, done, interrupted=True)

    def perform(self, file: MigrationFile, direction: Direction) -> None:
        """Apply a migration or roll it back. Raises MigrationFailed."""
        self.announce(file, direction)
        if _TABLE not in self.tables():
            self.query("create_progress")
        self.query("begin_progress", migration=file.id, direction=direction)
        self._go_on(file, direction, 0, interrupted=False)

    def close(self) -> None:
        """Drop the journal if nothing is in progress."""
        if _TABLE in self.tables() and self.progress() is None:
            self.query("drop_progress")

    def _go_on(self, file: MigrationFile, direction: Direction, done: int, *, interrupted: bool) -> Direction:
        """Do what is left of a migration. If that fails, undo it, and raise what failed."""
        try:
            self._walk(file, direction, done, interrupted=interrupted)
        except _StatementFailed as failed:
            raise self._undo(file, direction, failed) from failed.error
        return self._end(file, direction)

    def _walk(self, file: MigrationFile, direction: Direction, done: int, *, interrupted: bool) -> None:
        texts = file.statements(direction)
        for position in range(done, len(texts)):
            try:
                # A transaction for the sake of INSERT and its like. DDL ends it, and the journal is written
                # right after.
                with self.transaction():
                    execute(self.backend.connection, texts[position])
                    self.query("advance_progress", migration=file.id, done=position + 1)
            except self.backend.driver.Error as error:
                if not (interrupted and position == done and _was_done_before(texts[position], error)):
                    raise _StatementFailed(position, error) from error
                self.query("advance_progress", migration=file.id, done=position + 1)

    def _undo(self, file: MigrationFile, direction: Direction, failed: _StatementFailed) -> MigrationFailed:
        """Undo what was done of a migration whose next statement failed, by the statements paired with it."""
        if is_lost(failed.error):
            return self.failure(file, direction, failed.position, failed.error)
        back = _BACK[direction]
        start = len(file.statements(back)) - failed.position
        try:
            self.query("turn_progress", migration=file.id, direction=back, done=start)
            self._walk(file, back, start, interrupted=False)
            self.query("end_progress", migration=file.id)
        except (_StatementFailed, self.backend.driver.Error):
            note = (
                "; undoing the statements before it failed too, which the next run goes on with."
                f" If you undo them by hand, drop the table {_TABLE} as well"
            )
            return self.failure(file, direction, failed.position, failed.error, note)
        return self.failure(file, direction, failed.position, failed.error)

    def _end(self, file: MigrationFile, direction: Direction) -> Direction:
        with self.transaction():
            self.book(file, direction)
            self.query("end_progress", migration=file.id)
        return direction


def _was_done_before(text: str, error: Exception) -> bool:
    """Tell whether the error means that the statement had been done when its run was killed."""
    word = _FIRST_WORD.match(text)
    return word is not None and code(error) in _DONE_BEFORE.get(word[1].upper(), frozenset())
