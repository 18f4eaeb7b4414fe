"""Hashes under a pepper, hashes from elsewhere, and passwords that nobody may choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import argon2.low_level
import pytest

from authsql import (
    Blocklist,
    Code,
    CommonPassword,
    InvalidInput,
    Pepper,
    Policy,
    Reason,
    UnknownHash,
    VerifiedPassword,
    accounts,
    otps,
    passwords,
    sessions,
    users,
)
from authsql import _passwords as hashing
from authsql.models import User
from tests.conformance.conftest import NewUser, SignIn
from tests.support import BCRYPT, FAST, KEY, PASSWORD, Api, Sql, refused, with_policy

NEW = "another password"
OLD_KEY, NEW_KEY = bytes(32), bytes(range(32))
PEPPERED = with_policy(pepper=Pepper({"2025": OLD_KEY}, "2025"))
ROTATED = with_policy(pepper=Pepper({"2025": OLD_KEY, "2026": NEW_KEY}, "2026"))
# Of PASSWORD, one of each algorithm, and what is stored of it.
FOREIGN = {
    "bcrypt": (BCRYPT, "$2b$04$"),
    "scrypt": (
        "scrypt:1024:8:1$saltsaltsalt$b9781cdf027337d9fb0ddfe88f16415422c56509c3f020764d8ab4918d3130aa",
        "$scrypt$ln=10,r=8,p=1$",
    ),
    "pbkdf2": (
        "pbkdf2_sha256$1200$saltsaltsalt$ddDfwY4i/1l+qbQQKjI+TKbYt0zaWQ9a6cwZs0a2/Pg=",
        "$pbkdf2-sha256$i=1200,l=32$",
    ),
    "argon2i": (
        "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$DBCU1Oqpm8bJijsFjSkm7wHmerLl7WSGV64A/yKzjdo",
        "$argon2i$v=19$m=64,t=1,p=1$",
    ),
}


def hash_of(sql: Sql, user: User) -> str:
    found: str = sql.one("SELECT hash FROM authsql_passwords WHERE user_id = %s", user.id)
    return found


def times_of(sql: Sql, user: User) -> tuple[Any, Any]:
    [found] = sql("SELECT changed_at, rehashed_at FROM authsql_passwords WHERE user_id = %s", user.id)
    return found


async def test_a_pepper_is_in_every_new_hash(api: Api, sql: Sql, user: User) -> None:
    assert await api(passwords.set, user.id, PASSWORD, policy=PEPPERED)
    first = hash_of(sql, user)
    assert first.startswith("$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=2025$")
    assert await api(passwords.verify, user.id, PASSWORD, policy=PEPPERED)
    assert hash_of(sql, user) == first, "nothing to renew"
    refused(await api(passwords.verify, user.id, "wrong password", policy=PEPPERED), Reason.WRONG)
    assert await api(passwords.change, user.id, PASSWORD, NEW, policy=PEPPERED) is True
    assert ",key=2025$" in hash_of(sql, user)
    assert await api(passwords.verify, user.id, NEW, policy=PEPPERED)


async def test_another_key_of_the_same_name_is_wrong(api: Api, user: User) -> None:
    await api(passwords.set, user.id, PASSWORD, policy=PEPPERED)
    other = with_policy(pepper=Pepper({"2025": NEW_KEY}, "2025"))
    refused(await api(passwords.verify, user.id, PASSWORD, policy=other), Reason.WRONG)


@pytest.mark.parametrize(
    ("before", "after", "form"),
    [
        (FAST, PEPPERED, "$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=2025$"),
        (PEPPERED, ROTATED, "$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=2026$"),
        (PEPPERED, with_policy(pepper=Pepper({"2025": OLD_KEY}, None)), "$argon2id$v=19$m=8,t=1,p=1$"),
        (
            PEPPERED,
            replace(PEPPERED, argon2=replace(FAST.argon2, time_cost=2)),
            "$argon2id-hmac-sha256$v=19$m=8,t=2,p=1,key=2025$",
        ),
    ],
    ids=["introduced", "rotated", "given up", "stronger"],
)
async def test_a_hash_is_renewed_when_its_password_is_verified(
    api: Api, sql: Sql, user: User, sign_in: SignIn, before: Policy, after: Policy, form: str
) -> None:
    await api(passwords.set, user.id, PASSWORD, policy=before)
    opened = await sign_in()
    stored, (changed_at, rehashed_at) = hash_of(sql, user), times_of(sql, user)
    assert rehashed_at is None
    refused(await api(passwords.verify, user.id, "wrong password", policy=after), Reason.WRONG)
    assert hash_of(sql, user) == stored, "only by whoever knows the password"
    assert await api(passwords.verify, user.email, PASSWORD, policy=after)
    renewed = hash_of(sql, user)
    assert renewed.startswith(form)
    assert times_of(sql, user)[0] == changed_at
    assert times_of(sql, user)[1] is not None
    assert await api(sessions.validate, opened.token), "a new hash of the same password ends nothing"
    assert await api(passwords.verify, user.email, PASSWORD, policy=after)
    assert hash_of(sql, user) == renewed
    refused(await api(passwords.verify, user.id, "wrong password", policy=after), Reason.WRONG)


@pytest.mark.parametrize("policy", [FAST, with_policy(pepper=Pepper({"2026": NEW_KEY}, "2026"))])
async def test_pepper_key_that_is_missing(api: Api, sql: Sql, user: User, policy: Policy) -> None:
    await api(passwords.set, user.id, PASSWORD, policy=PEPPERED)
    stored = hash_of(sql, user)
    for operation, rest in ((passwords.verify, (PASSWORD,)), (passwords.change, (PASSWORD, NEW))):
        with pytest.raises(UnknownHash, match="pepper key 2025") as raised:
            await api(operation, user.id, *rest, policy=policy)
        assert stored not in repr(raised.value)
        assert PASSWORD not in repr(raised.value)
    assert hash_of(sql, user) == stored
    assert await api(passwords.verify, user.id, PASSWORD, policy=PEPPERED), "with the key all is well"


async def test_work_is_the_same_for_unknown_accounts(
    api: Api, user: User, new_user: NewUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One HMAC and one argon2, whoever it is."""
    await api(passwords.set, user.id, PASSWORD, policy=PEPPERED)
    bare = await new_user(password=None)
    # The first use of a policy makes the hash that belongs to nobody.
    await api(passwords.verify, user.email, "wrong password", policy=PEPPERED)
    done: list[str] = []

    def watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            done.append(name)
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(Pepper, "apply", watched("hmac", Pepper.apply))
    monkeypatch.setattr(hashing, "hash_secret_raw", watched("argon2", argon2.low_level.hash_secret_raw))
    for who in (user.email, "nobody@x.org", bare.email, uuid4()):
        done.clear()
        refused(await api(passwords.verify, who, "wrong password", policy=PEPPERED), Reason.WRONG)
        assert done == ["hmac", "argon2"]


@pytest.mark.parametrize("name", FOREIGN)
async def test_import(api: Api, sql: Sql, new_user: NewUser, sign_in: SignIn, name: str) -> None:
    """A hash from elsewhere signs its owner in, and becomes one of the policy's."""
    foreign, form = FOREIGN[name]
    user = await new_user(password=None)
    opened = await sign_in(user)
    assert await api(passwords.import_hash, user.id, foreign, policy=ROTATED) is True
    stored, (changed_at, rehashed_at) = hash_of(sql, user), times_of(sql, user)
    assert stored.startswith(form)
    assert rehashed_at is None
    for _ in range(2):
        refused(await api(passwords.verify, user.id, "wrong password", policy=ROTATED), Reason.WRONG)
    assert hash_of(sql, user) == stored
    expected = VerifiedPassword(user.id, must_change=False, email_verified=False)
    assert await api(passwords.verify, user.email, PASSWORD, policy=ROTATED) == expected
    renewed = hash_of(sql, user)
    assert renewed.startswith("$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=2026$")
    assert times_of(sql, user)[0] == changed_at
    assert times_of(sql, user)[1] is not None
    assert sql.one("SELECT failed_attempts FROM authsql_users WHERE id = %s", user.id) == 0
    assert await api(sessions.validate, opened.token)
    assert await api(passwords.verify, user.email, PASSWORD, policy=ROTATED) == expected
    assert hash_of(sql, user) == renewed
    refused(await api(passwords.verify, user.id, "wrong password", policy=ROTATED), Reason.WRONG)


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_hash_from_elsewhere_counts_and_locks(api: Api, new_user: NewUser, name: str) -> None:
    user = await new_user(password=None)
    assert await api(passwords.import_hash, user.id, FOREIGN[name][0], policy=FAST)
    for _ in range(5):
        refused(await api(passwords.verify, user.id, "wrong password", policy=FAST), Reason.WRONG)
    refused(await api(passwords.verify, user.id, PASSWORD, policy=FAST), Reason.LOCKED)


async def test_change_of_an_imported_password(api: Api, sql: Sql, new_user: NewUser, sign_in: SignIn) -> None:
    user = await new_user(password=None)
    assert await api(passwords.import_hash, user.id, BCRYPT, policy=FAST)
    opened = await sign_in(user)
    refused(await api(passwords.change, user.id, "wrong password", NEW, policy=FAST), Reason.WRONG)
    assert await api(passwords.change, user.id, PASSWORD, NEW, policy=FAST) is True
    refused(await api(sessions.validate, opened.token), Reason.REVOKED)
    assert await api(passwords.verify, user.id, NEW, policy=FAST)


async def test_an_import_replaces_no_password(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    before = sql.dump()
    assert await api(passwords.import_hash, user.id, BCRYPT, policy=FAST) is False
    assert sql.dump() == before
    bare = await new_user(password=None)
    assert await api(passwords.import_hash, bare.id, BCRYPT, policy=FAST) is True
    before = sql.dump()
    for name in FOREIGN:
        assert await api(passwords.import_hash, bare.id, FOREIGN[name][0], policy=FAST) is False
    assert sql.dump() == before


async def test_import_for_nobody(api: Api, sql: Sql, new_user: NewUser) -> None:
    bare = await new_user(password=None)
    await api(users.soft_delete, bare.id)
    before = sql.dump()
    for who in (uuid4(), bare.id):
        assert await api(passwords.import_hash, who, BCRYPT, policy=FAST) is False
    assert sql.dump() == before


@pytest.mark.parametrize(
    "hashed",
    ["5f4dcc3b5aa765d61d8327deb882cf99", "$2b$31$" + "a" * 53, "plain password", "$argon2id$v=19$m=8$x", ""],
)
async def test_what_is_not_imported(api: Api, sql: Sql, new_user: NewUser, hashed: str) -> None:
    bare = await new_user(password=None)
    before = sql.dump()
    with pytest.raises(InvalidInput, match="is not taken"):
        await api(passwords.import_hash, bare.id, hashed, policy=FAST)
    assert sql.dump() == before


async def test_hashes_under_a_pepper_move_to_another_database(
    api: Api, sql: Sql, user: User, new_user: NewUser
) -> None:
    long = replace(PEPPERED, argon2=replace(FAST.argon2, salt_len=16, hash_len=32))
    await api(passwords.set, user.id, PASSWORD, policy=long)
    bare = await new_user(password=None)
    with pytest.raises(InvalidInput, match="pepper key"):
        await api(passwords.import_hash, bare.id, hash_of(sql, user), policy=FAST)
    assert await api(passwords.import_hash, bare.id, hash_of(sql, user), policy=long) is True
    assert hash_of(sql, bare) == hash_of(sql, user)
    assert await api(passwords.verify, bare.id, PASSWORD, policy=long)


async def test_a_common_password_is_not_chosen(api: Api, sql: Sql, user: User) -> None:
    policy = with_policy(password_blocklist=Blocklist.common() | Blocklist.context("acme", user.email))
    before = sql.dump()
    for common in ("password1", "PASSWORD1", "Acme2026!", user.email.title()):
        for operation, rest in ((passwords.set, (common,)), (passwords.change, (PASSWORD, common))):
            with pytest.raises(CommonPassword) as raised:
                await api(operation, user.id, *rest, policy=policy)
            assert isinstance(raised.value, InvalidInput)
            assert common not in repr(raised.value)
    assert sql.dump() == before, "nor was an attempt counted"
    assert await api(passwords.change, user.id, PASSWORD, "uncommon enough", policy=policy) is True


async def test_sign_up_and_reset_go_by_the_same_policy(api: Api, sql: Sql, user: User) -> None:
    policy = replace(PEPPERED, password_blocklist=Blocklist.common())
    with pytest.raises(CommonPassword):
        await api(accounts.sign_up, "new@x.org", "password1", key=KEY, policy=policy)
    pending = await api(accounts.sign_up, "new@x.org", PASSWORD, key=KEY, policy=policy)
    code = Code("new@x.org", pending.issued.code, KEY, pending.issued.issue_id)
    created = await api(accounts.confirm_sign_up, code, policy=policy)
    assert ",key=2025$" in hash_of(sql, created)
    assert await api(passwords.verify, created.id, PASSWORD, policy=policy)
    issued = await api(otps.issue, user.email, "password-reset", key=KEY, policy=policy)
    code = Code(user.email, issued.code, KEY)
    with pytest.raises(CommonPassword):
        await api(accounts.reset_password, code, "password1", policy=policy)
    assert await api(accounts.reset_password, code, NEW, policy=policy) == user.id
    assert ",key=2025$" in hash_of(sql, user)
    assert await api(passwords.verify, user.id, NEW, policy=policy)


async def test_who_has_a_common_password_still_signs_in(api: Api, new_user: NewUser) -> None:
    user = await new_user(password="password1")
    policy = with_policy(password_blocklist=Blocklist.common())
    assert await api(passwords.verify, user.id, "password1", policy=policy)
    assert await api(passwords.change, user.id, "password1", "uncommon enough", policy=policy) is True
