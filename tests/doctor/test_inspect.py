"""`authsql inspect`: the views as tables and as JSON, without a secret."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from authsql import otps, passwords, sessions, users
from authsql._inspect import subjects
from authsql._statements import DIALECTS
from tests.migrations.support import run
from tests.migrations.test_cli import command
from tests.roles import as_role
from tests.servers import Database, rows
from tests.support import FAST, KEY, PASSWORD
from tests.terminal import on_terminal


@pytest.fixture
def populated(database: Database) -> Database:
    conn = database.connect()
    for email in ("ada@example.org", "José@example.org"):
        user = users.create(conn, email, name="Ada [red]L[/red]")
        assert sessions.create(conn, user.id, device="laptop", ip="192.0.2.7")
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


def test_codes_of_an_account_go_to_any_address(populated: Database) -> None:
    """Also where an account of that address was deleted before."""
    conn = populated.connect()
    (ada,) = shown(populated, "users", "-u", "ada@example.org")
    assert users.soft_delete(conn, UUID(ada["user_id"]))
    again = users.create(conn, "ada@example.org")
    for subject, purpose in (("new@example.org", "email-change"), (str(again.id), "password-change")):
        assert otps.issue(conn, subject, purpose, key=KEY, user_id=again.id)
    assert {row["purpose"] for row in shown(populated, "otps", "-u", "Ada@example.org")} == {
        *("signin", "email-change", "password-change")
    }


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
    assert "Ada [red]L[/red]" in command("inspect", "users", database=populated).stdout


def cells(database: Database, subject: str) -> list[str]:
    """What `--json` says of a subject, as it is for the eye."""
    return [_shown_again(value) for row in shown(database, subject) for value in row.values()]


def _shown_again(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value[10:11] == "T":
        return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%S}"
    return "" if value is None else str(value).replace("\x1b", "\\x1b").replace("\x07", "\\x07")


@pytest.mark.parametrize("subject", subjects("postgres"))
def test_nothing_is_cut_in_a_pipe(populated: Database, subject: str) -> None:
    rows(populated.connect(), "UPDATE authsql_sessions SET user_agent = %s", ("Mozilla/5.0 " * 40,))
    env = {"AUTHSQL_DATABASE_URL": populated.url, "COLUMNS": "80"}
    done = run("-m", "authsql", "inspect", subject, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "…" not in done.stdout
    lines = done.stdout.splitlines()
    found = shown(populated, subject)
    # A head of three lines, a foot of one.
    assert len(lines) == 4 + len(found)
    assert [name.strip() for name in lines[1].strip("┃").split("┃")] == list(found[0])
    table = [cell.strip() for line in lines[3:-1] for cell in line.strip("│").split("│")]
    assert table == [each.strip() for each in cells(populated, subject)]


@pytest.mark.parametrize("subject", subjects("postgres"))
def test_nothing_is_cut_on_a_terminal(populated: Database, subject: str) -> None:
    """Too narrow, and wide enough."""
    rows(populated.connect(), "UPDATE authsql_sessions SET user_agent = %s", ("Mozilla/5.0 " * 40,))
    wanted = [each.strip() for each in cells(populated, subject)]
    text, status = on_terminal("inspect", subject, database=populated)
    assert status == 0
    assert "…" not in text
    if subject not in {"backlog", "migrations"}:
        head = text.splitlines()[0]
        assert head == "-- 1 --"
        names = list(shown(populated, subject)[0])
        lines = [line for line in text.splitlines() if not line.startswith("-- ")]
        assert [line.split()[0] for line in lines] == names * (len(lines) // len(names))
        assert [line[max(map(len, names)) :].strip() for line in lines] == wanted
    text, status = on_terminal("inspect", subject, database=populated, columns=1000)
    assert (status, text[:1]) == (0, "┏")
    assert all(each in text for each in wanted)


def test_json_is_the_same_in_both_dialects(populated: Database) -> None:
    """Of what kind each value is; the other dialect is held to the same."""
    kinds = {
        subject: {name: _kind(value) for name, value in shown(populated, subject)[0].items()}
        for subject in subjects(populated.dialect)
    }
    # An event of MySQL may have run.
    assert kinds["backlog"].pop("last_run_at") in {"NoneType", "time"}
    assert kinds == {
        "users": {
            "user_id": "id",
            "email": "str",
            "name": "str",
            "state": "str",
            "roles": "str",
            "has_password": "bool",
            "providers": "NoneType",
            "active_sessions": "int",
            "failed_attempts": "int",
            "locked_until": "NoneType",
            "last_login_at": "time",
            "created_at": "time",
        },
        "sessions": {
            "session_id": "id",
            "email": "str",
            "device": "str",
            "ip": "str",
            "user_agent": "NoneType",
            "aal": "int",
            "created_at": "time",
            "last_seen_at": "time",
            "expires_at": "time",
            "absolute_expires_at": "time",
            "refresh_generation": "NoneType",
        },
        "otps": {
            "subject": "str",
            "purpose": "str",
            "user_id": "NoneType",
            "attempts": "int",
            "max_attempts": "int",
            "created_at": "time",
            "expires_at": "time",
            "resend_at": "time",
            "window_count": "int",
        },
        "backlog": {
            "table_name": "str",
            "expired_rows": "int",
            "oldest_expired_at": "NoneType",
            "lag_seconds": "int",
        },
        "migrations": {"version": "int", "name": "str", "applied_at": "time"},
    }
    (user,) = shown(populated, "users", "--user", "ada@example.org")
    assert user["has_password"] is False
    passwords.set(populated.connect(), UUID(user["user_id"]), PASSWORD, policy=FAST)
    (user,) = shown(populated, "users", "--user", "ada@example.org")
    assert user["has_password"] is True


def _kind(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
        return "id"
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?\+00:00", value):
        return "time"
    return type(value).__name__


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
