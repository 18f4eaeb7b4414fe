"""What the tests of the doctor have in common."""

from __future__ import annotations

import pytest

from authsql.migrations import migrate
from tests.servers import Database


@pytest.fixture
def changeable(empty_database: Database) -> Database:
    """A database with every migration, that a test may change."""
    migrate(empty_database.url)
    return empty_database
