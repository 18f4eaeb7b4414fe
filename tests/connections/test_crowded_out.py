"""MySQL with more tables in use than it keeps definitions of: prepared statements on a view fail there.

A server of many applications may be such a one (`table_definition_cache`). Each use of a view finds it
forgotten, and the server gives up on the prepared statement with error 1615.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import mysql.connector
import pytest
from typer.testing import CliRunner

from authsql import VerifiedCode, otps, passwords, sessions, users
from authsql._cli import app
from authsql._mysql_text import with_values
from authsql.errors import EmailTaken
from authsql.migrations import migrate
from tests.conftest import FLEET
from tests.servers import Database, Server, ServerUnavailableError, SyncConnection, Target, rows
from tests.support import FAST, KEY, PASSWORD

pytestmark = pytest.mark.only("mysql")
CROWD = 500
LEAST = {"table-definition-cache": "400", "table-open-cache-instances": "1"}


@pytest.fixture(scope="module")
def crowded_server(target: Target, pytestconfig: pytest.Config) -> Server:
    problem = ""
    try:
        return pytestconfig.stash[FLEET].own(target, LEAST)
    except ServerUnavailableError as error:
        problem = f"no server of this module's own: {error}"
    pytest.fail(problem, pytrace=False)


@pytest.fixture
def crowded(crowded_server: Server) -> Iterator[Database]:
    """A migrated database on it, beside one whose tables are all in use."""
    with crowded_server.empty() as others, crowded_server.empty() as database:
        migrate(database.url)
        busy = others.connect()
        for number in range(CROWD):
            rows(busy, f"CREATE TABLE t{number} (id INT PRIMARY KEY)")
            rows(busy, f"SELECT id FROM t{number}")
        conn = database.connect()
        rows(conn, "PREPARE look FROM 'SELECT COUNT(*) FROM authsql_app_otps'")
        with pytest.raises(mysql.connector.Error, match="1615"):
            use_two_views(conn)
        yield database


def use_two_views(conn: SyncConnection) -> None:
    """In turn, until nothing else is left that the server could forget."""
    for _ in range(CROWD):
        rows(conn, "SELECT COUNT(*) FROM authsql_app_passwords")
        rows(conn, "EXECUTE look")


def test_the_demo(crowded: Database) -> None:
    done = CliRunner().invoke(app, ["demo", "--database", crowded.url], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output


async def test_async(crowded: Database) -> None:
    conn = await crowded.connect_async()
    try:
        user = await users.create(conn, "ann@x.org", name="Ann's \\ ☃ -- '")
        assert user.name == "Ann's \\ ☃ -- '"
        assert await passwords.set(conn, user.id, PASSWORD, policy=FAST)
        assert await passwords.verify(conn, user.email, PASSWORD, policy=FAST)
        assert not await passwords.verify(conn, user.email, "wrong", policy=FAST)
        issued = await otps.issue(conn, user.email, "signin", key=KEY, user_id=user.id)
        assert issued
        assert not await otps.verify(conn, user.email, "signin", "' OR 1 -- ", key=KEY)
        verified = await otps.verify(conn, user.email, "signin", issued.code, key=KEY)
        assert isinstance(verified, VerifiedCode)
        opened = await sessions.create(conn, user.id)
        assert opened
        with pytest.raises(EmailTaken):
            await users.create(conn, "Ann@x.org")
    finally:
        await conn.close()


def test_in_a_transaction_of_the_callers(crowded: Database) -> None:
    conn = crowded.connect(autocommit=False)
    user = users.create(conn, "ann@x.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    conn.rollback()
    assert users.get(conn, user.id) is None


def test_values_in_a_text_are_what_they_are_as_parameters(database: Database) -> None:
    values = (
        *("", "'", '"', "\\", "\\'", "?", "%s", "a\nb\r\x00\x1a", "☃ 𝄞", "' OR 1 = 1 -- "),
        *(b"", b"'", bytes(range(256)), None, 0, 7, -7, 2**63 - 1),
        *(datetime(2026, 1, 2, 3, 4, 5, 600), datetime(2026, 1, 2)),  # noqa: DTZ001
    )
    conn = database.connect()
    for value in values:
        [(found,)] = rows(conn, with_values("SELECT ?", (value,)))
        assert (bytes(found) if isinstance(value, bytes) else found) == value
    with pytest.raises(TypeError):
        with_values("SELECT ?", (1.5,))
