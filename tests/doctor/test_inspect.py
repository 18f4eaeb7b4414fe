"""`authsql inspect`: the views as tables and as JSON, without a secret."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from authsql import otps, sessions, users
from authsql._inspect import subjects
from authsql._statements import DIALECTS
from tests.migrations.test_cli import command
from tests.roles import as_role
from tests.servers import Database, rows
from tests.support import KEY


@pytest.fixture
def populated(database: Database) -> Database:
    conn = database.connect()
    for email in ("ada@example.org", "José@example.org"):
        user = users.create(conn, email, name="Ada [red]L[/red]")
        assert sessions.create(conn, user.id, device="laptop")
        assert otps.issue(conn, email, "signin", key=KEY)
    # Written by hand, past what the library lets in.
    rows(conn, "UPDATE authsql_sessions SET device = %s", ("lap\x1b[31mtop\x07",))
    return database


def shown(database: Database, *arguments: str) -> list[dict[str, Any]]:
    done = command("inspect", *arguments, "--json", database=database)
    assert (done.exit_code, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_users(populated: Database) -> None:
    newest, oldest = shown(populated, "users")
    assert (newest["email"], oldest["email"]) == ("José@example.org", "ada@example.org")
    assert UUID(newest["user_id"]).version == 7
    assert newest["state"] == "unverified"
    assert newest["roles"] == "user"
    assert newest["active_sessions"] == 1
    created = datetime.fromisoformat(newest["created_at"])
    assert created.utcoffset() is not None
    assert [row["email"] for row in shown(populated, "users", "--user", "JOSÉ@EXAMPLE.ORG")] == [
        newest["email"]
    ]
    assert len(shown(populated, "users", "--limit", "1")) == 1
    assert shown(populated, "users", "--user", "nobody@example.org") == []


def test_sessions_and_codes(populated: Database) -> None:
    (session,) = shown(populated, "sessions", "-u", "ada@example.org")
    assert session["device"] == "lap\x1b[31mtop\x07"
    assert UUID(session["session_id"]).version == 7
    (code,) = shown(populated, "otps", "-u", "Ada@example.org")
    assert (code["purpose"], code["attempts"]) == ("signin", 0)
    assert len(shown(populated, "sessions")) == len(shown(populated, "otps")) == 2


def test_no_secret_is_shown(populated: Database) -> None:
    conn = populated.connect()
    hashes = [bytes(row[0]).hex() for row in rows(conn, "SELECT secret_hash FROM authsql_sessions")]
    hashes += [bytes(row[0]).hex() for row in rows(conn, "SELECT code_hash FROM authsql_otps")]
    for subject in subjects(populated.dialect):
        text = json.dumps(shown(populated, subject))
        assert "hash" not in text.replace("rehash", "").replace("hash_isolation", "")
        assert not [each for each in hashes if each in text]


def test_backlog_and_migrations(populated: Database) -> None:
    assert {row["table_name"] for row in shown(populated, "backlog")} >= {"authsql_otps", "authsql_sessions"}
    assert all("last_run_at" in row for row in shown(populated, "backlog"))
    assert shown(populated, "migrations")[-1]["name"] == "schema_version"


def test_tables(populated: Database) -> None:
    done = command("inspect", "sessions", "-n", "2", database=populated)
    assert done.exit_code == 0
    # What a client sent steers no terminal, and is no markup.
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "2 rows; there may be more: --limit" in done.stdout
    rows(populated.connect(), "DELETE FROM authsql_sessions")
    assert command("inspect", "sessions", database=populated).stdout == "nothing there\n"
    squeezed = "".join(command("inspect", "users", database=populated).stdout.split()).replace("│", "")
    assert "[red" in squeezed


def test_wrong_use(empty_database: Database) -> None:
    done = command("inspect", "cookies", database=empty_database)
    assert done.exit_code == 2
    assert "known are users, sessions, otps, backlog" in done.stderr
    done = command("inspect", "backlog", "--user", "ada@example.org", database=empty_database)
    assert (done.exit_code, done.stderr) == (2, "authsql: backlog belong to no user\n")
    done = command("inspect", "users", database=empty_database)
    assert done.exit_code == 1
    assert "authsql migrate" in done.stderr


def test_who_may_look(database: Database) -> None:
    done = command("inspect", "users", "-d", as_role(database, "authsql_app").url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "denied" in done.stderr
    assert "hint: authsql_reader may look: GRANT authsql_reader" in done.stderr
    done = command("inspect", "users", "-d", as_role(database, "authsql_reader").url)
    assert (done.exit_code, done.stdout) == (0, "nothing there\n")


def test_both_dialects_show_the_same() -> None:
    first, second = (subjects(dialect) for dialect in DIALECTS)
    assert first == second
