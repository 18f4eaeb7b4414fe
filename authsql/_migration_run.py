"""One run of migrations over one connection: PostgreSQL's kind, where a migration is a transaction.

Everything of a migration, yoyo's bookkeeping included, is committed at once or not at all. MySQL's kind,
which needs a journal for that, is in `_migration_journal.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from authsql._explain import first_line, hint
from authsql._migration_files import Direction, MigrationFile, migration_files
from authsql._statements import statements
from authsql.errors import AuthsqlError

if TYPE_CHECKING:
    from authsql._url import DatabaseURL

Say: TypeAlias = Callable[[str], None]

_DOING: dict[Direction, str] = {"apply": "applying", "rollback": "rolling back"}


class MigrationFailed(AuthsqlError):
    """A migration or what belongs to it failed. No migration is half done, unless the message says so."""

    def __init__(self, message: str, advice: str | None = None) -> None:
        super().__init__(f"{message}\nHint: {advice}" if advice else message)
        self.message = message
        self.hint = advice
        """What to do about it, if there is anything to say."""


class MigrationLocked(MigrationFailed):
    """A yoyo has the lock, and may have left it when it was killed."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of authsql_schema_version."""

    name: str
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a migration had come when its run was killed."""

    migration: str
    direction: Direction
    done: int


def execute(
    connection: Any, text: str, parameters: Mapping[str, Any] | None = None
) -> tuple[list[tuple[Any, ...]], int]:
    """Run one statement on a connection of either driver. Return its rows and how many rows it touched."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(text, *([parameters] if parameters else []))
        return (list(cursor.fetchall()) if cursor.description else []), cursor.rowcount


class Run:
    """Applies and rolls back migrations, and keeps yoyo's books. `backend` is a yoyo backend."""

    def __init__(self, url: DatabaseURL, backend: Any, say: Say) -> None:
        self.url = url
        self.backend = backend
        self.say = say
        self.files = migration_files(url.dialect)
        self._statements = statements(url.dialect)

    def query(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Run a named statement of `queries/migrations.sql`."""
        return execute(self.backend.connection, self.text(name), parameters)[0]

    def text(self, name: str) -> str:
        """The text of such a statement."""
        return self._statements[f"migrations.{name}"].text

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is done inside, or roll it back."""
        self.backend.begin()
        try:
            yield
        except BaseException:
            # Of a lost connection, the first error tells more.
            with contextlib.suppress(self.backend.driver.Error):
                self.backend.rollback()
            raise
        self.backend.commit()

    @contextlib.contextmanager
    def unit(self) -> Iterator[None]:
        """Open a transaction that no other connection's work on migrations runs beside."""
        with self.transaction():
            self.query("lock_work")
            yield

    def prepare(self) -> None:
        """Create yoyo's tables where they are missing."""
        with self.unit():
            tables = self.tables()
            if self.backend.lock_table not in tables:
                self.backend.execute(self.backend.format_sql(self.backend.create_lock_table_sql))
            if self.backend.migration_table in tables and self.backend.version_table not in tables:
                raise MigrationFailed(
                    "the tables of yoyo are of a version before 6.0",
                    "run `yoyo list` once, which upgrades them",
                )
            self.backend.ensure_internal_schema_updated()

    def tables(self) -> set[str]:
        """The tables and views that are there."""
        return set(self.backend.list_tables())

    def check_database(self) -> None:
        """Raise MigrationFailed if what would be made in this database would not work."""
        encoding = self.backend.connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise MigrationFailed(
                f"the database has the encoding {encoding}, and authsql needs UTF8",
                "make one by CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'",
            )

    def recorded(self) -> dict[int, Record]:
        """The migrations that this database has by its own account, whoever applied them."""
        if "authsql_schema_version" not in self.tables():
            return {}
        found = {number: Record(name, _utc(at)) for number, name, at in self.query("recorded")}
        for file in self.files:
            if file.number in found and found[file.number].name != file.name:
                raise MigrationFailed(
                    f"migration {file.number} of this database is {found[file.number].name!r},"
                    f" and {file.name!r} in this version of authsql"
                )
        return found

    def progress(self) -> Progress | None:
        """What a killed run left unfinished: nothing, where a migration is a transaction."""
        return None

    def finish_interrupted(self) -> tuple[MigrationFile, Direction] | None:
        """Finish what a killed run left unfinished, and tell what it was."""
        return None

    def reconcile(self) -> None:
        """Make yoyo's books agree with the database's: psql and mysql write only the latter."""
        with self.unit():
            recorded = self.recorded()
            marked = set(self.backend.get_applied_migration_hashes())
            for file in self.files:
                if file.number in recorded and file.hash not in marked:
                    self.say(f"{file.id} was applied by other means: marking it for yoyo")
                    self.backend.mark_one(file)
                elif file.number not in recorded and file.hash in marked:
                    self.say(f"{file.id} was rolled back by other means: unmarking it for yoyo")
                    self.backend.unmark_one(file)

    def perform(self, file: MigrationFile, direction: Direction) -> None:
        """Apply a migration or roll it back. Raises MigrationFailed."""
        self.announce(file, direction)
        with self.unit():
            # The run before was killed, but the server had all of its last transaction and committed it just
            # now.
            if (file.number in self.recorded()) is not (direction == "apply"):
                for position, text in enumerate(file.statements(direction)):
                    try:
                        execute(self.backend.connection, text)
                    except self.backend.driver.Error as error:
                        raise self.failure(file, direction, position, error) from error
            self.book(file, direction)

    def book(self, file: MigrationFile, direction: Direction) -> None:
        """Write into yoyo's books that a migration was applied or rolled back."""
        is_marked = file.hash in self.backend.get_applied_migration_hashes()
        if direction == "apply" and not is_marked:
            self.backend.log_migration(file, "apply")
            self.backend.mark_one(file, log=False)
        elif direction == "rollback" and is_marked:
            self.backend.log_migration(file, "rollback")
            self.backend.unmark_one(file, log=False)

    def announce(self, file: MigrationFile, direction: Direction) -> None:
        """Say what is done now."""
        self.say(f"{_DOING[direction]} {file.id}")

    def failure(
        self, file: MigrationFile, direction: Direction, position: int, error: Exception, note: str = ""
    ) -> MigrationFailed:
        """Describe the failure of one statement."""
        texts = file.statements(direction)
        begins = next((line for line in texts[position].splitlines() if line and line[:2] != "--"), "")
        where = f"{_DOING[direction]} {file.id} failed at statement {position + 1} of {len(texts)}"
        return MigrationFailed(f"{where} ({begins.rstrip('(; ')}): {first_line(error)}{note}", hint(error))

    def close(self) -> None:
        """Leave nothing behind."""


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
