"""Rows by the hundred thousand, by one statement each. Made before the audit log, which would double them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import UUID

from tests.support import DAY, HOUR, Sql, make_token

SECRET = bytes(range(32))


def token(number: int) -> str:
    """The token of the session of this number."""
    return make_token("sess_", UUID(int=number), SECRET)


def numbers(sql: Sql, count: int) -> str:
    """A table of one column, i: 1 to count."""
    if not sql.is_mysql:
        return f"generate_series(1, {count}) AS n (i)"
    sql(f"SET SESSION cte_max_recursion_depth = {count}")
    more = f"SELECT n.i + 1 FROM n WHERE n.i < {count}"
    return f"(WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL {more}) SELECT n.i FROM n) AS n"


def fill_sessions(sql: Sql, user_id: UUID, count: int, *, age: timedelta = 2 * HOUR) -> None:
    """Sessions 1 to count of a user, opened so long ago, with the lifetimes of the default policy."""
    start = sql.before(sql.now, age)
    key = "UNHEX(LPAD(HEX(n.i), 32, '0'))" if sql.is_mysql else "lpad(to_hex(n.i), 32, '0')::uuid"
    sql(
        "INSERT INTO authsql_sessions (id, user_id, secret_hash,"
        " created_at, authenticated_at, last_seen_at, expires_at, absolute_expires_at)"
        f" SELECT {key}, %s, %s, {start}, {start}, {start},"
        f" {sql.before(start, -7 * DAY)}, {sql.before(start, -30 * DAY)} FROM {numbers(sql, count)}",
        user_id,
        hashlib.sha256(SECRET).digest(),
    )


def fill_codes(sql: Sql, count: int, *, age: timedelta) -> None:
    """Codes for `1@bulk` to `count@bulk`, sent so long ago."""
    start = sql.before(sql.now, age)
    end = sql.before(start, -HOUR)
    name = "CONCAT(n.i, '@bulk')"
    sql(
        "INSERT INTO authsql_otps"
        " (subject, purpose, issue_id, code_hash, created_at, expires_at, resend_at, window_ends_at)"
        f" SELECT {name}, 'signin', {sql.new_id}, %s, {start}, {end}, {end}, {end}"
        f" FROM {numbers(sql, count)}",
        bytes(32),
    )


def fill_people(sql: Sql, count: int) -> None:
    """Users `1@people` to `count@people`, each with a password that is nobody's."""
    sql(
        "INSERT INTO authsql_users (id, email)"
        f" SELECT {sql.new_id}, CONCAT(n.i, '@people') FROM {numbers(sql, count)}"
    )
    sql(
        "INSERT INTO authsql_passwords (user_id, hash)"
        " SELECT u.id, CONCAT('$argon2id$', u.email, '$0123456789') FROM authsql_users AS u"
        " WHERE u.email LIKE %s",
        "%@people",
    )


def fill_user(sql: Sql) -> UUID:
    """A user, as release 0.1 has them."""
    user_id = UUID(int=2**127 + 1)
    sql("INSERT INTO authsql_users (id, email) VALUES (%s, %s)", user_id, "bulk@example.org")
    return user_id
