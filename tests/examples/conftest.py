"""The example application examples/webapp, on a database of its own, and a user of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from examples.webapp.app import create_app
from examples.webapp.settings import Settings
from tests.examples.visitor import ANN, PASSWORD, Visitor, listening
from tests.servers import Database
from tests.support import FAST


@pytest.fixture
def app(database: Database) -> Iterator[FastAPI]:
    with listening(create_app(Settings(database.url, policy=FAST))) as served:
        yield served


@pytest.fixture
def ann(app: FastAPI) -> Visitor:
    """Somebody who has just signed up."""
    visitor = Visitor(app)
    assert "Signed in as" in visitor.sign_up(ANN, PASSWORD).text
    return visitor
