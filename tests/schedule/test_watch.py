"""`authsql purge --watch`: it goes on, whatever becomes of the connection, and ends when asked to."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from authsql import _watch
from authsql._url import ConnectionFailed
from authsql._url import connect as open_connection
from authsql._watch import Stop, watch
from authsql.migrations import migrate
from tests.migrations.support import ROOT, environment
from tests.migrations.test_cli import command
from tests.servers import Database, rows
from tests.support import DAY, HOUR, Sql
from tests.terminal import on_terminal


def expire(database: Database, subject: str) -> None:
    """Write a code that has expired."""
    sql = Sql(database, database.connect())
    past = ", ".join(sql.before(sql.now, by) for by in (DAY, 2 * HOUR, 2 * HOUR, 2 * HOUR))
    columns = "subject, purpose, issue_id, code_hash, created_at, expires_at, resend_at, window_ends_at"
    sql(
        f"INSERT INTO authsql_otps ({columns})"
        f" VALUES ('{subject}', 'signin', {sql.new_id}, '01234567890123456789012345678901', {past})"
    )


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def gone(database: Database) -> bool:
    return rows(database.connect(), "SELECT 1 FROM authsql_otps") == []


@pytest.fixture
def watched(empty_database: Database) -> Database:
    """A migrated database, whose own scheduler leaves it alone."""
    migrate(empty_database.url)
    if empty_database.dialect == "mysql":
        for event in ("authsql_purge_otps", "authsql_purge_sessions"):
            rows(empty_database.connect(), f"ALTER EVENT {event} DISABLE")
    return empty_database


@contextlib.contextmanager
def running(database: Database, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """Run the command; yield it, and what it said so far."""
    output = folder / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "authsql", "purge", "--watch", "--every", "1", "--batch", "1"],
            cwd=ROOT,
            env=environment() | {"AUTHSQL_DATABASE_URL": database.url, "PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=file,
            text=True,
        )
    try:
        yield process, output.read_text
    finally:
        process.kill()
        process.wait(30)


def disconnect(database: Database) -> None:
    """End every session but our own."""
    conn = database.connect()
    if database.dialect == "postgres":
        rows(
            conn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        return
    mine = rows(conn, "SELECT CONNECTION_ID()")[0][0]
    for session in rows(conn, "SHOW PROCESSLIST"):
        if session[3] == database.name and session[0] != mine:
            with contextlib.suppress(Exception):
                rows(conn, f"KILL {session[0]}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_on_and_ends_when_asked(watched: Database, tmp_path: Path, number: signal.Signals) -> None:
    # More than a batch holds.
    for subject in ("a", "b", "c"):
        expire(watched, subject)
    with running(watched, tmp_path) as (process, said):
        # Told of, too: a batch that loses its connection between two tables tells of none.
        until(lambda: gone(watched) and said().count("authsql_otps: 1 deleted") == 3, "nothing was purged")
        disconnect(watched)
        expire(watched, "d")
        until(lambda: gone(watched), "it did not come back")
        until(lambda: "connected again" in said(), said())
        os.kill(process.pid, number)
        assert process.wait(60) == 0, said()
    lines = said().splitlines()
    assert sum("authsql_otps: 1 deleted" in line for line in lines) == 4
    assert any(line.startswith("no connection, trying again in 1 s: ") for line in lines)
    assert lines[-1] == "stopped: 4 deleted"
    password = watched.url.split(":")[2].split("@")[0]
    assert f":{password}@" not in said()


def bars(text: str) -> list[str]:
    """What the bar said, one after the other: how many of how many."""
    found = re.findall(r"(\d+/\S+)", text.replace("\x1b", " "))
    return [each for each, before in zip(found, ["", *found], strict=False) if each != before]


def test_a_bar_on_a_terminal(watched: Database) -> None:
    for subject in ("a", "b", "c"):
        expire(watched, subject)
    text, status = on_terminal("purge", "--batch", "1", database=watched)
    assert status == 0
    assert "authsql_otps: 3 deleted" in text
    assert (bars(text)[0], bars(text)[-1]) == ("0/3", "3/3")


def test_the_bar_of_each_round_has_a_total(watched: Database) -> None:
    for subject in ("a", "b", "c"):
        expire(watched, subject)
    later = iter(["d", "e"])

    def enough(text: str) -> bool:
        if text.count("authsql_otps: 1 deleted") == 3 and bars(text)[-1] == "3/3":
            for subject in later:
                expire(watched, subject)
        return bars(text)[-2:][-1:] == ["2/2"]

    text, status = on_terminal(
        "purge", "--watch", "--every", "1", "--batch", "1", database=watched, enough=enough
    )
    assert status == 0, text
    assert "stopped: 5 deleted" in text
    assert "3/3" in bars(text)
    assert "2/2" in bars(text)


def test_no_bar_elsewhere(watched: Database) -> None:
    expire(watched, "a")
    done = command("purge", database=watched)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "1/1" not in done.stdout


class Waits(Stop):
    """Does not wait, and writes down how long it would have; asks to stop after some."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._most = most

    def wait(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.asked = len(self.seconds) >= self._most


def test_it_is_patient(watched: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait doubles, up to a minute, and begins again after a success."""
    calls = list[bool]()

    def connect(url: str) -> Any:
        calls.append(True)
        if 2 <= len(calls) <= 10:
            raise ConnectionFailed("cannot connect")
        return open_connection(url)

    monkeypatch.setattr(_watch, "connect", connect)
    stop, said = Waits(13), list[str]()

    def done(_: object) -> None:
        if len(stop.seconds) in {0, 11}:
            disconnect(watched)

    watch(watched.url, batch=10, every=5, stop=stop, done=done, say=said.append)
    stop.close()
    # A round, after which the connection is lost; the loss and nine tries; a round, lost again; a round.
    assert stop.seconds == [5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 5, 1]
    assert said.count("connected again") == 1


def test_what_is_not_a_lost_connection_ends_it(empty_database: Database) -> None:
    for arguments in (["--watch"], []):
        done = command("purge", *arguments, database=empty_database)
        assert done.exit_code == 1
        assert "authsql migrate" in done.stderr
    unreachable = (
        "postgresql://127.0.0.1:1/app" if empty_database.dialect == "postgres" else "mysql://127.0.0.1:1/app"
    )
    done = command("purge", "--watch", "-d", unreachable)
    assert done.exit_code == 1
    assert "cannot connect to" in done.stderr


@pytest.mark.only("postgres")
def test_without_the_functions_that_purge(empty_database: Database) -> None:
    """MySQL's statements delete by themselves, PostgreSQL's call functions of the migration `purge`."""
    migrate(empty_database.url, only=["sessions"])
    done = command("purge", "--watch", database=empty_database)
    assert done.exit_code == 1
    assert "authsql: The database lacks authsql's tables" in done.stderr


@pytest.mark.parametrize("arguments", [["--watch", "--once"], ["--every", "5"], ["--watch", "--every", "0"]])
def test_wrong_use(arguments: list[str]) -> None:
    assert command("purge", *arguments, "-d", "mysql://h/app").exit_code == 2


def test_a_wish_to_stop_cuts_a_wait_short() -> None:
    with _watch.stopped_by_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait(3600)
        assert stop.asked
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == stop.ask
    assert signal.getsignal(signal.SIGINT) is not stop.ask
