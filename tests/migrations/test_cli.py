"""The command as an operator runs it: what it prints, and its exit status."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

import authsql
from authsql import maintenance
from authsql._cli import app
from tests.migrations.support import files, numbers, run
from tests.servers import Database, rows
from tests.support import Sql


def command(*arguments: str, database: Database | None = None, stdin: str | None = None) -> Any:
    """Run `authsql` in this process; no exception escapes it, and it shows no password, whatever comes."""
    env = {"AUTHSQL_DATABASE_URL": database.url if database else None, "COLUMNS": "120"}
    done = CliRunner().invoke(app, list(arguments), input=stdin, env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "hush" not in done.stdout + done.stderr
    return done


def test_migrate_status_rollback(empty_database: Database) -> None:
    everything = files(empty_database.dialect)

    done = command("status", database=empty_database)
    assert done.exit_code == 1
    assert done.stdout.count("pending") == len(everything)

    done = command("migrate", "--dry-run", "--to", "8", database=empty_database)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"would apply {file.id}" for file in everything[:8]]
    assert command("status", "--json", database=empty_database).exit_code == 1

    done = command("migrate", "--to", "8", database=empty_database)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"applying {file.id}" for file in everything[:8]]
    assert command("status", database=empty_database).exit_code == 1

    done = command("migrate", "-d", empty_database.url)
    assert done.stdout.splitlines() == [f"applying {file.id}" for file in everything[8:]]
    assert command("migrate", database=empty_database).stdout == "nothing to apply\n"
    assert command("migrate", "--dry-run", database=empty_database).stdout == "nothing to apply\n"

    done = command("status", "--json", database=empty_database)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert [migration["name"] for migration in found] == [file.name for file in everything]
    assert {migration["state"] for migration in found} == {"applied"}

    done = command("rollback", "--steps", "2", database=empty_database, stdin="n\n")
    assert done.exit_code == 1
    assert f"{everything[-1].id}: {everything[-1].loses}" in done.stdout
    assert "[y/N]" in done.stdout
    assert len(numbers(empty_database.connect())) == len(everything)

    done = command("rollback", "--steps", "2", database=empty_database, stdin="y\n")
    assert done.exit_code == 0
    assert len(numbers(empty_database.connect())) == len(everything) - 2

    done = command("rollback", "--to", "0", "--yes", database=empty_database)
    assert done.exit_code == 0
    assert "drops every account." in done.stdout
    assert command("rollback", "--to", "0", database=empty_database).stdout == "nothing to roll back\n"


def test_every_rollback_says_what_is_lost(empty_database: Database) -> None:
    assert all(file.loses for file in files(empty_database.dialect))


def test_rollback_without_an_answer(empty_database: Database) -> None:
    command("migrate", "--to", "1", database=empty_database)
    assert command("rollback", "--to", "0", database=empty_database, stdin="").exit_code == 1
    assert numbers(empty_database.connect()) == [1]


def test_purge(empty_database: Database) -> None:
    done = command("purge", database=empty_database)
    assert done.exit_code == 1
    assert "authsql migrate" in done.stderr
    command("migrate", database=empty_database)
    conn = empty_database.connect()
    if empty_database.dialect == "mysql":
        rows(conn, "ALTER EVENT authsql_purge_otps DISABLE")  # the server may have its scheduler on
    columns = "issue_id, subject, purpose, code_hash, created_at, expires_at, resend_at, window_ends_at"
    new_id = Sql(empty_database, conn).new_id
    old = ", ".join(["'2020-01-01 00:00:00'", "'2020-01-01 00:05:00'", *["'2020-01-01 00:00:00'"] * 2])
    code = "'01234567890123456789012345678901'"
    for number in range(5):
        values = f"{new_id}, 's{number}', 'signin', {code}, {old}"
        rows(conn, f"INSERT INTO authsql_otps ({columns}) VALUES ({values})")

    others = [f"authsql_{table}: 0 deleted" for table in maintenance._TABLES if table != "otps"]
    done = command("purge", "--batch", "2", "--once", database=empty_database)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["authsql_otps: 2 deleted", *others]
    done = command("purge", "--batch", "2", database=empty_database)
    assert done.stdout.splitlines() == ["authsql_otps: 3 deleted", *others]
    assert rows(conn, "SELECT * FROM authsql_otps") == []


def test_a_failed_migration_is_a_line_and_a_hint(empty_database: Database) -> None:
    rows(empty_database.connect(), "CREATE TABLE authsql_schema_version (id INT)")
    done = command("migrate", database=empty_database)
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert len(lines) <= 2
    assert lines[0].startswith("authsql: ")


@pytest.mark.parametrize("name", ["migrate", "status", "purge"])
def test_no_way_in(empty_database: Database, name: str) -> None:
    parts = urlsplit(empty_database.url)
    wrong = parts._replace(netloc=f"{parts.username}:hush@{parts.hostname}:{parts.port}").geturl()
    done = command(name, "-d", wrong)
    assert done.exit_code == 1
    assert done.stderr.startswith("authsql: cannot connect to ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate"],
        ["migrate", "-d", "sqlite:///hush"],
        ["migrate", "-d", "mysql://ann:hu/sh@h/app"],
        ["migrate", "--to", "-1", "-d", "mysql://h/app"],
        ["rollback", "-d", "mysql://h/app"],
        ["rollback", "--to", "1", "--steps", "1", "-d", "mysql://h/app"],
        ["purge", "--batch", "0", "-d", "mysql://h/app"],
        ["no-such-command"],
    ],
)
def test_wrong_use(arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.exit_code == 2
    assert done.stderr


@pytest.mark.parametrize(
    "name", ["migrate", "status", "rollback", "script", "add", "doctor", "inspect", "purge", "mail", "demo"]
)
def test_help_has_examples(name: str) -> None:
    done = command(name, "--help")
    assert done.exit_code == 0
    assert "Examples:" in done.stdout
    assert f"authsql {name}" in done.stdout


def test_version() -> None:
    assert command("--version").stdout == f"authsql {authsql.__version__}\n"
    assert run("-m", "authsql", "--version").stdout == f"authsql {authsql.__version__}\n"


def test_without_typer() -> None:
    done = run("-c", "import sys; sys.modules['typer'] = None; from authsql.__main__ import main; main()")
    assert done.returncode == 2
    assert done.stderr == "the command authsql needs some more packages: pip install 'authsql[cli]'\n"
