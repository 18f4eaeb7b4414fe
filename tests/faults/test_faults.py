"""Faults of a widely copied set of authentication blueprints, and that they are not here. The number in a
test's name is that of the fault in the list that the project began with; the docstring is the fault.

Each critical or high one that can exist in a storage layer has a test. Left out:

- 3, an import cycle between schema files in TypeScript: there are none.
- 55, one fix for fourteen copies of the code: there is one (docs/decisions/0006-one-body.md).
- What is only about MongoDB or Redis, and what is medium or low.
"""

from __future__ import annotations

import hashlib
import hmac
import inspect
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from authsql import (
    Code,
    EmailSignIn,
    EmailTaken,
    InvalidInput,
    IssuedCode,
    PendingSignUp,
    Policy,
    Reason,
    Refusal,
    RotatedToken,
    SignedIn,
    accounts,
    audit,
    devices,
    identities,
    maintenance,
    otps,
    passwords,
    refresh_tokens,
    roles,
    sessions,
    users,
)
from authsql import _passwords as hashes
from authsql.models import NewSession, RefreshToken, Session, User
from tests.servers import Database, SyncConnection
from tests.support import (
    DAY,
    FAST,
    KEY,
    MINUTE,
    PASSWORD,
    SECOND,
    Crowd,
    Sql,
    crowd_of,
    other_than,
    refused,
)


@pytest.fixture
def user(conn: SyncConnection) -> User:
    user = users.create(conn, "ann@example.org")
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    return user


@pytest.fixture
def crowd(database: Database) -> Iterator[Crowd]:
    with crowd_of(database, 8) as crowd:
        yield crowd


def issue(conn: SyncConnection, subject: str, purpose: str, user_id: UUID | None = None) -> IssuedCode:
    issued = otps.issue(conn, subject, purpose, key=KEY, user_id=user_id)
    assert isinstance(issued, IssuedCode), issued
    return issued


def open_session(conn: SyncConnection, user: User, **options: Any) -> NewSession:
    opened = sessions.create(conn, user.id, **options)
    assert isinstance(opened, NewSession)
    return opened


def family(conn: SyncConnection, user: User) -> RefreshToken:
    issued = refresh_tokens.issue(conn, open_session(conn, user).session.id)
    assert isinstance(issued, RefreshToken)
    return issued


def rotate(conn: SyncConnection, token: str) -> RotatedToken:
    rotated = refresh_tokens.rotate(conn, token)
    assert isinstance(rotated, RotatedToken), rotated
    return rotated


def reasons(results: list[Any]) -> Counter[Reason | None]:
    return Counter(each.reason if isinstance(each, Refusal) else None for each in results)


# The schema.


def test_1_every_index_is_named_after_its_table(sql: Sql) -> None:
    """Two tables had an index of the same name, and the schema did not apply."""
    if sql.is_mysql:
        found = sql(
            "SELECT table_name, index_name FROM information_schema.statistics"
            " WHERE table_schema = DATABASE() AND table_name LIKE 'authsql%' AND index_name <> 'PRIMARY'"
        )
    else:
        found = sql("SELECT tablename, indexname FROM pg_indexes WHERE schemaname = current_schema()")
        found = [row for row in found if row[0].startswith("authsql")]
        assert len({row[1] for row in found}) == len(found)
    assert len(found) > 10
    assert [row for row in found if not row[1].startswith(row[0] + "_")] == []


def test_2_every_hash_has_a_fixed_width(sql: Sql, user: User) -> None:
    """A hash was stored as TEXT with an index, which MySQL refuses and MariaDB cuts."""
    schema = "DATABASE()" if sql.is_mysql else "current_schema()"
    found = sql(
        "SELECT table_name, column_name, data_type, character_maximum_length FROM information_schema.columns"
        f" WHERE table_schema = {schema} AND table_name LIKE 'authsql%%' AND column_name LIKE '%%\\_hash'"
        # One of a password, before it is stored.
        " AND column_name <> 'new_hash'"
    )
    assert len(found) >= 6
    for table, column, kind, length in found:
        assert (kind, length) == (("binary", 32) if sql.is_mysql else ("bytea", None)), (table, column)
    if not sql.is_mysql:
        open_session(sql.connection, user)
        with pytest.raises(Exception, match="authsql_sessions_secret_hash_check"):
            sql("UPDATE authsql_sessions SET secret_hash = %s", bytes(31))


def test_6_two_refresh_tokens_of_one_moment_differ(conn: SyncConnection, sql: Sql, user: User) -> None:
    """Two tokens that were issued in the same second were the same one."""
    tokens = [family(conn, user).token for _ in range(20)]
    assert len(set(tokens)) == 20
    assert sql.one("SELECT COUNT(DISTINCT current_hash) FROM authsql_refresh_tokens") == 20
    first = rotate(conn, tokens[0])
    assert rotate(conn, tokens[1]).session_id != first.session_id


def test_7_an_identity_has_one_owner_and_an_owner_many(conn: SyncConnection, sql: Sql, user: User) -> None:
    """Nothing kept two accounts from having one identity, and each had room for one provider: linking GitHub
    wrote over Google.
    """
    other = users.create(conn, "other@x.org")
    assert identities.link(conn, user.id, "google", "1")
    assert identities.link(conn, user.id, "github", "1")
    assert [each.provider for each in identities.list(conn, user.id)] == ["google", "github"]
    for provider in ("google", "github"):
        found = identities.sign_in(conn, provider, "1")
        assert isinstance(found, SignedIn)
        assert (found.user_id, found.outcome) == (user.id, "existing")
    refused(identities.link(conn, other.id, "google", "1"), Reason.TAKEN)
    with pytest.raises(Exception, match=r"authsql_identities(_pkey|\.PRIMARY)"):
        sql(
            "INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('google', '1', %s)", other.id
        )
    assert identities.list(conn, other.id) == ()


def test_8_an_email_is_one_whatever_its_case(conn: SyncConnection, user: User) -> None:
    """The same address in another case made another account."""
    for other in ("ANN@EXAMPLE.ORG", "Ann@example.org"):
        with pytest.raises(EmailTaken):
            users.create(conn, other)
        found = users.get_by_email(conn, other)
        assert found is not None
        assert found.id == user.id


# Expiry.


def test_16_what_has_expired_is_deleted(conn: SyncConnection, sql: Sql, user: User) -> None:
    """Codes, sessions and tokens were never deleted from an SQL database."""
    issue(conn, "ann@example.org", "signin")
    assert isinstance(accounts.sign_up(conn, "new@x.org", key=KEY), PendingSignUp)
    family(conn, user)
    assert devices.remember(conn, user.id)
    tables = ("otps", "signups", "sessions", "refresh_tokens", "known_devices")
    assert all(sql.one(f"SELECT COUNT(*) FROM authsql_{table}") for table in tables)
    sql.elapse(200 * DAY)
    maintenance.purge(conn)
    assert [sql.one(f"SELECT COUNT(*) FROM authsql_{table}") for table in tables] == [0] * len(tables)


def test_17_the_purge_leaves_the_evidence_of_theft(conn: SyncConnection, sql: Sql, user: User) -> None:
    """Revoked tokens were deleted daily, and with them what tells that one comes again."""
    stolen = family(conn, user)
    rotate(conn, rotate(conn, stolen.token).token)
    sql.elapse(2 * DAY)
    maintenance.purge(conn)
    refused(refresh_tokens.rotate(conn, stolen.token), Reason.REUSED)
    sql.elapse(2 * DAY)
    maintenance.purge(conn)
    refused(refresh_tokens.rotate(conn, stolen.token), Reason.REVOKED)


def test_19_a_code_lives_as_long_as_is_said(conn: SyncConnection, sql: Sql) -> None:
    """Milliseconds were taken for minutes: a code was good for 208 days."""
    issued = issue(conn, "ann@example.org", "signin")
    assert issued.expires_at - sql.one(f"SELECT {sql.now}") <= timedelta(minutes=5)
    with pytest.raises(InvalidInput, match="timedelta"):
        Policy(code_lifetime=300_000)  # type: ignore[arg-type]  # a number has no unit
    sql.elapse(5 * MINUTE)
    refused(otps.verify(conn, "ann@example.org", "signin", issued.code, key=KEY), Reason.EXPIRED)


# One-time codes.


def test_22_a_right_code_after_the_cap_is_refused(conn: SyncConnection, user: User) -> None:
    """The right code was accepted however many wrong ones came before it."""
    for purpose in ("signin", "email-verification", "password-reset"):
        issued = issue(conn, user.email, purpose, user.id)

        def attempt(code: str, purpose: str = purpose) -> object:
            given = Code(user.email, code, KEY)
            match purpose:
                case "signin":
                    return accounts.sign_in(conn, given)
                case "email-verification":
                    return accounts.verify_email(conn, given)
            return accounts.reset_password(conn, given, "a new password", policy=FAST)

        for _ in range(FAST.code_attempts):
            refused(attempt(other_than(issued.code)), Reason.WRONG)
        refused(attempt(issued.code), Reason.EXHAUSTED)
        refused(otps.verify(conn, user.email, purpose, issued.code, key=KEY), Reason.EXHAUSTED)


def test_23_wrong_reset_codes_are_counted(conn: SyncConnection, sql: Sql, user: User) -> None:
    """A wrong code was looked for by its own hash, not found, and so not counted."""
    issued = issue(conn, user.email, "password-reset", user.id)
    for number in range(1, 6):
        given = Code(user.email, f"{(int(issued.code) + number) % 10**6:06d}", KEY)
        refused(accounts.reset_password(conn, given, "a new password", policy=FAST), Reason.WRONG)
        assert sql.one("SELECT attempts FROM authsql_otps") == number


def test_24_parallel_guesses_are_counted_one_by_one(crowd: Crowd, conn: SyncConnection, sql: Sql) -> None:
    """Attempts were read, compared and written: parallel guesses went past the cap, and a code was spent
    twice.
    """
    right, wrong = issue(conn, "right@x.org", "signin"), issue(conn, "wrong@x.org", "signin")
    spent = crowd.run(lambda mine, _: otps.verify(mine, "right@x.org", "signin", right.code, key=KEY))
    assert reasons(spent) == {None: 1, Reason.SPENT: 7}
    other = other_than(wrong.code)
    guessed = crowd.run(lambda mine, _: otps.verify(mine, "wrong@x.org", "signin", other, key=KEY))
    assert reasons(guessed)[Reason.WRONG] == FAST.code_attempts
    assert sql.one("SELECT attempts FROM authsql_otps WHERE subject = 'wrong@x.org'") == FAST.code_attempts


def test_25_another_code_ends_the_one_before(conn: SyncConnection, sql: Sql) -> None:
    """Each resend gave a new count of attempts, and left the older codes good."""
    guesses = 0
    earlier: list[str] = []
    for _ in range(10):
        issued = otps.issue(conn, "ann@example.org", "signin", key=KEY)
        if isinstance(issued, Refusal):
            assert issued.reason is Reason.TOO_MANY
            continue
        assert sql.one("SELECT COUNT(*) FROM authsql_otps") == 1
        for code in [*earlier, *[other_than(issued.code)] * 10]:
            if code != issued.code:
                found = otps.verify(conn, "ann@example.org", "signin", code, key=KEY)
                assert isinstance(found, Refusal)
                guesses += found.reason is Reason.WRONG
        earlier.append(issued.code)
        sql.elapse(FAST.code_resend_after)
    assert guesses == FAST.codes_per_window * FAST.code_attempts, "in an hour, whatever is done"


def test_26_a_code_cannot_be_found_from_its_hash(conn: SyncConnection, sql: Sql) -> None:
    """A code was stored as plain SHA-256: a million hashes tell it."""
    issued = issue(conn, "ann@example.org", "signin")
    stored = sql.one("SELECT code_hash FROM authsql_otps")
    assert stored != hashlib.sha256(issued.code.encode()).digest()
    assert stored != hmac.digest(KEY, issued.code.encode(), "sha256"), "bound to whom it is for, and what for"
    refused(otps.verify(conn, "ann@example.org", "signin", issued.code, key=bytes(32)), Reason.WRONG)
    sql("UPDATE authsql_otps SET purpose = 'password-reset'")
    found = otps.verify(conn, "ann@example.org", "password-reset", issued.code, key=KEY)
    refused(found, Reason.WRONG)


def test_27_no_secret_is_logged(conn: SyncConnection, user: User, caplog: pytest.LogCaptureFixture) -> None:
    """Codes and tokens were written to the log in clear. Here an application logs whatever it gets, errors
    with all that led to them. (tests/secrets looks for all secrets.)
    """
    caplog.set_level(logging.DEBUG)
    log = logging.getLogger("an application")
    issued = issue(conn, user.email, "signin")
    pending = accounts.sign_up(conn, "new@x.org", PASSWORD, key=KEY, link=True, policy=FAST)
    assert isinstance(pending, PendingSignUp)
    opened = open_session(conn, user)
    signed_up = Code("new@x.org", pending.issued.code, KEY, pending.issued.issue_id)
    for each in (issued, pending, opened, signed_up):
        log.info("%r %s", each, each)
    users.create(conn, "new@x.org")
    try:
        accounts.confirm_sign_up(conn, signed_up)
    except EmailTaken:
        log.exception("taken")
    log.info("%s", accounts.sign_in(conn, Code(user.email, other_than(issued.code), KEY)))
    for told in ("IssuedCode(", "PendingSignUp(", "NewSession(", "Code(", "EmailTaken", "Reason.WRONG"):
        assert told in caplog.text
    for secret in (issued.code, pending.issued.code, pending.issued.link, opened.token, PASSWORD, repr(KEY)):
        assert secret
        assert secret not in caplog.text


# Password reset.


def test_30_a_reset_takes_the_code_of_this_account(conn: SyncConnection, user: User) -> None:
    """It was enough that a cookie was there: whoever knew the e-mail could reset any account."""
    mallory = users.create(conn, "mallory@x.org")
    theirs = issue(conn, mallory.email, "password-reset", mallory.id)
    own = issue(conn, user.email, "password-reset", user.id)
    # Whether the codes happen to be the same or not: it is told by where it was sent.
    given = theirs.code if theirs.code != own.code else other_than(own.code)
    for proof in (
        Code(user.email, given, KEY),
        Code(user.email, own.code, KEY, theirs.issue_id),
        Code(user.email, hashlib.sha256(user.id.bytes).hexdigest()[:6], KEY, uuid4()),
    ):
        assert not accounts.reset_password(conn, proof, "mallory's password", policy=FAST)
    assert not passwords.verify(conn, user.email, "mallory's password", policy=FAST)
    done = accounts.reset_password(conn, Code(mallory.email, theirs.code, KEY), "a new password", policy=FAST)
    assert done == mallory.id


def test_31_a_proof_is_of_use_to_who_gave_it(conn: SyncConnection, sql: Sql, user: User) -> None:
    """After the code, a flag under the e-mail let anybody set the password for five minutes."""
    issued = issue(conn, user.email, "password-reset", user.id)
    assert otps.verify(conn, user.email, "password-reset", issued.code, key=KEY)
    for code in (issued.code, other_than(issued.code)):
        found = accounts.reset_password(conn, Code(user.email, code, KEY), "mallory's password", policy=FAST)
        refused(found, Reason.SPENT)
    sql.elapse(MINUTE)
    again = issue(conn, user.email, "password-reset", user.id)
    assert accounts.reset_password(conn, Code(user.email, again.code, KEY), "a new password", policy=FAST)
    found = accounts.reset_password(conn, Code(user.email, again.code, KEY), "another one", policy=FAST)
    refused(found, Reason.SPENT)


def test_32_a_new_password_ends_the_sessions(conn: SyncConnection, user: User) -> None:
    """Sessions and tokens stayed good after a reset, and after a change of the password."""
    mine, other = open_session(conn, user), family(conn, user)
    done = passwords.change(
        conn, user.id, PASSWORD, "a new password", keep_session=mine.session.id, policy=FAST
    )
    assert done is True
    assert sessions.validate(conn, mine.token), "the one that changed it may stay"
    refused(refresh_tokens.rotate(conn, other.token), Reason.REVOKED)
    issued = issue(conn, user.email, "password-reset", user.id)
    proof = Code(user.email, issued.code, KEY)
    assert accounts.reset_password(conn, proof, "another password", policy=FAST)
    refused(sessions.validate(conn, mine.token), Reason.REVOKED)


# Sign-in and lockout.


def test_35_parallel_failures_are_counted_one_by_one(
    crowd: Crowd, conn: SyncConnection, sql: Sql, user: User
) -> None:
    """The count of failures was read, increased and written: parallel attempts lost counts."""
    found = reasons(crowd.run(lambda mine, _: passwords.verify(mine, user.email, "wrong one", policy=FAST)))
    assert found == {Reason.WRONG: FAST.lock_after, Reason.LOCKED: 8 - FAST.lock_after}
    assert sql.one("SELECT failed_attempts FROM authsql_users") == FAST.lock_after


def test_36_failures_lock_the_account(conn: SyncConnection, user: User) -> None:
    """Nothing was counted and nothing locked, though it was said to be."""
    for _ in range(FAST.lock_after):
        refused(passwords.verify(conn, user.email, "wrong one", policy=FAST), Reason.WRONG)
    found = passwords.verify(conn, user.email, PASSWORD, policy=FAST)
    assert refused(found, Reason.LOCKED).retry_at is not None


def test_39_who_has_an_account_is_not_told(
    conn: SyncConnection, sql: Sql, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sign-up, reset and sign-in answered differently, and faster, where there was no account."""
    work: list[str | None] = []
    original = hashes.candidate

    def candidate(form: str | None, password: str, policy: Policy) -> str:
        work.append(form)
        return original(form, password, policy)

    monkeypatch.setattr(passwords, "candidate", candidate)
    for email in (user.email, "nobody@x.org"):
        refused(passwords.verify(conn, email, "wrong one", policy=FAST), Reason.WRONG)
        issued = issue(conn, email, "password-reset")
        proof = Code(email, other_than(issued.code), KEY)
        found = accounts.reset_password(conn, proof, "a new password", policy=FAST)
        assert refused(found, Reason.WRONG).attempts_left == 4
        pending = accounts.sign_up(conn, email, PASSWORD, key=KEY, policy=FAST)
        assert isinstance(pending, PendingSignUp)
        assert len(pending.issued.code) == 6
        refused(accounts.sign_up(conn, email, PASSWORD, key=KEY, policy=FAST), Reason.COOLING_DOWN)
    assert len(work) == 2, "a password is hashed for nobody, too"
    assert work[1] is None


# Privilege and linking.


def test_40_no_role_comes_from_a_sign_up(conn: SyncConnection, user: User) -> None:
    """The form of a sign-up could say "admin", and it was stored."""
    body = {"role": "admin", "roles": ["admin"], "is_admin": True, "permissions": ["*"]}
    for name, value in body.items():
        with pytest.raises(TypeError, match=name):
            accounts.sign_up(conn, "eve@x.org", PASSWORD, key=KEY, **{name: value})  # type: ignore[call-overload]  # there is no such argument
    pending = accounts.sign_up(conn, "eve@x.org", PASSWORD, key=KEY, name="admin", policy=FAST)
    assert isinstance(pending, PendingSignUp)
    proof = Code("eve@x.org", pending.issued.code, KEY, pending.issued.issue_id)
    eve = accounts.confirm_sign_up(conn, proof)
    assert isinstance(eve, User)
    came = accounts.sign_in(
        conn, Code("admin@x.org", issue(conn, "admin@x.org", "signin").code, KEY), create=True
    )
    assert isinstance(came, EmailSignIn)
    linked = identities.sign_in(conn, "google", "admin", email="a@x.org", name="admin", profile=body)
    assert isinstance(linked, SignedIn)
    made = users.create(conn, "b@x.org", name="admin", avatar=body)
    for user_id in (eve.id, came.user_id, linked.user_id, made.id):
        assert roles.of_user(conn, user_id) == ("user",)
        assert not roles.has_role(conn, user_id, "admin")
    again = identities.sign_in(conn, "google", "admin", profile=body)
    assert isinstance(again, SignedIn)
    assert roles.of_user(conn, again.user_id) == ("user",)


TRUSTING = replace(FAST, link_verified_emails=True)


def test_41_an_email_alone_links_nothing(conn: SyncConnection, user: User) -> None:
    """A provider's account was joined to whichever had its e-mail, and every e-mail was taken for verified.
    An account without an e-mail got an empty one: all of them shared one account.
    """

    def come(subject: str, email: str | None, policy: Policy, *, verified: bool) -> SignedIn | Refusal:
        return identities.sign_in(
            conn, "google", subject, email=email, email_verified=verified, policy=policy
        )

    # Mallory has signed up with it, or Mallory's provider says so.
    for verified in (False, True):
        for policy in (FAST, TRUSTING):
            refused(come("1", user.email, policy, verified=verified), Reason.OWNERSHIP_REQUIRED)
    assert users.mark_email_verified(conn, user.id, user.email)
    refused(come("1", user.email, FAST, verified=True), Reason.OWNERSHIP_REQUIRED)
    refused(come("1", user.email, TRUSTING, verified=False), Reason.OWNERSHIP_REQUIRED)
    assert identities.list(conn, user.id) == ()
    for subject in ("2", "3"):
        refused(come(subject, None, TRUSTING, verified=True), Reason.EMAIL_REQUIRED)
        with pytest.raises(InvalidInput):
            come(subject, "", TRUSTING, verified=True)
    found = come("1", user.email, TRUSTING, verified=True)
    assert isinstance(found, SignedIn)
    assert (found.user_id, found.outcome) == (user.id, "linked"), "both say verified, and it was asked for"


def test_41_who_waits_in_an_account_is_put_out(conn: SyncConnection, user: User) -> None:
    """The password of who had signed up with somebody's address stayed good after that somebody came."""
    assert identities.link(conn, user.id, "github", "mallory")
    waiting = family(conn, user)
    came = accounts.sign_in(conn, Code(user.email, issue(conn, user.email, "signin").code, KEY))
    assert isinstance(came, EmailSignIn)
    assert (came.user_id, came.outcome) == (user.id, "claimed")
    refused(passwords.verify(conn, user.email, PASSWORD, policy=FAST), Reason.WRONG)
    refused(identities.sign_in(conn, "github", "mallory", email=user.email), Reason.OWNERSHIP_REQUIRED)
    refused(refresh_tokens.rotate(conn, waiting.token), Reason.REVOKED)


def test_41_who_is_deleted_does_not_come_back_by_a_provider(conn: SyncConnection, user: User) -> None:
    """Whether an account was deleted was asked neither at a provider's sign-in nor at a refresh."""
    assert identities.link(conn, user.id, "google", "1")
    token, opened = family(conn, user).token, open_session(conn, user)
    assert users.soft_delete(conn, user.id)
    found = refused(identities.sign_in(conn, "google", "1", email=user.email), Reason.DELETED)
    assert found.detail == str(user.id)
    refused(sessions.create(conn, user.id), Reason.UNKNOWN)
    refused(refresh_tokens.rotate(conn, token), Reason.REVOKED)
    refused(sessions.validate(conn, opened.token), Reason.REVOKED)


def test_41_a_lock_is_the_passwords(conn: SyncConnection, sql: Sql, user: User) -> None:
    """`lock_until` was not asked at a provider's sign-in. It is not asked here either, on purpose (decision
    0007): it counts wrong passwords, so that they are not guessed. At a provider nobody guesses a password of
    ours; and who fails on purpose, to keep an owner out, keeps nobody from the provider's door. What the lock
    is for, it still does: the password stays shut, and a sign-in elsewhere does not open it.
    """
    assert identities.link(conn, user.id, "google", "1")
    token = family(conn, user).token
    for _ in range(FAST.lock_after):
        refused(passwords.verify(conn, user.email, "wrong one", policy=FAST), Reason.WRONG)
    locked_until = sql.one("SELECT locked_until FROM authsql_users")
    found = identities.sign_in(conn, "google", "1")
    assert isinstance(found, SignedIn)
    assert sessions.create(conn, found.user_id)
    assert rotate(conn, token).generation == 1
    refused(passwords.verify(conn, user.email, PASSWORD, policy=FAST), Reason.LOCKED)
    assert sql.one("SELECT locked_until FROM authsql_users") == locked_until
    assert sql.one("SELECT failed_attempts FROM authsql_users") == FAST.lock_after


# Refresh tokens.


def test_43_reuse_ends_the_session_and_an_unknown_token_does_not(
    conn: SyncConnection, sql: Sql, user: User
) -> None:
    """A token that was rotated away only got an error, and one that was not found ended every session."""
    stolen, bystander = family(conn, user), family(conn, user)
    current = rotate(conn, rotate(conn, stolen.token).token)
    other = users.create(conn, "other@x.org")
    unknown = family(conn, other).token
    assert users.delete(conn, other.id)
    refused(refresh_tokens.rotate(conn, unknown), Reason.UNKNOWN)
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions WHERE revoked_at IS NOT NULL") == 0
    refused(refresh_tokens.rotate(conn, stolen.token), Reason.REUSED)
    refused(refresh_tokens.rotate(conn, current.token), Reason.REVOKED)
    assert rotate(conn, bystander.token).generation == 1


def test_44_a_rotation_does_not_fork(crowd: Crowd, conn: SyncConnection, sql: Sql, user: User) -> None:
    """Two refreshes at a time both succeeded, each with a token of its own."""
    token = family(conn, user).token
    rotated = crowd.run(lambda mine, _: rotate(mine, token))
    assert len({each.token for each in rotated}) == 1
    assert [each.repeated for each in rotated].count(False) == 1
    assert sql.one("SELECT generation FROM authsql_refresh_tokens") == 1


def test_45_a_repeated_refresh_signs_nobody_out(conn: SyncConnection, sql: Sql, user: User) -> None:
    """Requests in parallel with the same token signed their owner out: there was no grace."""
    token = family(conn, user).token
    first = rotate(conn, token)
    again = rotate(conn, token)
    assert (again.token, again.repeated) == (first.token, True)
    sql.elapse(FAST.refresh_grace + SECOND)
    refused(refresh_tokens.rotate(conn, token), Reason.REUSED)


# Sessions.


def test_49_all_sessions_are_all(conn: SyncConnection, user: User) -> None:
    """To end all sessions ended one of them."""
    opened = [open_session(conn, user) for _ in range(4)]
    assert sessions.revoke_others(conn, user.id, opened[0].session.id) == 3
    assert sessions.validate(conn, opened[0].token)
    open_session(conn, user)
    assert sessions.revoke_all(conn, user.id) == 2
    for each in opened:
        refused(sessions.validate(conn, each.token), Reason.REVOKED)


def test_50_a_session_is_good_without_an_address(conn: SyncConnection, sql: Sql, user: User) -> None:
    """A session that a provider's sign-in had made had neither address nor browser, and was refused by the
    check for both. Here they are for information: what is noted, or asked from, does not matter.
    """
    assert identities.link(conn, user.id, "google", "1")
    came = identities.sign_in(conn, "google", "1")
    assert isinstance(came, SignedIn)
    for options in ({}, {"ip": "192.0.2.1", "user_agent": "x"}):
        opened = open_session(conn, user, **options)
        # Requests of the same browser, in another network, some time later.
        audit.set_context(conn, ip="2001:db8::1", user_agent="y")
        sql.elapse(2 * MINUTE)
        found = sessions.validate(conn, opened.token)
        assert isinstance(found, Session)
        assert (found.ip, found.user_agent) == (options.get("ip"), options.get("user_agent"))
        token = refresh_tokens.issue(conn, opened.session.id)
        assert isinstance(token, RefreshToken)
        assert rotate(conn, token.token).generation == 1
        assert sessions.elevate(conn, opened.token, aal=2)
        audit.clear_context(conn)
    assert not inspect.signature(sessions.validate).parameters.keys() & {"ip", "user_agent"}
