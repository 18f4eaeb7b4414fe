"""The example's pool for MySQL, without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from examples.webapp.database import Database


class Connection:
    in_transaction = False
    is_lost = False

    def is_connected(self) -> bool:
        return not self.is_lost

    def rollback(self) -> None:
        if self.is_lost:
            raise OSError("lost")


@pytest.fixture
def driver() -> Any:
    """A server that can be down."""
    made = SimpleNamespace(is_down=False)

    def connect(**_: object) -> Connection:
        if made.is_down:
            raise OSError("no server")
        return Connection()

    made.connect = connect
    return made


@pytest.fixture
def database(driver: Any) -> Database:
    made = Database("mysql://root@localhost/app", size=1)
    pool: Any = made._pool
    pool._driver, pool.patience = driver, 0.01
    return made


def test_a_failed_connect_gives_its_place_back(database: Database, driver: Any) -> None:
    driver.is_down = True
    for _ in range(2):
        with pytest.raises(OSError, match="no server"), database.connection():
            pass
    driver.is_down = False
    with database.connection() as conn:
        assert conn.is_connected()


def test_a_lost_connection_gives_its_place_back(database: Database) -> None:
    with database.connection() as conn:
        conn.in_transaction = conn.is_lost = True
    with database.connection() as again:
        assert again.is_connected()
