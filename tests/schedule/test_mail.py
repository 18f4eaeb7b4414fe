"""`authsql mail`: a sender that an operator runs, once or for good."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from authsql import outbox
from authsql._cli import app
from authsql.keyring import Keyring
from tests.migrations.support import ROOT, environment
from tests.servers import Database
from tests.smtp import Mailbox, mail_server
from tests.support import HOUR, RING, Sql

KEY = base64.b64encode(bytes(range(32))).decode()
KEYS = f"2026:{KEY}"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as opened:
        yield opened


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database, database.connect())


def settings(database: Database, box: Mailbox) -> dict[str, str]:
    return {
        "AUTHSQL_DATABASE_URL": database.url,
        "AUTHSQL_SMTP_URL": f"smtp+plain://localhost:{box.port}",
        "AUTHSQL_MAIL_FROM": "Example <no-reply@example.com>",
        "AUTHSQL_KEYRING": KEYS,
    }


def command(*arguments: str, **env: str | None) -> Any:
    """Run it in this process; no exception escapes it, and it shows no secret, whatever comes."""
    done = CliRunner().invoke(app, ["mail", *arguments], env={"COLUMNS": "120", **env})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    for secret in ("hush", KEY, "271828"):
        assert secret not in done.stdout + done.stderr
    return done


def queue(sql: Sql, count: int = 1, keyring: Keyring = RING) -> list[str]:
    context = {"app": "Example", "code": "271828"}
    return [
        str(outbox.enqueue(sql.connection, f"{n}@example.org", "signin", context, keyring=keyring).id)
        for n in range(count)
    ]


def test_it_sends_what_there_is(database: Database, sql: Sql, box: Mailbox) -> None:
    queued = queue(sql, 5)
    done = command("--batch", "2", **settings(database, box))
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [f"sent {each} signin" for each in queued]
    assert done.stderr == "5 sent, 0 postponed, 0 failed, 0 expired unsent\n"
    assert len(box.mails) == 5
    assert "271828" in box.mails[0].part("plain")
    assert box.mails[0].message["From"] == "Example <no-reply@example.com>"
    again = command(**settings(database, box))
    assert (again.exit_code, again.stdout) == (0, "")


def test_what_could_not_be_sent(database: Database, sql: Sql, box: Mailbox) -> None:
    [first] = queue(sql)
    box.answers["RCPT"] = "450 4.2.1 busy: 271828"
    done = command(**settings(database, box))
    assert done.exit_code == 1
    assert done.stdout == f"postponed {first} signin: SMTPRecipientsRefused 450 4.2.1\n"
    assert done.stderr == "0 sent, 1 postponed, 0 failed, 0 expired unsent\n"
    sql.age("authsql_outbox", "next_attempt_at", HOUR)
    box.answers["RCPT"] = "550 5.1.1 no such user"
    done = command(**settings(database, box))
    assert (done.exit_code, done.stderr[:29]) == (1, "0 sent, 0 postponed, 1 failed")


def test_options_come_before_the_environment(
    database: Database, sql: Sql, box: Mailbox, tmp_path: Path
) -> None:
    queue(sql)
    keys = tmp_path / "keys"
    keys.write_text(f"# made in May\nnew:{base64.b64encode(bytes(32)).decode()}\n{KEYS}\n")
    wrong = {
        "AUTHSQL_DATABASE_URL": "mysql://hush@localhost:1/app",
        "AUTHSQL_SMTP_URL": "smtp://u:hush@localhost:1",
        "AUTHSQL_MAIL_FROM": "hush@example.org",
        "AUTHSQL_KEYRING": "hush",
    }
    given = settings(database, box)
    options = ["-d", given["AUTHSQL_DATABASE_URL"], "--smtp", given["AUTHSQL_SMTP_URL"]]
    done = command(*options, "--from", "other@example.com", "--keyring-file", str(keys), **wrong)
    assert done.exit_code == 0, done.stderr
    assert box.mails[0].sender == "other@example.com"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"AUTHSQL_SMTP_URL": None}, "which mail server? Give --smtp, or set AUTHSQL_SMTP_URL"),
        ({"AUTHSQL_SMTP_URL": "smtp://u:hush"}, "a mail server is "),
        ({"AUTHSQL_SMTP_URL": "smtp+plain://u:hush@h"}, "a password is not sent in clear"),
        ({"AUTHSQL_MAIL_FROM": None}, "which sender? Give --from, or set AUTHSQL_MAIL_FROM"),
        ({"AUTHSQL_MAIL_FROM": "hush, hush"}, "email has the form name@domain"),
        ({"AUTHSQL_KEYRING": None}, "which keys? Give --keyring-file, or set AUTHSQL_KEYRING"),
        ({"AUTHSQL_KEYRING": "2026:hush"}, "keys are written NAME:KEY"),
    ],
)
def test_what_is_not_set(database: Database, box: Mailbox, changed: dict[str, str | None], told: str) -> None:
    done = command(**{**settings(database, box), **changed})
    assert done.exit_code == 2
    assert done.stderr.startswith("authsql: ")
    assert len(done.stderr.splitlines()) == 1
    assert told in done.stderr


@pytest.mark.parametrize("content", [b"hush", b"\xff\xfe", None])
def test_keyring_files_that_are_none(
    database: Database, box: Mailbox, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    done = command("--keyring-file", str(file), **settings(database, box))
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["--every", "5"], ["--batch", "0"], ["--watch", "--every", "0"], ["x"]]
)
def test_wrong_use(arguments: list[str]) -> None:
    assert command(*arguments).exit_code == 2


def test_without_the_tables(empty_database: Database, box: Mailbox) -> None:
    for arguments in (["--watch"], []):
        done = command(*arguments, **settings(empty_database, box))
        assert done.exit_code == 1
        assert "authsql migrate" in done.stderr


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@contextlib.contextmanager
def running(
    database: Database, box: Mailbox, folder: Path
) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    output = folder / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "authsql", "mail", "--watch", "--every", "1", "--batch", "2"],
            cwd=ROOT,
            env=environment() | settings(database, box) | {"PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=file,
            text=True,
        )
    try:
        yield process, output.read_text
    finally:
        process.kill()
        process.wait(30)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_and_ends_when_asked(
    database: Database, sql: Sql, box: Mailbox, tmp_path: Path, number: signal.Signals
) -> None:
    queue(sql, 5)
    with running(database, box, tmp_path) as (process, said):
        until(lambda: len(box.mails) == 5, "nothing was sent")
        box.answers["CONNECT"] = "421 4.3.2 not now"
        [later] = queue(sql)
        until(lambda: f"postponed {later} signin: SMTPConnectError 421 4.3.2" in said(), said())
        box.answers.clear()
        sql.age("authsql_outbox", "next_attempt_at", HOUR)
        until(lambda: len(box.mails) == 6, "it did not try again")
        until(lambda: f"sent {later}" in said(), said())
        os.kill(process.pid, number)
        assert process.wait(60) == 0, said()
    lines = said().splitlines()
    assert lines[-1] == "stopped: 6 sent, 1 postponed, 0 failed, 0 expired unsent"
    for secret in ("271828", KEY, database.url.split(":")[2].split("@")[0] + "@"):
        assert secret not in said()


def test_two_of_them(database: Database, sql: Sql, box: Mailbox, tmp_path: Path) -> None:
    """Each mail is sent by one of the two."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with running(database, box, folders[0]) as one, running(database, box, folders[1]) as two:
        until(lambda: "a look every" in one[1]() and "a look every" in two[1](), "they did not start")
        queue(sql, 30)
        until(lambda: len(box.mails) >= 30, "not all were sent")
        for process, _ in (one, two):
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(60) == 0
    assert len(set(box.message_ids)) == len(box.message_ids) == 30
