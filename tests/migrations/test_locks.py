"""The header of a migration says what it locks: of the tables there were before it, these and no others."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest

from authsql._catalog import expected
from authsql._statements import Dialect
from authsql.migrations import migrate
from tests.migrations.support import files, path
from tests.servers import Database, rows

# The modes that make others wait, the strongest first. The weaker ones are for everybody all the time.
WORDS = {
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ShareLock": "SHARE",
}
AUDITED = "the eight audited tables"
EIGHT = [
    "authsql_users",
    "authsql_passwords",
    "authsql_identities",
    "authsql_otps",
    "authsql_sessions",
    "authsql_roles",
    "authsql_user_roles",
    "authsql_role_permissions",
]
# The server lets it wait for who has read, until the end of the reader's transaction. Other locks show as
# pending, too, for the moment in which they are given.
WAITED_FOR = (
    "SELECT object_name FROM performance_schema.metadata_locks"
    " WHERE object_schema = DATABASE() AND object_type = 'TABLE' AND lock_status = 'PENDING'"
    " AND lock_type = 'EXCLUSIVE'"
)
NUMBERS = range(11, len(files("postgres")) + 1)


def header(dialect: Dialect, number: int) -> str:
    """What stands there after `Locks:`."""
    text = path(dialect, files(dialect)[number - 1], "apply").read_text(encoding="utf-8")
    comment = " ".join(line.removeprefix("--").strip() for line in text.split("\n\n")[0].splitlines())
    found = re.search(r"Locks: (.*?) (?:Needs|Rollback)", comment)
    assert found, comment
    return found[1].replace(AUDITED, ", ".join(EIGHT))


def replaced_views(number: int) -> set[str]:
    """Those that were there before. Who reads from one holds its tables, too, so that is not tried out."""
    names = [file.name for file in files("mysql")]
    before, after = (expected("mysql", names[:last]) for last in (number - 1, number))
    views = {key for key in before if key.startswith("view ")}
    return {key.removeprefix("view ") for key in views if before[key] != after.get(key)}


def named(said: str) -> set[str]:
    return set(re.findall(r"authsql_\w+", said))


@pytest.mark.only("postgres")
def test_postgres(empty_database: Database) -> None:
    """Each is applied in a transaction that is looked at before it is committed."""
    migrate(empty_database.url, target=10)
    wrong = []
    for number in NUMBERS:
        said = header("postgres", number)
        with psycopg.connect(empty_database.url) as conn:
            before = {row[0] for row in rows(conn, "SELECT oid FROM pg_class WHERE relkind IN ('r', 'v')")}
            text = path("postgres", files("postgres")[number - 1], "apply").read_bytes()
            conn.execute(text)
            locks = rows(
                conn,
                "SELECT c.oid, c.relname, l.mode FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation"
                " WHERE l.pid = pg_backend_pid() AND l.mode = ANY (%s) AND l.granted",
                (list(WORDS),),
            )
            # Not even before it is committed does a session's validation wait for it.
            with psycopg.connect(empty_database.url, options="-c lock_timeout=5s") as visitor:
                visitor.execute("SELECT user_id FROM authsql_sessions WHERE id = %s", (UUID(int=1),))
        held: dict[str, set[str]] = {}
        for oid, name, mode in locks:
            if oid in before:
                held.setdefault(name, set()).add(WORDS[mode])
        strongest = {min(modes, key=list(WORDS.values()).index) for modes in held.values()}
        told = set(re.findall(r"ACCESS EXCLUSIVE|SHARE ROW EXCLUSIVE|SHARE(?! ROW)", said))
        if set(held) != named(said) or not strongest <= told <= set().union(*held.values()):
            wrong.append(f"{number}: {said!r}: {held}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.only("mysql")
def test_mysql(empty_database: Database) -> None:
    """Each is applied while somebody reads from every table, until it has waited for that one."""
    migrate(empty_database.url, target=10)
    looking = empty_database.connect()
    wrong = []
    for number in NUMBERS:
        said = named(header("mysql", number))
        tables = [row[0] for row in rows(looking, "SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")]
        readers = {}
        for table in tables:
            # Written to by every migration, as all that yoyo keeps.
            if table.startswith("authsql_") and table != "authsql_schema_version":
                readers[table] = empty_database.connect(autocommit=False)
                rows(readers[table], f"SELECT 1 FROM {table} LIMIT 1")
        waited = set()
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(migrate, empty_database.url, target=number)
            try:
                while not run.done():
                    for (table,) in rows(looking, WAITED_FOR):
                        if table in readers:
                            waited.add(table)
                            readers.pop(table).close()
            finally:
                for reader in readers.values():
                    reader.close()
            run.result(60)
        waited |= replaced_views(number)
        if waited != said:
            wrong.append(f"{number}: {sorted(said)}: {sorted(waited)}")
    assert not wrong, "\n".join(wrong)
