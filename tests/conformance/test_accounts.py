"""The flows that spend a code and change an account in one step."""

from __future__ import annotations

from typing import Any

import pytest

from authsql import Code, EmailTaken, Link, Reason, accounts, devices, otps, passwords, sessions, users
from authsql.models import User
from tests.conformance.conftest import NewUser, SignIn
from tests.support import FAST, HOUR, KEY, PASSWORD, Api, Sql, other_than, refused

HOW = pytest.mark.parametrize("how", ["code", "link"])


async def issue(api: Api, subject: str, purpose: str, **options: Any) -> Any:
    return await api(otps.issue, subject, purpose, key=KEY, link=True, **options)


def proof(how: str, subject: str, issued: Any) -> Code | Link:
    if how == "link":
        return Link(issued.link, issued.issue_id)
    return Code(subject, issued.code, KEY, issued.issue_id)


@HOW
async def test_sign_up(api: Api, sql: Sql, how: str) -> None:
    pending = await api(accounts.sign_up, "New@x.org", PASSWORD, key=KEY, name="N", link=True, policy=FAST)
    assert not pending.email_taken
    assert await api(users.get_by_email, "new@x.org") is None
    user = await api(accounts.confirm_sign_up, proof(how, "New@X.org", pending.issued))
    assert isinstance(user, User)
    assert (user.email, user.name) == ("New@x.org", "N")
    assert user.email_verified_at is not None
    assert (await api(passwords.verify, "new@x.org", PASSWORD, policy=FAST)).user_id == user.id
    assert sql.one("SELECT COUNT(*) FROM authsql_signups") == 0
    refused(await api(accounts.confirm_sign_up, proof(how, "new@x.org", pending.issued)), Reason.SPENT)


@HOW
async def test_verify_email(api: Api, user: User, how: str) -> None:
    issued = await issue(api, user.email, "email-verification", user_id=user.id)
    wrong = Code(user.email, other_than(issued.code), KEY)
    assert refused(await api(accounts.verify_email, wrong), Reason.WRONG).attempts_left == 4
    assert await api(accounts.verify_email, proof(how, user.email, issued)) == user.id
    assert (await api(users.get, user.id)).email_verified_at is not None
    refused(await api(accounts.verify_email, proof(how, user.email, issued)), Reason.SPENT)


@HOW
async def test_sign_in_claims(api: Api, sql: Sql, user: User, sign_in: SignIn, how: str) -> None:
    opened = await sign_in()
    await api(devices.remember, user.id)
    issued = await issue(api, user.email, "signin")
    found = await api(accounts.sign_in, proof(how, user.email, issued))
    assert (found.user_id, found.outcome) == (user.id, "claimed")
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.WRONG)
    assert refused(await api(sessions.validate, opened.token), Reason.REVOKED).detail == "account_claimed"
    assert await api(devices.list, user.id) == ()
    sql.elapse(HOUR)
    issued = await issue(api, user.email, "signin")
    assert await api(passwords.set, user.id, PASSWORD, policy=FAST)
    assert (await api(accounts.sign_in, proof(how, user.email, issued))).outcome == "existing"
    assert await api(passwords.verify, user.email, PASSWORD, policy=FAST)


@HOW
async def test_sign_in_creates(api: Api, sql: Sql, how: str) -> None:
    issued = await issue(api, "new@x.org", "signin")
    refused(await api(accounts.sign_in, proof(how, "new@x.org", issued)), Reason.WRONG)
    found = await api(accounts.sign_in, proof(how, "new@x.org", issued), create=True)
    assert found.outcome == "created"
    created = await api(users.get, found.user_id)
    assert created.email_verified_at is not None
    assert created.email == "new@x.org"


@HOW
@pytest.mark.parametrize("has_password", [True, False])
async def test_reset_password(
    api: Api, sql: Sql, new_user: NewUser, sign_in: SignIn, how: str, has_password: bool
) -> None:
    user = await new_user("a@x.org", PASSWORD if has_password else None)
    opened = await sign_in(user)
    sql("UPDATE authsql_users SET failed_attempts = 100")
    issued = await issue(api, "a@x.org", "password-reset", user_id=user.id)
    wrong = Code("a@x.org", other_than(issued.code), KEY)
    refused(await api(accounts.reset_password, wrong, "a new password", policy=FAST), Reason.WRONG)
    assert await api(sessions.validate, opened.token)
    done = await api(accounts.reset_password, proof(how, "a@x.org", issued), "a new password", policy=FAST)
    assert done == user.id
    assert refused(await api(sessions.validate, opened.token), Reason.REVOKED).detail == "password_change"
    assert await api(passwords.verify, "a@x.org", "a new password", policy=FAST)


@HOW
@pytest.mark.parametrize("approved", [True, False])
async def test_change_email(api: Api, sql: Sql, user: User, how: str, approved: bool) -> None:
    issued = await issue(api, "New@x.org", "email-change", user_id=user.id)
    old = await issue(api, user.email, "email-change-approval", user_id=user.id)
    new_proof, old_proof = proof(how, "New@x.org", issued), proof(how, user.email, old)
    if approved:
        wrong = Code(user.email, other_than(old.code), KEY)
        refusal = refused(await api(accounts.change_email, user.id, new_proof, approval=wrong), Reason.WRONG)
        assert (refusal.attempts_left, refusal.detail) == (4, "email-change-approval")
        assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NOT NULL") == 0
        changed = await api(accounts.change_email, user.id, new_proof, approval=old_proof)
        assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NOT NULL") == 2
    else:
        changed = await api(accounts.change_email, user.id, new_proof)
    assert (changed.email.lower(), changed.former_email) == ("new@x.org", user.email)
    assert not changed.former_verified
    found = await api(users.get, user.id)
    assert found.email.lower() == "new@x.org"
    assert found.email_verified_at is not None
    assert sql.one("SELECT email FROM authsql_former_emails") == user.email


async def test_change_email_taken(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    issued = await issue(api, "new@x.org", "email-change", user_id=user.id)
    await new_user("new@x.org")
    before = sql.dump()
    with pytest.raises(EmailTaken):
        await api(accounts.change_email, user.id, proof("code", "new@x.org", issued))
    assert sql.dump() == before


async def test_known_device(api: Api, sql: Sql, user: User) -> None:
    token = (await api(devices.remember, user.id)).token
    for _ in range(6):
        await api(passwords.verify, user.email, "wrong password", policy=FAST)
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)
    assert await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST)
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)
    for _ in range(10):
        refused(
            await api(passwords.verify, user.email, "wrong password", device=token, policy=FAST), Reason.WRONG
        )
    refused(await api(passwords.verify, user.email, PASSWORD, device=token, policy=FAST), Reason.LOCKED)
