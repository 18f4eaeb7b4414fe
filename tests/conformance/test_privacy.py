"""Export and erasure: all that is held on a user, in one call each."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from authsql import (
    RelyingParty,
    accounts,
    audit,
    devices,
    identities,
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
from tests.support import DAY, FAST, KEY, PASSWORD, RING, Api, Sql

SECTIONS = {
    "authsql_users": "user",
    "authsql_passwords": "password",
    "authsql_user_roles": "roles",
    "authsql_identities": "identities",
    "authsql_identity_tokens": "identity_tokens",
    "authsql_totp_factors": "totp_factors",
    "authsql_totp_attempts": "totp_attempts",
    "authsql_recovery_codes": "recovery_codes",
    "authsql_passkeys": "passkeys",
    "authsql_sessions": "sessions",
    "authsql_refresh_tokens": "refresh_tokens",
    "authsql_known_devices": "known_devices",
    "authsql_former_emails": "former_emails",
    "authsql_otps": "codes",
    "authsql_signups": "signups",
    "authsql_outbox": "mails",
    "authsql_audit_log": "audit_log",
}
"""Where the document says what a table holds on a user."""
NOTHING_ON_A_USER = {
    "authsql_schema_version": "of the schema",
    "authsql_roles": "what there is, not who has it",
    "authsql_role_permissions": "of roles",
    "authsql_retention": "a setting",
    "authsql_purge_runs": "when the purge ran",
    "authsql_rate_limits": "a hash of whatever the application counts: nobody is found by it",
    "authsql_passkey_challenges": "random numbers that are of use for minutes",
}
OWNER, HASH, CIPHER, RANDOM, LIMIT, COPY = (
    "the user's id, which the document begins with",
    "a hash",
    "encrypted, or the name of the key",
    "a random id that names nothing of the user's",
    "a limit that is the same for everybody, or counts against it",
    "is in the document under another name",
)
LEFT_OUT = {
    "authsql_users": {"email_key": COPY},
    "authsql_passwords": {"user_id": OWNER, "hash": HASH, "keep_session_id": "NULL, but within a statement"},
    "authsql_user_roles": {"user_id": OWNER},
    "authsql_identities": {"user_id": OWNER},
    "authsql_identity_tokens": dict.fromkeys(
        ("access_token", "refresh_token", "id_token", "key_name"), CIPHER
    ),
    "authsql_totp_factors": {"user_id": OWNER, "secret": CIPHER, "key_name": CIPHER,
        "last_step": COPY, "reencrypt_until": CIPHER},
    "authsql_totp_attempts": {"user_id": OWNER},
    "authsql_recovery_codes": {"user_id": OWNER, "code_hash": HASH},
    "authsql_passkeys": {
        "user_id": OWNER,
        "credential": "what signs in, with the authenticator",
        "public_key": "what signs in, with the authenticator",
        "sign_count": LIMIT,
    },
    "authsql_sessions": {"user_id": OWNER, "secret_hash": HASH},
    "authsql_refresh_tokens": {
        "family_hash": HASH, "current_hash": HASH, "previous_hash": HASH, "seal": CIPHER
    },
    "authsql_known_devices": {"user_id": OWNER, "secret_hash": HASH},
    "authsql_former_emails": {"user_id": OWNER, "id": RANDOM},
    "authsql_otps": {
        "user_id": OWNER,
        "issue_id": RANDOM,
        "code_hash": HASH,
        "link_hash": HASH,
        "max_attempts": LIMIT,
        "resend_at": LIMIT,
        "window_count": LIMIT,
        "window_ends_at": LIMIT,
        "purge_at": COPY,
    },
    "authsql_signups": {"hash": HASH, "issue_id": RANDOM, "purpose": "always signup", "subject": COPY},
    "authsql_outbox": {"body": CIPHER, "key_name": CIPHER, "dedup_hash": HASH, "lease_id": RANDOM},
    "authsql_audit_log": {"user_id": OWNER, "db_user": "of whoever runs the database"},
}  # fmt: skip
"""What the document does not say, and why."""


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
    await api(identities.store_tokens, "google", str(user.id), keyring=RING, access_token="x", scopes="mail")
    for email, name in ((user.email, "Ann Typed"), ("changed@example.org", "Ann Changed")):
        assert await api(accounts.sign_up, email, PASSWORD, name=name, key=KEY, policy=FAST)
        queue(sql, email.replace("e", "E"))


def queue(sql: Sql, recipient: str) -> None:
    later = sql.before(sql.now, -DAY)
    sql(
        "INSERT INTO authsql_outbox (recipient, template, body, key_name, expires_at, purge_at)"
        f" VALUES (%s, 'signin', %s, '2026', {later}, {later})",
        recipient,
        bytes(32),
    )


async def act_on(api: Api, actor: User, other: User) -> None:
    """Leave entries in the log that an actor made in the account of somebody else."""
    await api(audit.set_context, actor_id=actor.id, ip="203.0.113.9", user_agent="Actor/9")
    await api(users.mark_email_verified, other.id, other.email)
    await api(audit.record, "app.looked-in")


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


async def test_export_says_all_and_no_secret(
    api: Api, sql: Sql, user: User, sign_in: SignIn, new_user: NewUser
) -> None:
    """Each column of each table is in the document, or known to stay out."""
    await fill(api, sql, user, sign_in)
    await act_on(api, user, await new_user("other@example.org"))
    document = await api(users.export, user.id)
    tables = {table for table in sql.tables() if table.startswith("authsql_")}
    assert tables == SECTIONS.keys() | NOTHING_ON_A_USER.keys()
    for table, section in SECTIONS.items():
        rows = document[section] if isinstance(document[section], list) else [document[section]]
        assert rows, table
        for row in rows:
            left_out = set(LEFT_OUT.get(table, {}))
            # In MySQL some have a column beside them to be written to, which is NULL once that is stored.
            columns = {column for column in sql.columns(table) if not column.startswith("new_")}
            assert set(row) | left_out == columns, table
            assert not set(row) & left_out, table
    assert document.keys() == {*SECTIONS.values(), "acts"}


async def test_export_by_address(api: Api, sql: Sql, user: User, sign_in: SignIn, new_user: NewUser) -> None:
    """What is kept under an address, with no id of the user, and what the user did to others."""
    await fill(api, sql, user, sign_in)
    other = await new_user("other@example.org")
    queue(sql, other.email)
    await act_on(api, user, other)
    document = await api(users.export, user.id)
    assert {(row["subject"], row["purpose"]) for row in document["codes"]} == {
        (user.email, "signin"),
        (user.email, "password-reset"),
        (user.email, "signup"),
    }
    assert [row["name"] for row in document["signups"]] == ["Ann Typed"]
    assert {row["recipient"].lower() for row in document["mails"]} == {user.email, "changed@example.org"}
    [family] = document["refresh_tokens"]
    assert (family["session_id"], family["generation"]) == (document["sessions"][0]["id"], 0)
    assert [(row["event"], row["ip"]) for row in document["acts"]] == [
        ("email.verified", "203.0.113.9"),
        ("app.looked-in", "203.0.113.9"),
    ]
    text = json.dumps(document)
    assert other.email not in text
    assert str(other.id) not in text, "who it was that something was done to is not the user's to know"
    await api(users.soft_delete, user.id)
    owner = await new_user(user.email)
    await api(users.soft_delete, other.id)
    document = await api(users.export, user.id)
    assert (document["signups"], {row["purpose"] for row in document["codes"]}) == ([], {"password-reset"})
    assert {row["recipient"].lower() for row in document["mails"]} == {"changed@example.org"}
    mine = await api(users.export, owner.id)
    assert {row["recipient"].lower() for row in mine["mails"]} == {user.email}


TRACES = (
    "changed@example.org", "192.0.2.7", "Browser", "Laptop", "Authenticator", "Phone", "Ann Typed",
    "Ann Changed", "203.0.113.9", "Actor/9",
)  # fmt: skip


@pytest.mark.parametrize("by_itself", [False, True])
async def test_erase(
    api: Api, sql: Sql, user: User, sign_in: SignIn, new_user: NewUser, by_itself: bool
) -> None:
    await fill(api, sql, user, sign_in)
    other = await new_user("other@example.org")
    await sign_in(other, ip="192.0.2.8")
    queue(sql, other.email)
    await act_on(api, user, other)
    if not by_itself:
        await api(audit.set_context, actor_id=other.id, ip="192.0.2.10", user_agent="Other/1")
    assert await api(users.erase, user.id) is True
    assert await api(users.get, user.id) is None
    everything = "\n".join(line for lines in sql.dump().values() for line in lines)
    assert [trace for trace in (user.email, *TRACES) if trace.lower() in everything.lower()] == []
    assert "192.0.2.8" in everything
    assert await api(users.get, other.id)
    assert sql.one("SELECT COUNT(*) FROM authsql_outbox WHERE recipient = %s", other.email) == 1
    assert sql.one("SELECT COUNT(*) FROM authsql_audit_log WHERE user_id = %s", user.id) > 5
    [deleted] = await api(audit.list, event="user.deleted")
    assert (deleted.user_id, deleted.actor_id) == (user.id, user.id if by_itself else other.id)
    assert (deleted.ip, deleted.user_agent, deleted.detail) == (None, None, {})
    acts = [entry for entry in await api(audit.list, user_id=other.id) if entry.actor_id == user.id]
    assert [(entry.event, entry.ip, entry.user_agent) for entry in acts] == [("email.verified", None, None)]
    before = sql.dump()
    assert await api(users.erase, user.id) is False
    assert sql.dump() == before


async def test_erase_leaves_what_actors_did_to_others(
    api: Api, sql: Sql, user: User, new_user: NewUser
) -> None:
    """What is said of the change, as its detail, is the other's."""
    other = await new_user("other@example.org")
    await api(audit.set_context, actor_id=user.id, ip="203.0.113.9")
    await api(audit.record, "app.paid", user_id=other.id, detail={"amount": 12})
    await api(users.erase, user.id)
    [entry] = await api(audit.list, event="app.paid")
    assert (entry.actor_id, entry.ip, entry.detail) == (user.id, None, {"amount": 12})


async def test_erase_of_a_former_address_that_another_account_has_now(
    api: Api, sql: Sql, user: User, new_user: NewUser
) -> None:
    sql("UPDATE authsql_users SET email = 'second@example.org' WHERE id = %s", user.id)
    owner = await new_user(user.email)
    issued = await api(otps.issue, owner.email, "signin", key=KEY)
    queue(sql, owner.email)
    assert await api(users.erase, user.id) is True
    assert await api(otps.verify, owner.email, "signin", issued.code, key=KEY)
    assert sql.one("SELECT COUNT(*) FROM authsql_outbox") == 1


async def test_erase_of_a_former_owner_leaves_the_codes_of_the_new_one(
    api: Api, sql: Sql, user: User, new_user: NewUser
) -> None:
    await api(users.soft_delete, user.id)
    owner = await new_user(user.email)
    issued = await api(otps.issue, owner.email, "signin", key=KEY)
    queue(sql, owner.email)
    assert await api(users.erase, user.id) is True
    assert await api(otps.verify, owner.email, "signin", issued.code, key=KEY)
    assert sql.one("SELECT COUNT(*) FROM authsql_outbox") == 1, "nor the mail"


@pytest.mark.parametrize("deleted", [False, True])
async def test_erase_in_a_transaction(api: Api, sql: Sql, user: User, deleted: bool) -> None:
    if deleted:
        await api(users.soft_delete, user.id)
    before = sql.dump()
    await api.begin()
    assert await api(users.erase, user.id) is True
    await api.rollback()
    assert sql.dump() == before
