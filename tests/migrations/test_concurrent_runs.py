"""Several runs at the same time wait for each other, and a stock yoyo and ours do too."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from authsql import _migration_lock
from authsql.migrations import MigrationLocked, migrate, status
from tests.migrations.support import ROOT, environment, files, numbers, yoyo, yoyo_arguments
from tests.servers import Database, rows


class Paused:
    """Holds a run up at its first line of progress."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, _: str) -> None:
        self.reached.set()
        assert self.go_on.wait(20)


def test_runs_at_once_all_succeed(empty_database: Database) -> None:
    with ThreadPoolExecutor() as pool:
        applied = [run.result() for run in [pool.submit(migrate, empty_database.url) for _ in range(4)]]
    everything = [file.number for file in files(empty_database.dialect)]
    assert sorted(migration.number for run in applied for migration in run) == everything
    assert numbers(empty_database.connect()) == everything


def test_the_second_run_says_that_it_waits(empty_database: Database) -> None:
    first, said = Paused(), list[str]()
    waiting = threading.Event()

    def progress(line: str) -> None:
        said.append(line)
        waiting.set()

    with ThreadPoolExecutor() as pool:
        one = pool.submit(migrate, empty_database.url, progress=first)
        assert first.reached.wait(20)
        two = pool.submit(migrate, empty_database.url, progress=progress)
        assert waiting.wait(20)
        first.go_on.set()
        assert len(one.result()) == len(files(empty_database.dialect))
        assert two.result() == []
    assert said == ["waiting for another migration run"]


def test_a_stock_yoyo_waits_for_ours(empty_database: Database) -> None:
    first = Paused()
    with ThreadPoolExecutor() as pool:
        one = pool.submit(migrate, empty_database.url, progress=first)
        assert first.reached.wait(20)
        process = subprocess.Popen(
            [sys.executable, *yoyo_arguments("apply", empty_database)], cwd=ROOT, env=environment()
        )
        time.sleep(1.5)
        assert process.poll() is None
        first.go_on.set()
        one.result()
        assert process.wait(30) == 0
    assert numbers(empty_database.connect()) == [file.number for file in files(empty_database.dialect)]


def test_ours_waits_for_a_stock_yoyo(empty_database: Database) -> None:
    lock(empty_database, timedelta(0))
    conn, said = empty_database.connect(), list[str]()

    def progress(line: str) -> None:
        said.append(line)
        if line == "waiting for a yoyo":
            rows(conn, "DELETE FROM yoyo_lock")

    assert len(migrate(empty_database.url, progress=progress)) == len(files(empty_database.dialect))
    assert said[0] == "waiting for a yoyo"


def test_the_lock_of_a_killed_yoyo(empty_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_migration_lock, "PATIENCE", 0.3)
    lock(empty_database, timedelta(hours=3))
    with pytest.raises(MigrationLocked, match=r"3 hours ago \(process 4711") as raised:
        migrate(empty_database.url)
    assert "--break-lock" in (raised.value.hint or "")
    assert {migration.state for migration in status(empty_database.url)} == {"pending"}
    assert migrate(empty_database.url, break_lock=True)
    assert rows(empty_database.connect(), "SELECT * FROM yoyo_lock") == []


def lock(database: Database, age: timedelta) -> None:
    """Leave the lock as a yoyo that was killed leaves it."""
    yoyo("list", database)
    since = datetime.now(UTC).replace(tzinfo=None) - age
    rows(database.connect(), "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, %s, 4711)", (since,))
