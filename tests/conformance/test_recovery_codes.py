from __future__ import annotations

import json
from uuid import uuid4

import pytest

from authsql import InvalidInput, Reason, RecoveryCodes, VerifiedRecoveryCode, factors, recovery_codes, users
from authsql.models import User
from authsql.recovery_codes import ALPHABET
from tests.conformance.conftest import NewUser
from tests.support import KEY, Api, Sql, refused

COUNT = "SELECT COUNT(*) FROM authsql_recovery_codes"


async def regenerate(api: Api, user: User, **options: object) -> tuple[str, ...]:
    made = await api(recovery_codes.regenerate, user.id, **{"key": KEY, **options})
    assert isinstance(made, RecoveryCodes)
    assert tuple(made) == made.codes
    assert len(made) == len(made.codes)
    assert not any(code in f"{made!r} {made}" for code in made)
    return made.codes


async def verify(api: Api, user: User, code: str, key: bytes = KEY) -> object:
    result: object = await api(recovery_codes.verify, user.id, code, key=key)
    return result


def other_than(code: str) -> str:
    """Make a wrong code of a right one."""
    return ("0" if code[0] != "0" else "1") + code[1:]


async def test_codes(api: Api, user: User) -> None:
    codes = await regenerate(api, user, count=100)
    assert len(set(codes)) == 100
    for code in codes:
        groups = code.split("-")
        assert [len(group) for group in groups] == [4] * 6
        assert set("".join(groups)) <= set(ALPHABET)
    assert len(ALPHABET) == len(set(ALPHABET)) == 32
    assert not set("ILOUilo") & set(ALPHABET)
    assert 24 * 5 >= 112, "bits, from which on a plain hash would do"


async def test_each_code_is_good_once(api: Api, sql: Sql, user: User) -> None:
    codes = await regenerate(api, user)
    assert len(codes) == 10
    for number, code in enumerate(codes):
        assert await api(recovery_codes.remaining, user.id) == 10 - number
        assert await verify(api, user, code) == VerifiedRecoveryCode(user.id, 9 - number)
        refused(await verify(api, user, code), Reason.SPENT)
    assert await api(recovery_codes.remaining, user.id) == 0
    assert sql.one(COUNT) == 10, "what was spent is on record"
    assert {row[0] for row in sql("SELECT number FROM authsql_recovery_codes")} == set(range(1, 11))
    assert sql.one(f"{COUNT} WHERE spent_at IS NOT NULL") == 10


async def test_spelling(api: Api, user: User) -> None:
    code = (await regenerate(api, user))[0]
    plain = code.replace("-", "")
    for number, spelled in enumerate(
        [
            plain.lower().replace("1", "l").replace("0", "o"),
            plain.replace("1", "I").replace("0", "O"),
            f"  {code.replace('-', ' ')} ",
            f"-{code}-",
            " ".join(plain),
        ]
    ):
        result = await verify(api, user, spelled)
        if number:
            refused(result, Reason.SPENT)
        else:
            assert result


@pytest.mark.parametrize(
    "code",
    ["", "-", "0" * 23, "0" * 25, "U" * 24, "0" * 23 + "é", "0" * 23 + "\u0661", "0" * 24 + "\n", " " * 200],
)
async def test_malformed(api: Api, sql: Sql, user: User, code: str) -> None:
    await regenerate(api, user)
    before = sql.dump()
    refused(await verify(api, user, code), Reason.MALFORMED)
    assert sql.dump() == before


async def test_wrong(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    codes = await regenerate(api, user)
    other = await new_user()
    before = sql.dump()
    for _ in range(20):
        refused(await verify(api, user, other_than(codes[0])), Reason.WRONG)
    refused(await verify(api, user, codes[0], key=bytes(32)), Reason.WRONG)
    refused(await verify(api, other, codes[0]), Reason.WRONG)
    refused(await api(recovery_codes.verify, uuid4(), codes[0], key=KEY), Reason.WRONG)
    assert sql.dump() == before, "not counted: 120 bits are not guessed"
    # Not even a row copied by hand carries a code to another user.
    sql(
        "INSERT INTO authsql_recovery_codes (user_id, number, new_code_hash)"
        " SELECT %s, number, code_hash FROM authsql_recovery_codes",
        other.id,
    )
    refused(await verify(api, other, codes[0]), Reason.WRONG)


async def test_a_new_set_replaces_the_old_one(api: Api, sql: Sql, user: User, new_user: NewUser) -> None:
    other = await new_user()
    others = await regenerate(api, other, count=3)
    old = await regenerate(api, user)
    assert await verify(api, user, old[0])
    new = await regenerate(api, user, count=4)
    assert not set(old) & set(new)
    assert await api(recovery_codes.remaining, user.id) == 4
    for code in old:
        refused(await verify(api, user, code), Reason.WRONG)
    assert await verify(api, user, new[3])
    assert await api(recovery_codes.remaining, other.id) == 3
    assert await verify(api, other, others[0])


async def test_nobodys(api: Api, sql: Sql, user: User) -> None:
    codes = await regenerate(api, user)
    await api(users.soft_delete, user.id)
    before = sql.dump()
    refused(await api(recovery_codes.regenerate, user.id, key=KEY), Reason.UNKNOWN)
    refused(await api(recovery_codes.regenerate, uuid4(), key=KEY), Reason.UNKNOWN)
    refused(await verify(api, user, codes[0]), Reason.WRONG)
    assert sql.dump() == before
    assert await api(recovery_codes.remaining, uuid4()) == 0


async def test_they_go_with_their_user(api: Api, sql: Sql, user: User) -> None:
    await regenerate(api, user)
    assert await api(users.delete, user.id)
    assert sql.one(COUNT) == 0


async def test_they_are_no_factor_by_themselves(api: Api, user: User) -> None:
    await regenerate(api, user, count=3)
    found = await api(factors.of_user, user.id)
    assert (found.totp, found.passkeys, found.recovery_codes) == (0, 0, 3)
    assert not found.enrolled


async def test_short_key(api: Api, sql: Sql, user: User) -> None:
    for key in (b"", bytes(31), "x" * 32, None):
        with pytest.raises(InvalidInput, match="32 random bytes"):
            await api(recovery_codes.regenerate, user.id, key=key)
        with pytest.raises(InvalidInput, match="32 random bytes"):
            await api(recovery_codes.verify, user.id, "0" * 24, key=key)
    assert sql.one(COUNT) == 0


async def test_a_set_is_whole_or_not_at_all(
    api: Api, sql: Sql, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last hash of the new set is too short: the old set stays, all of it."""
    old = await regenerate(api, user)
    before = sql.dump()
    dumps = json.dumps

    def cut(value: list[str]) -> str:
        return dumps([*value[:-1], None if sql.is_mysql else "00"])

    monkeypatch.setattr("authsql.recovery_codes.json.dumps", cut)
    with pytest.raises(Exception, match="code_hash"):
        await api(recovery_codes.regenerate, user.id, key=KEY)
    monkeypatch.undo()
    assert sql.dump() == before
    assert not api.in_transaction
    assert await verify(api, user, old[0])
