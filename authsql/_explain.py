"""What a driver's error means for whoever runs a command: its first line, and a hint where one helps.

Codes tell it, so no driver is imported: MySQL's `errno` and PostgreSQL's `sqlstate`.
"""

from __future__ import annotations

_MISSING_RIGHT = "the database user lacks a right: sql/README.md lists those that migrations need"
_GONE = "the connection was lost: run the command again, and it goes on where this one stopped"
_EXISTS = (
    "an object of that name is there already, and nothing tells that authsql made it: look at it."
    " If a part of the migration was applied by hand or by a yoyo that was killed, complete it,"
    " or undo it by the rollback file"
)

HINTS: dict[int | str, str] = {
    # MySQL
    1044: f"{_MISSING_RIGHT} (EVENT and CREATE ROUTINE among them)",
    1142: _MISSING_RIGHT,
    1143: _MISSING_RIGHT,
    1227: _MISSING_RIGHT,
    1370: _MISSING_RIGHT,
    1419: (
        "the server writes a binary log, where a trigger or a function needs more rights: have its"
        " administrator run SET PERSIST log_bin_trust_function_creators = 1, or migrate as a user with SUPER"
    ),
    1050: _EXISTS,
    1304: _EXISTS,
    1359: _EXISTS,
    1537: _EXISTS,
    1449: (
        "the account that migrated was dropped, and this runs with its rights: see `authsql doctor`, and"
        ' sql/README.md, "MySQL definers"'
    ),
    1356: (
        "the account that migrated lacks a right, and this runs with its rights: see `authsql doctor`, and"
        ' sql/README.md, "MySQL definers"'
    ),
    1205: "another session holds a lock for too long: see SHOW PROCESSLIST",
    2006: _GONE,
    2013: _GONE,
    2055: _GONE,
    # PostgreSQL
    "42501": _MISSING_RIGHT,
    "3F000": "no schema is chosen to create in: does the first one of search_path exist?",
    "42P07": _EXISTS,
    "42710": _EXISTS,
    "42723": _EXISTS,
    "55P03": "another session holds a lock: see pg_stat_activity",
    "57014": "a time-out of the server or the database user ended it: statement_timeout",
    "57P01": _GONE,
    "08006": _GONE,
}

# The connection does not answer any more: nothing can be said about the last statement, nor undone.
_LOST = {1053, 1927, 2006, 2013, 2055, 4031, "57P01", "57P02", "57P03", "08006", "08003"}

# A table, a column, a routine, a database.
_DENIED = {1142, 1143, 1370, 1044, "42501"}


def code(error: BaseException) -> int | str | None:
    """The number (MySQL) or SQLSTATE (PostgreSQL) of a driver's error, None if it has none."""
    number: int | None = getattr(error, "errno", None)
    state: str | None = getattr(error, "sqlstate", None)
    return number if number not in (None, -1) else state


def hint(error: BaseException) -> str | None:
    """What to do about an error, None if there is nothing to add to its text."""
    found = code(error)
    return None if found is None else HINTS.get(found)


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection is gone."""
    return code(error) in _LOST


def is_denied(error: BaseException) -> bool:
    """Tell whether the user lacks a right."""
    return code(error) in _DENIED


def first_line(error: BaseException) -> str:
    """What the server said, without the lines that quote the statement."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
