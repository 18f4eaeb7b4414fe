"""Subjects of the schema, and what each of them needs: `sql/modules.toml`, put together with the files.

Each migration's `-- depends:` names the one before it, which is the order in which all of them are applied.
To apply some of them, one has to know which of the others they name: that is in the table.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from authsql._migration_files import MigrationFile, migration_files
from authsql._statements import Dialect, sql_root
from authsql.errors import AuthsqlError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALL = "auth"
"""All subjects together; also a prefix that may stand before one: auth/sessions."""


class UnknownModule(AuthsqlError, ValueError):
    """There is no subject of this name; the message lists those there are."""


@dataclass(frozen=True, slots=True)
class Modules:
    """What is where, by the names of migrations."""

    subjects: Mapping[str, tuple[str, ...]]
    """The migrations of each subject, in their order."""
    needs: Mapping[str, frozenset[str]]
    """The migrations that each migration needs, directly."""

    def find(self, asked: str) -> str:
        """Return the subject that a user means: sessions, session, auth/session. Raises UnknownModule."""
        name = asked.strip().lower().replace("-", "_").removeprefix(f"{ALL}/")
        for subject in self.subjects:
            if name in {subject, _singular(subject)}:
                return subject
        known = ", ".join(self.subjects)
        raise UnknownModule(f"there is no subject {asked!r}; known are {ALL} (all of them), {known}")

    def named(self, asked: Iterable[str]) -> set[str]:
        """Return the migrations of the subjects asked for, without what they need. Raises UnknownModule."""
        found: set[str] = set()
        for one in asked:
            subjects = self.subjects if one.strip().lower() == ALL else [self.find(one)]
            found.update(*(self.subjects[subject] for subject in subjects))
        return found

    def closure(self, names: Iterable[str]) -> set[str]:
        """Return these migrations with all that they need."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self.needs[name])
        return found

    def dependents(self, names: Iterable[str]) -> set[str]:
        """Return these migrations with all that need them."""
        given = set(names)
        return {name for name in self.needs if self.closure([name]) & given}


@cache
def modules(dialect: Dialect) -> Modules:
    """Read the table. Raises ValueError if it names a migration that there is not."""
    return among([file.name for file in migration_files(dialect)])


def among(names: list[str]) -> Modules:
    """The same for the migrations of these names, in their order, whose files are not looked at."""
    return build(names, tomllib.loads((sql_root() / "modules.toml").read_text(encoding="utf-8")))


def build(names: list[str], table: Mapping[str, Mapping[str, object]]) -> Modules:
    """Put the table together with the migrations there are, in their order."""
    if strangers := table.keys() - set(names):
        raise ValueError(f"modules.toml names migrations that there are not: {sorted(strangers)}")
    subjects: dict[str, tuple[str, ...]] = {}
    needs: dict[str, frozenset[str]] = {}
    for position, name in enumerate(names):
        row = table.get(name, {})
        before = names[:position]
        wanted = row.get("needs", before)
        if not isinstance(wanted, list) or not set(wanted) <= set(before):
            raise ValueError(f"modules.toml: {name} can need those before it alone, and needs {wanted}")
        needs[name] = frozenset(wanted)
        subject = str(row.get("subject", name))
        subjects[subject] = (*subjects.get(subject, ()), name)
    return Modules(subjects, needs)


def select(
    dialect: Dialect, only: Iterable[str], *, needed: bool = True, dependents: bool = False
) -> tuple[MigrationFile, ...]:
    """Return the files of some subjects in their order; with what they need, or with what needs them.

    No subject means all. Raises UnknownModule.
    """
    files, asked = migration_files(dialect), list(only)
    if not asked:
        return files
    table = modules(dialect)
    names = table.named(asked)
    if dependents:
        names = table.dependents(names)
    elif needed:
        names = table.closure(names)
    return tuple(file for file in files if file.name in names)


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
