"""The flows that spend a code and change an account in one step. What is only about signing up is in
test_signups.py.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import mysql.connector
import psycopg
import pytest

from authsql import (
    Code,
    EmailTaken,
    InvalidInput,
    Link,
    Reason,
    TransactionOpen,
    accounts,
    devices,
    otps,
    passwords,
    sessions,
    users,
)
from authsql.models import IssuedCode, User
from tests.conformance.conftest import Connect, NewUser, SignIn
from tests.flows import EACH, FLOWS, HOW, NEW_PASSWORD, PURPOSES, Started, before, begin, proof
from tests.support import (
    FAST,
    HOUR,
    KEY,
    PASSWORD,
    SECOND,
    Api,
    Sql,
    make_token,
    other_than,
    refused,
    token_parts,
    with_policy,
)

OF_AN_ACCOUNT = pytest.mark.parametrize("flow", ["verify_email", "sign_in", "reset_password"])


async def issue(api: Api, subject: str, purpose: str, **options: Any) -> IssuedCode:
    issued = await api(otps.issue, subject, purpose, key=KEY, link=True, **options)
    assert isinstance(issued, IssuedCode)
    return issued


def attempts(sql: Sql, purpose: str) -> int:
    found: int = sql.one("SELECT attempts FROM authsql_otps WHERE purpose = %s", purpose)
    return found


def without_codes(sql: Sql) -> dict[str, list[str]]:
    return {table: rows for table, rows in sql.state().items() if table != "authsql_otps"}


# Every flow.


@EACH
async def test_wrong_codes_are_counted_and_the_link_outlives_them(api: Api, sql: Sql, flow: str) -> None:
    started = await begin(api, flow)
    for code in ("", "12345", "1234567", "12345x", "\u0661" * 6):
        refused(await started.spend(api, started.with_code(code)), Reason.MALFORMED)
    assert attempts(sql, PURPOSES[flow]) == 0
    untouched = without_codes(sql)
    for left in (4, 3, 2, 1, 0):
        refusal = refused(
            await started.spend(api, started.with_code(other_than(started.issued.code))), Reason.WRONG
        )
        assert refusal.attempts_left == left
    assert without_codes(sql) == untouched
    exhausted = sql.state()
    refusal = refused(await started.spend(api, started.proof()), Reason.EXHAUSTED)
    assert refusal.attempts_left is None
    refused(await started.spend(api, started.with_code(other_than(started.issued.code))), Reason.EXHAUSTED)
    assert sql.state() == exhausted
    assert await started.spend(api, started.proof("link"))
    assert attempts(sql, PURPOSES[flow]) == 5
    spent = sql.state()
    refused(await started.spend(api, started.proof("link")), Reason.SPENT)
    refused(await started.spend(api, started.proof("code")), Reason.SPENT)
    assert sql.state() == spent


@EACH
async def test_the_fifth_attempt_may_be_right(api: Api, sql: Sql, flow: str) -> None:
    started = await begin(api, flow)
    for _ in range(4):
        refused(await started.spend(api, started.with_code(other_than(started.issued.code))), Reason.WRONG)
    assert await started.spend(api, started.proof())
    spent = sql.state()
    refused(await started.spend(api, started.proof("code")), Reason.SPENT)
    refused(await started.spend(api, started.proof("link")), Reason.SPENT)
    assert sql.state() == spent, "code and link are one row"


@EACH
@HOW
async def test_expired(api: Api, sql: Sql, flow: str, how: str) -> None:
    started = await begin(api, flow)
    sql.elapse(FAST.code_lifetime)
    expired = sql.state()
    refused(await started.spend(api, started.proof(how)), Reason.EXPIRED)
    assert sql.state() == expired
    sql.elapse(-20 * SECOND)
    assert await started.spend(api, started.proof(how))


@EACH
async def test_unknown(api: Api, sql: Sql, flow: str) -> None:
    """Another request's code, another subject's, another purpose's, another link: nothing is counted."""
    started = await begin(api, flow)
    other = "sign_in" if flow != "sign_in" else "verify_email"
    misled = await issue(api, started.subject, PURPOSES[other])
    [secret] = token_parts(started.issued.link or "")[2]
    forged = make_token("link_", started.issued.issue_id, bytes(byte ^ 1 for byte in secret))
    untouched = sql.state()
    issue_id, code = started.issued.issue_id, started.issued.code
    for wrong in (
        Code(started.subject, code, KEY, uuid4()),
        Code("nobody@x.org", code, KEY, issue_id),
        Code("x" * 255, code, KEY, issue_id),
        Code("nobody@x.org\0", code, KEY, issue_id),
        Link(started.issued.link or "", uuid4()),
        Link(forged, issue_id),
        Link(misled.link or "", misled.issue_id),
    ):
        refused(await started.spend(api, wrong), Reason.UNKNOWN)
    for token in ("", "link_", forged[:-1], f"{forged}=", forged.replace("link_", "sess_"), "\udfff" * 69):
        refused(await started.spend(api, Link(token, issue_id)), Reason.MALFORMED)
    assert sql.state() == untouched
    assert await started.spend(api, started.proof())


@EACH
@HOW
async def test_a_later_issue_voids_the_one_before(api: Api, sql: Sql, flow: str, how: str) -> None:
    first = await begin(api, flow)
    sql.elapse(FAST.code_resend_after)
    second = await begin(api, flow, user=first.user)
    refused(await first.spend(api, first.proof(how)), Reason.UNKNOWN)
    assert await second.spend(api, second.proof(how))


@EACH
async def test_the_code_is_bound_to_its_key(api: Api, sql: Sql, flow: str) -> None:
    started = await begin(api, flow)
    other = Code(started.subject, started.issued.code, bytes(32), started.issued.issue_id)
    refused(await started.spend(api, other), Reason.WRONG)
    short = Code(started.subject, started.issued.code, bytes(31), started.issued.issue_id)
    with pytest.raises(InvalidInput, match="32 random bytes"):
        await started.spend(api, short)
    assert await started.spend(api, started.proof())


@EACH
async def test_in_an_open_transaction(api: Api, sql: Sql, flow: str) -> None:
    """It is refused, and the transaction stays as it is."""
    started = await begin(api, flow)
    untouched = sql.state()
    for how in ("code", "link"):
        await api.begin()
        with pytest.raises(TransactionOpen):
            await started.spend(api, started.proof(how))
        assert api.in_transaction
        await api.commit()
    assert sql.state() == untouched


@EACH
@HOW
async def test_without_autocommit_it_commits(connect: Connect, sql: Sql, flow: str, how: str) -> None:
    api = await connect(autocommit=False)
    started = await begin(api, flow)
    await api.commit()
    wrong = started.with_code(other_than(started.issued.code))
    refused(await started.spend(api, wrong), Reason.WRONG)
    assert not api.in_transaction
    await api.rollback()
    assert attempts(sql, PURPOSES[flow]) == 1
    assert await started.spend(api, started.proof(how))
    assert not api.in_transaction
    await api.rollback()
    assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NOT NULL") == 1


@EACH
async def test_an_address_beyond_ascii(api: Api, sql: Sql, flow: str) -> None:
    """Whatever its case, also where a word ends with a sigma, which Python writes in two ways."""
    started = await begin(api, flow, "JOSE\u0301.ΟΔΟΣ@X.org")
    typed = Code("José.οδοσ@x.ORG", started.issued.code, KEY, started.issued.issue_id)
    assert await started.spend(api, typed)


@EACH
async def test_an_address_that_folds_to_another(api: Api, sql: Sql, flow: str) -> None:
    """No mail to one is a proof for the other."""
    other = "\u0130nfo@x.org"
    with pytest.raises(InvalidInput):
        await begin(api, flow, other)
    with pytest.raises(InvalidInput):
        await issue(api, other, PURPOSES[flow])
    assert sql.one("SELECT COUNT(*) FROM authsql_otps") == 0
    started = await begin(api, flow, "i\u0307nfo@x.org") if flow != "change_email" else None
    if started is not None:
        misled = Code(other, started.issued.code, KEY, started.issued.issue_id)
        refused(await started.spend(api, misled), Reason.UNKNOWN)


@EACH
async def test_what_is_no_proof(api: Api, sql: Sql, flow: str) -> None:
    started = await begin(api, flow)
    untouched = sql.state()
    for given in (None, started.issued.code, started.issued.link, object(), (started.issued.code,)):
        with pytest.raises(InvalidInput):
            await started.spend(api, given)  # type: ignore[arg-type]  # that is what is tested
    assert sql.state() == untouched


async def test_no_hash_is_made_for_a_guess(api: Api, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that one takes would tell that a code is right, though no attempt is counted."""
    made = []

    def hash_password(*given: object) -> str:
        made.append(given)
        return "$argon2id$" + "x" * 60

    monkeypatch.setattr(accounts, "hash_password", hash_password)
    started = await begin(api, "reset_password")
    code = started.issued.code
    refused(await started.spend(api, Code(started.subject, code, KEY, uuid4())), Reason.UNKNOWN)
    refused(await started.spend(api, Code("nobody@x.org", code, KEY)), Reason.UNKNOWN)
    for _ in range(5):
        refused(await started.spend(api, started.with_code(other_than(code))), Reason.WRONG)
    refused(await started.spend(api, started.proof()), Reason.EXHAUSTED)
    sql.elapse(FAST.code_lifetime)
    refused(await started.spend(api, started.proof()), Reason.EXPIRED)
    assert made == []
    started = await begin(api, "reset_password", user=started.user)
    assert await started.spend(api, started.proof())
    assert len(made) == 1


# An account that is not there, or is another's.


@OF_AN_ACCOUNT
@HOW
async def test_no_account(api: Api, sql: Sql, flow: str, how: str) -> None:
    """A code is WRONG and counted; a link is WRONG and is not. Neither is spent: an account may come."""
    issued = await issue(api, "ann@x.org", PURPOSES[flow])
    started = Started(flow, "ann@x.org", issued, None)
    refusal = refused(await started.spend(api, started.proof(how)), Reason.WRONG)
    assert refusal.attempts_left == (4 if how == "code" else None)
    assert attempts(sql, PURPOSES[flow]) == (1 if how == "code" else 0)
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0
    await api(users.create, "ann@x.org")
    assert await started.spend(api, started.proof(how))


@OF_AN_ACCOUNT
async def test_no_account_for_a_link_beside_an_exhausted_code(api: Api, sql: Sql, flow: str) -> None:
    started = Started(flow, "ann@x.org", await issue(api, "ann@x.org", PURPOSES[flow]), None)
    sql("UPDATE authsql_otps SET attempts = max_attempts")
    refused(await started.spend(api, started.proof("link")), Reason.WRONG)


@pytest.mark.parametrize("flow", ["verify_email", "sign_in", "reset_password", "change_email"])
@HOW
async def test_an_account_that_was_soft_deleted(api: Api, sql: Sql, flow: str, how: str) -> None:
    started = await begin(api, flow)
    assert started.user is not None
    await api(users.soft_delete, started.user.id)
    untouched = without_codes(sql)
    refusal = await started.spend(api, started.proof(how))
    refused(refusal, Reason.UNKNOWN if flow == "change_email" else Reason.WRONG)
    if flow == "sign_in":
        refused(await api(accounts.sign_in, started.proof(how), create=True), Reason.WRONG)
    assert without_codes(sql) == untouched
    assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NOT NULL") == 0


@OF_AN_ACCOUNT
@HOW
async def test_a_code_of_another_account(api: Api, sql: Sql, flow: str, how: str, user: User) -> None:
    """It was issued for one account, and the address belongs to another one by now."""
    started = await begin(api, flow, "moved@x.org", user=user)
    await api(users.create, "moved@x.org")
    untouched = without_codes(sql)
    refused(await started.spend(api, started.proof(how)), Reason.WRONG)
    if flow == "sign_in":
        refused(await api(accounts.sign_in, started.proof(how), create=True), Reason.WRONG)
    assert without_codes(sql) == untouched


@OF_AN_ACCOUNT
@HOW
async def test_a_code_to_the_address_that_an_account_had(api: Api, sql: Sql, flow: str, how: str) -> None:
    started = await begin(api, flow, "ann@x.org")
    assert started.user is not None
    change = await begin(api, "change_email", "new@x.org", user=started.user)
    assert await change.spend(api, change.proof())
    untouched = without_codes(sql)
    refused(await started.spend(api, started.proof(how)), Reason.WRONG)
    assert without_codes(sql) == untouched


@pytest.mark.only("mysql")
@OF_AN_ACCOUNT
async def test_an_account_that_comes_and_goes_between_two_statements(
    api: Api, sql: Sql, flow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not there to be locked, so it is none."""
    await api.sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    started = Started(flow, "ann@x.org", await issue(api, "ann@x.org", PURPOSES[flow]), None)
    made = []
    before(
        monkeypatch,
        {
            f"accounts.{flow}__2": lambda: made.append(
                sql("INSERT INTO authsql_users (email) VALUES ('ann@x.org')")
            ),
            f"accounts.{flow}__3": lambda: sql("DELETE FROM authsql_users"),
        },
    )
    refused(await started.spend(api, started.proof()), Reason.WRONG)
    assert made
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0
    assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NOT NULL") == 0


# All or nothing.


def statements_of(flow: str) -> list[str]:
    from authsql._statements import statements

    return [name for name in statements("mysql") if name.partition("__")[0] == f"accounts.{flow}"]


KILLED = [(flow, name) for flow in (*FLOWS, "sign_up") for name in statements_of(flow)]


@pytest.mark.parametrize(
    ("flow", "name"),
    [
        pytest.param(flow, name, id=name, marks=[pytest.mark.only("mysql")] if "__" in name else [])
        for flow, name in [*KILLED, ("reset_password", "accounts.is_right")]
    ],
)
async def test_a_connection_that_is_cut_leaves_nothing_half_done(
    api: Api, sql: Sql, sign_in: SignIn, user: User, monkeypatch: pytest.MonkeyPatch, flow: str, name: str
) -> None:
    """Just before each statement of a sequence. In PostgreSQL there is one."""
    await sign_in()
    await api(devices.remember, user.id)
    sql("INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('google', '1', %s)", user.id)
    owner = None if flow in {"confirm_sign_up", "sign_up"} else user
    if flow != "sign_up":
        subject = user.email if flow in {"verify_email", "sign_in", "reset_password"} else "new@x.org"
        started = await begin(api, flow, subject, user=owner)
        work = started.spend(api, started.proof())
    else:
        work = api(accounts.sign_up, "ann@x.org", PASSWORD, key=KEY, policy=FAST)
    untouched = sql.state()
    [(number,)] = await api.sql("SELECT " + ("CONNECTION_ID()" if sql.is_mysql else "pg_backend_pid()"))
    kill = f"KILL {number}" if sql.is_mysql else f"SELECT pg_terminate_backend({number}, 5000)"
    cut = []
    before(monkeypatch, {name: lambda: cut.append(sql(kill))})
    with pytest.raises((psycopg.Error, mysql.connector.Error)):
        await work
    assert cut, "it came to that statement"
    assert sql.state() == untouched


# verify_email


@HOW
async def test_verify_email(api: Api, sql: Sql, user: User, how: str) -> None:
    started = await begin(api, "verify_email", user.email, user=user)
    assert await started.spend(api, started.proof(how)) == user.id
    verified = await api(users.get, user.id)
    assert verified.email_verified_at is not None
    sql.elapse(HOUR)
    earlier = (await api(users.get, user.id)).email_verified_at
    again = await begin(api, "verify_email", user.email, user=user)
    assert await again.spend(api, again.proof(how)) == user.id
    assert (await api(users.get, user.id)).email_verified_at == earlier, "the first proof is kept"
    assert await api(passwords.verify, user.email, PASSWORD, policy=FAST), "and the password"


# sign_in


@HOW
async def test_sign_in_claims(api: Api, sql: Sql, user: User, sign_in: SignIn, how: str) -> None:
    """What was set up before anybody proved the address may be somebody else's (pre-hijacking)."""
    opened = await sign_in()
    await api(devices.remember, user.id)
    sql("INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('google', '1', %s)", user.id)
    sql("UPDATE authsql_users SET failed_attempts = 100")
    sly = await begin(api, "change_email", "mallory@x.org", user=user)
    started = await begin(api, "sign_in", user.email, user=user)
    found = await started.spend(api, started.proof(how))
    assert (found.user_id, found.outcome) == (user.id, "claimed")
    assert sql.one("SELECT COUNT(*) FROM authsql_passwords") == 0
    assert sql.one("SELECT COUNT(*) FROM authsql_identities") == 0
    assert sql.one("SELECT failed_attempts FROM authsql_users") == 0
    assert refused(await api(sessions.validate, opened.token), Reason.REVOKED).detail == "account_claimed"
    assert await api(devices.list, user.id) == ()
    for of_sly in ("code", "link"):
        refused(await sly.spend(api, sly.proof(of_sly)), Reason.EXPIRED)
    assert (await api(users.get, user.id)).email_verified_at is not None


@HOW
async def test_sign_in_to_a_verified_account_takes_nothing_away(
    api: Api, sql: Sql, sign_in: SignIn, new_user: NewUser, how: str
) -> None:
    user = await new_user("ben@x.org", email_verified=True)
    opened = await sign_in(user)
    await api(devices.remember, user.id)
    sql("INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('google', '1', %s)", user.id)
    change = await begin(api, "change_email", "new@x.org", user=user)
    started = Started("sign_in", user.email, await issue(api, user.email, "signin"), user)
    untouched = without_codes(sql)
    found = await started.spend(api, started.proof(how))
    assert (found.user_id, found.outcome) == (user.id, "existing")
    assert without_codes(sql) == untouched
    assert await api(sessions.validate, opened.token)
    assert await change.spend(api, change.proof())


@HOW
async def test_sign_in_creates(api: Api, sql: Sql, how: str) -> None:
    issued = await issue(api, "New@x.org", "signin")
    refused(await api(accounts.sign_in, proof(how, "New@x.org", issued)), Reason.WRONG)
    found = await api(accounts.sign_in, proof(how, "New@x.org", issued), create=True)
    assert found.outcome == "created"
    created = await api(users.get, found.user_id)
    assert created.email_verified_at is not None
    assert created.email == ("New@x.org" if how == "code" else "new@x.org")
    assert sql.one("SELECT COUNT(*) FROM authsql_user_roles") == 1
    sql.elapse(HOUR)
    again = await issue(api, "NEW@x.org", "signin")
    assert (await api(accounts.sign_in, proof(how, "new@x.org", again), create=True)).outcome == "existing"


async def test_sign_in_creates_where_an_account_was_soft_deleted(api: Api, sql: Sql, user: User) -> None:
    await api(users.soft_delete, user.id)
    issued = await issue(api, user.email, "signin")
    found = await api(accounts.sign_in, proof("code", user.email, issued), create=True)
    assert found.outcome == "created"
    assert found.user_id != user.id


async def test_sign_in_creates_no_account_without_an_address(api: Api, sql: Sql) -> None:
    for subject in ("+49 30 123456", uuid4()):
        issued = await issue(api, subject, "signin")  # type: ignore[arg-type]  # a UUID is a subject, too
        for given in (Code(subject, issued.code, KEY), Link(issued.link or "")):
            with pytest.raises(InvalidInput):
                await api(accounts.sign_in, given, create=True)
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0
    assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NOT NULL") == 0


async def test_sign_in_finds_an_account_that_was_made_meanwhile(
    api: Api, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look for the account and the making of one: nothing is spent, and it looks again."""
    issued = await issue(api, "new@x.org", "signin")
    made: list[object] = []

    def make() -> None:
        if not made:
            made.append(sql("INSERT INTO authsql_users (email) VALUES ('new@x.org')"))

    if sql.is_mysql:
        await api.sql("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    before(monkeypatch, {"accounts.sign_in__2" if sql.is_mysql else "accounts.sign_in": make})
    found = await api(accounts.sign_in, proof("code", "new@x.org", issued), create=True)
    assert found.outcome == "claimed"
    assert made
    assert attempts(sql, "signin") == 1


async def test_sign_in_does_not_mind_a_lock(api: Api, sql: Sql, new_user: NewUser) -> None:
    """The code is another authenticator, with attempts of its own; the password stays locked."""
    user = await new_user(email_verified=True)
    sql(f"UPDATE authsql_users SET failed_attempts = 7, locked_until = {sql.before(sql.now, -HOUR)}")
    started = Started("sign_in", user.email, await issue(api, user.email, "signin"), user)
    assert (await started.spend(api, started.proof())).outcome == "existing"
    refused(await api(passwords.verify, user.email, PASSWORD, policy=FAST), Reason.LOCKED)


# reset_password


@HOW
@pytest.mark.parametrize("has_password", [True, False])
@pytest.mark.parametrize("verified", [True, False])
async def test_reset_password(
    api: Api, sql: Sql, new_user: NewUser, sign_in: SignIn, how: str, has_password: bool, verified: bool
) -> None:
    user = await new_user("a@x.org", PASSWORD if has_password else None, email_verified=verified)
    bystander = await new_user("b@x.org")
    opened, other = await sign_in(user), await sign_in(bystander)
    for one in (user, bystander):
        await api(devices.remember, one.id)
        sql(
            "INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('g', %s, %s)",
            one.email,
            one.id,
        )
    sql(
        "UPDATE authsql_users SET failed_attempts = 100,"
        f" locked_until = {sql.before(sql.now, -HOUR)} WHERE id = %s",
        user.id,
    )
    if has_password:
        refused(await api(passwords.verify, "a@x.org", PASSWORD, policy=FAST), Reason.BLOCKED)
        sql(f"UPDATE authsql_passwords SET must_change_since = {sql.now}")
    sly = await begin(api, "change_email", "mallory@x.org", user=user)
    started = await begin(api, "reset_password", "A@x.org", user=user)
    untouched = without_codes(sql)
    refused(await started.spend(api, started.with_code(other_than(started.issued.code))), Reason.WRONG)
    for weak in ("short", "x" * 1025):
        with pytest.raises(InvalidInput):
            await api(accounts.reset_password, started.proof(how), weak, policy=FAST)
    assert without_codes(sql) == untouched
    assert attempts(sql, "password-reset") == 1
    assert await started.spend(api, started.proof(how)) == user.id
    assert refused(await api(sessions.validate, opened.token), Reason.REVOKED).detail == "password_change"
    proved = await api(passwords.verify, "a@x.org", NEW_PASSWORD, policy=FAST)
    assert (proved.user_id, proved.must_change, proved.email_verified) == (user.id, False, True)
    assert (await api(users.get, user.id)).locked_until is None
    assert await api(devices.list, user.id) == ()
    identities = sql("SELECT user_id FROM authsql_identities")
    assert (user.id in {sql.uuid(row[0]) for row in identities}) is verified
    refused(await sly.spend(api, sly.proof()), Reason.EXPIRED)
    assert await api(sessions.validate, other.token), "the other account is as it was"
    assert await api(devices.list, bystander.id)
    assert await api(passwords.verify, "b@x.org", PASSWORD, policy=FAST)


# change_email


@HOW
@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("verified", [True, False])
async def test_change_email(
    api: Api, sql: Sql, new_user: NewUser, sign_in: SignIn, how: str, approved: bool, verified: bool
) -> None:
    user = await new_user("Old@x.org", email_verified=verified)
    opened = await sign_in(user)
    issued = await issue(api, "New@x.org", "email-change", user_id=user.id)
    new = proof(how, "New@x.org", issued)
    approval = None
    if approved:
        old = await issue(api, user.email, "email-change-approval", user_id=user.id)
        approval = proof(how, user.email, old)
        wrong = Code(user.email, other_than(old.code), KEY)
        refusal = refused(await api(accounts.change_email, user.id, new, approval=wrong), Reason.WRONG)
        assert (refusal.attempts_left, refusal.detail) == (4, "email-change-approval")
        wrong = Code("new@x.org", other_than(issued.code), KEY)
        refusal = refused(await api(accounts.change_email, user.id, wrong, approval=approval), Reason.WRONG)
        assert (refusal.attempts_left, refusal.detail) == (4, "email-change")
        assert attempts(sql, "email-change") == attempts(sql, "email-change-approval") == 1, (
            "one that is right is not used up by the other that is wrong"
        )
        assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NOT NULL") == 0
    changed = await api(accounts.change_email, user.id, new, approval=approval)
    assert changed.user_id == user.id
    assert changed.email == ("New@x.org" if how == "code" else "new@x.org")
    assert (changed.former_email, changed.former_verified) == ("Old@x.org", verified)
    found = await api(users.get, user.id)
    assert found.email == changed.email
    assert found.email_verified_at is not None
    assert sql("SELECT email, was_verified FROM authsql_former_emails") == [("Old@x.org", verified)]
    assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NULL") == 0
    assert await api(sessions.validate, opened.token), "sessions stay"
    spent = sql.state()
    refusal = refused(await api(accounts.change_email, user.id, new, approval=approval), Reason.SPENT)
    assert refusal.detail == "email-change"
    assert sql.state() == spent


@pytest.mark.parametrize("which", ["email-change", "email-change-approval"])
async def test_change_email_refusals_name_the_code(api: Api, sql: Sql, user: User, which: str) -> None:
    """Of the two, the one that is not right; both stay unspent. A link that is right is not counted."""
    issued = {
        "email-change": await issue(api, "new@x.org", "email-change", user_id=user.id),
        "email-change-approval": await issue(api, user.email, "email-change-approval", user_id=user.id),
    }
    subjects = {"email-change": "new@x.org", "email-change-approval": user.email}
    right = {name: proof("link", subjects[name], one) for name, one in issued.items()}

    async def change(given: Code | Link) -> Any:
        both = {**right, which: given}
        return await api(
            accounts.change_email, user.id, both["email-change"], approval=both["email-change-approval"]
        )

    def is_it(refusal: Any, reason: Reason) -> None:
        assert refused(refusal, reason).detail == which

    subject, code = subjects[which], issued[which].code
    is_it(await change(Code(subject, "12345", KEY)), Reason.MALFORMED)
    is_it(await change(Link("link_")), Reason.MALFORMED)
    is_it(await change(Code(subject, code, KEY, uuid4())), Reason.UNKNOWN)
    is_it(await change(Code("nobody@x.org", code, KEY)), Reason.UNKNOWN)
    for left in (4, 3, 2, 1, 0):
        refusal = await change(Code(subject, other_than(code), KEY))
        is_it(refusal, Reason.WRONG)
        assert refusal.attempts_left == left
    is_it(await change(Code(subject, code, KEY)), Reason.EXHAUSTED)
    other = "email-change" if which != "email-change" else "email-change-approval"
    assert attempts(sql, other) == 0
    sql(f"UPDATE authsql_otps SET spent_at = {sql.now} WHERE purpose = %s", which)
    is_it(await change(Code(subject, code, KEY)), Reason.SPENT)
    is_it(await change(right[which]), Reason.SPENT)
    sql("UPDATE authsql_otps SET spent_at = NULL WHERE purpose = %s", which)
    sql.age("authsql_otps", ("created_at", "expires_at"), HOUR, purpose=which)
    is_it(await change(Code(subject, code, KEY)), Reason.EXPIRED)
    is_it(await change(right[which]), Reason.EXPIRED)
    assert (await api(users.get, user.id)).email == user.email
    sql.age("authsql_otps", ("created_at", "expires_at"), -HOUR, purpose=which)
    assert await change(right[which])


@HOW
async def test_change_email_with_the_code_of_another_account(
    api: Api, sql: Sql, user: User, new_user: NewUser, how: str
) -> None:
    """One that was issued for another one, or for none, or that approves another address."""
    other = await new_user("other@x.org")
    for owner in (other.id, None):
        issued = await issue(api, "new@x.org", "email-change", user_id=owner)
        refusal = refused(
            await api(accounts.change_email, user.id, proof(how, "new@x.org", issued)), Reason.WRONG
        )
        assert refusal.attempts_left == (4 if how == "code" else None)
        sql.elapse(HOUR)
    new = proof(how, "new@x.org", await issue(api, "new@x.org", "email-change", user_id=user.id))
    for subject, owner in ((other.email, other.id), (other.email, user.id), (user.email, None)):
        sql.age("authsql_otps", ("created_at", "resend_at"), HOUR, purpose="email-change-approval")
        issued = await issue(api, subject, "email-change-approval", user_id=owner)
        approval = proof(how, subject, issued)
        refusal = refused(await api(accounts.change_email, user.id, new, approval=approval), Reason.WRONG)
        assert refusal.detail == "email-change-approval"
    assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NOT NULL") == 0
    refused(await api(accounts.change_email, uuid4(), new), Reason.UNKNOWN)
    assert attempts(sql, "email-change") == 0


@HOW
async def test_change_email_that_is_taken(
    api: Api, sql: Sql, user: User, new_user: NewUser, how: str
) -> None:
    issued = await issue(api, "new@x.org", "email-change", user_id=user.id)
    old = await issue(api, user.email, "email-change-approval", user_id=user.id)
    owner = await new_user("NEW@x.org")
    untouched = sql.state()
    new, approval = proof(how, "new@x.org", issued), proof(how, user.email, old)
    with pytest.raises(EmailTaken):
        await api(accounts.change_email, user.id, new, approval=approval)
    assert sql.state() == untouched
    assert not api.in_transaction
    await api(users.delete, owner.id)
    assert await api(accounts.change_email, user.id, new, approval=approval)


@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("email", ["ann@x.org", "ANN@x.org"])
async def test_change_email_to_the_same(
    api: Api, sql: Sql, new_user: NewUser, verified: bool, email: str
) -> None:
    """Or to one that differs in case only: what was proved stays proved."""
    user = await new_user("ann@x.org", email_verified=verified)
    sql.elapse(HOUR)
    earlier = (await api(users.get, user.id)).email_verified_at
    issued = await issue(api, email, "email-change", user_id=user.id)
    changed = await api(accounts.change_email, user.id, proof("code", email, issued))
    assert (changed.email, changed.former_email, changed.former_verified) == (email, "ann@x.org", verified)
    found = await api(users.get, user.id)
    assert found.email == email
    assert found.email_verified_at is not None
    assert (found.email_verified_at == earlier) is verified
    assert sql.one("SELECT COUNT(*) FROM authsql_former_emails") == (email != "ann@x.org")


async def test_an_update_by_hand_keeps_the_former_email(api: Api, sql: Sql, user: User) -> None:
    sql("UPDATE authsql_users SET email = 'byhand@x.org' WHERE id = %s", user.id)
    assert sql("SELECT email, was_verified FROM authsql_former_emails") == [(user.email, False)]
    assert await api(users.get_by_email, user.email) is None


async def test_caps_of_ones_own(api: Api, sql: Sql) -> None:
    """What the policy said when the code was issued."""
    policy = with_policy(code_attempts=1, code_digits=8)
    issued = await issue(api, "ann@x.org", "signin", policy=policy)
    wrong = Code("ann@x.org", other_than(issued.code), KEY)
    refusal = refused(await api(accounts.sign_in, wrong, create=True, policy=policy), Reason.WRONG)
    assert refusal.attempts_left == 0
    right = Code("ann@x.org", issued.code, KEY)
    refused(await api(accounts.sign_in, right, create=True), Reason.MALFORMED)
    refused(await api(accounts.sign_in, right, create=True, policy=policy), Reason.EXHAUSTED)
