"""How many sessions a second one connection validates, and how that compares, in an empty database of yours.

    python benchmarks/sessions.py postgresql://user:password@localhost/bench --sessions 100000

Three ways take turns, a short round each, so that a machine whose speed drifts treats them alike. What counts
is the ratio within one run, not the figures.

authsql  `sessions.validate`
plain    the same statement through the driver's ordinary cursor: what the layer costs or saves
usual    what many session stores do: find the row by a unique index on the hash, and write last_seen on each
         request
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from authsql import sessions, users
from authsql._statements import statements
from authsql._tokens import SESSION_PREFIX, digest, read
from authsql._url import DatabaseURL, connect
from authsql.migrations import migrate, status
from authsql.policy import DEFAULT

ROUND = 300

USUAL = {
    "postgres": (
        (
            "CREATE TABLE bench_usual (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " user_id uuid NOT NULL,"
            " token_hash bytea NOT NULL UNIQUE, last_seen_at timestamptz NOT NULL DEFAULT now(),"
            " expires_at timestamptz NOT NULL)"
        ),
        (
            "INSERT INTO bench_usual (user_id, token_hash, expires_at)"
            " SELECT user_id, secret_hash, expires_at FROM authsql_sessions"
        ),
        "SELECT id, user_id, expires_at FROM bench_usual WHERE token_hash = %s AND expires_at > now()",
        "UPDATE bench_usual SET last_seen_at = now() WHERE id = %s",
        "DROP TABLE bench_usual",
    ),
    "mysql": (
        (
            "CREATE TABLE bench_usual (id BIGINT AUTO_INCREMENT PRIMARY KEY, user_id BINARY(16) NOT NULL,"
            " token_hash BINARY(32) NOT NULL UNIQUE,"
            " last_seen_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)),"
            " expires_at DATETIME(6) NOT NULL)"
        ),
        (
            "INSERT INTO bench_usual (user_id, token_hash, expires_at)"
            " SELECT user_id, secret_hash, expires_at FROM authsql_sessions"
        ),
        (
            "SELECT id, user_id, expires_at FROM bench_usual"
            " WHERE token_hash = %s AND expires_at > UTC_TIMESTAMP(6)"
        ),
        "UPDATE bench_usual SET last_seen_at = UTC_TIMESTAMP(6) WHERE id = %s",
        "DROP TABLE bench_usual",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="an empty database")
    parser.add_argument("--sessions", type=int, default=20_000, help="rows in the table (default 20000)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of each way (default 20)")
    options = parser.parse_args()
    if any(one.state != "pending" for one in status(options.url)):
        raise SystemExit("the database already holds authsql: take an empty one")
    migrate(options.url)
    url = DatabaseURL.parse(options.url)
    connection = connect(url)
    create, fill, find, touch, drop = USUAL[url.dialect]
    print(f"making {options.sessions} sessions")
    tokens = make(connection, options.sessions)
    cursor: Any = connection.cursor()
    cursor.execute(create)
    cursor.execute(fill)
    text = statements(url.dialect)["sessions.validate"].text
    micro = url.dialect == "mysql"

    def authsql(token: str) -> Any:
        return sessions.validate(connection, token)

    def plain(token: str) -> Any:
        row_id, (secret,) = read(SESSION_PREFIX, token, 1) or (None, (b"",))
        assert row_id is not None
        idle, after = DEFAULT.session_idle, DEFAULT.session_touch_after
        parameters = {
            "id": row_id.bytes if micro else row_id,
            "secret_hash": digest(secret),
            "idle": int(idle.total_seconds() * 1e6) if micro else idle,
            "touch_after": int(after.total_seconds() * 1e6) if micro else after,
        }
        cursor.execute(text, parameters)
        return cursor.fetchone()

    def usual(token: str) -> Any:
        _, (secret,) = read(SESSION_PREFIX, token, 1) or (None, (b"",))
        cursor.execute(find, (digest(secret),))
        row = cursor.fetchone()
        cursor.execute(touch, (row[0],))
        return row

    ways: tuple[Callable[[str], Any], ...] = (authsql, plain, usual)
    rates: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for _ in range(options.rounds + 1):
        for way in ways:
            chosen = random.choices(tokens, k=ROUND)
            began = time.perf_counter()
            for token in chosen:
                assert way(token)
            rates[way.__name__].append(ROUND / (time.perf_counter() - began))
    cursor.execute(drop)
    print(f"{'':9}{'a second':>10}{'ratio to usual':>16}")
    for way in ways:
        # The first round warms up.
        median = statistics.median(rates[way.__name__][1:])
        pairs = zip(rates[way.__name__][1:], rates["usual"][1:], strict=True)
        print(f"{way.__name__:9}{median:10.0f}{statistics.median(a / b for a, b in pairs):16.2f}")


def make(connection: Any, count: int) -> list[str]:
    owners = [users.create(connection, f"bench{n}@example.org").id for n in range(max(1, count // 100))]
    made = [sessions.create(connection, owners[n % len(owners)]) for n in range(count)]
    return [one.token for one in made if one]


if __name__ == "__main__":
    main()
