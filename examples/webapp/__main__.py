"""Run it: `python -m examples.webapp [--database URL] [--port 8000]`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from authsql.migrations import migrate
from examples.webapp.app import create_app
from examples.webapp.settings import Settings


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """The URL of a database: the one that was given, or an embedded PostgreSQL that goes when this ends."""
    if url is not None:
        yield url
        return
    from authsql._demo.place import Embedded, ended_by_signals

    own = Embedded(keep=False)
    # uvicorn ends at a SIGTERM, and then raises it again: without this, that would be before `remove`.
    with ended_by_signals():
        own.open()
        print(own.what, flush=True)
        try:
            yield own.url
        finally:
            own.remove()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m examples.webapp", description="An application with every flow of authsql."
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        help="postgresql://... or mysql://...; without it, an embedded PostgreSQL",
    )
    parser.add_argument("--port", type=int, default=8000, help="where to listen on localhost (8000)")
    parser.add_argument("--admin", metavar="EMAIL", help="who signs up with it may give roles to others")
    given = parser.parse_args()
    with server(given.database) as url:
        migrate(url, progress=print)
        settings = Settings(url, origin=f"http://localhost:{given.port}", admin=given.admin)
        mailbox = f"{settings.origin}/mailbox"
        print(f"Open {settings.origin} in a browser. Mail is not sent: it is shown at {mailbox}", flush=True)
        uvicorn.run(create_app(settings), host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
