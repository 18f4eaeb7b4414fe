"""A dump of the server's own, as sql/README.md says it, and what comes of it in another database."""

from __future__ import annotations

import re

from authsql import otps, passwords, refresh_tokens, sessions, users
from authsql.doctor import Severity, examine
from authsql.migrations import migrate, rollback, status
from tests.catalog import Catalog, catalog
from tests.migrations.support import ROOT, Client, yoyo_list
from tests.servers import Database, Server
from tests.support import FAST, KEY, PASSWORD, Sql

COMMANDS = {
    "postgres": ("pg_dump", "psql"),
    "mysql": ("mysqldump", "mysql"),
}


def documented(program: str) -> list[str]:
    """The options that the README gives."""
    text = (ROOT / "sql" / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^{program} (--.*?) (?:--dbname=)?app\b", text, re.MULTILINE)
    assert found, program
    return found[1].split()


def plain(found: Catalog) -> dict[str, list[str]]:
    """A catalog without brackets: PostgreSQL reads a AND b AND c back as one list, and writes it anew."""
    return {part: [re.sub(r"[()]", "", repr(row)) for row in listed] for part, listed in found.items()}


def test_a_dump_brings_everything_back(server: Server, empty_database: Database) -> None:
    migrate(empty_database.url)
    conn = empty_database.connect()
    user = users.create(conn, "josé@example.org", name="José 😀")
    passwords.set(conn, user.id, PASSWORD, policy=FAST)
    opened = sessions.create(conn, user.id)
    assert opened
    issued = refresh_tokens.issue(conn, opened.session.id)
    assert issued
    code = otps.issue(conn, "josé@example.org", "signin", key=KEY)
    assert code
    dump, client = COMMANDS[empty_database.dialect]
    dumped = Client(empty_database).call(dump, *documented(dump))
    assert dumped.returncode == 0, dumped.stderr

    with server.empty() as other:
        options = ["--set=ON_ERROR_STOP=1"] if client == "psql" else documented("mysql")
        code_, output = Client(other).run(dumped.stdout, *options)
        assert code_ == 0, output
        copy = other.connect()
        assert plain(catalog(copy, without=frozenset())) == plain(catalog(conn, without=frozenset()))
        assert Sql(other, copy).dump() == Sql(empty_database, conn).dump()
        assert {m.state for m in status(other.url)} == {"applied"}
        assert set(yoyo_list(other).values()) == {"A"}
        assert [f for f in examine(other.url) if f.check == "catalog" and f.severity is not Severity.OK] == []
        # Triggers work, and tokens and codes are good there too.
        assert sessions.validate(copy, opened.token)
        assert otps.verify(copy, "josé@example.org", "signin", code.code, key=KEY)
        assert passwords.set(copy, user.id, f"{PASSWORD}!", policy=FAST)
        assert not sessions.validate(copy, opened.token)
        assert sessions.validate(conn, opened.token)
        rollback(other.url, target=0)
