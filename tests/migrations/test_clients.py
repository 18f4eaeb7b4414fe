"""A DBA applies the files with psql or mysql, and gets what yoyo and our own runner make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authsql.migrations import migrate, rollback, status
from tests.catalog import catalog
from tests.migrations.support import Client, files, path, yoyo_list

if TYPE_CHECKING:
    from tests.servers import Database, Server


def test_the_client_applies_what_migrate_applies(server: Server, empty_database: Database) -> None:
    with server.empty() as other:
        migrate(other.url)
        expected = catalog(other.connect())
    client, dialect = Client(empty_database), empty_database.dialect
    conn = empty_database.connect()
    for file in files(dialect):
        client.feed(path(dialect, file, "apply"))
    assert catalog(conn) == expected
    assert {m.state for m in status(empty_database.url)} == {"applied"}

    for file in reversed(files(dialect)):
        client.feed(path(dialect, file, "rollback"))
    assert not any(catalog(conn).values())


def test_a_dba_and_the_runner_take_turns(empty_database: Database) -> None:
    client, dialect = Client(empty_database), empty_database.dialect
    everything = files(dialect)
    conn, said = empty_database.connect(), list[str]()
    for file in everything[:3]:
        client.feed(path(dialect, file, "apply"))
    assert [m.number for m in migrate(empty_database.url, progress=said.append)] == [
        file.number for file in everything[3:]
    ]
    assert said[:3] == [
        f"{file.id} was applied by other means: marking it for yoyo" for file in everything[:3]
    ]
    assert set(yoyo_list(empty_database).values()) == {"A"}
    up = catalog(conn)

    client.feed(path(dialect, everything[-1], "rollback"))
    assert status(empty_database.url)[-1].state == "pending"
    assert [m.number for m in migrate(empty_database.url)] == [everything[-1].number]
    assert catalog(conn) == up

    client.feed(path(dialect, everything[-1], "rollback"))
    assert [m.number for m in rollback(empty_database.url, steps=1)] == [everything[-2].number]
    assert yoyo_list(empty_database)[everything[-1].id] == "U"
