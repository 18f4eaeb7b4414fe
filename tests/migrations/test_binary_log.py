"""MySQL with a binary log, which is its default: error 1419, what tells of it, and what cures it."""

from __future__ import annotations

import re

import pytest

from authsql import users
from authsql._mysql_grants import MIGRATING
from authsql._statements import sql_root
from authsql.doctor import examine
from authsql.migrations import MigrationFailed, migrate, rollback, status
from tests.conftest import FLEET
from tests.doctor.test_doctor import user
from tests.migrations.test_cli import command
from tests.servers import Server, ServerUnavailableError, Target, default_image, rows

pytestmark = pytest.mark.only("mysql")


@pytest.fixture(scope="module")
def logging_server(target: Target, pytestconfig: pytest.Config) -> Server:
    """A server of this module's own that is as strict as one is by default."""
    try:
        return pytestconfig.stash[FLEET].own(target, {"log-bin": "", "log-bin-trust-function-creators": "0"})
    except ServerUnavailableError as error:
        problem = f"no {default_image('mysql')} with a binary log: {error}"
    pytest.fail(problem, pytrace=False)


def test_error_1419_and_its_cure(logging_server: Server) -> None:
    """With the rights that sql/README.md names for who migrates."""
    cure = re.search(
        r"\*\*Error 1419\*\*.*?`(SET PERSIST [^`]+)`", (sql_root() / "README.md").read_text(), re.DOTALL
    )
    assert cure
    with logging_server.empty() as database:
        conn = database.connect()
        assert rows(conn, "SELECT @@log_bin, @@log_bin_trust_function_creators") == [(1, 0)]
        rights = ", ".join(MIGRATING).replace("_", " ")
        with user(database, f"{rights} ON {database.name}.*") as url:
            with pytest.raises(MigrationFailed, match="failed at statement") as raised:
                migrate(url)
            assert "log_bin_trust_function_creators = 1" in (raised.value.hint or "")
            # What was made before it is there, and nothing of it.
            assert [m.name for m in status(url) if m.state == "applied"] == ["schema_version"]
            assert any("error 1419" in f.message for f in examine(url) if f.check == "rights")
            done = command("migrate", "--database", url)
            assert done.exit_code == 1
            assert "log_bin_trust_function_creators = 1" in done.stderr

            rows(conn, cure[1])
            migrate(url)
            assert {m.state for m in status(url)} == {"applied"}
            assert not any("1419" in f.message for f in examine(url))
            users.create(conn, "ada@example.org")
            rollback(url, target=0)


def test_an_administrator_needs_no_cure(logging_server: Server) -> None:
    with logging_server.empty() as database:
        conn = database.connect()
        rows(conn, "SET GLOBAL log_bin_trust_function_creators = 0")
        migrate(database.url)
        users.create(conn, "ada@example.org")
        # By default the log has rows, and nothing that depends on when and where a statement runs.
        assert rows(conn, "SELECT @@binlog_format") == [("ROW",)]
