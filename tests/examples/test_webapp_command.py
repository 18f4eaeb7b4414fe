"""The example started by its command, on a PostgreSQL of its own, and ended from outside."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await(port: int) -> None:
    given_up_at = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < given_up_at, "nobody listens"
            time.sleep(0.05)
        else:
            return


# uvicorn takes a Ctrl-C for the regular end.
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 0)])
def test_its_server_goes_with_it(name: str, status: int) -> None:
    port, number = _free_port(), getattr(signal, name)
    process = subprocess.Popen(
        [sys.executable, "-m", "examples.webapp", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    data = None
    with process.stdout as output:
        for line in output:
            if found := re.search(r"PostgreSQL server in (\S+)", line):
                data = Path(found[1])
            if line.startswith("Open http"):
                break
        _await(port)
        assert data is not None
        assert (data / "postmaster.pid").exists()
        process.send_signal(number)
        output.read()
    assert process.wait(30) == status
    assert not data.exists()
