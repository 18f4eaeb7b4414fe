"""What a user has, and the way in that `authsql.factors` describes."""

from __future__ import annotations

from uuid import uuid4

import pytest

from authsql import (
    Code,
    Reason,
    RelyingParty,
    SecondFactors,
    accounts,
    factors,
    otps,
    passkeys,
    passwords,
    recovery_codes,
    refresh_tokens,
    sessions,
    totp,
    users,
)
from authsql.models import User
from tests.conformance.authenticator import ORIGIN, Authenticator
from tests.conformance.conftest import NewUser
from tests.support import FAST, KEY, PASSWORD, RING, Api, Sql, refused

PARTY = RelyingParty("example.org", "Example", (ORIGIN,))


async def enroll(api: Api, sql: Sql, user: User, *, confirm: bool = True) -> str:
    """Enroll an app, and confirm it. Returns its secret."""
    enrolled = await api(totp.enroll, user.id, keyring=RING, issuer="x", account="y")
    if confirm:
        code = sql.code(enrolled.secret)
        assert await api(totp.confirm, user.id, enrolled.factor_id, code, keyring=RING)
    secret: str = enrolled.secret
    return secret


async def register(api: Api, user: User) -> Authenticator:
    device = Authenticator()
    asked = await api(passkeys.begin_registration, user.id, relying_party=PARTY, account="x")
    answer = device.create(asked.options)
    assert await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)
    return device


async def test_of_user(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    other = await new_user(password=None)
    none = SecondFactors(totp=0, passkeys=0, recovery_codes=0)
    assert await api(factors.of_user, user.id) == none
    assert await api(factors.of_user, uuid4()) == none
    assert not none.enrolled
    await enroll(api, sql, user, confirm=False)
    await enroll(api, sql, other)
    await register(api, other)
    await api(recovery_codes.regenerate, other.id, key=KEY)
    assert await api(factors.of_user, user.id) == none, "an enrolment is no factor, nor is another's"
    await enroll(api, sql, user)
    await enroll(api, sql, user)
    await register(api, user)
    code, *_ = await api(recovery_codes.regenerate, user.id, key=KEY, count=4)
    assert await api(recovery_codes.verify, user.id, code, key=KEY)
    found = await api(factors.of_user, user.id)
    assert found == SecondFactors(totp=2, passkeys=1, recovery_codes=3)
    assert found.enrolled
    assert SecondFactors(totp=0, passkeys=1, recovery_codes=0).enrolled
    assert SecondFactors(totp=1, passkeys=0, recovery_codes=0).enrolled
    assert not SecondFactors(totp=0, passkeys=0, recovery_codes=3).enrolled


async def test_sign_in_step_by_step(api: Api, sql: Sql, user: User) -> None:
    secret = await enroll(api, sql, user)
    proof = await api(passwords.verify, user.email, PASSWORD, policy=FAST)
    assert (await api(factors.of_user, proof.user_id)).enrolled
    half = await api(sessions.create, proof.user_id, aal=1)
    early = await api(refresh_tokens.issue, half.session.id)
    assert await api(totp.verify, proof.user_id, sql.code(secret, 1), keyring=RING)
    full = await api(sessions.elevate, half.token, aal=2)
    assert (await api(sessions.validate, full.token)).aal == 2
    refused(await api(sessions.validate, half.token), Reason.UNKNOWN)
    refused(await api(refresh_tokens.rotate, early.token), Reason.UNKNOWN)


async def all_kinds(api: Api, sql: Sql, user: User) -> SecondFactors:
    """Give a user a factor of each kind, and an enrolment."""
    await enroll(api, sql, user)
    await enroll(api, sql, user, confirm=False)
    await register(api, user)
    assert await api(recovery_codes.regenerate, user.id, key=KEY)
    found = SecondFactors(totp=1, passkeys=1, recovery_codes=10)
    assert await api(factors.of_user, user.id) == found
    return found


async def by_mail(api: Api, user: User, purpose: str) -> None:
    issued = await api(otps.issue, user.email, purpose, key=KEY, user_id=user.id)
    proof = Code(user.email, issued.code, KEY, issued.issue_id)
    if purpose == "signin":
        assert (await api(accounts.sign_in, proof)).user_id == user.id
    else:
        assert await api(accounts.reset_password, proof, "another password", policy=FAST) == user.id


PURPOSES = pytest.mark.parametrize("purpose", ["password-reset", "signin"])


@PURPOSES
async def test_a_reset_does_not_go_around_the_factors(api: Api, sql: Sql, user: User, purpose: str) -> None:
    """ASVS 6.4.3: where the e-mail was verified, neither a reset nor a sign-in by mail removes any."""
    assert await api(users.mark_email_verified, user.id, user.email)
    before = await all_kinds(api, sql, user)
    await by_mail(api, user, purpose)
    assert await api(factors.of_user, user.id) == before
    assert await api(passwords.set, user.id, "yet another password", policy=FAST)
    assert await api(factors.of_user, user.id) == before


@PURPOSES
async def test_the_first_proof_of_an_account_removes_the_factors(
    api: Api, sql: Sql, user: User, new_user: NewUser, purpose: str
) -> None:
    """They may be somebody else's, who waited in the account: nobody had verified its e-mail."""
    other = await new_user()
    kept = await all_kinds(api, sql, other)
    await all_kinds(api, sql, user)
    await by_mail(api, user, purpose)
    assert await api(factors.of_user, user.id) == SecondFactors(totp=0, passkeys=0, recovery_codes=0)
    for table in ("totp_factors", "recovery_codes", "passkeys"):
        rows = sql(f"SELECT 1 FROM authsql_{table} WHERE user_id = %s", user.id)
        assert rows == [], table
    assert await api(factors.of_user, other.id) == kept


async def test_lost_phone(api: Api, sql: Sql, user: User) -> None:
    """A recovery code opens the way to remove what is lost and to enroll anew."""
    await enroll(api, sql, user)
    code, *_ = await api(recovery_codes.regenerate, user.id, key=KEY)
    half = await api(sessions.create, user.id)
    assert await api(recovery_codes.verify, user.id, code, key=KEY)
    assert await api(sessions.elevate, half.token, aal=2)
    [lost] = await api(totp.list, user.id)
    assert await api(totp.remove, user.id, lost.id)
    assert not (await api(factors.of_user, user.id)).enrolled
    await enroll(api, sql, user)
    assert (await api(factors.of_user, user.id)).enrolled


async def test_factors_outlive_a_soft_deletion(api: Api, sql: Sql, user: User) -> None:
    """Who comes back is asked for the same ones."""
    secret = await enroll(api, sql, user)
    await api(users.soft_delete, user.id)
    refused(await api(totp.verify, user.id, sql.code(secret, 1), keyring=RING), Reason.UNKNOWN)
    sql.elapse(FAST.reactivation_wait)
    assert await api(users.reactivate, user.id)
    assert await api(totp.verify, user.id, sql.code(secret, 1), keyring=RING)
