"""What SHOW GRANTS of MySQL tells, read: rights everywhere, on a database, a table, its columns, a routine.

It tells those of active roles as well, put together with the account's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from authsql._rights import DATABASE, WHOLE, Rights, plain, plus, verbs

MIGRATING = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"),
    *("TRIGGER", "EVENT", "CREATE_VIEW", "CREATE_ROUTINE"),
)
"""What migrations need on a MySQL database: sql/README.md. A space in a right is a _ here."""

# In quotes, a name may hold anything; two in a row stand for the quote itself.
_QUOTED = r'`[^`]*`|"[^"]*"'
_NAME = rf"(?:{_QUOTED})+|[\w$*]+"
_GRANT = re.compile(
    rf"""(GRANT|REVOKE) ((?:[^`"]|{_QUOTED})+?) ON (?:(TABLE|FUNCTION|PROCEDURE) )?"""
    rf"({_NAME})\.({_NAME}) (?:TO|FROM) "
)
_ALL = "ALL_PRIVILEGES"
_OF_TABLES = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER"),
    *("CREATE_VIEW", "SHOW_VIEW", "TRIGGER"),
)
_OF_ROUTINES = ("EXECUTE", "ALTER_ROUTINE")
_USING = ("SELECT", "INSERT", "UPDATE", "DELETE")
# To see how a view is made is no right too many.
_HARMLESS = {"USAGE", "SHOW_VIEW"}


@dataclass(frozen=True, slots=True)
class _Grant:
    """One line of it."""

    revoked: bool
    verbs: dict[str, frozenset[str]]
    """As in MIGRATING."""
    is_routine: bool
    database: str
    """As it is written: for rights on all of a database this is a pattern."""
    name: str

    def covers(self, database: str) -> bool:
        """Whether it is about a whole database: this one, or every one."""
        pattern = self.database == "*" or _like(self.database, database)
        return self.name == "*" and (self.database == database if self.revoked else pattern)


def _grants(texts: Iterable[str]) -> Iterator[_Grant]:
    for text in texts:
        # A role that is granted, or a proxy, does not match: there is no object.
        if found := _GRANT.match(text):
            given = {verb.replace(" ", "_"): columns for verb, columns in verbs(found[2]).items()}
            if text.endswith(" WITH GRANT OPTION"):
                given["GRANT_OPTION"] = WHOLE
            is_routine = found[3] in {"FUNCTION", "PROCEDURE"}
            yield _Grant(found[1] == "REVOKE", given, is_routine, plain(found[4]), plain(found[5]))


def everywhere(texts: Iterable[str]) -> set[str]:
    """The rights on every database of the server, as in MIGRATING."""
    found = [grant for grant in _grants(texts) if grant.database == "*"]
    return {verb for grant in found for verb in grant.verbs}


def database_rights(texts: Iterable[str], database: str) -> set[str]:
    """The rights on the whole of a database, as in MIGRATING. ALL PRIVILEGES counts as each of them."""
    found: set[str] = set()
    lost: set[str] = set()
    for grant in _grants(texts):
        if grant.covers(database):
            (lost if grant.revoked else found).update(grant.verbs)
    if "ALL_PRIVILEGES" in found:
        found |= {*MIGRATING, "SHOW_VIEW", "EXECUTE", "ALTER_ROUTINE"}
    return found - lost


def account_rights(texts: Iterable[str], database: str, objects: Iterable[str]) -> Rights:
    """The rights in a database; of one on all of it, those on each of the objects. A routine's name ends in
    ().
    """
    lines = list(texts)
    found: dict[tuple[str, str], frozenset[str]] = {}
    whole = database_rights(lines, database)
    for name in objects:
        used = {"EXECUTE"} if name.endswith("()") else set(_USING)
        found |= {(name, verb): WHOLE for verb in whole & used}
    rest = whole & {*MIGRATING, "ALTER_ROUTINE", "GRANT_OPTION"} - set(_USING)
    found |= {(DATABASE, verb): WHOLE for verb in rest}
    here = [grant for grant in _grants(lines) if grant.database == database and grant.name != "*"]
    each = plus(found, *(_of(grant) for grant in here if not grant.revoked))
    return {(name, verb.replace("_", " ")): columns for (name, verb), columns in each.items()}


def _of(grant: _Grant) -> Rights:
    given = dict(grant.verbs)
    if given.pop(_ALL, None):
        given |= dict.fromkeys(_OF_ROUTINES if grant.is_routine else _OF_TABLES, WHOLE)
    name = f"{grant.name}()" if grant.is_routine else grant.name
    return {(name, verb): columns for verb, columns in given.items() if verb not in _HARMLESS}


def _like(pattern: str, name: str) -> bool:
    """Whether a database's name matches, where % and _ stand for others, but for those after a backslash."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    text = "".join(wild.get(part) or re.escape(part.removeprefix("\\") or part) for part in parts)
    return re.fullmatch(text, name, re.DOTALL) is not None
