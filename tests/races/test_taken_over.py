"""An account whose owner proves the e-mail by a sign-in or a reset: what somebody else is putting into it
goes, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from authsql import (
    Code,
    IssuedCode,
    NewDevice,
    accounts,
    devices,
    identities,
    otps,
    passwords,
    sessions,
    totp,
    users,
)
from authsql.models import EmailSignIn, User
from tests.races.conftest import commit_once_waited_for
from tests.servers import Database, SyncConnection
from tests.support import FAST, KEY, RING, Sql

EMAIL = "ann@x.org"
PLANTS: dict[str, Callable[[SyncConnection, User], object]] = {
    "passwords": lambda conn, user: passwords.set(conn, user.id, "of somebody else", policy=FAST),
    "sessions": lambda conn, user: sessions.create(conn, user.id),
    "known_devices": lambda conn, user: devices.remember(conn, user.id),
    "identities": lambda conn, user: identities.link(conn, user.id, "google", "1"),
    "totp_factors": lambda conn, user: totp.enroll(conn, user.id, keyring=RING, issuer="x", account=EMAIL),
}
LEFT = {
    "sessions": "SELECT COUNT(*) FROM authsql_sessions WHERE revoked_at IS NULL",
    "passwords": "SELECT COUNT(*) FROM authsql_passwords WHERE must_change_since IS NULL",
}


@pytest.mark.parametrize("flow", ["sign_in", "reset_password"])
@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_committed_meanwhile_goes(
    database: Database, conn: SyncConnection, sql: Sql, plant: str, flow: str
) -> None:
    user = users.create(conn, EMAIL)
    purpose = "signin" if flow == "sign_in" else "password-reset"
    issued = otps.issue(conn, EMAIL, purpose, key=KEY)
    assert isinstance(issued, IssuedCode)
    proof = Code(EMAIL, issued.code, KEY)
    planting = database.connect(autocommit=False)
    assert PLANTS[plant](planting, user)
    committed = commit_once_waited_for(database, planting)
    found: Any
    if flow == "sign_in":
        found = accounts.sign_in(conn, proof)
        assert isinstance(found, EmailSignIn)
        assert found.outcome == "claimed"
    else:
        found = accounts.reset_password(conn, proof, "of the owner", policy=FAST)
        assert found == user.id
    committed.join()
    left = sql.one(LEFT.get(plant, f"SELECT COUNT(*) FROM authsql_{plant}"))
    assert left == (1 if plant == "passwords" and flow == "reset_password" else 0)
    assert not passwords.verify(conn, user.id, "of somebody else", policy=FAST)


def test_a_device_that_is_remembered_meanwhile(database: Database, conn: SyncConnection, sql: Sql) -> None:
    """Of an account whose e-mail is proved, too: a reset forgets every device."""
    user = users.create(conn, EMAIL, email_verified=True)
    assert passwords.set(conn, user.id, "the password before", policy=FAST)
    issued = otps.issue(conn, EMAIL, "password-reset", key=KEY)
    assert isinstance(issued, IssuedCode)
    planting = database.connect(autocommit=False)
    assert isinstance(devices.remember(planting, user.id), NewDevice)
    committed = commit_once_waited_for(database, planting)
    assert (
        accounts.reset_password(conn, Code(EMAIL, issued.code, KEY), "of the owner", policy=FAST) == user.id
    )
    committed.join()
    assert sql.one("SELECT COUNT(*) FROM authsql_known_devices") == 0
