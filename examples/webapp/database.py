"""Connections, one for each request. authsql takes the drivers' own, from whatever pool there is."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from authsql.errors import RetryTransaction

T = TypeVar("T")
_TRIES = 10


def in_transaction(conn: Any, work: Callable[[], T]) -> T:
    """Do work in one transaction, and again if it was lost to another one."""
    for tries in range(1, _TRIES):
        try:
            with _transaction(conn):
                return work()
        except RetryTransaction:
            time.sleep(random.uniform(0, min(0.001 * 2**tries, 0.1)))  # noqa: S311  # no secret
    with _transaction(conn):
        return work()


@contextmanager
def _transaction(conn: Any) -> Iterator[None]:
    if hasattr(conn, "transaction"):  # psycopg
        with conn.transaction():
            yield
        return
    conn.start_transaction()
    try:
        yield
    except BaseException:
        conn.rollback()
        raise
    conn.commit()


class Database:
    """A pool on PostgreSQL or MySQL. Autocommit is on: a transaction is begun where one is wanted."""

    def __init__(self, url: str, size: int = 10) -> None:
        self._pool = _Postgres(url, size) if url.startswith("postgres") else _MySQL(url, size)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        conn = self._pool.take()
        try:
            yield conn
        finally:
            self._pool.give_back(conn)

    def close(self) -> None:
        self._pool.close()


class _Postgres:
    def __init__(self, url: str, size: int) -> None:
        from psycopg_pool import ConnectionPool

        plain = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._pool = ConnectionPool(plain, min_size=1, max_size=size, kwargs={"autocommit": True}, open=True)

    def take(self) -> Any:
        return self._pool.getconn(timeout=10)

    def give_back(self, conn: Any) -> None:
        self._pool.putconn(conn)

    def close(self) -> None:
        self._pool.close()


class _MySQL:
    patience = 10.0

    def __init__(self, url: str, size: int) -> None:
        import queue

        import mysql.connector

        parts = urlsplit(url)
        arguments: dict[str, Any] = {
            "host": parts.hostname or "localhost",
            "port": parts.port or 3306,
            "user": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "database": parts.path.lstrip("/"),
            "charset": "utf8mb4",
            "autocommit": True,
            **dict(parse_qsl(parts.query)),
        }
        self._arguments = arguments
        self._driver: Any = mysql.connector
        self._free: queue.LifoQueue[Any] = queue.LifoQueue()
        self._all: list[Any] = []
        for _ in range(size):
            self._free.put(None)

    def take(self) -> Any:
        conn = self._free.get(timeout=self.patience)
        try:
            if conn is None or not conn.is_connected():
                conn = self._driver.connect(**self._arguments)
                self._all.append(conn)
        except BaseException:
            # The server may be back for the next one, who needs the place.
            self._free.put(None)
            raise
        return conn

    def give_back(self, conn: Any) -> None:
        # Prepared statements stay, and the next request finds no transaction of this one.
        try:
            if conn.in_transaction:
                conn.rollback()
        except Exception:  # noqa: BLE001  # it is lost, and so is its transaction
            conn = None
        self._free.put(conn)

    def close(self) -> None:
        for conn in self._all:
            conn.close()
