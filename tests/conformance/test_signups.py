"""Signing up: no account is there until the owner of the address proves it, and then it is that of the
browser that asked. What every flow does alike is in test_accounts.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from authsql import (
    Code,
    EmailTaken,
    InvalidInput,
    Link,
    PendingSignUp,
    Reason,
    accounts,
    maintenance,
    otps,
    passwords,
    users,
)
from authsql._passwords import hash_password as hash_once
from authsql.models import IssuedCode, User
from tests.flows import HOW, before, proof
from tests.support import FAST, KEY, MINUTE, PASSWORD, Api, Sql, other_than, refused

THEIRS = "mallory's password"


async def sign_up(
    api: Api, email: str = "ann@x.org", password: str | None = PASSWORD, **options: Any
) -> PendingSignUp:
    pending = await api(accounts.sign_up, email, password, key=KEY, link=True, policy=FAST, **options)
    assert isinstance(pending, PendingSignUp), pending
    return pending


@HOW
async def test_sign_up(api: Api, sql: Sql, how: str) -> None:
    pending = await sign_up(api, "Jose\u0301@X.org", name="N")
    assert not pending.email_taken
    assert pending.issued.issue_id.version == 7
    assert await api(users.get_by_email, "josé@x.org") is None, "no account yet"
    user = await api(accounts.confirm_sign_up, proof(how, "JOSÉ@x.ORG", pending.issued))
    assert isinstance(user, User)
    assert (user.email, user.name) == ("José@X.org", "N"), "as it was typed, in NFC"
    assert user.email_verified_at is not None
    assert (await api(passwords.verify, "josé@x.org", PASSWORD, policy=FAST)).user_id == user.id
    assert sql.one("SELECT COUNT(*) FROM authsql_signups") == 0
    assert [row[0] for row in sql("SELECT role FROM authsql_user_roles")] == ["user"]
    refused(await api(accounts.confirm_sign_up, proof(how, "josé@x.org", pending.issued)), Reason.SPENT)


@HOW
async def test_without_a_password(api: Api, sql: Sql, how: str) -> None:
    pending = await sign_up(api, password=None)
    user = await api(accounts.confirm_sign_up, proof(how, "ann@x.org", pending.issued))
    assert isinstance(user, User)
    assert sql.one("SELECT COUNT(*) FROM authsql_passwords") == 0
    refused(await api(passwords.verify, "ann@x.org", "", policy=FAST), Reason.WRONG)


async def test_without_a_link(api: Api) -> None:
    pending = await api(accounts.sign_up, "ann@x.org", key=KEY)
    assert pending.issued.link is None
    assert await api(accounts.confirm_sign_up, proof("code", "ann@x.org", pending.issued))


async def test_sign_up_twice(api: Api, sql: Sql) -> None:
    """Too soon: the first one stands. Later: it is void, and the second one's password counts."""
    first = await sign_up(api, name="First")
    untouched = sql.state()
    again = await api(accounts.sign_up, "ANN@x.org", THEIRS, key=KEY, policy=FAST)
    assert refused(again, Reason.COOLING_DOWN).retry_at == first.issued.resend_at
    assert sql.state() == untouched
    sql.elapse(FAST.code_resend_after)
    second = await sign_up(api, "Ann@x.org", THEIRS)
    assert sql.one("SELECT COUNT(*) FROM authsql_signups") == 1
    for how in ("code", "link"):
        refused(await api(accounts.confirm_sign_up, proof(how, "ann@x.org", first.issued)), Reason.UNKNOWN)
    user = await api(accounts.confirm_sign_up, proof("code", "ann@x.org", second.issued))
    assert (user.email, user.name) == ("Ann@x.org", None), "nothing of the first is left"
    assert await api(passwords.verify, "ann@x.org", THEIRS, policy=FAST)


async def test_sign_up_again_without_a_password(api: Api, sql: Sql) -> None:
    """Nothing is left of the password of the sign-up before, which may have been somebody else's."""
    await sign_up(api, password=THEIRS)
    sql.elapse(FAST.code_resend_after)
    second = await sign_up(api, password=None)
    assert sql.one("SELECT hash FROM authsql_signups") is None
    user = await api(accounts.confirm_sign_up, proof("code", "ann@x.org", second.issued))
    assert sql.one("SELECT COUNT(*) FROM authsql_passwords") == 0
    assert not await api(passwords.verify, user.id, THEIRS, policy=FAST)


async def test_too_many(api: Api, sql: Sql) -> None:
    for _ in range(FAST.codes_per_window - 1):
        await sign_up(api)
        sql.elapse(FAST.code_resend_after)
    last = await sign_up(api)
    sql.elapse(FAST.code_resend_after)
    refusal = await api(accounts.sign_up, "ann@x.org", key=KEY, policy=FAST)
    assert refused(refusal, Reason.TOO_MANY).retry_at == sql.one("SELECT window_ends_at FROM authsql_otps")
    assert await api(accounts.confirm_sign_up, proof("code", "ann@x.org", last.issued))


@HOW
async def test_a_trojan_sign_up_is_not_confirmed_by_its_victim(api: Api, sql: Sql, how: str) -> None:
    """Mallory signs up with Ann's address and a password of their own. The mail goes to Ann, who has a
    sign-up of her own in her browser, or none: no account comes of it.
    """
    own = await sign_up(api, password="ann's own password")
    sql.elapse(FAST.code_resend_after)
    trojan = await sign_up(api, password=THEIRS)
    mailed = proof(how, "ann@x.org", trojan.issued)
    hers: Code | Link = (
        Code("ann@x.org", trojan.issued.code, KEY, own.issued.issue_id)
        if isinstance(mailed, Code)
        else Link(mailed.token, own.issued.issue_id)
    )
    refused(await api(accounts.confirm_sign_up, hers), Reason.UNKNOWN)
    without: Code | Link = (
        Code("ann@x.org", trojan.issued.code, KEY) if isinstance(mailed, Code) else Link(mailed.token)
    )
    with pytest.raises(InvalidInput, match="issue_id"):
        await api(accounts.confirm_sign_up, without)
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0
    assert sql.one("SELECT attempts FROM authsql_otps") == 0
    sql.elapse(FAST.code_resend_after)
    anew = await sign_up(api, password="ann's own password")
    # Mallory has the issue_id of their own sign-up only, even if they see Ann's code.
    theirs = Code("ann@x.org", anew.issued.code, KEY, trojan.issued.issue_id)
    refused(await api(accounts.confirm_sign_up, theirs), Reason.UNKNOWN)
    assert await api(accounts.confirm_sign_up, proof(how, "ann@x.org", anew.issued))
    refused(await api(passwords.verify, "ann@x.org", THEIRS, policy=FAST), Reason.WRONG)
    assert await api(passwords.verify, "ann@x.org", "ann's own password", policy=FAST)


@HOW
async def test_another_code_of_that_purpose_voids_the_sign_up(api: Api, sql: Sql, how: str) -> None:
    """One that was issued without a sign-up makes no account of the sign-up before it."""
    first = await sign_up(api)
    sql.elapse(FAST.code_resend_after)
    issued = await api(otps.issue, "ann@x.org", "signup", key=KEY, link=True)
    refused(await api(accounts.confirm_sign_up, proof(how, "ann@x.org", first.issued)), Reason.UNKNOWN)
    refusal = refused(await api(accounts.confirm_sign_up, proof(how, "ann@x.org", issued)), Reason.WRONG)
    assert refusal.attempts_left == (4 if how == "code" else None)
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0


async def test_a_taken_address(api: Api, sql: Sql, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answer after the same work: only `email_taken` differs, and nobody is told."""
    hashed = []

    def hash_password(*given: Any) -> str:
        hashed.append(given)
        return hash_once(*given)

    monkeypatch.setattr(accounts, "hash_password", hash_password)
    seen = before(monkeypatch, {})
    work = {}
    for email in (user.email.upper(), "free@x.org"):
        seen.clear()
        pending = await sign_up(api, email)
        assert pending.email_taken is (email != "free@x.org")
        assert isinstance(pending.issued, IssuedCode)
        assert repr(pending.issued.code) not in repr(pending)
        work[email] = (list(seen), len(hashed))
        hashed.clear()
        again = await api(accounts.sign_up, email, PASSWORD, key=KEY, policy=FAST)
        assert refused(again, Reason.COOLING_DOWN).retry_at == pending.issued.resend_at
        hashed.clear()
    assert work[user.email.upper()] == work["free@x.org"]
    assert work["free@x.org"][1] == 1


@HOW
async def test_an_address_that_was_taken_meanwhile(api: Api, sql: Sql, how: str) -> None:
    """Nothing is spent, nor counted; once the address is free again, the code is good."""
    pending = await sign_up(api)
    owner = await api(users.create, "ANN@x.org")
    untouched = sql.state()
    for _ in range(FAST.code_attempts + 1):
        with pytest.raises(EmailTaken):
            await api(accounts.confirm_sign_up, proof(how, "ann@x.org", pending.issued))
        assert not api.in_transaction
    assert sql.state() == untouched
    wrong = Code("ann@x.org", other_than(pending.issued.code), KEY, pending.issued.issue_id)
    refused(await api(accounts.confirm_sign_up, wrong), Reason.WRONG)
    await api(users.soft_delete, owner.id)
    made = await api(accounts.confirm_sign_up, proof(how, "ann@x.org", pending.issued))
    assert made.id != owner.id


@pytest.mark.parametrize("password", ["short", "x" * 1025, 7, b"a long password"])
async def test_a_password_that_is_none(api: Api, sql: Sql, password: Any) -> None:
    untouched = sql.state()
    with pytest.raises(InvalidInput):
        await api(accounts.sign_up, "ann@x.org", password, key=KEY)
    assert sql.state() == untouched


async def test_it_goes_with_its_code(api: Api, sql: Sql) -> None:
    """Purged when nothing is to be learned from the code any more: the hash is not kept for long."""
    await sign_up(api)
    sql.elapse(FAST.code_window - MINUTE)
    await api(maintenance.purge)
    assert sql.one("SELECT COUNT(*) FROM authsql_signups") == 1
    sql.elapse(2 * MINUTE)
    await api(maintenance.purge)
    assert sql.one("SELECT COUNT(*) FROM authsql_signups") == 0


async def test_in_the_callers_transaction(api: Api, sql: Sql) -> None:
    """Signing up counts nothing: it goes with the transaction that it was made in."""
    untouched = sql.state()
    await api.begin()
    await sign_up(api)
    await api.rollback()
    assert sql.state() == untouched
    await api.begin()
    pending = await sign_up(api)
    await api.commit()
    assert await api(accounts.confirm_sign_up, proof("code", "ann@x.org", pending.issued))
