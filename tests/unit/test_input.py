"""Arguments: what is let through can be stored, and no message repeats what was given."""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsql import InvalidInput, _input
from authsql.policy import DEFAULT


@given(st.text(max_size=60))
def test_text_is_what_both_databases_store(value: str) -> None:
    try:
        found = _input.text("name", value, 50)
    except InvalidInput:
        return
    assert 1 <= len(found) <= 50
    assert unicodedata.is_normalized("NFC", found)
    assert "\0" not in found
    found.encode("utf-8")
    assert _input.text("name", found, 50) == found


@pytest.mark.parametrize("value", ["", "a" * 51, "a\0b", "a\nb", "\ud800", "a" * 10_000, None, 5, b"a"])
def test_no_text(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^name "):
        _input.text("name", value, 50)


def test_composed_before_it_is_measured() -> None:
    assert _input.text("name", "e\u0301" * 50, 50) == "é" * 50


@pytest.mark.parametrize(
    "value", ["a@b", "A.b+c@Example.ORG", "ü@bücher.example", '"a@b"@c', "a" * 252 + "@b"]
)
def test_emails(value: str) -> None:
    assert _input.email(value) == value


@pytest.mark.parametrize(
    "value", ["", "ab", "abc", "@bc", "ab@", "a b@c", "a@b\n", "a" * 253 + "@b", None, b"a@b"]
)
def test_no_emails(value: object) -> None:
    with pytest.raises(InvalidInput):
        _input.email(value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        (ipaddress.ip_address("192.0.2.1"), "192.0.2.1"),
    ],
)
def test_ips(value: object, stored: str | None) -> None:
    assert _input.ip(value) == stored


@pytest.mark.parametrize("value", ["", "192.0.2.0/24", "192.0.2.256", "localhost", 3221225985, "1" * 65])
def test_no_ips(value: object) -> None:
    with pytest.raises(InvalidInput):
        _input.ip(value)


@given(st.text(alphabet=st.characters(), max_size=600))
def test_any_user_agent_is_taken(value: str) -> None:
    found = _input.user_agent(value)
    assert found is not None
    assert len(found) <= 512
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in found)
    found.encode("utf-8")


@pytest.mark.parametrize(
    "value",
    [
        [],
        "text",
        1,
        {"a": float("nan")},
        {"a": object()},
        {"a": "\0"},
        {"\0": 1},
        {"a": ["\0"]},
        {"a": "x" * 16_384},
    ],
)
def test_no_json_objects(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^avatar "):
        _input.json_object("avatar", value)


def test_json_that_ends_nowhere() -> None:
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    with pytest.raises(InvalidInput):
        _input.json_object("avatar", ring)
    with pytest.raises(InvalidInput):
        _input.json_object("avatar", {"a": "\ud800"})


def test_json_objects() -> None:
    assert _input.json_object("avatar", None) is None
    assert _input.json_object("avatar", {"url": "ü"}) == '{"url": "ü"}'


@pytest.mark.parametrize("value", [1.0, True, "1", None, 0, 11])
def test_no_integers(value: object) -> None:
    with pytest.raises(InvalidInput):
        _input.integer("aal", value, 1, 10)


@pytest.mark.parametrize("value", ["", "A", "1a", "-a", "a b", "é", "a" * 33, "a\n", None])
def test_no_reasons(value: object) -> None:
    with pytest.raises(InvalidInput):
        _input.reason(value)


@pytest.mark.parametrize("value", ["a", "sign_out", "a-1", "a" * 32])
def test_reasons(value: str) -> None:
    assert _input.reason(value) == value


def test_subjects() -> None:
    user = uuid4()
    assert _input.subject(user) == str(user)
    assert _input.subject("A@B.example") == "a@b.example"
    # In lower case this letter is two characters.
    with pytest.raises(InvalidInput):
        _input.subject("İ" * 254)


@pytest.mark.parametrize("value", [None, "k" * 32, b"k" * 31, bytearray(32)])
def test_no_keys(value: object) -> None:
    with pytest.raises(InvalidInput):
        _input.key(value)


def test_passwords() -> None:
    assert _input.new_password("e\u0301" * 8, DEFAULT) == "é" * 8
    assert _input.new_password("a\tb\0c d\n", DEFAULT) == "a\tb\0c d\n"
    for short in ("", "1234567", "e\u0301" * 7, "a" * 1025, "a" * 5000, "\ud800" * 8):
        with pytest.raises(InvalidInput):
            _input.new_password(short, DEFAULT)
    assert _input.password("", DEFAULT) == ""
    assert _input.password("a" * 1025, DEFAULT) is None
    assert _input.password("\ud800", DEFAULT) is None


SECRET = "hunter2 hunter2 \0"
CHECKS: list[Callable[[], object]] = [
    lambda: _input.text("name", SECRET, 50),
    lambda: _input.email(SECRET),
    lambda: _input.ip(SECRET),
    lambda: _input.json_object("avatar", {"a": SECRET}),
    lambda: _input.reason(SECRET),
    lambda: _input.purpose(SECRET, DEFAULT),
    lambda: _input.subject(SECRET),
    lambda: _input.key(SECRET.encode()),
    lambda: _input.uuid("user_id", SECRET),
    lambda: _input.boolean("must_change", SECRET),
    lambda: _input.integer("aal", SECRET, 1, 3),
    lambda: _input.new_password(SECRET * 1000, DEFAULT),
]


@pytest.mark.parametrize("check", CHECKS)
def test_messages_do_not_hold_the_value(check: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check()
    assert "hunter2" not in str(caught.value)


def test_uuids() -> None:
    assert _input.uuid("id", UUID(int=1)) == UUID(int=1)
    assert _input.optional_uuid("id", None) is None
    for value in (None, str(uuid4()), 1, uuid4().bytes):
        with pytest.raises(InvalidInput):
            _input.uuid("id", value)
