"""Connections, one for each request. authsql takes the drivers' own, from whatever pool there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


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
        conn = self._free.get(timeout=10)
        if conn is None or not conn.is_connected():
            conn = self._driver.connect(**self._arguments)
            self._all.append(conn)
        return conn

    def give_back(self, conn: Any) -> None:
        # Prepared statements stay, and the next request finds no transaction of this one.
        if conn.in_transaction:
            conn.rollback()
        self._free.put(conn)

    def close(self) -> None:
        for conn in self._all:
            conn.close()
