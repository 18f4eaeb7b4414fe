"""A command of authsql on a terminal: a pseudo-terminal of so many columns."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

from tests.migrations.support import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Database


def on_terminal(
    *arguments: str, database: Database, columns: int = 80, enough: Callable[[str], bool] | None = None
) -> tuple[str, int]:
    """Run `authsql`; return all that it wrote, control sequences and all, and its exit status.

    `enough` is asked what was written so far: when it says so, the command is told to end (SIGTERM).
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = environment() | {"AUTHSQL_DATABASE_URL": database.url, "TERM": "xterm", "PYTHONUNBUFFERED": "1"}
    del env["COLUMNS"]
    process = subprocess.Popen(
        [sys.executable, "-m", "authsql", *arguments],
        cwd=ROOT,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    written, deadline = b"", time.monotonic() + 60
    try:
        while True:
            assert time.monotonic() < deadline, written
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:
                # Nobody has the other end any more.
                break
            if not part:
                break
            written += part
            if enough and enough(written.decode(errors="replace")):
                process.send_signal(signal.SIGTERM)
                enough = None
        return written.decode().replace("\r\n", "\n"), process.wait(60)
    finally:
        os.close(ours)
        process.kill()
        process.wait(60)
