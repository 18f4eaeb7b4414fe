from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import pytest

from authsql import (
    InvalidInput,
    Passkey,
    PasskeyChallenge,
    Reason,
    RelyingParty,
    VerifiedPasskey,
    factors,
    identities,
    passkeys,
    users,
)
from authsql.models import User
from tests.conformance.authenticator import ORIGIN, Authenticator, decode, encode
from tests.conformance.conftest import NewUser
from tests.support import FAST, MINUTE, SECOND, Api, Sql, refused, with_policy

Register: TypeAlias = Callable[..., Awaitable[Passkey]]

PARTY = RelyingParty("example.org", "Example", (ORIGIN, "https://app.example.org"))


async def ask(api: Api, user: User, **options: Any) -> PasskeyChallenge:
    """Begin a registration."""
    asked = await api(
        passkeys.begin_registration, user.id, relying_party=PARTY, **{"account": user.email, **options}
    )
    assert isinstance(asked, PasskeyChallenge)
    return asked


async def challenge(api: Api, user: User | None = None, **options: Any) -> PasskeyChallenge:
    """Begin an authentication."""
    owner = None if user is None else user.id
    asked = await api(passkeys.begin_authentication, owner, relying_party=PARTY, **options)
    assert isinstance(asked, PasskeyChallenge)
    return asked


async def finish(api: Api, asked: PasskeyChallenge, answer: object, **options: Any) -> object:
    result: object = await api(
        passkeys.finish_authentication, asked.id, answer, **{"relying_party": PARTY, **options}
    )
    return result


@pytest.fixture
def device() -> Authenticator:
    return Authenticator()


@pytest.fixture
def register(api: Api, user: User) -> Register:
    """Register a new passkey of a device, for `user` unless told otherwise."""

    async def register(device: Authenticator, owner: User = user, name: str | None = None) -> Passkey:
        asked = await ask(api, owner)
        answer = device.create(asked.options)
        made = await api(
            passkeys.finish_registration, owner.id, asked.id, answer, relying_party=PARTY, name=name
        )
        assert isinstance(made, Passkey), made
        return made

    return register


async def test_register_and_sign_in(api: Api, sql: Sql, user: User, device: Authenticator) -> None:
    asked = await ask(api, user, display_name="Ann")
    now = sql.one(f"SELECT {sql.now}")
    assert now + 4 * MINUTE < asked.expires_at <= now + FAST.passkey_challenge_lifetime
    answer = device.create(asked.options)
    made = await api(
        passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY, name="Laptop"
    )
    assert isinstance(made, Passkey)
    assert (made.user_id, made.name, made.transports) == (user.id, "Laptop", ("hybrid", "internal"))
    assert made.id.version == 7
    assert made.credential == device.credentials[0].id
    assert made.aaguid == "00000000-0000-0000-0000-000000000000"
    assert (made.backup_eligible, made.backed_up) == (False, False)
    assert made.last_used_at is None
    assert made.user_verified_at == made.created_at
    assert await api(passkeys.list, user.id) == (made,)
    assert (await api(factors.of_user, user.id)).passkeys == 1
    assert (await api(factors.of_user, user.id)).enrolled

    for number in (1, 2):
        asked = await challenge(api, user)
        verified = await finish(api, asked, device.get(asked.options))
        assert verified == VerifiedPasskey(user.id, made.id, user_verified=True, backup_eligible=False)
        assert sql.one("SELECT sign_count FROM authsql_passkeys") == number
    [listed] = await api(passkeys.list, user.id)
    assert listed == replace(made, last_used_at=listed.last_used_at, user_verified_at=listed.user_verified_at)
    assert made.created_at < listed.last_used_at == listed.user_verified_at


async def test_options_of_a_registration(api: Api, user: User, register: Register) -> None:
    first = await register(Authenticator())
    asked = await ask(api, user, display_name="Ann", user_verification="required", discoverable="required")
    options = json.loads(asked.options)
    assert options["rp"] == {"id": "example.org", "name": "Example"}
    assert options["user"] == {"id": encode(user.id.bytes), "name": user.email, "displayName": "Ann"}
    assert len(decode(options["challenge"])) == 32
    assert {each["alg"] for each in options["pubKeyCredParams"]} == {-7, -8, -257}
    assert options["attestation"] == "none"
    assert options["timeout"] == 300_000
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    [known] = options["excludeCredentials"]
    assert known == {
        "id": encode(first.credential),
        "type": "public-key",
        "transports": ["hybrid", "internal"],
    }


async def test_options_of_an_authentication(api: Api, user: User, register: Register) -> None:
    known = [await register(Authenticator()) for _ in range(2)]
    options = json.loads((await challenge(api, user, user_verification="discouraged")).options)
    assert options["rpId"] == "example.org"
    assert options["timeout"] == 300_000
    assert options["userVerification"] == "discouraged"
    assert [each["id"] for each in options["allowCredentials"]] == [encode(each.credential) for each in known]
    assert options["allowCredentials"][0]["transports"] == ["hybrid", "internal"]
    options = json.loads((await challenge(api)).options)
    assert options["allowCredentials"] == []
    assert options["userVerification"] == "preferred"


async def test_discoverable(
    api: Api, sql: Sql, user: User, new_user: NewUser, register: Register, device: Authenticator
) -> None:
    """Who signs in is told by the passkey."""
    other = await new_user(password=None)
    await register(Authenticator(), other)
    made = await register(device)
    asked = await challenge(api)
    assert sql.one("SELECT COUNT(*) FROM authsql_passkey_challenges WHERE user_id IS NULL") == 1
    verified = await finish(api, asked, device.get(asked.options))
    assert verified == VerifiedPasskey(user.id, made.id, user_verified=True, backup_eligible=False)


async def test_json_as_text(api: Api, user: User, device: Authenticator) -> None:
    asked = await ask(api, user)
    answer = json.dumps(device.create(asked.options))
    assert await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)
    asked = await challenge(api, user)
    assert await finish(api, asked, json.dumps(device.get(asked.options)))


async def test_either_origin(api: Api, user: User, register: Register, device: Authenticator) -> None:
    await register(device)
    device.origin = "https://app.example.org"
    asked = await challenge(api, user)
    assert await finish(api, asked, device.get(asked.options))


@pytest.mark.parametrize(
    ("bent", "detail"),
    [
        ({"origin": "https://evil.example"}, "origin"),
        ({"origin": "http://example.org"}, "origin"),
        ({"client_data": {"crossOrigin": True}}, "origin"),
        ({"rp_id": "evil.example"}, None),
        ({"present": False}, None),
        ({"client_data": {"type": "payment.get"}}, None),
        ({"client_data": {"origin": ["https://example.org"]}}, "origin"),
    ],
)
async def test_bent_ceremonies(
    api: Api,
    sql: Sql,
    user: User,
    register: Register,
    device: Authenticator,
    bent: dict[str, Any],
    detail: str | None,
) -> None:
    await register(device)
    for name, value in bent.items():
        setattr(device, name, value)
    before = sql.dump()["authsql_passkeys"]
    asked = await challenge(api, user)
    assert refused(await finish(api, asked, device.get(asked.options)), Reason.WRONG).detail == detail
    asked = await ask(api, user)
    other = replace(device, credentials=[])
    result = await api(
        passkeys.finish_registration, user.id, asked.id, other.create(asked.options), relying_party=PARTY
    )
    assert refused(result, Reason.WRONG).detail == detail
    assert sql.dump()["authsql_passkeys"] == before


async def test_signature(api: Api, sql: Sql, user: User, register: Register, device: Authenticator) -> None:
    """By another key, over other data, or none."""
    made = await register(device)
    thief = Authenticator()
    await register(thief)
    before = sql.dump()["authsql_passkeys"]

    def by_another_key(answer: dict[str, Any], options: str) -> None:
        answer["response"]["signature"] = thief.get(options, thief.credentials[0])["response"]["signature"]

    def raised_counter(answer: dict[str, Any], options: str) -> None:
        data = bytearray(decode(answer["response"]["authenticatorData"]))
        data[36] += 9
        answer["response"]["authenticatorData"] = encode(bytes(data))

    def none(answer: dict[str, Any], options: str) -> None:
        answer["response"]["signature"] = ""

    for bend in (by_another_key, raised_counter, none):
        asked = await challenge(api, user)
        answer = device.get(asked.options, device.credentials[0])
        bend(answer, asked.options)
        refused(await finish(api, asked, answer), Reason.WRONG)
        assert sql.dump()["authsql_passkeys"] == before
        # The challenge was for one answer.
        refused(await finish(api, asked, device.get(asked.options, device.credentials[0])), Reason.SPENT)
    assert made.credential == device.credentials[0].id


async def test_user_verification(api: Api, sql: Sql, user: User) -> None:
    """What is required is remembered with the challenge, and refused where it was not done."""
    lax = Authenticator(verifies=False)
    asked = await ask(api, user, user_verification="required")
    answer = lax.create(asked.options)
    result = await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)
    assert refused(result, Reason.WRONG).detail == "user_verification"
    lax = Authenticator(verifies=False)
    asked = await ask(api, user)
    answer = lax.create(asked.options)
    made = await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)
    assert made.user_verified_at is None
    asked = await challenge(api, user, user_verification="required")
    result = await finish(api, asked, lax.get(asked.options))
    assert refused(result, Reason.WRONG).detail == "user_verification"
    asked = await challenge(api, user)
    verified = await finish(api, asked, lax.get(asked.options))
    assert isinstance(verified, VerifiedPasskey)
    assert not verified.user_verified
    assert (await api(passkeys.list, user.id))[0].user_verified_at is None
    lax.verifies = True
    asked = await challenge(api, user, user_verification="required")
    assert (await finish(api, asked, lax.get(asked.options))).user_verified  # type: ignore[attr-defined]
    verified_at = (await api(passkeys.list, user.id))[0].user_verified_at
    assert verified_at
    lax.verifies = False
    asked = await challenge(api, user)
    assert await finish(api, asked, lax.get(asked.options))
    assert (await api(passkeys.list, user.id))[0].user_verified_at == verified_at


async def test_counter_that_does_not_go_up(
    api: Api, sql: Sql, user: User, register: Register, device: Authenticator
) -> None:
    made = await register(device)
    credential = device.credentials[0]
    credential.count = 41
    asked = await challenge(api, user)
    assert await finish(api, asked, device.get(asked.options))
    [before] = await api(passkeys.list, user.id)
    assert before.cloned_at is None
    suspected = None
    for count in (0, 1, 40, 41):
        credential.count = count
        device.counts = False
        asked = await challenge(api, user)
        refused(await finish(api, asked, device.get(asked.options)), Reason.CLONED)
        [after] = await api(passkeys.list, user.id)
        assert after == replace(before, cloned_at=after.cloned_at), "that, and nothing else"
        assert suspected is None or after.cloned_at > suspected
        suspected = after.cloned_at
        assert suspected is not None
        assert sql.one("SELECT sign_count FROM authsql_passkeys") == 42
    credential.count = 2**32 - 1
    asked = await challenge(api, user)
    assert (await finish(api, asked, device.get(asked.options))) == VerifiedPasskey(
        user.id, made.id, user_verified=True, backup_eligible=False
    )
    assert sql.one("SELECT sign_count FROM authsql_passkeys") == 2**32 - 1


async def test_counter_that_counts_nothing(api: Api, sql: Sql, user: User, register: Register) -> None:
    phone = Authenticator(counts=False, is_synced=True)
    made = await register(phone)
    assert (made.backup_eligible, made.backed_up) == (True, True)
    for _ in range(3):
        asked = await challenge(api, user)
        verified = await finish(api, asked, phone.get(asked.options))
        assert isinstance(verified, VerifiedPasskey)
        assert verified.backup_eligible
    phone.counts = True
    asked = await challenge(api, user)
    assert await finish(api, asked, phone.get(asked.options)), "it may begin to count"
    assert sql.one("SELECT sign_count FROM authsql_passkeys") == 1


async def test_backup(api: Api, sql: Sql, user: User, register: Register) -> None:
    phone = Authenticator(counts=False, is_synced=True, is_backed_up=False)
    assert (await register(phone)).backed_up is False
    phone.is_backed_up = True
    asked = await challenge(api, user)
    assert await finish(api, asked, phone.get(asked.options))
    assert (await api(passkeys.list, user.id))[0].backed_up is True
    # Whether it can be copied never changes (WebAuthn, 7.2).
    phone.is_synced = False
    asked = await challenge(api, user)
    refused(await finish(api, asked, phone.get(asked.options)), Reason.WRONG)


async def test_another_users_passkey(
    api: Api, sql: Sql, user: User, new_user: NewUser, register: Register, device: Authenticator
) -> None:
    other = await new_user(password=None)
    thief = Authenticator()
    await register(device)
    await register(thief, other)
    asked = await challenge(api, user)
    refused(await finish(api, asked, thief.get(asked.options, thief.credentials[0])), Reason.UNKNOWN)
    # With the owner's handle instead of its own.
    asked = await challenge(api)
    thief.credentials[0].user_handle = user.id.bytes
    refused(await finish(api, asked, thief.get(asked.options)), Reason.WRONG)


@pytest.mark.parametrize("handle", [None, "", encode(bytes(16)), encode(b"x" * 64)])
async def test_user_handle(
    api: Api, user: User, register: Register, device: Authenticator, handle: str | None
) -> None:
    """It may be missing where the user is known already, and is not wrong in any case."""
    await register(device)
    for asked in (await challenge(api), await challenge(api, user)):
        answer = device.get(asked.options)
        answer["response"]["userHandle"] = handle
        result = await finish(api, asked, answer)
        if handle is None and json.loads(asked.options)["allowCredentials"]:
            assert result
        else:
            refused(result, Reason.WRONG)


async def test_challenge_is_good_once(
    api: Api, sql: Sql, user: User, register: Register, device: Authenticator
) -> None:
    asked = await ask(api, user)
    answer = device.create(asked.options)
    assert await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)
    again = Authenticator().create(asked.options)
    result = await api(passkeys.finish_registration, user.id, asked.id, again, relying_party=PARTY)
    refused(result, Reason.SPENT)
    asked = await challenge(api, user)
    answer = device.get(asked.options)
    assert await finish(api, asked, answer)
    before = sql.dump()
    refused(await finish(api, asked, answer), Reason.SPENT)
    refused(await finish(api, asked, device.get(asked.options)), Reason.SPENT)
    assert sql.dump() == before


async def test_challenge_expires(
    api: Api, sql: Sql, user: User, register: Register, device: Authenticator
) -> None:
    await register(device)
    created, asked, late = await ask(api, user), await challenge(api, user), await challenge(api, user)
    sql.elapse(FAST.passkey_challenge_lifetime - 20 * SECOND)
    assert await finish(api, asked, device.get(asked.options))
    sql.elapse(20 * SECOND)
    before = sql.dump()
    refused(await finish(api, late, device.get(late.options)), Reason.EXPIRED)
    answer = Authenticator().create(created.options)
    result = await api(passkeys.finish_registration, user.id, created.id, answer, relying_party=PARTY)
    refused(result, Reason.EXPIRED)
    assert sql.dump() == before


async def test_challenge_is_bound(
    api: Api, sql: Sql, user: User, new_user: NewUser, register: Register, device: Authenticator
) -> None:
    """To its id, its purpose and its user; and nobody spends it who does not know it."""
    await register(device)
    other = await new_user(password=None)
    first, second, created = await challenge(api, user), await challenge(api, user), await ask(api, user)
    before = sql.dump()
    refused(await finish(api, first, device.get(second.options)), Reason.UNKNOWN)
    refused(await finish(api, replace(first, id=uuid4()), device.get(first.options)), Reason.UNKNOWN)
    # One for a registration does not open a session, nor the other way round.
    options = json.dumps({**json.loads(created.options), "allowCredentials": []})
    refused(await finish(api, created, device.get(options)), Reason.UNKNOWN)
    creation = json.loads(created.options)
    creation["challenge"] = json.loads(first.options)["challenge"]
    creation["excludeCredentials"] = []

    async def register_as(owner: User, challenge_id: UUID, options: str) -> object:
        answer = Authenticator().create(options)
        result: object = await api(
            passkeys.finish_registration, owner.id, challenge_id, answer, relying_party=PARTY
        )
        return result

    refused(await register_as(user, first.id, json.dumps(creation)), Reason.UNKNOWN)
    refused(await register_as(other, created.id, created.options), Reason.UNKNOWN)
    assert sql.dump() == before
    assert await register_as(user, created.id, created.options)
    assert await finish(api, first, device.get(first.options))


async def test_taken(
    api: Api, sql: Sql, user: User, new_user: NewUser, register: Register, device: Authenticator
) -> None:
    """A credential belongs to one user, who is not told apart from any other."""
    await register(device)
    before = sql.dump()["authsql_passkeys"]
    for owner in (await new_user(password=None), user):
        asked = await ask(api, owner)
        made = replace(device.credentials[0], rp_id="example.org")
        answer = device.register(made, json.loads(asked.options)["challenge"])
        result = await api(passkeys.finish_registration, owner.id, asked.id, answer, relying_party=PARTY)
        refused(result, Reason.TAKEN)
    assert sql.dump()["authsql_passkeys"] == before


async def test_nobodys(
    api: Api, sql: Sql, user: User, new_user: NewUser, register: Register, device: Authenticator
) -> None:
    bare = await new_user(password=None)
    await register(device)
    options: dict[str, Any] = {"relying_party": PARTY}
    before = sql.dump()
    refused(await api(passkeys.begin_authentication, bare.id, **options), Reason.UNKNOWN)
    refused(await api(passkeys.begin_authentication, uuid4(), **options), Reason.UNKNOWN)
    refused(await api(passkeys.begin_registration, uuid4(), account="x", **options), Reason.UNKNOWN)
    assert sql.dump() == before
    asked, found, created = await challenge(api, user), await challenge(api), await ask(api, user)
    await api(users.soft_delete, user.id)
    refused(await finish(api, asked, device.get(asked.options)), Reason.UNKNOWN)
    refused(await finish(api, found, device.get(found.options)), Reason.UNKNOWN)
    answer = Authenticator().create(created.options)
    result = await api(passkeys.finish_registration, user.id, created.id, answer, **options)
    refused(result, Reason.UNKNOWN)
    refused(await api(passkeys.begin_authentication, user.id, **options), Reason.UNKNOWN)
    refused(await api(passkeys.begin_registration, user.id, account="x", **options), Reason.UNKNOWN)


async def test_removed_while_it_is_used(
    api: Api, sql: Sql, user: User, register: Register, device: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from authsql import _webauthn

    await register(device)
    asked = await challenge(api, user)
    answer = device.get(asked.options)
    check = _webauthn.check_authentication

    def slow(*args: Any) -> Any:
        sql("DELETE FROM authsql_passkeys")
        return check(*args)

    monkeypatch.setattr(_webauthn, "check_authentication", slow)
    refused(await finish(api, asked, answer), Reason.UNKNOWN)


async def test_used_elsewhere_while_it_is_used(
    api: Api, sql: Sql, user: User, register: Register, device: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two uses with the same count at the same time: the database compares, not who read it a while ago."""
    from authsql import _webauthn

    await register(device)
    asked = await challenge(api, user)
    answer = device.get(asked.options)
    check = _webauthn.check_authentication

    def slow(*args: Any) -> Any:
        sql("UPDATE authsql_passkeys SET sign_count = 1")
        return check(*args)

    monkeypatch.setattr(_webauthn, "check_authentication", slow)
    refused(await finish(api, asked, answer), Reason.CLONED)


async def test_rename_and_remove(
    api: Api, sql: Sql, user: User, new_user: NewUser, register: Register
) -> None:
    other = await new_user(password=None)
    device, second = Authenticator(), Authenticator()
    made = await register(device, name="Laptop")
    kept = await register(second)
    for name in ("Old laptop", "Old laptop", None):
        assert await api(passkeys.rename, user.id, made.id, name) is True
        assert (await api(passkeys.list, user.id))[0].name == name
    before = sql.dump()
    assert await api(passkeys.rename, other.id, made.id, "Mine") is False
    refused(await api(passkeys.remove, other.id, made.id), Reason.UNKNOWN)
    assert await api(passkeys.rename, user.id, uuid4(), "x") is False
    refused(await api(passkeys.remove, user.id, uuid4()), Reason.UNKNOWN)
    assert sql.dump() == before
    asked = await challenge(api, user)
    assert await api(passkeys.remove, user.id, made.id) is True
    refused(await api(passkeys.remove, user.id, made.id), Reason.UNKNOWN)
    refused(await finish(api, asked, device.get(asked.options, device.credentials[0])), Reason.UNKNOWN)
    assert await api(passkeys.list, user.id) == (kept,)
    assert await api(users.delete, user.id)
    assert sql.one("SELECT COUNT(*) FROM authsql_passkeys") == 0


async def test_the_last_way_in_is_not_removed(api: Api, sql: Sql, user: User, register: Register) -> None:
    """A password, an identity, another passkey; or, where mail signs in, a verified e-mail."""
    first, second = await register(Authenticator()), await register(Authenticator())
    sql("DELETE FROM authsql_passwords")
    assert await api(passkeys.remove, user.id, first.id) is True
    before = sql.dump()
    mailing = with_policy(email_signs_in=True)
    for policy in (FAST, mailing):
        refused(await api(passkeys.remove, user.id, second.id, policy=policy), Reason.LAST_WAY_IN)
    assert sql.dump() == before
    assert await api(identities.link, user.id, "google", "1")
    assert await api(passkeys.remove, user.id, second.id) is True
    third = await register(Authenticator())
    assert await api(identities.unlink, user.id, "google") is True
    refused(await api(passkeys.remove, user.id, third.id), Reason.LAST_WAY_IN)
    assert await api(users.mark_email_verified, user.id, user.email)
    refused(await api(passkeys.remove, user.id, third.id), Reason.LAST_WAY_IN)
    assert await api(passkeys.remove, user.id, third.id, policy=mailing) is True
    fourth = await register(Authenticator())
    assert await api(users.soft_delete, user.id)
    refused(await api(passkeys.remove, user.id, fourth.id, policy=mailing), Reason.UNKNOWN)


async def test_long_credential(api: Api, user: User, register: Register) -> None:
    longest = Authenticator(id_size=1023)
    await register(longest)
    asked = await challenge(api, user)
    assert await finish(api, asked, longest.get(asked.options))
    asked = await ask(api, user)
    answer = Authenticator(id_size=1024).create(asked.options)
    result = await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)
    refused(result, Reason.WRONG)
    asked = await challenge(api, user)
    answer = longest.get(asked.options)
    answer["id"] = answer["rawId"] = encode(bytes(1024))
    refused(await finish(api, asked, answer), Reason.MALFORMED)


def paths(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place in an answer, deepest first."""
    found: list[tuple[str, ...]] = []
    if isinstance(value, dict):
        for name, each in value.items():
            found += [*paths(each, (*path, name)), (*path, name)]
    return found


GARBAGE: list[object] = [
    None,
    1,
    True,
    "",
    "é",
    "!",
    encode(b"\x00" * 40),
    encode(b"\x81" * 20_000),
    encode(b"[" * 20_000),
    encode(b"\xa1" * 37),
    encode(json.dumps({"type": "webauthn.get", "challenge": 1, "origin": None}).encode()),
    [],
    {},
]


async def test_garbage(api: Api, sql: Sql, user: User, register: Register, device: Authenticator) -> None:
    """Whatever comes in place of each part: a refusal, and no passkey."""
    await register(device)
    used = "SELECT last_used_at FROM authsql_passkeys"
    before = sql.dump()["authsql_passkeys"]
    told = {Reason.WRONG, Reason.MALFORMED, Reason.UNKNOWN}
    for kind in ("get", "create"):
        sample = await challenge(api, user) if kind == "get" else await ask(api, user)
        creation = Authenticator()
        answer = device.get(sample.options) if kind == "get" else creation.create(sample.options)
        needless = {"clientExtensionResults", "authenticatorAttachment", "transports", "userHandle"}
        for path in paths(answer):
            if path[-1] in needless:
                continue
            for garbage in GARBAGE:
                sql("UPDATE authsql_passkey_challenges SET spent_at = NULL")
                bent = json.loads(json.dumps(answer))
                place = bent
                for name in path[:-1]:
                    place = place[name]
                place[path[-1]] = garbage
                if kind == "get":
                    result = await finish(api, sample, bent)
                else:
                    result = await api(
                        passkeys.finish_registration, user.id, sample.id, bent, relying_party=PARTY
                    )
                assert result.reason in told, (path, garbage, result)  # type: ignore[attr-defined]
    assert sql.dump()["authsql_passkeys"] == before
    assert sql.one(used) is None


@pytest.mark.parametrize("answer", ["", "{", "[]", "null", "7", "[" * 60_000, "x" * 70_000, "{}", {}])
async def test_malformed(api: Api, sql: Sql, user: User, answer: object) -> None:
    asked = await ask(api, user)
    before = sql.dump()
    refused(await finish(api, asked, answer), Reason.MALFORMED)
    result = await api(passkeys.finish_registration, user.id, asked.id, answer, relying_party=PARTY)
    refused(result, Reason.MALFORMED)
    assert sql.dump() == before


@pytest.mark.parametrize(
    "bad",
    [
        ("https://example.org", "Example", (ORIGIN,)),
        ("example.org:443", "Example", (ORIGIN,)),
        ("", "Example", (ORIGIN,)),
        ("example.org", "", (ORIGIN,)),
        ("example.org", "Example", ()),
        ("example.org", "Example", ORIGIN),
        ("example.org", "Example", [ORIGIN]),
        ("example.org", "Example", ("example.org",)),
        ("example.org", "Example", ("https://example.org/",)),
        ("example.org", "Example", (None,)),
        (None, "Example", (ORIGIN,)),
    ],
)
def test_relying_party(bad: tuple[Any, Any, Any]) -> None:
    with pytest.raises(InvalidInput):
        RelyingParty(*bad)
