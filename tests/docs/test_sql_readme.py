"""What sql/README.md has to be typed by hand, with nothing but psql or mysql, does what the text says."""

from __future__ import annotations

import re

from authsql import Reason, sessions, totp, users
from authsql._statements import Dialect, sql_root
from authsql.models import NewSession, TotpEnrollment
from tests.servers import SyncConnection
from tests.support import RING, Sql, refused

TEXT = (sql_root() / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)


def typed(word: str, dialect: Dialect) -> str:
    """The statement of the block that has this word, in one dialect."""
    [block] = [block for block in BLOCKS if word in block]
    postgres, mysql = re.split(r"^-- MySQL\n", block, flags=re.MULTILINE)
    return (mysql if dialect == "mysql" else postgres.removeprefix("-- PostgreSQL\n")).strip().rstrip(";")


def opened(sql: Sql) -> NewSession:
    user = users.create(sql.connection, "ann@example.org")
    made = sessions.create(sql.connection, user.id)
    assert isinstance(made, NewSession)
    return made


def test_a_session_is_found_and_ended(sql: Sql, conn: SyncConnection) -> None:
    made = opened(sql)
    dialect: Dialect = "mysql" if sql.is_mysql else "postgres"
    # What is asked of somebody is enough: it opens nothing.
    known = made.token[:29]
    refused(sessions.validate(conn, known), Reason.MALFORMED)
    [[found]] = sql(typed("sess_...", dialect).replace("sess_...", known))
    assert str(found) == str(made.session.id)
    sql(typed("by-hand", dialect).replace("'...'", f"'{found}'"))
    assert refused(sessions.validate(conn, made.token), Reason.REVOKED).detail == "by-hand"


def test_what_is_set_by_hand(sql: Sql, conn: SyncConnection) -> None:
    made = opened(sql)
    enrolled = totp.enroll(conn, made.session.user_id, keyring=RING, issuer="x", account="y")
    assert isinstance(enrolled, TotpEnrollment)
    for what in (
        "To unlock a user's TOTP factors, set `failed_attempts = 0, locked_until = NULL`",
        "set `failed_attempts = 0, locked_until = NULL` in `authsql_users`",
        "close one, set `deleted_at`: a trigger ends its sessions.",
        "To delete one for good, delete its row in `authsql_users`",
    ):
        assert what in TEXT
    for table in ("totp_attempts", "users"):
        sql(f"UPDATE authsql_{table} SET failed_attempts = 9")
        sql(f"UPDATE authsql_{table} SET failed_attempts = 0, locked_until = NULL")
    sql("DELETE FROM authsql_totp_factors")
    sql(f"UPDATE authsql_users SET deleted_at = {sql.now}")
    refused(sessions.validate(conn, made.token), Reason.REVOKED)
    sql("DELETE FROM authsql_users")
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions") == 0
