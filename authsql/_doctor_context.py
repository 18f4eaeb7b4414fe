"""What the checks of `authsql.doctor` share: the database they look at, and what they find."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, final

from authsql import _checksums
from authsql._explain import is_denied
from authsql._migration_run import MigrationFailed
from authsql._mysql_grants import database_rights
from authsql._statements import Dialect, statements
from authsql._url import DatabaseURL


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    INFO = "info"
    """Worth knowing; may be meant so."""
    WARNING = "warning"
    """Works, and should be seen to."""
    ERROR = "error"
    """Something does not work, or not as it should."""


def listed(names: Sequence[str]) -> str:
    """Names in words, the first of them."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    """What was looked at: server, driver, tls, clock, session, files, migrations, catalog, ..."""
    severity: Severity
    message: str
    advice: str | None = None
    """What to do about it."""


@final
@dataclass(frozen=True, slots=True)
class Migration:
    """A migration, as a database has it. That its files are there is not needed to tell."""

    number: int
    name: str
    state: Literal["applied", "pending", "interrupted", "unknown"]
    """As in `authsql.migrations.MigrationStatus`."""

    @property
    def id(self) -> str:
        return f"{self.number:04}.{self.name}"


@dataclass
class Context:
    """A database that is looked at."""

    url: str
    target: DatabaseURL
    connection: Any

    @property
    def dialect(self) -> Dialect:
        return self.target.dialect

    def ask(self, name: str) -> list[dict[str, Any]]:
        """Run a named statement; its rows by column."""
        with contextlib.closing(self.connection.cursor()) as cursor:
            cursor.execute(statements(self.dialect)[name].text)
            # MySQL writes those of its information_schema in capitals.
            columns = [column[0].lower() for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    @cached_property
    def server(self) -> dict[str, Any]:
        return self.ask("doctor.server")[0]

    @cached_property
    def _status(self) -> list[Migration] | None:
        if not self.may_see("authsql_schema_version"):
            return None
        known = _checksums.migrations(self.dialect)
        recorded: dict[int, str] = {}
        interrupted: set[str] = set()
        try:
            if "authsql_schema_version" in self.tables:
                recorded = {row["version"]: row["name"] for row in self.ask("migrations.recorded")}
            if self.dialect == "mysql" and "_authsql_progress" in self.tables:
                interrupted = {row["migration"] for row in self.ask("migrations.progress")}
        except Exception as error:
            if is_denied(error):
                return None
            raise
        for number in known.keys() & recorded.keys():
            if known[number] != recorded[number]:
                raise MigrationFailed(
                    f"migration {number} of this database is {recorded[number]!r},"
                    f" and {known[number]!r} in this version of authsql"
                )
        status = [
            Migration(number, name, "applied" if number in recorded else "pending")
            for number, name in known.items()
        ]
        return [replace(m, state="interrupted") if m.id in interrupted else m for m in status] + [
            Migration(number, recorded[number], "unknown")
            for number in sorted(recorded.keys() - known.keys())
        ]

    @property
    def knows_migrations(self) -> bool:
        """Whether the connected user may see which migrations the database has."""
        return self._status is not None

    @property
    def status(self) -> list[Migration]:
        return self._status or []

    @property
    def applied(self) -> list[str]:
        """Names of the migrations that the database has and this version of authsql knows."""
        return [m.name for m in self.status if m.state == "applied"]

    @cached_property
    def tables(self) -> set[str]:
        return {str(next(iter(row.values()))) for row in self.ask("migrations.tables")}

    def may_see(self, table: str) -> bool:
        """Whether a table would show, if it is there: MySQL shows none to who has no right on it."""
        return self.dialect == "postgres" or table in self.tables or "SELECT" in self.grants

    @cached_property
    def grants(self) -> set[str]:
        """MySQL: the rights on the whole database, in capitals; ALL PRIVILEGES counts as each of them."""
        return database_rights(self.granted, self.target.database or "")

    @cached_property
    def granted(self) -> list[str]:
        """MySQL: what SHOW GRANTS tells."""
        return [str(next(iter(row.values()))) for row in self.ask("doctor.rights")]
