"""The code in docs/howto/passwords.md runs, and does what the text says."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from authsql import Pepper, Policy, Reason, passwords, users
from authsql.models import User
from tests.servers import SyncConnection, rows
from tests.support import BCRYPT, FAST, PASSWORD, Sql, refused

TEXT = (Path(__file__).parents[2] / "docs" / "howto" / "passwords.md").read_text(encoding="utf-8")
OLD, NEW = bytes(32), bytes(range(32))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def howto(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the blocks of Python define, with a hash that takes a millisecond."""
    monkeypatch.setenv("PEPPER_2026", NEW.hex())
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "passwords.md", "exec"), names)
    names["policy"] = replace(names["policy"], argon2=FAST.argon2)
    return names


def account(conn: SyncConnection, email: str, policy: Policy | None) -> User:
    user = users.create(conn, email)
    if policy is not None:
        assert passwords.set(conn, user.id, PASSWORD, policy=policy)
    return user


def test_every_block_is_known() -> None:
    assert len(blocks("python")) == 5
    assert len(blocks("sql")) == 2
    assert TEXT.count("```") == 2 * 7


def test_policy(howto: dict[str, Any], conn: SyncConnection) -> None:
    policy = howto["policy"]
    assert repr(policy.pepper) == "Pepper(2026; current 2026)"
    user = account(conn, "a@x.org", policy)
    assert passwords.verify(conn, user.id, PASSWORD, policy=policy)


def test_rotation(howto: dict[str, Any], conn: SyncConnection, sql: Sql) -> None:
    before = replace(FAST, pepper=Pepper({"2025": OLD}, "2025"))
    after = replace(FAST, pepper=Pepper({"2025": OLD, "2026": NEW}, "2026"))
    first = account(conn, "a@x.org", before)
    second = account(conn, "b@x.org", before)
    account(conn, "c@x.org", FAST)
    imported = account(conn, "d@x.org", None)
    assert passwords.import_hash(conn, imported.id, BCRYPT, policy=FAST)
    assert passwords.verify(conn, first.id, PASSWORD, policy=after)
    count, delete = blocks("sql")
    assert {str(row[0]): row[1] for row in rows(conn, count)} == {
        "$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=2025": 1,
        "$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=2026": 1,
        "$argon2id$v=19$m=8,t=1,p=1": 1,
        "$2b": 1,
    }
    run(conn, delete)
    refused(passwords.verify(conn, second.id, PASSWORD, policy=after), Reason.WRONG)
    only = replace(FAST, pepper=Pepper({"2026": NEW}, "2026"))
    assert passwords.verify(conn, first.id, PASSWORD, policy=only)
    [left] = re.findall(r"`(DELETE FROM authsql_passwords WHERE hash LIKE '\$2_\$%')`", TEXT)
    run(conn, left)
    refused(passwords.verify(conn, imported.id, PASSWORD, policy=FAST), Reason.WRONG)
    assert len(rows(conn, "SELECT 1 FROM authsql_passwords")) == 2


def run(conn: SyncConnection, statement: str) -> None:
    # Without parameters: a percent sign is one.
    cursor: Any = conn.cursor()
    cursor.execute(statement)
    cursor.close()


def test_import(howto: dict[str, Any], conn: SyncConnection) -> None:
    policy = howto["policy"]
    salt = bytes(range(16))
    node = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=2**14, r=8, p=1, dklen=64)
    text = salt.hex().encode()
    better = hashlib.scrypt(PASSWORD.encode(), salt=text, n=2**14, r=16, p=1, dklen=64, maxmem=2**26)
    for number, hashed in enumerate(
        [BCRYPT, howto["from_node"](salt, node), howto["from_better_auth"](f"{salt.hex()}:{better.hex()}")]
    ):
        email = f"{number}@x.org"
        assert howto["import_account"](conn, email, hashed) is True
        assert howto["import_account"](conn, email, hashed) is False
        assert passwords.verify(conn, email, PASSWORD, policy=policy)
    assert howto["import_account"](conn, "md5@x.org", "5f4dcc3b5aa765d61d8327deb882cf99") is False
    assert users.get_by_email(conn, "md5@x.org")


def test_common_passwords(howto: dict[str, Any], conn: SyncConnection) -> None:
    user = users.create(conn, "ada@x.org", name="Lovelace")
    for common in ("password1", "Acme2026!", "ada12345", "Lovelace1815"):
        assert howto["choose_password"](conn, user, common).startswith("Too many")
    assert howto["choose_password"](conn, user, PASSWORD) == "Done."


def test_breached_passwords(howto: dict[str, Any]) -> None:
    asked: list[str] = []

    def fetch(url: str) -> str:
        asked.append(url)
        # SHA-1 of "password" is 5BAA6 and this.
        return "003D68EB55068C33ACE09247EE4C639306B:3\r\n1E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824\r\n"

    assert howto["is_breached"]("password", fetch) is True
    assert howto["is_breached"](PASSWORD, fetch) is False
    assert asked[0] == "https://api.pwnedpasswords.com/range/5BAA6"
