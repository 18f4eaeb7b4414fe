"""Identities: who gets which account, and the tokens of providers."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import mysql.connector
import pytest

from authsql import (
    EmailTaken,
    Identity,
    InvalidInput,
    ProviderTokens,
    Reason,
    SignedIn,
    identities,
    passwords,
    sessions,
    users,
)
from authsql._driver import driver_of
from authsql.errors import Overtaken
from authsql.keyring import CannotDecrypt, Keyring, key_name
from authsql.models import User
from tests.conformance.conftest import Connect, NewUser
from tests.support import FAST, HOUR, MINUTE, PASSWORD, SECOND, Api, Sql, refused, with_policy

LINKING = with_policy(link_verified_emails=True)
MAILING = with_policy(email_signs_in=True)
OLD, NEW = bytes(32), bytes(range(32))
FIRST = Keyring({"2025": OLD}, "2025")
BOTH = Keyring({"2025": OLD, "2026": NEW}, "2026")
ALONE = Keyring({"2026": NEW}, "2026")


async def sign_in(api: Api, subject: str = "g-1", provider: str = "google", **options: Any) -> Any:
    return await api(identities.sign_in, provider, subject, **options)


async def signed_in(api: Api, subject: str = "g-1", provider: str = "google", **options: Any) -> SignedIn:
    found = await sign_in(api, subject, provider, **({"email": "eve@x.org"} | options))
    assert isinstance(found, SignedIn), found
    return found


def count(sql: Sql, table: str) -> int:
    found: int = sql.one(f"SELECT COUNT(*) FROM authsql_{table}")
    return found


class TestKnownIdentity:
    async def test_same_account_again(self, api: Api, sql: Sql) -> None:
        made = await signed_in(api)
        assert made.outcome == "created"
        again = await sign_in(api)
        assert again == SignedIn(made.user_id, "existing", email_verified=False)
        assert count(sql, "users") == count(sql, "identities") == 1

    async def test_what_the_provider_says_is_renewed(self, api: Api, sql: Sql) -> None:
        made = await signed_in(api, email="old@x.org", profile={"name": "Old", "n": [1]}, name="Eve")
        sql.elapse(HOUR)
        [before] = await api(identities.list, made.user_id)
        assert (before.email, before.profile) == ("old@x.org", {"name": "Old", "n": [1]})
        await signed_in(api, email="new@x.org", profile={"name": "New"}, name="Mallory", email_verified=True)
        [after] = await api(identities.list, made.user_id)
        assert isinstance(after, Identity)
        assert (after.email, after.profile) == ("new@x.org", {"name": "New"})
        assert after.last_login_at - before.last_login_at >= HOUR
        assert after.created_at == before.created_at
        owner = await api(users.get, made.user_id)
        # The account is its owner's, not the provider's.
        assert (owner.email, owner.name, owner.email_verified_at) == ("old@x.org", "Eve", None)

    async def test_what_it_does_not_say_stays(self, api: Api) -> None:
        made = await signed_in(api, email="a@x.org", profile={"a": 1})
        await sign_in(api)
        [found] = await api(identities.list, made.user_id)
        assert (found.email, found.profile) == ("a@x.org", {"a": 1})

    async def test_email_of_somebody_else(self, api: Api, user: User) -> None:
        """The pair of provider and subject is the identity, whatever e-mail comes with it."""
        made = await signed_in(api)
        for policy in (FAST, LINKING):
            again = await signed_in(api, email=user.email, email_verified=True, policy=policy)
            assert again.user_id == made.user_id
            assert again.outcome == "existing"
        assert await api(identities.list, user.id) == ()

    async def test_the_verification_is_the_accounts(self, api: Api, user: User) -> None:
        await api(identities.link, user.id, "google", "g-1")
        assert (await signed_in(api, email=user.email, email_verified=True)).email_verified is False
        await api(users.mark_email_verified, user.id, user.email)
        assert (await signed_in(api, email="other@x.org", email_verified=False)).email_verified is True

    @pytest.mark.parametrize(
        ("provider", "subject"),
        [("github", "g-1"), ("google", "G-1"), ("google", "g-10"), ("google", "g"), ("google-", "g-1")],
    )
    async def test_another_pair_is_another_identity(self, api: Api, provider: str, subject: str) -> None:
        made = await signed_in(api)
        other = await signed_in(api, subject, provider, email="other@x.org")
        assert other.outcome == "created"
        assert other.user_id != made.user_id

    async def test_soft_deleted_owner(self, api: Api, sql: Sql) -> None:
        made = await signed_in(api)
        await api(users.soft_delete, made.user_id)
        before = sql.dump()
        for policy in (FAST, LINKING):
            for email in ("eve@x.org", "new@x.org", None):
                found = await sign_in(api, email=email, email_verified=True, policy=policy)
                assert refused(found, Reason.DELETED).detail == str(made.user_id)
        assert sql.dump() == before

    async def test_reactivated_owner(self, api: Api, sql: Sql) -> None:
        made = await signed_in(api)
        await api(users.soft_delete, made.user_id)
        sql.elapse(FAST.reactivation_wait + SECOND)
        assert await api(users.reactivate, made.user_id)
        assert (await sign_in(api)).user_id == made.user_id

    async def test_deleted_owner_leaves_nothing(self, api: Api, sql: Sql) -> None:
        made = await signed_in(api)
        await api(users.delete, made.user_id)
        assert count(sql, "identities") == 0
        assert (await signed_in(api)).outcome == "created"

    @pytest.mark.parametrize("failures", [5, 100])
    async def test_locked_password_does_not_concern_it(
        self, api: Api, sql: Sql, user: User, failures: int
    ) -> None:
        await api(identities.link, user.id, "google", "g-1")
        sql(
            f"UPDATE authsql_users SET failed_attempts = %s, locked_until = {sql.before(sql.now, -HOUR)}",
            failures,
        )
        assert not await api(passwords.verify, user.email, PASSWORD, policy=FAST)
        assert (await sign_in(api)).user_id == user.id
        assert sql.one("SELECT failed_attempts FROM authsql_users") == failures


class TestNewAccount:
    @pytest.mark.parametrize("verified", [True, False])
    async def test_account_and_link(self, api: Api, sql: Sql, verified: bool) -> None:
        made = await signed_in(
            api, email="Eve@X.org", email_verified=verified, name="Eve", profile={"a": {"b": None}}
        )
        assert made == SignedIn(made.user_id, "created", verified)
        owner = await api(users.get_by_email, "eve@x.org")
        assert (owner.id, owner.email, owner.name) == (made.user_id, "Eve@X.org", "Eve")
        assert (owner.email_verified_at is not None) is verified
        [identity] = await api(identities.list, made.user_id)
        assert identity == Identity(
            "google",
            "g-1",
            made.user_id,
            "Eve@X.org",
            {"a": {"b": None}},
            identity.last_login_at,
            identity.created_at,
        )
        assert identity.last_login_at is not None
        assert sql.one("SELECT role FROM authsql_user_roles") == "user"
        assert count(sql, "passwords") == 0
        assert await api(sessions.create, made.user_id)

    async def test_email_that_a_soft_deletion_freed(self, api: Api, user: User) -> None:
        await api(users.soft_delete, user.id)
        made = await signed_in(api, email=user.email, email_verified=True, policy=LINKING)
        assert made.outcome == "created"
        assert made.user_id != user.id

    async def test_no_email(self, api: Api, sql: Sql, user: User) -> None:
        before = sql.dump()
        for options in ({}, {"email_verified": True}, {"email_verified": True, "policy": LINKING}):
            refused(await sign_in(api, **options), Reason.EMAIL_REQUIRED)
        assert sql.dump() == before

    async def test_two_without_an_email_are_not_one(self, api: Api, sql: Sql) -> None:
        """As where the e-mail was stored as an empty text, and everybody without one shared an account."""
        for subject in ("1", "2"):
            with pytest.raises(InvalidInput, match="email"):
                await sign_in(api, subject, email="")
            refused(await sign_in(api, subject), Reason.EMAIL_REQUIRED)
        assert count(sql, "users") == 0

    @pytest.mark.parametrize("verified", ["true", 1, None, "false"])
    async def test_verified_is_true_or_false(self, api: Api, sql: Sql, verified: object) -> None:
        with pytest.raises(InvalidInput, match="email_verified"):
            await sign_in(api, email="a@x.org", email_verified=verified)
        assert count(sql, "users") == 0

    @pytest.mark.only("mysql")
    async def test_a_violated_key_is_told_by_its_name_alone(self, api: Api, sql: Sql, user: User) -> None:
        """MySQL's message has the value before the name."""
        driver = driver_of(sql.connection)
        identity = "INSERT INTO authsql_identities (provider, subject, user_id) VALUES ('google', %s, %s)"
        subject = "x' for key 'authsql_users.authsql_users_email_key"
        sql(identity, subject, user.id)
        with pytest.raises(mysql.connector.IntegrityError) as raised:
            sql(identity, subject, user.id)
        assert isinstance(driver.translate(raised.value), Overtaken)
        with pytest.raises(mysql.connector.IntegrityError) as raised:
            sql("INSERT INTO authsql_users (email) VALUES (%s)", user.email)
        assert isinstance(driver.translate(raised.value), EmailTaken)


class TestEmailOfAnAccount:
    @pytest.mark.parametrize("policy", [FAST, LINKING], ids=["", "linking"])
    @pytest.mark.parametrize("provider_says", [True, False])
    @pytest.mark.parametrize("account_says", [True, False])
    async def test_who_is_linked_at_once(
        self, api: Api, sql: Sql, user: User, policy: Any, provider_says: bool, account_says: bool
    ) -> None:
        if account_says:
            await api(users.mark_email_verified, user.id, user.email)
        before = sql.dump()
        found = await sign_in(
            api, email=user.email.upper(), email_verified=provider_says, profile={"a": 1}, policy=policy
        )
        if policy is LINKING and provider_says and account_says:
            assert found == SignedIn(user.id, "linked", email_verified=True)
            [identity] = await api(identities.list, user.id)
            assert (identity.email, identity.profile) == (user.email.upper(), {"a": 1})
            assert identity.last_login_at is not None
            assert (await sign_in(api)).outcome == "existing"
        else:
            refused(found, Reason.OWNERSHIP_REQUIRED)
            assert sql.dump() == before

    async def test_linking_is_off_unless_asked_for(self, api: Api, new_user: NewUser) -> None:
        user = await new_user(email_verified=True)
        refused(await sign_in(api, email=user.email, email_verified=True), Reason.OWNERSHIP_REQUIRED)

    async def test_pre_hijacking(self, api: Api, sql: Sql, new_user: NewUser) -> None:
        """Somebody signs up with the victim's e-mail and a password, and waits for the victim."""
        await new_user("victim@x.org", password="the attacker's")
        before = sql.dump()
        refused(
            await sign_in(api, email="victim@x.org", email_verified=True, policy=LINKING),
            Reason.OWNERSHIP_REQUIRED,
        )
        assert sql.dump() == before

    async def test_pre_hijacking_by_an_identity(self, api: Api, sql: Sql) -> None:
        """The same by a provider that does not check e-mails."""
        await signed_in(api, "attacker", "sloppy", email="victim@x.org")
        refused(
            await sign_in(api, email="victim@x.org", email_verified=True, policy=LINKING),
            Reason.OWNERSHIP_REQUIRED,
        )
        assert count(sql, "identities") == 1

    async def test_ownership_first_then_link(self, api: Api, user: User) -> None:
        refused(await sign_in(api, email=user.email), Reason.OWNERSHIP_REQUIRED)
        proof = await api(passwords.verify, user.email, PASSWORD, policy=FAST)
        assert await api(identities.link, proof.user_id, "google", "g-1", email=user.email) is True
        assert (await sign_in(api, email=user.email)).user_id == user.id

    async def test_changed_email_loses_its_verification_for_this_too(
        self, api: Api, sql: Sql, new_user: NewUser
    ) -> None:
        user = await new_user(email_verified=True)
        sql("UPDATE authsql_users SET email = 'new@x.org'")
        found = await sign_in(api, email="new@x.org", email_verified=True, policy=LINKING)
        refused(found, Reason.OWNERSHIP_REQUIRED)
        other = await sign_in(api, email=user.email, email_verified=True, policy=LINKING)
        assert other.outcome == "created"


class TestLink:
    async def test_several(self, api: Api, user: User) -> None:
        assert await api(identities.link, user.id, "google", "1", email="a@g.org", profile={"a": 1}) is True
        assert await api(identities.link, user.id, "google", "2") is True
        assert await api(identities.link, user.id, "github", "1", email=user.email) is True
        found = await api(identities.list, user.id)
        assert [(each.provider, each.subject, each.email) for each in found] == [
            ("google", "1", "a@g.org"),
            ("google", "2", None),
            ("github", "1", user.email),
        ]
        assert [each.last_login_at for each in found] == [None] * 3
        assert {each.user_id for each in found} == {user.id}

    async def test_again(self, api: Api, sql: Sql, user: User) -> None:
        await api(identities.link, user.id, "google", "1", email="a@x.org", profile={"a": 1})
        assert await api(identities.link, user.id, "google", "1") is True
        assert await api(identities.link, user.id, "google", "1", email="b@x.org") is True
        [found] = await api(identities.list, user.id)
        assert (found.email, found.profile) == ("b@x.org", {"a": 1})
        assert await api(identities.link, user.id, "google", "1", profile={}) is True
        [found] = await api(identities.list, user.id)
        assert (found.email, found.profile) == ("b@x.org", {})
        assert count(sql, "identities") == 1

    async def test_of_another_account(self, api: Api, sql: Sql, user: User) -> None:
        made = await signed_in(api)
        before = sql.dump()
        refused(await api(identities.link, user.id, "google", "g-1", email="x@x.org"), Reason.TAKEN)
        assert sql.dump() == before
        await api(users.soft_delete, made.user_id)
        refused(await api(identities.link, user.id, "google", "g-1"), Reason.TAKEN)

    async def test_account_that_is_not_there(self, api: Api, sql: Sql, user: User) -> None:
        await api(identities.link, user.id, "google", "g-1")
        await api(users.soft_delete, user.id)
        before = sql.dump()
        for user_id in (user.id, uuid4()):
            for subject in ("g-1", "g-2"):
                refused(await api(identities.link, user_id, "google", subject), Reason.UNKNOWN)
        assert sql.dump() == before


class TestUnlink:
    async def test_with_a_password(self, api: Api, sql: Sql, user: User) -> None:
        await api(identities.link, user.id, "google", "g-1")
        assert await api(identities.unlink, user.id, "google", "g-1") is True
        assert await api(identities.list, user.id) == ()
        refused(await sign_in(api, email=user.email), Reason.OWNERSHIP_REQUIRED)

    async def test_last_way_in(self, api: Api, sql: Sql) -> None:
        made = await signed_in(api, email_verified=True)
        before = sql.dump()
        for subject in ("g-1", None):
            refused(await api(identities.unlink, made.user_id, "google", subject), Reason.LAST_WAY_IN)
        assert sql.dump() == before
        assert await api(passwords.set, made.user_id, PASSWORD, policy=FAST)
        assert await api(identities.unlink, made.user_id, "google", "g-1") is True

    async def test_one_of_two(self, api: Api) -> None:
        made = await signed_in(api)
        await api(identities.link, made.user_id, "github", "h-1")
        assert await api(identities.unlink, made.user_id, "google", "g-1") is True
        refused(await api(identities.unlink, made.user_id, "github", "h-1"), Reason.LAST_WAY_IN)
        assert (await sign_in(api, "h-1", "github")).user_id == made.user_id

    async def test_all_of_a_provider(self, api: Api, user: User) -> None:
        made = await signed_in(api)
        await api(identities.link, made.user_id, "google", "g-2")
        # Each is the other's way in; together they are the last ones.
        refused(await api(identities.unlink, made.user_id, "google"), Reason.LAST_WAY_IN)
        await api(identities.link, made.user_id, "github", "h-1")
        await api(identities.link, user.id, "google", "g-3")
        assert await api(identities.unlink, made.user_id, "google") is True
        assert [each.subject for each in await api(identities.list, made.user_id)] == ["h-1"]
        assert len(await api(identities.list, user.id)) == 1

    async def test_what_is_not_ones_own(self, api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
        other = await new_user()
        await api(identities.link, user.id, "google", "g-1")
        before = sql.dump()
        refused(await api(identities.unlink, other.id, "google", "g-1"), Reason.UNKNOWN)
        refused(await api(identities.unlink, other.id, "google"), Reason.UNKNOWN)
        refused(await api(identities.unlink, user.id, "google", "g-2"), Reason.UNKNOWN)
        refused(await api(identities.unlink, user.id, "github"), Reason.UNKNOWN)
        refused(await api(identities.unlink, uuid4(), "google", "g-1"), Reason.UNKNOWN)
        assert sql.dump() == before

    async def test_soft_deleted_account(self, api: Api, sql: Sql, user: User) -> None:
        await api(identities.link, user.id, "google", "g-1")
        await api(users.soft_delete, user.id)
        before = sql.dump()
        refused(await api(identities.unlink, user.id, "google", "g-1"), Reason.UNKNOWN)
        assert sql.dump() == before

    async def test_verified_email_is_a_way_in_if_the_policy_says_so(self, api: Api, sql: Sql) -> None:
        made = await signed_in(api)
        refused(await api(identities.unlink, made.user_id, "google", policy=MAILING), Reason.LAST_WAY_IN)
        await api(users.mark_email_verified, made.user_id, "eve@x.org")
        refused(await api(identities.unlink, made.user_id, "google", policy=FAST), Reason.LAST_WAY_IN)
        assert await api(identities.unlink, made.user_id, "google", policy=MAILING) is True

    async def test_sessions_go_on(self, api: Api, user: User) -> None:
        await api(identities.link, user.id, "google", "g-1")
        opened = await api(sessions.create, user.id)
        assert await api(identities.unlink, user.id, "google")
        assert await api(sessions.validate, opened.token)

    async def test_ways_in(self, api: Api, sql: Sql, user: User) -> None:
        """What the predicate goes by, as somebody who looks in sees it."""
        made = await signed_in(api)
        await api(identities.link, user.id, "github", "h-1")
        found = sql("SELECT user_id, kind, provider, subject FROM authsql_ways_in")
        assert {(sql.uuid(row[0]), *row[1:]) for row in found} == {
            (made.user_id, "identity", "google", "g-1"),
            (user.id, "identity", "github", "h-1"),
            (user.id, "password", None, None),
        }


class TestTokens:
    async def store(self, api: Api, keyring: Keyring = FIRST, **options: Any) -> None:
        given = {"access_token": "access", **options}
        assert await api(identities.store_tokens, "google", "g-1", keyring=keyring, **given) is True

    async def read(self, api: Api, keyring: Keyring = BOTH) -> ProviderTokens:
        found = await api(identities.tokens, "google", "g-1", keyring=keyring)
        assert isinstance(found, ProviderTokens)
        return found

    async def test_nothing_is_stored_unless_asked_for(self, api: Api, sql: Sql) -> None:
        await signed_in(api)
        assert count(sql, "identity_tokens") == 0
        assert await api(identities.tokens, "google", "g-1", keyring=BOTH) is None
        assert await api(identities.forget_tokens, "google", "g-1") is False

    async def test_round_trip(self, api: Api, sql: Sql) -> None:
        await signed_in(api)
        await self.store(
            api, refresh_token="refresh", id_token="id", expires_in=3600, scopes="openid  calendar.read"
        )
        found = await self.read(api)
        assert (found.access_token, found.refresh_token, found.id_token) == ("access", "refresh", "id")
        assert found.scopes == ("openid", "calendar.read")
        assert found.expired is False
        left = sql.one(f"SELECT {sql.before('expires_at', HOUR)} FROM authsql_identity_tokens")
        created = sql.one("SELECT created_at FROM authsql_identity_tokens")
        assert abs(left - created) < SECOND
        sql.elapse(HOUR + MINUTE)
        assert (await self.read(api)).expired is True

    async def test_access_token_alone(self, api: Api) -> None:
        await signed_in(api)
        await self.store(api)
        found = await self.read(api)
        assert (found.refresh_token, found.id_token, found.scopes) == (None, None, None)
        assert (found.expires_at, found.expired) == (None, False)

    async def test_what_is_not_given_again_stays(self, api: Api, sql: Sql) -> None:
        await signed_in(api)
        await self.store(api, refresh_token="refresh", id_token="id", scopes="a b", expires_in=60)
        await self.store(api, access_token="access 2")
        found = await self.read(api)
        assert (found.access_token, found.refresh_token, found.id_token) == ("access 2", "refresh", "id")
        assert found.scopes == ("a", "b")
        assert found.expires_at is None
        await self.store(api, access_token="3", refresh_token="r", id_token="i", scopes="c", expires_in=1)
        found = await self.read(api)
        assert (found.refresh_token, found.id_token, found.scopes) == ("r", "i", ("c",))
        assert count(sql, "identity_tokens") == 1

    async def test_longest(self, api: Api) -> None:
        await signed_in(api)
        long = "x" * 16_000
        keyring = Keyring({"n" * 32: NEW}, "n" * 32)
        await self.store(
            api, keyring, access_token=long, refresh_token=long, id_token=long, scopes="s" * 2000
        )
        found = await self.read(api, keyring)
        assert (found.access_token, found.refresh_token, found.id_token) == (long,) * 3

    async def test_identity_that_is_not_there(self, api: Api, sql: Sql) -> None:
        await signed_in(api)
        for provider, subject in (("google", "g-2"), ("github", "g-1")):
            stored = await api(
                identities.store_tokens, provider, subject, keyring=FIRST, access_token="access"
            )
            assert stored is False
        assert count(sql, "identity_tokens") == 0

    async def test_they_go_with_the_identity(self, api: Api, sql: Sql, user: User) -> None:
        await api(identities.link, user.id, "google", "g-1")
        await self.store(api)
        assert await api(identities.unlink, user.id, "google")
        assert count(sql, "identity_tokens") == 0
        # Whoever has it next finds nothing of them.
        await signed_in(api)
        assert await api(identities.tokens, "google", "g-1", keyring=BOTH) is None

    async def test_forget(self, api: Api, sql: Sql) -> None:
        await signed_in(api)
        await self.store(api)
        assert await api(identities.forget_tokens, "google", "g-1") is True
        assert await api(identities.forget_tokens, "google", "g-1") is False
        assert count(sql, "identities") == 1

    async def test_repr_shows_none(self, api: Api) -> None:
        await signed_in(api)
        await self.store(api, access_token="S3cret-a", refresh_token="S3cret-r", id_token="S3cret-i")
        assert "S3cret" not in repr(await self.read(api))

    async def test_stored_values_are_encrypted_and_bound(self, api: Api, sql: Sql) -> None:
        await signed_in(api)
        await signed_in(api, "g-2", email="two@x.org")
        await self.store(api, access_token="S3cret-a", refresh_token="S3cret-r")
        await api(identities.store_tokens, "google", "g-2", keyring=FIRST, access_token="other")
        stored = sql.one("SELECT access_token FROM authsql_identity_tokens WHERE subject = 'g-1'")
        assert b"S3cret" not in stored
        assert key_name(stored) == "2025"
        # Neither in another row nor in another column.
        sql("UPDATE authsql_identity_tokens SET access_token = %s WHERE subject = 'g-2'", stored)
        with pytest.raises(CannotDecrypt):
            await api(identities.tokens, "google", "g-2", keyring=BOTH)
        sql("UPDATE authsql_identity_tokens SET refresh_token = access_token WHERE subject = 'g-1'")
        with pytest.raises(CannotDecrypt):
            await self.read(api)

    async def test_the_database_takes_no_clear_text(self, api: Api, sql: Sql) -> None:
        await signed_in(api)
        await self.store(api)
        for value in (b"", b"ya29.a0AfH6SMBx0123456789012345678901234567890"):
            for column in ("access_token", "refresh_token", "id_token"):
                with pytest.raises(Exception, match=r"authsql_identity_tokens_\w+_check|index 0"):
                    sql(f"UPDATE authsql_identity_tokens SET {column} = %s", value)


class TestKeyRotation:
    async def fill(self, api: Api, keyring: Keyring, subjects: range) -> None:
        for number in subjects:
            await signed_in(api, f"{number}", email=f"{number}@x.org")
            assert await api(
                identities.store_tokens,
                "google",
                f"{number}",
                keyring=keyring,
                access_token=f"a{number}",
                refresh_token=f"r{number}" if number % 2 else None,
                id_token=f"i{number}" if number % 3 else None,
            )

    async def test_rotation(self, api: Api, sql: Sql) -> None:
        await self.fill(api, FIRST, range(5))
        await self.fill(api, BOTH, range(5, 7))
        with pytest.raises(CannotDecrypt):
            await api(identities.tokens, "google", "0", keyring=ALONE)
        assert await api(identities.reencrypt_tokens, keyring=BOTH, batch=3) == 3
        assert await api(identities.reencrypt_tokens, keyring=BOTH, batch=3) == 2
        assert await api(identities.reencrypt_tokens, keyring=BOTH, batch=3) == 0
        assert sql("SELECT DISTINCT key_name FROM authsql_identity_tokens") == [("2026",)]
        for number in range(7):
            found = await api(identities.tokens, "google", f"{number}", keyring=ALONE)
            assert found.access_token == f"a{number}"
            assert found.refresh_token == (f"r{number}" if number % 2 else None)
            assert found.id_token == (f"i{number}" if number % 3 else None)

    @pytest.mark.parametrize("given", ["refresh_token", "id_token"])
    async def test_what_stays_under_an_older_key_is_found(self, api: Api, sql: Sql, given: str) -> None:
        """A row half of which is under the new key is not taken for one that is done."""
        await signed_in(api, "0", email="0@x.org")
        keep = {given: "kept"}
        store = identities.store_tokens
        assert await api(store, "google", "0", keyring=FIRST, access_token="a", **keep)
        assert await api(store, "google", "0", keyring=BOTH, access_token="b")
        assert sql.one("SELECT key_name FROM authsql_identity_tokens") is None
        # The key that it began with is current again.
        back = Keyring({"2025": OLD, "2026": NEW}, "2025")
        assert await api(store, "google", "0", keyring=back, access_token="c")
        assert await api(identities.reencrypt_tokens, keyring=BOTH) == 1
        found = await api(identities.tokens, "google", "0", keyring=ALONE)
        assert (found.access_token, getattr(found, given)) == ("c", "kept")

    @pytest.mark.parametrize("given", [{}, {"refresh_token": "r"}, {"refresh_token": "r", "id_token": "i"}])
    async def test_what_is_all_new_is_under_the_new_key(
        self, api: Api, sql: Sql, given: dict[str, str]
    ) -> None:
        await signed_in(api, "0", email="0@x.org")
        store = identities.store_tokens
        assert await api(store, "google", "0", keyring=FIRST, access_token="a", **given)
        assert await api(store, "google", "0", keyring=BOTH, access_token="b", **given)
        assert sql.one("SELECT key_name FROM authsql_identity_tokens") == "2026"
        assert await api(identities.reencrypt_tokens, keyring=BOTH) == 0
        assert await api(identities.tokens, "google", "0", keyring=ALONE)

    async def test_in_a_transaction_that_is_older(self, api: Api, connect: Connect) -> None:
        """What another caller did is done, whatever the snapshot says."""
        await self.fill(api, FIRST, range(2))
        other = await connect()
        await other.begin()
        assert await other(identities.tokens, "google", "0", keyring=FIRST)
        assert await api(identities.reencrypt_tokens, keyring=BOTH) == 2
        assert await other(identities.reencrypt_tokens, keyring=BOTH) == 0
        await other.rollback()

    async def test_key_that_is_missing(self, api: Api, sql: Sql) -> None:
        """The others are done all the same."""
        lost = Keyring({"lost": bytes([7]) * 32}, "lost")
        await self.fill(api, FIRST, range(2))
        await self.fill(api, lost, range(2, 3))
        with pytest.raises(CannotDecrypt):
            await api(identities.reencrypt_tokens, keyring=BOTH)
        found = sql("SELECT subject, key_name FROM authsql_identity_tokens ORDER BY subject")
        assert found == [("0", "2026"), ("1", "2026"), ("2", "lost")]
        assert await api(identities.forget_tokens, "google", "2")
        assert await api(identities.reencrypt_tokens, keyring=BOTH) == 0


@pytest.mark.parametrize(
    "profile",
    [
        {"access_token": "x"},
        {"refresh_token": None},
        {"id_token": "x"},
        {"accessToken": "x"},
        {"Refresh-Token": "x"},
        {"oauth_token_secret": "x"},
        {"client_secret": "x"},
        {"token": {"x": 1}},
        {"a": [{"b": {"ID_TOKEN": "x"}}]},
        {"userinfo": {}, "tokens": []},
        {"credentials": {"access": "x"}},
        {"credential": "x"},
        {"jwt": "x"},
        {"userJWT": "x"},
        {"access_token_value": "x"},
        {"accessTokenValue": ["x"]},
        {"ACCESS_TOKEN_2": "x"},
        {"accesstokens": "x"},
        {"myaccesstokenvalue": "x"},
        {"token": "2026"},
        {"authorization": "x"},
        {"headers": [{"Authorization": "x"}]},
        {"api_key": "x"},
        {"apiKey": "x"},
        {"x-api-key": "x"},
        {"apikey": "x"},
        {"aws access key id": "x"},
        {"private.key": "x"},
        {"code_verifier": "x"},
        {"codeVerifier": "x"},
        {"password": "x"},
        {"userPassword": "x"},
        {"passphrase": "x"},
        {"secretValue": "x"},
        {"bearer": "x"},
        {"a": "ya29.a0AfB_byC"},
        {"a": {"b": ["x", "gho_16C7e42F292c6912E7710c838347Ae178B4a"]}},
        {"a": "ghp_16C7e42F292c6912E7710c838347Ae178B4a"},
        {"a": "github_pat_11ABCDEFG0abcdefghij_k"},
        {"a": "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzzqgy"},
        {"a": "xoxe.xoxp-1-Mi0yLTE2NTQ0"},
        {"a": "1//0gabcdefghijklmnopqrstuv"},
        {"a": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP"},
        {"a": "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."},
        {"a": "it said: Bearer abcdefghijklmnopqrst"},
        {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP": 1},
        {"picture": "https://x.org/me.png?a=1&access_token=x"},
    ],
    ids=repr,
)
async def test_profile_with_a_token(api: Api, sql: Sql, user: User, profile: dict[str, Any]) -> None:
    await api(identities.link, user.id, "google", "g-1")
    before = sql.dump()
    for subject in ("g-1", "g-2"):
        with pytest.raises(InvalidInput, match="tokens"):
            await sign_in(api, subject, email="a@x.org", profile=profile)
        with pytest.raises(InvalidInput, match="tokens"):
            await api(identities.link, user.id, "google", subject, profile=profile)
    assert sql.dump() == before


@pytest.mark.parametrize(
    "profile",
    [
        {"name": "access_token", "token_count": 3, "secretary": True, "tokenized": [], "password_set": False},
        # Google's ID token, as its claims are.
        {
            "iss": "https://accounts.google.com",
            "azp": "1234987819200.apps.googleusercontent.com",
            "sub": "10769150350006150715113082367",
            "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
            "email": "jsmith@example.com",
            "email_verified": True,
            "locale": "en-GB",
            "picture": "https://lh3.googleusercontent.com/a/ACg8ocK5eyJ_x1y2-z3=s96-c",
            "given_name": "Jane",
            "hd": "example.com",
            "iat": 1353601026,
            "nonce": "0394852-3190485-2490358",
        },
        # Of GitHub's user.
        {
            "login": "octocat",
            "node_id": "MDQ6VXNlcjE=",
            "gists_url": "https://api.github.com/users/octocat/gists{/gist_id}",
            "two_factor_authentication": True,
            "plan": {"name": "Medium", "private_repos": 20},
            "bio": "Bearer of bad news. I token my secretaries.",
            "created_at": "2008-01-14T04:33:35Z",
            "site_admin": False,
        },
        # Of Auth0's and Slack's.
        {
            "user_id": "auth0|507f1f77bcf86cd799439020",
            "last_password_reset": "2013-12-26T13:12:21.417Z",
            "identities": [{"provider": "google-oauth2", "isSocial": True}],
            "https://slack.com/team_id": "T0R7GR",
            "address": {"country": "NO", "postal_code": "0152"},
            "author": "x",
            "keyboard": "qwerty",
            "public_key": "ssh-ed25519 AAAA",
        },
    ],
)
async def test_profile_without_a_token(api: Api, profile: dict[str, Any]) -> None:
    made = await signed_in(api, profile=profile)
    [found] = await api(identities.list, made.user_id)
    assert found.profile == profile


@pytest.mark.parametrize("subject", ["g-1 ", " g-1", "g\u0301-1", "\u0661", "a\tb", "x" * 256, ""])
async def test_subjects_that_a_database_might_take_for_another(api: Api, sql: Sql, subject: str) -> None:
    with pytest.raises(InvalidInput, match="subject"):
        await sign_in(api, subject, email="a@x.org")
    assert count(sql, "users") == 0


@pytest.mark.parametrize("subject", ["x" * 255, "auth0|5f7c8ec7c33c6c004bbafe82", "a b", "'; --", "%s"])
async def test_subjects(api: Api, subject: str) -> None:
    made = await signed_in(api, subject)
    assert (await sign_in(api, subject)).user_id == made.user_id
    [found] = await api(identities.list, made.user_id)
    assert found.subject == subject
