"""Runs `migrate` or `rollback` in child processes, and kills each one after another statement, until one
comes through.

    python killed_runs.py URL migrate [TARGET]
    python killed_runs.py URL rollback TARGET

A child is killed after the first statement that none was killed after before: told by its text, by the
statement of a migration that went before it, and by how often it was sent since. So each child comes further
than the last, and the chain of them passes every statement: of the migrations, of the journal and locks, and
of yoyo's books. None of them may take back what another did: a statement of the other direction ends the
chain as a failure. Prints how many children there were. A process of its own, as one with threads and
connections should not fork.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import traceback
from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg
from mysql.connector.connection import MySQLConnection
from mysql.connector.connection_cext import CMySQLConnection

from authsql import _migration_lock, migrations
from authsql._migration_files import Direction, migration_files
from authsql._statements import statements
from authsql._url import DatabaseURL

if TYPE_CHECKING:
    from collections.abc import Callable

    from authsql._statements import Dialect

Label = tuple[str, str, int]


class Killer:
    """Ends this process after a statement that is not in `survived`, once it told which one it was."""

    def __init__(
        self, survived: set[Label], last: str, direction: Direction, dialect: Dialect, pipe: int
    ) -> None:
        self._survived = survived
        self._pipe = pipe
        self._before = last
        self._last = ""
        self._wrote = False
        self._count: Counter[str] = Counter()
        files = migration_files(dialect)
        back: Direction = "rollback" if direction == "apply" else "apply"
        # Of the many comments on an object, all of one transaction, one kill tells what each would.
        self._texts = {
            text for file in files for text in file.statements(direction) if not text.startswith("COMMENT ON")
        }
        # A later migration may put back what an earlier one's rollback does, word for word.
        everything = {text for file in files for text in file.statements(direction)}
        self._wrong = {text for file in files for text in file.statements(back)} - everything

    def before(self, statement: object) -> None:
        if _text(statement) in self._wrong:
            sys.stderr.write(f"what was done is undone: {_text(statement)}\n")
            sys.stderr.flush()
            os._exit(1)

    def after(self, statement: object) -> None:
        text = _text(statement)
        if text in self._texts:
            self._last = text
            self._count.clear()
        # What differs between two runs, such as a time, is no other statement.
        words = text.split()
        kind = text if text in self._texts else " ".join(words[:3])
        self._count[kind] += not (kind.startswith("COMMENT ON") and self._count[kind])
        # Before its first statement of a migration, a child takes locks and looks around, the same each time.
        # Once it writes there, it goes on with the books of the child before.
        if words[0] in {"INSERT", "UPDATE", "DELETE", "DROP", "CREATE"} and "yoyo_lock" not in text:
            self._wrote = True
        label = (self._last or (self._before if self._wrote else ""), kind, self._count[kind])
        if label not in self._survived:
            os.write(self._pipe, repr(label).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, method: str, fixed: str | None = None) -> None:
        """Replace a method whose first argument is a statement."""
        original: Callable[..., Any] = getattr(owner, method)

        def watched(instance: Any, *arguments: Any, **options: Any) -> Any:
            self.before(fixed or arguments[0])
            try:
                return original(instance, *arguments, **options)
            finally:
                self.after(fixed or arguments[0])

        setattr(owner, method, watched)


def _text(statement: object) -> str:
    return statement.decode() if isinstance(statement, bytes | bytearray) else str(statement)


def child(command: Callable[[], object], killer: Killer) -> None:
    killer.watch(psycopg.Cursor, "execute")
    for kind in (CMySQLConnection, MySQLConnection):
        killer.watch(kind, "cmd_query")
    killer.watch(CMySQLConnection, "commit", "COMMIT")
    command()


def main(url: str, what: str, *target: str) -> None:
    dialect = DatabaseURL.parse(url).dialect
    direction: Direction = "apply" if what == "migrate" else "rollback"
    number = int(target[0]) if target else None

    def command() -> object:
        return (
            migrations.migrate(url, target=number)
            if what == "migrate"
            else migrations.rollback(url, target=number)
        )

    # Read once, and not by each child.
    migration_files(dialect)
    statements(dialect)
    # The server may need a moment to see that the last child is gone.
    _migration_lock.POLL = 0.01
    survived: set[Label] = set()
    children, last = 0, ""
    while True:
        children += 1
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(reading)
            try:
                child(command, Killer(survived, last, direction, dialect, writing))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
        _, status = os.waitpid(process, 0)
        if os.WIFEXITED(status):
            sys.stdout.write(f"{children}\n")
            sys.exit(os.WEXITSTATUS(status))
        label = ast.literal_eval(told.decode())
        assert label not in survived
        last = label[0]
        survived.add(label)


if __name__ == "__main__":
    main(*sys.argv[1:])
