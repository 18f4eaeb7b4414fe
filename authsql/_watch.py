"""Work that is done again and again: the purge, for a database that no scheduler looks after, and mail."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from authsql import maintenance
from authsql._explain import first_line, is_lost
from authsql._url import ConnectionFailed, connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from authsql.models import Purged

Done: TypeAlias = "Callable[[Sequence[Purged]], None]"

FIRST, LONGEST = 1.0, 60.0
"""Seconds between two tries to connect again: doubled from the first to the longest."""
_DRIVERS = {"psycopg", "mysql"}


@dataclass
class Stop:
    """A wish to end, which a signal expresses, and a wait that it cuts short.

    A socket, because the lock of a threading.Event may be held by the code that the signal interrupts.
    """

    asked: bool = False
    _sockets: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until somebody asks to stop."""
        if not self.asked:
            select.select([self._sockets[0]], [], [], seconds)

    def ask(self, number: int = 0, _: FrameType | None = None) -> None:
        """Ask to stop. As the handler of a signal: the next such signal does what it did before."""
        self.asked = True
        self._sockets[1].send(b"x")
        if number:
            signal.signal(number, signal.SIG_DFL)

    def close(self) -> None:
        for each in self._sockets:
            each.close()


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Have SIGINT and SIGTERM ask to stop."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.close()


def watch(
    url: str,
    *,
    batch: int,
    every: float,
    stop: Stop,
    done: Done,
    say: Callable[[str], None],
    begin: Callable[[Any], None] | None = None,
) -> None:
    """Purge every so many seconds until asked to stop; a batch that is under way is finished.

    `begin` is given the connection before the first batch of a round, and `done` is told of each batch.
    Otherwise as `repeat`.
    """
    more = False

    def purge(connection: Any) -> bool:
        nonlocal more
        if begin and not more:
            begin(connection)
        batches = maintenance.purge(connection, batch=batch)
        more = any(table.more for table in batches)
        done(batches)
        return more

    repeat(url, purge, every=every, stop=stop, say=say)


def repeat(
    url: str, work: Callable[[Any], bool], *, every: float, stop: Stop, say: Callable[[str], None]
) -> None:
    """Do a piece of work every so many seconds until asked to stop, and again at once while it says that
    there is more.

    A connection that is lost is made again, for as long as it takes. Raises what stands in the way otherwise,
    and ConnectionFailed if the first connection cannot be made.
    """
    connection: Any = connect(url)
    delay = FIRST
    try:
        while not stop.asked:
            try:
                if connection is None:
                    connection = connect(url)
                    say("connected again")
                more = True
                while more and not stop.asked:
                    more = work(connection)
                delay = FIRST
            except Exception as error:
                if not _is_lost(error):
                    raise
                _close(connection)
                connection = None
                say(f"no connection, trying again in {delay:.0f} s: {first_line(error)}")
                stop.wait(delay)
                delay = min(2 * delay, LONGEST)
            else:
                stop.wait(every)
    finally:
        _close(connection)


def _is_lost(error: Exception) -> bool:
    """Tell whether there is no connection, or none any more."""
    if isinstance(error, ConnectionFailed) or is_lost(error):
        return True
    # Of a connection that broke, a driver does not always have a code.
    kind = type(error)
    return kind.__module__.partition(".")[0] in _DRIVERS and kind.__name__ in {
        "OperationalError",
        "InterfaceError",
    }


def _close(connection: Any) -> None:
    if connection is not None:
        with contextlib.suppress(Exception):
            connection.close()
