"""Export and erasure: all that is held on a user, in one call each."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from authsql import (
    RelyingParty,
    devices,
    otps,
    passkeys,
    passwords,
    recovery_codes,
    refresh_tokens,
    totp,
    users,
)
from authsql.models import User
from tests.conformance.authenticator import ORIGIN, Authenticator
from tests.conformance.conftest import NewUser, SignIn
from tests.support import FAST, KEY, RING, Api, Sql

SECRET = {"hash", "secret", "seal", "secret_hash", "code_hash", "link_hash", "key_name", "public_key"}
"""What stands for a secret, or opens one, and is in no document."""
# Tables that belong to a user by something else, or to which there is nothing to say.
ELSEWHERE = {"authsql_refresh_tokens", "authsql_signups", "authsql_passkey_challenges"}


async def fill(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    opened = await sign_in(user, ip="192.0.2.7", user_agent="Browser", device="Laptop")
    await api(refresh_tokens.issue, opened.session.id)
    await api(devices.remember, user.id, name="Laptop")
    await api(otps.issue, user.email, "signin", key=KEY)
    await api(otps.issue, user.email, "password-reset", key=KEY, user_id=user.id)
    sql("UPDATE authsql_users SET email = %s WHERE id = %s", "changed@example.org", user.id)
    sql("UPDATE authsql_users SET email = %s WHERE id = %s", user.email, user.id)
    sql(
        "INSERT INTO authsql_identities (provider, subject, user_id, profile) VALUES (%s, %s, %s, %s)",
        "google",
        str(user.id),
        user.id,
        '{"a": [1, "b"]}',
    )
    await api(passwords.verify, user.email, "wrong password", policy=FAST)
    await api(totp.enroll, user.id, keyring=RING, issuer="x", account="y", name="Authenticator")
    await api(recovery_codes.regenerate, user.id, key=KEY, count=2)
    party, device = RelyingParty("example.org", "Example", (ORIGIN,)), Authenticator(is_synced=True)
    asked = await api(passkeys.begin_registration, user.id, relying_party=party, account="x")
    answer = device.create(asked.options)
    assert await api(
        passkeys.finish_registration, user.id, asked.id, answer, relying_party=party, name="Phone"
    )


async def test_export(api: Api, sql: Sql, user: User, sign_in: SignIn, new_user: NewUser) -> None:
    await fill(api, sql, user, sign_in)
    other = await new_user("other@example.org")
    document = await api(users.export, user.id)
    assert json.loads(json.dumps(document)) == document
    assert document["user"]["email"] == user.email
    assert document["user"]["created_at"] == user.created_at.isoformat()
    assert document["roles"][0]["role"] == "user"
    assert document["identities"][0]["profile"] == {"a": [1, "b"]}
    assert document["sessions"][0]["ip"] == "192.0.2.7"
    assert document["known_devices"][0]["name"] == "Laptop"
    assert [row["email"] for row in document["former_emails"]] == [user.email, "changed@example.org"]
    assert document["codes"][0]["purpose"] == "password-reset"
    assert document["totp_factors"][0]["name"] == "Authenticator"
    assert document["totp_attempts"] == {"failed_attempts": 0, "locked_until": None}
    assert sorted(row["number"] for row in document["recovery_codes"]) == [1, 2]
    [passkey] = document["passkeys"]
    assert (passkey["name"], passkey["transports"], passkey["backed_up"]) == (
        "Phone",
        ["hybrid", "internal"],
        True,
    )
    [known] = await api(passkeys.list, user.id)
    assert passkey["id"] == str(known.id)
    assert "session.created" in [row["event"] for row in document["audit_log"]]
    text = json.dumps(document)
    assert other.email not in text
    assert str(other.id) not in text
    assert await api(users.export, uuid4()) is None


async def test_export_says_all_and_no_secret(api: Api, sql: Sql, user: User, sign_in: SignIn) -> None:
    """Each table with a user_id, and each column of it, is in the document or known to stay out."""
    await fill(api, sql, user, sign_in)
    document = await api(users.export, user.id)

    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {name for each in value.values() for name in keys(each)}
        return {name for each in value for name in keys(each)} if isinstance(value, list) else set()

    said = keys(document)
    assert not said & SECRET
    for table in sql.tables():
        columns = set(sql.columns(table))
        if "user_id" in columns and table not in ELSEWHERE:
            section = {
                "authsql_passwords": "password",
                "authsql_user_roles": "roles",
                "authsql_otps": "codes",
            }.get(table, table.removeprefix("authsql_"))
            assert section in document, table


async def test_erase(api: Api, sql: Sql, user: User, sign_in: SignIn, new_user: NewUser) -> None:
    await fill(api, sql, user, sign_in)
    other = await new_user("other@example.org")
    await sign_in(other, ip="192.0.2.8")
    assert await api(users.erase, user.id) is True
    assert await api(users.get, user.id) is None
    everything = "\n".join(line for lines in sql.dump().values() for line in lines)
    for trace in (
        user.email,
        "changed@example.org",
        "192.0.2.7",
        "Browser",
        "Laptop",
        "Authenticator",
        "Phone",
    ):
        assert trace not in everything
    assert "192.0.2.8" in everything
    assert await api(users.get, other.id)
    assert sql.one("SELECT COUNT(*) FROM authsql_audit_log WHERE user_id = %s", user.id) > 5
    assert sql.one("SELECT COUNT(*) FROM authsql_audit_log WHERE event = 'user.deleted'") == 1
    before = sql.dump()
    assert await api(users.erase, user.id) is False
    assert sql.dump() == before


async def test_erase_of_a_former_owner_leaves_the_codes_of_the_new_one(
    api: Api, sql: Sql, user: User, new_user: NewUser
) -> None:
    await api(users.soft_delete, user.id)
    owner = await new_user(user.email)
    issued = await api(otps.issue, owner.email, "signin", key=KEY)
    assert await api(users.erase, user.id) is True
    assert await api(otps.verify, owner.email, "signin", issued.code, key=KEY)


@pytest.mark.parametrize("deleted", [False, True])
async def test_erase_in_a_transaction(api: Api, sql: Sql, user: User, deleted: bool) -> None:
    if deleted:
        await api(users.soft_delete, user.id)
    before = sql.dump()
    await api.begin()
    assert await api(users.erase, user.id) is True
    await api.rollback()
    assert sql.dump() == before
