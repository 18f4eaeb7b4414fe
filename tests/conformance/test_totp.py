from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import pytest

from authsql import (
    InvalidInput,
    Reason,
    TotpEnrollment,
    TotpFactor,
    VerifiedTotp,
    factors,
    passwords,
    totp,
    users,
)
from authsql.keyring import CannotDecrypt, Keyring, key_name
from authsql.models import User
from tests.conformance.conftest import Connect, NewUser
from tests.support import (
    DAY,
    FAST,
    HOUR,
    MINUTE,
    PASSWORD,
    RING,
    SECOND,
    Api,
    Sql,
    refused,
    totp_code,
    with_policy,
)

T = TypeVar("T")
Enroll: TypeAlias = Callable[..., Awaitable[TotpEnrollment]]

LABELS: dict[str, Any] = {"keyring": RING, "issuer": "Example", "account": "ann@example.org"}
COUNT = "SELECT failed_attempts FROM authsql_totp_attempts WHERE user_id = %s"


@pytest.fixture
def enroll(api: Api, sql: Sql, user: User) -> Enroll:
    """Enroll an app of `user`, unless told otherwise, and confirm it by the code before the current one."""

    async def enroll(owner: User = user, *, confirm: bool = True, **options: Any) -> TotpEnrollment:
        enrolled = await api(totp.enroll, owner.id, **LABELS, **options)
        assert isinstance(enrolled, TotpEnrollment)
        if confirm:
            code = sql.code(enrolled.secret)
            assert await api(totp.confirm, owner.id, enrolled.factor_id, code, keyring=RING) is True
            # As if a while ago: the current code is not spent.
            sql("UPDATE authsql_totp_factors SET last_step = last_step - 10")
        return enrolled

    return enroll


async def verify(api: Api, user: User, code: str, **options: Any) -> object:
    result: object = await api(totp.verify, user.id, code, **{"keyring": RING, **options})
    return result


def wrong(sql: Sql, *secrets: str) -> str:
    """Make a code that no app shows within the next minutes, or showed in the last ones."""
    now = sql.step()
    right = {totp_code(secret, now + offset) for secret in secrets for offset in range(-4, 8)}
    return next(code for code in (f"{number:06d}" for number in range(1000)) if code not in right)


async def test_enroll_confirm_verify(api: Api, sql: Sql, user: User) -> None:
    enrolled = await api(totp.enroll, user.id, name="Phone", **LABELS)
    assert isinstance(enrolled, TotpEnrollment)
    assert enrolled.factor_id.version == 7
    assert len(base64.b32decode(enrolled.secret)) == 20
    assert enrolled.uri.startswith("otpauth://totp/Example:ann%40example.org?")
    assert f"secret={enrolled.secret}&" in enrolled.uri
    now = sql.one(f"SELECT {sql.now}")
    assert now + 14 * MINUTE < enrolled.expires_at <= now + FAST.totp_enrollment_lifetime
    assert await api(totp.list, user.id) == ()
    refused(await verify(api, user, sql.code(enrolled.secret)), Reason.UNKNOWN)
    assert not (await api(factors.of_user, user.id)).enrolled, "not before it is confirmed"

    first = sql.code(enrolled.secret)
    assert await api(totp.confirm, user.id, enrolled.factor_id, first, keyring=RING) is True
    [factor] = await api(totp.list, user.id)
    assert isinstance(factor, TotpFactor)
    assert (factor.id, factor.name) == (enrolled.factor_id, "Phone")
    assert factor.created_at <= factor.confirmed_at == factor.last_used_at
    assert (await api(factors.of_user, user.id)).totp == 1
    refused(await verify(api, user, first), Reason.SPENT)
    assert await verify(api, user, sql.code(enrolled.secret, 1)) == VerifiedTotp(user.id, factor.id)
    assert (await api(totp.list, user.id))[0].last_used_at > factor.last_used_at


async def test_a_code_is_good_once(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    secret = (await enroll()).secret
    code = sql.code(secret)
    assert await verify(api, user, code)
    refused(await verify(api, user, code), Reason.SPENT)
    assert sql.one(COUNT, user.id) == 1, "a code that was seen on the way is an attack"
    assert await verify(api, user, sql.code(secret, 1))
    refused(await verify(api, user, code), Reason.SPENT)
    assert sql.one(COUNT, user.id) == 1


async def standing(sql: Sql, work: Callable[[int], Awaitable[T]]) -> T:
    """Do it until the clock did not come to the next 30 seconds meanwhile."""
    while True:
        step = sql.step()
        result = await work(step)
        if sql.step() == step:
            return result


@pytest.mark.parametrize("offset", range(-3, 4))
async def test_drift(api: Api, sql: Sql, user: User, enroll: Enroll, offset: int) -> None:
    secret = (await enroll()).secret
    used = "SELECT last_step FROM authsql_totp_factors"
    before = sql.one(used)

    async def work(step: int) -> tuple[object, int]:
        sql("UPDATE authsql_totp_factors SET last_step = %s", before)
        return await verify(api, user, totp_code(secret, step + offset)), step

    result, step = await standing(sql, work)
    if abs(offset) <= 1:
        assert isinstance(result, VerifiedTotp)
        assert sql.one(used) == step + offset
    else:
        refused(result, Reason.WRONG)
        assert sql.one(used) == before


async def test_no_drift(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    secret = (await enroll()).secret
    policy = with_policy(totp_drift_steps=0, totp_lock_after=100)

    async def work(step: int) -> object:
        sql("UPDATE authsql_totp_factors SET last_step = %s", step - 10)
        found = [
            bool(await verify(api, user, totp_code(secret, step + offset), policy=policy))
            for offset in (-1, 0, 1)
        ]
        return found == [False, True, False]

    assert await standing(sql, work)


async def test_the_codes_before_the_last_one_are_spent_too(
    api: Api, sql: Sql, user: User, enroll: Enroll
) -> None:
    secret = (await enroll()).secret

    async def work(step: int) -> object:
        sql("UPDATE authsql_totp_factors SET last_step = %s", step - 10)
        assert await verify(api, user, totp_code(secret, step + 1))
        return await verify(api, user, totp_code(secret, step))

    refused(await standing(sql, work), Reason.SPENT)


async def test_several_factors(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    enrolled = [await enroll(name=name) for name in ("Phone", "Tablet", None)]
    assert [each.name for each in await api(totp.list, user.id)] == ["Phone", "Tablet", None]
    for each in enrolled:
        verified = await verify(api, user, sql.code(each.secret))
        assert verified == VerifiedTotp(user.id, each.factor_id)
    assert (await api(factors.of_user, user.id)).totp == 3


async def test_one_attempt_however_many_factors(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    enrolled = [await enroll() for _ in range(3)]
    code = wrong(sql, *[each.secret for each in enrolled])
    for number in range(1, FAST.totp_lock_after + 1):
        refusal = refused(await verify(api, user, code), Reason.WRONG)
        assert sql.one(COUNT, user.id) == number
        assert (refusal.retry_at is not None) == (number == FAST.totp_lock_after)
    before = sql.dump()
    for each in enrolled:
        refused(await verify(api, user, sql.code(each.secret)), Reason.LOCKED)
    # Nor does one that is new open them.
    assert sql.dump() == before
    late = await enroll()
    refused(await verify(api, user, sql.code(late.secret)), Reason.LOCKED)


async def test_locks_get_longer(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    secret = (await enroll()).secret
    code = wrong(sql, secret)
    for _ in range(FAST.totp_lock_after - 1):
        assert refused(await verify(api, user, code), Reason.WRONG).retry_at is None
    for minutes in (1, 2, 4, 8, 16, 32, 64):
        now = sql.one(f"SELECT {sql.now}")
        locked = refused(await verify(api, user, wrong(sql, secret)), Reason.WRONG).retry_at
        assert locked is not None
        assert abs(locked - now - minutes * MINUTE) < 20 * SECOND
        assert refused(await verify(api, user, sql.code(secret)), Reason.LOCKED).retry_at == locked
        sql.elapse(minutes * MINUTE + SECOND)
    assert await verify(api, user, sql.code(secret))
    assert sql.one(COUNT, user.id) == 0
    assert refused(await verify(api, user, wrong(sql, secret)), Reason.WRONG).retry_at is None


async def test_blocked_until_enrolled_anew(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    first, second = await enroll(), await enroll()
    sql("UPDATE authsql_totp_attempts SET failed_attempts = %s", FAST.totp_block_after - 1)
    refusal = refused(await verify(api, user, wrong(sql, first.secret, second.secret)), Reason.WRONG)
    assert refusal.retry_at is None, "there is no time to wait for"
    sql.elapse(30 * DAY)
    refusal = refused(await verify(api, user, sql.code(first.secret)), Reason.BLOCKED)
    assert refusal.retry_at is None
    third = await enroll()
    for each in (first, second):
        refused(await verify(api, user, sql.code(third.secret)), Reason.BLOCKED)
        assert await api(totp.remove, user.id, each.factor_id) is True
    refused(await verify(api, user, sql.code(third.secret)), Reason.BLOCKED)
    assert await api(totp.remove, user.id, third.factor_id) is True
    fourth = await enroll()
    assert sql.one(COUNT, user.id) == 0
    assert await verify(api, user, sql.code(fourth.secret))


async def test_locks_of_passwords_and_codes_are_apart(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    secret = (await enroll()).secret
    for _ in range(FAST.totp_lock_after):
        refused(await verify(api, user, wrong(sql, secret)), Reason.WRONG)
    assert await api(passwords.verify, user.id, PASSWORD, policy=FAST)
    refused(await verify(api, user, sql.code(secret)), Reason.LOCKED)
    # A new password opens nothing: a reset is no way around the second factor (ASVS 6.4.3).
    assert await api(passwords.set, user.id, "another password", policy=FAST)
    refused(await verify(api, user, sql.code(secret)), Reason.LOCKED)
    assert (await api(factors.of_user, user.id)).enrolled


async def test_another_user_is_not_locked(
    api: Api, sql: Sql, user: User, new_user: NewUser, enroll: Enroll
) -> None:
    other = await new_user()
    secret, others = (await enroll()).secret, (await enroll(other)).secret
    for _ in range(FAST.totp_lock_after):
        await verify(api, user, wrong(sql, secret, others))
    refused(await verify(api, user, sql.code(secret)), Reason.LOCKED)
    refused(await verify(api, other, sql.code(secret)), Reason.WRONG)
    assert await verify(api, other, sql.code(others))


async def test_unknown(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    before = sql.dump()
    refused(await api(totp.verify, uuid4(), "123456", keyring=RING), Reason.UNKNOWN)
    refused(await verify(api, user, "123456"), Reason.UNKNOWN)
    assert sql.dump() == before
    enrolled = await enroll(confirm=False)
    before = sql.dump()
    refused(await verify(api, user, sql.code(enrolled.secret)), Reason.UNKNOWN)
    assert sql.dump() == before, "not counted"
    secret = (await enroll()).secret
    await api(users.soft_delete, user.id)
    before = sql.dump()
    refused(await verify(api, user, sql.code(secret)), Reason.UNKNOWN)
    assert sql.dump() == before


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "12345x", "\u0661" * 6, " 12345", "123 45", "12345\n"]
)
async def test_malformed_is_not_counted(api: Api, sql: Sql, user: User, enroll: Enroll, code: str) -> None:
    await enroll()
    pending = await enroll(confirm=False)
    before = sql.dump()
    refused(await verify(api, user, code), Reason.MALFORMED)
    refused(await api(totp.confirm, user.id, pending.factor_id, code, keyring=RING), Reason.MALFORMED)
    assert sql.dump() == before


async def test_enroll_for_nobody(api: Api, sql: Sql, user: User) -> None:
    await api(users.soft_delete, user.id)
    before = sql.dump()
    refused(await api(totp.enroll, user.id, **LABELS), Reason.UNKNOWN)
    refused(await api(totp.enroll, uuid4(), **LABELS), Reason.UNKNOWN)
    assert sql.dump() == before


@pytest.mark.parametrize(
    "change", [{"issuer": "a:b"}, {"account": "a:b"}, {"issuer": ""}, {"name": "x" * 101}]
)
async def test_labels(api: Api, user: User, change: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(change))):
        await api(totp.enroll, user.id, **{**LABELS, **change})


async def test_confirm(api: Api, sql: Sql, user: User, new_user: NewUser, enroll: Enroll) -> None:
    pending = await enroll(confirm=False)
    other = await new_user()

    async def confirm(owner: User = user, offset: int = 0) -> object:
        code = sql.code(pending.secret, offset)
        return await api(totp.confirm, owner.id, pending.factor_id, code, keyring=RING)

    before = sql.dump()
    refused(await confirm(other), Reason.UNKNOWN)
    refused(await api(totp.confirm, user.id, uuid4(), "123456", keyring=RING), Reason.UNKNOWN)
    for _ in range(2 * FAST.totp_lock_after):
        code = wrong(sql, pending.secret)
        refused(await api(totp.confirm, user.id, pending.factor_id, code, keyring=RING), Reason.WRONG)
    assert sql.dump() == before, "not counted"
    assert await confirm() is True
    refused(await confirm(offset=1), Reason.SPENT)


async def test_enrolment_expires(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    pending = await enroll(confirm=False)
    sql.elapse(FAST.totp_enrollment_lifetime - 20 * SECOND)
    late = await enroll(confirm=False)
    code = sql.code(pending.secret)
    assert await api(totp.confirm, user.id, pending.factor_id, code, keyring=RING) is True
    sql.elapse(FAST.totp_enrollment_lifetime)
    before = sql.dump()
    code = sql.code(late.secret)
    refused(await api(totp.confirm, user.id, late.factor_id, code, keyring=RING), Reason.EXPIRED)
    assert sql.dump() == before


async def test_it_expires_while_it_is_checked(
    api: Api, sql: Sql, user: User, enroll: Enroll, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending = await enroll(confirm=False)
    code = sql.code(pending.secret)

    def slow(*args: Any) -> int:
        sql.elapse(HOUR)
        return sql.step()

    monkeypatch.setattr(totp, "matching_step", slow)
    refused(await api(totp.confirm, user.id, pending.factor_id, code, keyring=RING), Reason.SPENT)
    assert await api(totp.list, user.id) == ()


async def test_rename(api: Api, sql: Sql, user: User, new_user: NewUser, enroll: Enroll) -> None:
    factor = (await enroll(name="Phone")).factor_id
    for name in ("Old phone", "Old phone", None):
        assert await api(totp.rename, user.id, factor, name) is True
        assert [each.name for each in await api(totp.list, user.id)] == [name]
    before = sql.dump()
    assert await api(totp.rename, (await new_user(password=None)).id, factor, "Mine") is False
    assert await api(totp.rename, user.id, uuid4(), "x") is False
    assert sql.dump()["authsql_totp_factors"] == before["authsql_totp_factors"]


async def test_remove(api: Api, sql: Sql, user: User, new_user: NewUser, enroll: Enroll) -> None:
    first, second, pending = await enroll(), await enroll(), await enroll(confirm=False)
    other = await new_user()
    assert await api(totp.remove, other.id, first.factor_id) is False
    assert await api(totp.remove, user.id, first.factor_id) is True
    assert await api(totp.remove, user.id, first.factor_id) is False
    refused(await verify(api, user, sql.code(first.secret)), Reason.WRONG)
    assert await api(totp.remove, user.id, pending.factor_id) is True
    assert await verify(api, user, sql.code(second.secret))


async def test_factors_go_with_their_user(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    await enroll()
    assert await api(users.delete, user.id) is True
    assert sql.one("SELECT COUNT(*) FROM authsql_totp_factors") == 0
    assert sql.one("SELECT COUNT(*) FROM authsql_totp_attempts") == 0


async def test_secret_belongs_to_its_row_and_user(
    api: Api, sql: Sql, user: User, new_user: NewUser, enroll: Enroll
) -> None:
    """A copy of one's own secret in another's row, or a row of one's own under another's name, is refused."""
    other = await new_user()
    mine, others = await enroll(), await enroll(other)
    stored = sql.one("SELECT secret FROM authsql_totp_factors WHERE id = %s", mine.factor_id)
    sql("UPDATE authsql_totp_factors SET secret = %s WHERE id = %s", stored, others.factor_id)
    with pytest.raises(CannotDecrypt):
        await verify(api, other, sql.code(mine.secret))
    columns = "id, secret, key_name, confirmed_at, last_step, last_used_at"
    [row] = sql(f"SELECT {columns} FROM authsql_totp_factors WHERE id = %s", mine.factor_id)
    await api(totp.remove, user.id, mine.factor_id)
    sql(
        f"INSERT INTO authsql_totp_factors (user_id, {columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        other.id,
        *row,
    )
    await api(totp.remove, other.id, others.factor_id)
    with pytest.raises(CannotDecrypt):
        await verify(api, other, sql.code(mine.secret))
    assert sql.one(COUNT, other.id) == 2, "counted all the same"


@pytest.mark.parametrize("unreadable", [0, 1])
async def test_a_secret_that_cannot_be_read_keeps_nobody_from_another(
    api: Api, sql: Sql, user: User, enroll: Enroll, unreadable: int
) -> None:
    factors_ = [await enroll(), await enroll()]
    lost, kept = factors_[unreadable], factors_[1 - unreadable]
    sql("UPDATE authsql_totp_factors SET secret = %s WHERE id = %s", b"\1" * 60, lost.factor_id)
    for _ in range(2):
        sql.elapse(MINUTE)
        found = await verify(api, user, sql.code(kept.secret, 1))
        assert found == VerifiedTotp(user.id, kept.factor_id)
        assert sql.one(COUNT, user.id) == 0
    refused(await verify(api, user, sql.code(kept.secret, 1)), Reason.SPENT)
    for number in (2, 3):
        with pytest.raises(CannotDecrypt):
            await verify(api, user, sql.code(lost.secret, 1))
        assert sql.one(COUNT, user.id) == number, "a guess is a guess"


async def test_change_of_keys(api: Api, sql: Sql, new_user: NewUser, enroll: Enroll) -> None:
    owners = [await new_user() for _ in range(5)]
    enrolled = [await enroll(owner) for owner in owners]
    both = Keyring({"2026": bytes(range(32)), "2027": bytes(32)}, "2027")
    new = Keyring({"2027": bytes(32)}, "2027")
    assert await api(totp.reencrypt, keyring=RING) == 0
    with pytest.raises(CannotDecrypt):
        await verify(api, owners[0], sql.code(enrolled[0].secret), keyring=new)
    names = "SELECT DISTINCT key_name FROM authsql_totp_factors"
    assert [await api(totp.reencrypt, keyring=both, batch=2) for _ in range(4)] == [2, 2, 1, 0]
    assert sql.one(names) == "2027"
    stored = sql.one("SELECT secret FROM authsql_totp_factors WHERE user_id = %s", owners[0].id)
    assert key_name(stored) == "2027"
    for owner, each in zip(owners, enrolled, strict=True):
        assert await verify(api, owner, sql.code(each.secret), keyring=new)
    # And back, to a name that comes before in the alphabet.
    back = Keyring({"2026": bytes(range(32)), "2027": bytes(32)}, "2026")
    assert await api(totp.reencrypt, keyring=back) == 5
    assert sql.one(names) == "2026"
    with pytest.raises(CannotDecrypt):
        await api(totp.reencrypt, keyring=new)


async def test_change_of_several_keys(api: Api, sql: Sql, user: User) -> None:
    """Whatever the server's plan is: each batch is of the secrets that may be read."""
    keys = {name: bytes([number]) * 32 for number, name in enumerate(("2025", "2027", "2029"))}
    for name in ("2025", "2029") * 10:
        ring = Keyring(keys, name)
        assert await api(totp.enroll, user.id, keyring=ring, issuer="x", account="y")
    found = [await api(totp.reencrypt, keyring=Keyring(keys, "2027"), batch=7) for _ in range(4)]
    assert found == [7, 7, 6, 0]
    assert sql.one("SELECT DISTINCT key_name FROM authsql_totp_factors") == "2027"


async def test_key_that_is_missing(api: Api, sql: Sql, new_user: NewUser, enroll: Enroll) -> None:
    """The others are encrypted anew all the same."""
    lost, *_ = [await enroll(await new_user()) for _ in range(3)]
    sql("UPDATE authsql_totp_factors SET secret = %s WHERE id = %s", b"\1" * 60, lost.factor_id)
    both = Keyring({"2026": bytes(range(32)), "2027": bytes(32)}, "2027")
    with pytest.raises(CannotDecrypt):
        await api(totp.reencrypt, keyring=both)
    left = "SELECT COUNT(*) FROM authsql_totp_factors WHERE key_name = '2026'"
    assert sql.one(f"{left} AND id = %s", lost.factor_id) == sql.one(left) == 1
    sql("DELETE FROM authsql_totp_factors WHERE id = %s", lost.factor_id)
    assert await api(totp.reencrypt, keyring=both) == 0


async def test_reencryption_leaves_what_changed_meanwhile(
    api: Api, sql: Sql, user: User, enroll: Enroll, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = (await enroll()).secret
    both = Keyring({"2026": bytes(range(32)), "2027": bytes(32)}, "2027")
    decrypt = Keyring.decrypt
    first: list[object] = []

    def overtaken(ring: Keyring, sealed: bytes, *bound: str) -> bytes:
        plain = decrypt(ring, sealed, *bound)
        if not first:
            first.append(plain)
            sql(
                "UPDATE authsql_totp_factors SET secret = %s, key_name = '2027'",
                ring.encrypt(plain, *bound),
            )
        return plain

    monkeypatch.setattr(Keyring, "decrypt", overtaken)
    assert await api(totp.reencrypt, keyring=both) == 1, "there may be more"
    monkeypatch.undo()
    assert await api(totp.reencrypt, keyring=both) == 0
    assert await verify(api, user, sql.code(secret), keyring=both)


async def test_row_without_a_count(api: Api, sql: Sql, user: User, enroll: Enroll) -> None:
    """Nobody gets in uncounted."""
    secret = (await enroll()).secret
    sql("DELETE FROM authsql_totp_attempts")
    refused(await verify(api, user, sql.code(secret)), Reason.UNKNOWN)
    await enroll(confirm=False)
    assert await verify(api, user, sql.code(secret))
