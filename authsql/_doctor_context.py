"""What the checks of `authsql.doctor` share: the database they look at, and what they find."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, final

from authsql import migrations
from authsql._explain import is_denied
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
    def _status(self) -> list[migrations.MigrationStatus] | None:
        if not self.may_see("authsql_schema_version"):
            return None
        try:
            return migrations.status(self.url)
        except migrations.MigrationFailed as error:
            if error.__cause__ and is_denied(error.__cause__):
                return None
            raise

    @property
    def knows_migrations(self) -> bool:
        """Whether the connected user may see which migrations the database has."""
        return self._status is not None

    @property
    def status(self) -> list[migrations.MigrationStatus]:
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
