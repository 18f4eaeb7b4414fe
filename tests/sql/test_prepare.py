"""Every statement is understood by the server: it is prepared there, and not run."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import mysql.connector
import psycopg
from psycopg.pq import ExecStatus

from authsql._statements import statements
from tests.servers import SyncConnection, rows

PARAMETER = re.compile(r"%\(\w+\)s")


def numbered(text: str, parameters: tuple[str, ...]) -> bytes:
    """The text as psycopg sends it: $1, the same number for the same name."""
    order = list(dict.fromkeys(parameters))
    return PARAMETER.sub(lambda found: f"${order.index(found[0][2:-2]) + 1}", text).encode()


def test_every_statement_prepares(conn: SyncConnection) -> None:
    problems = {}
    if isinstance(conn, psycopg.Connection):
        # pg_cron's own table is there where the extension is.
        rows(conn, "CREATE SCHEMA cron")
        rows(
            conn,
            "CREATE TABLE cron.job (jobname text, schedule text, command text, database text, active bool)",
        )
        for name, statement in statements("postgres").items():
            # Without types of parameters: psycopg takes them from the values.
            answer = conn.pgconn.prepare(name.encode(), numbered(statement.text, statement.parameters))
            if answer.status != ExecStatus.COMMAND_OK:
                problems[name] = answer.error_message.decode()
    else:
        # The journal's own table is there for the time of a run only.
        rows(conn, statements("mysql")["migrations.create_progress"].text)
        server: Any = conn
        for name, statement in statements("mysql").items():
            try:
                prepared = server.cmd_stmt_prepare(statement.native.encode())
            except mysql.connector.Error as error:
                problems[name] = str(error)
            else:
                with suppress(AttributeError):
                    assert prepared.param_count == len(statement.parameters), name
                number = prepared["statement_id"] if isinstance(prepared, dict) else prepared
                server.cmd_stmt_close(number)
    assert not problems
