"""A run that is killed with SIGKILL, at any statement, is finished by the next, and no lock is left."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

from authsql.migrations import migrate, rollback, status
from tests.catalog import YOYO, catalog
from tests.migrations.support import ROOT, environment, files, numbers, run, yoyo_list
from tests.servers import Database, Server, rows


def kill_at_each_statement(database: Database, *arguments: str) -> int:
    """Let it be killed at one statement after the other; return how often it was."""
    # Without TLS, of which each of hundreds of connections would pay 40 ms.
    url = database.url + ("?ssl_disabled=true" if database.dialect == "mysql" else "")
    done = run("tests/migrations/killed_runs.py", url, *arguments, timeout=120)
    assert done.returncode == 0, done.stderr
    return int(done.stdout) - 1


def test_killed_at_any_statement_it_converges(server: Server, empty_database: Database) -> None:
    with server.empty() as other:
        migrate(other.url)
        expected = catalog(other.connect())
        rollback(other.url, target=2)
        expected_two = catalog(other.connect())
    # Comments on objects are passed over: see killed_runs.py.
    applied = [text for file in files(empty_database.dialect) for text in file.apply]
    statements = sum(not text.startswith("COMMENT ON") for text in applied)

    kills = kill_at_each_statement(empty_database, "migrate", "2")
    conn = empty_database.connect()
    rows(conn, "INSERT INTO authsql_users (email, name) VALUES ('Ann@example.org', 'Ann')")
    kills += kill_at_each_statement(empty_database, "migrate")
    assert kills > statements
    assert catalog(conn) == expected
    assert rows(conn, "SELECT u.email, r.role FROM authsql_users AS u, authsql_user_roles AS r") == [
        ("Ann@example.org", "user")
    ]
    assert set(yoyo_list(empty_database).values()) == {"A"}

    assert kill_at_each_statement(empty_database, "rollback", "2") > len(files(empty_database.dialect))
    assert catalog(conn) == expected_two
    assert rows(conn, "SELECT email FROM authsql_users") == [("Ann@example.org",)]
    assert sum(state == "A" for state in yoyo_list(empty_database).values()) == 2

    kill_at_each_statement(empty_database, "rollback", "0")
    assert not any(catalog(conn).values())
    assert {row[0] for row in catalog(conn, without=frozenset())["tables"]} == YOYO


def test_killed_while_the_server_works(empty_database: Database) -> None:
    """At a random moment, so that the server may be in the middle of a statement and go on with it."""
    chance = random.Random(1)
    command = [
        sys.executable,
        "-c",
        "import sys; from authsql.migrations import migrate; migrate(sys.argv[1])",
    ]
    killed = 0
    for _ in range(8):
        process = subprocess.Popen([*command, empty_database.url], cwd=ROOT, env=environment())
        # It takes 0.2 s to load, and then as much or more to run.
        time.sleep(0.2 + chance.random() * 0.4)
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    migrate(empty_database.url)
    everything = [file.number for file in files(empty_database.dialect)]
    assert killed
    assert numbers(empty_database.connect()) == everything
    assert [migration.state for migration in status(empty_database.url)] == ["applied"] * len(everything)
    rollback(empty_database.url, target=0)
    assert not any(catalog(empty_database.connect()).values())
