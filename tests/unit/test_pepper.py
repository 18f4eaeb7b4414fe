"""A pepper: keyed, named, rotated, and shown to nobody."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import pickle
from dataclasses import replace
from typing import Any, cast

import argon2
import pytest
from argon2.profiles import CHEAPEST

from authsql import InvalidInput, Pepper, Policy, UnknownHash
from authsql._passwords import hash_password, imported, is_outdated
from tests.support import FAST, PASSWORD, check

OLD, NEW = bytes(32), bytes(range(32))
LONG = replace(CHEAPEST, hash_len=32, salt_len=16)


def under(current: str | None, *names: str) -> Policy:
    keys = {"2025": OLD, "2026": NEW}
    names = names or tuple(keys)
    return replace(FAST, pepper=Pepper({name: keys[name] for name in names}, current))


def test_what_is_hashed_is_the_hmac() -> None:
    """Computed once more by hand, from the stored string and the key."""
    stored = hash_password("pässword", under("2026"))
    scheme, version, costs, salt, digest = stored.split("$")[1:]
    assert (scheme, version) == ("argon2id-hmac-sha256", "v=19")
    assert costs == "m=8,t=1,p=1,key=2026"
    keyed = base64.b64encode(hmac.new(NEW, "pässword".encode(), hashlib.sha256).digest())
    plain = f"$argon2id${version}${costs.removesuffix(',key=2026')}${salt}${digest}"
    assert argon2.PasswordHasher().verify(plain, keyed)
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        argon2.PasswordHasher().verify(plain, "pässword")


def test_check() -> None:
    policy = replace(under("2026"), argon2=LONG)
    stored = hash_password(PASSWORD, policy)
    assert check(stored, PASSWORD, policy)
    assert not check(stored, PASSWORD + "x", policy)
    assert not check(None, PASSWORD, policy)
    assert not is_outdated(stored, policy)
    wrong = replace(policy, pepper=Pepper({"2026": OLD}, "2026"))
    assert not check(stored, PASSWORD, wrong), "another key of the same name"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FAST, under("2026")),
        (under("2025"), under("2026")),
        (under("2026"), under(None)),
        (under("2026"), replace(under("2026"), argon2=LONG)),
    ],
    ids=["none yet", "rotated", "given up", "other parameters"],
)
def test_what_is_renewed(before: Policy, after: Policy) -> None:
    stored = hash_password(PASSWORD, before)
    assert check(stored, PASSWORD, after)
    assert is_outdated(stored, after)
    renewed = hash_password(PASSWORD, after)
    assert check(renewed, PASSWORD, after)
    assert not is_outdated(renewed, after)


@pytest.mark.parametrize("policy", [FAST, under("2025", "2025"), under(None, "2025")])
def test_key_that_is_missing(policy: Policy) -> None:
    stored = hash_password(PASSWORD, under("2026"))
    with pytest.raises(UnknownHash, match=r"pepper key 2026, which Policy\.pepper lacks") as raised:
        check(stored, PASSWORD, policy)
    assert stored not in str(raised.value)
    assert PASSWORD not in str(raised.value)


def test_a_peppered_hash_moves_to_another_database() -> None:
    stored = hash_password(PASSWORD, replace(under("2026"), argon2=LONG))
    assert imported(stored, under("2026")) == stored
    for policy in (FAST, under("2025", "2025")):
        with pytest.raises(InvalidInput, match="pepper key"):
            imported(stored, policy)


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id-hmac-sha256$v=19$m=8,t=1,p=1$kHOfapGVupI$CCcEtg",
        "$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=$kHOfapGVupI$CCcEtg",
        "$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=2026$kHOfapGVupI",
        "$argon2id-hmac-sha256$v=19$m=8,t=1,p=1,key=2026,key=2026$kHOfapGVupI$CCcEtg",
        "$argon2id-hmac-sha1$v=19$m=8,t=1,p=1,key=2026$kHOfapGVupI$CCcEtg",
        "$argon2id$v=19$m=8,t=1,p=1,key=2026$kHOfapGVupI$CCcEtg",
    ],
)
def test_what_only_looks_like_one(stored: str) -> None:
    with pytest.raises(UnknownHash):
        check(stored, PASSWORD, under("2026"))
    with pytest.raises(InvalidInput):
        imported(stored, under("2026"))


def test_what_the_column_cannot_take() -> None:
    """255 characters. MySQL would cut a longer one."""
    name = "n" * 32
    policy = replace(FAST, pepper=Pepper({name: NEW}, name))
    costs = f"$argon2id-hmac-sha256$v=19$m=1048576,t=1,p=16,key={name}"
    longest = f"{costs}${'A' * 86}${'A' * 82}"
    assert len(longest) <= 255 < len(longest) + 4
    assert imported(longest, policy) == longest
    with pytest.raises(InvalidInput, match="number of characters"):
        imported(longest + "AAAA", policy)


@pytest.mark.parametrize(
    ("keys", "current"),
    [
        ({"a": b"short key"}, "a"),
        ({"a": bytes(31)}, "a"),
        ({"a": "x" * 32}, "a"),
        ({"a": bytearray(32)}, "a"),
        ({"a": NEW}, "b"),
        ({"": NEW}, ""),
        ({"a b": NEW}, "a b"),
        ({"a_b": NEW}, "a_b"),
        ({"a$b": NEW}, "a$b"),
        ({"a,b": NEW}, "a,b"),
        ({"ä": NEW}, "ä"),
        ({"a\n": NEW}, "a\n"),
        ({"n" * 33: NEW}, "n" * 33),
        ({1: NEW}, 1),
        ({}, "a"),
        (None, None),
        (NEW, None),
        ({"a": NEW}, ["a"]),
    ],
)
def test_bad_keys(keys: Any, current: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        Pepper(keys, current)
    assert "short key" not in str(raised.value)


def test_it_is_shown_without_its_keys() -> None:
    policy = under("2026")
    assert repr(policy.pepper) == "Pepper(2025, 2026; current 2026)"
    for shown in (repr(policy), str(policy.pepper)):
        assert repr(NEW)[2:-1] not in shown
        assert NEW.hex() not in shown


def test_it_does_not_change() -> None:
    keys = {"2026": NEW}
    pepper: Any = Pepper(keys, "2026")
    keys["2026"] = OLD
    del keys["2026"]
    assert pepper.apply("2026", "x") == Pepper({"2026": NEW}, "2026").apply("2026", "x")
    with pytest.raises(AttributeError):
        pepper.current = None
    with pytest.raises(AttributeError):
        pepper.other = 1


def test_a_policy_that_is_copied_keeps_it() -> None:
    policy = under("2026")
    stored = hash_password(PASSWORD, policy)
    for copied in (copy.deepcopy(policy), cast("Policy", pickle.loads(pickle.dumps(policy)))):
        assert check(stored, PASSWORD, copied)
