"""Lists of passwords that nobody may choose."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsql import Blocklist, CommonPassword, InvalidInput, _input, blocklist
from tests.support import FAST


def test_common_ones() -> None:
    common = Blocklist.common()
    for word in ("password", "PassWord", "qwertyuiop", "1234567890", "iloveyou"):
        assert word in common
    others: tuple[object, ...] = (
        "correct horse battery",
        "",
        "password ",
        "my password",
        None,
        5,
        b"password",
    )
    for other in others:
        assert other not in common
    # ASVS 6.2.4 asks for 3000 that are as long as the policy wants them.
    words = blocklist._common()
    assert sum(len(word) >= 8 for word in words) > 10_000
    assert words is blocklist._common()


def test_words_and_spellings() -> None:
    words = Blocklist.of(["Hunter22", "e\u0301tude-42", "STRASSE-12", ""])
    for word in ("hunter22", "HUNTER22", "étude-42", "Étude-42", "straße-12"):
        assert word in words
    for word in ("hunter2", "hunter222", "my hunter22", "etude-42", ""):
        assert word not in words, "it is the whole password that is compared"
    assert repr(words) == "Blocklist(3 words)"


@given(st.text(max_size=30))
def test_a_word_is_on_its_list_in_any_case(word: str) -> None:
    if word.casefold():
        found = Blocklist.of([word])
        assert word in found
        assert word.casefold() in found


@pytest.mark.parametrize(
    "password",
    [
        "Acme",
        "acme2026",
        "ACME2026!",
        "2026 acme",
        "**acme**",
        "ada.lovelace1815",
        "ada.lovelace@example.org",
    ],
)
def test_context(password: str) -> None:
    assert password in Blocklist.context("Acme", "Ada.Lovelace@Example.org", "x@y.org")


@pytest.mark.parametrize(
    "password", ["pacmen2026", "acme rocket skates", "ada", "12345678", "x1234567", "!!!", ""]
)
def test_not_of_this_context(password: str) -> None:
    assert password not in Blocklist.context("Acme", "Ada.Lovelace@Example.org", "x@y.org", "", "42")


def test_lists_are_joined() -> None:
    common = Blocklist.common()
    both = common | Blocklist.context("acme") | Blocklist.of(["correct horse battery staple"])
    for password in ("password", "acme1234", "Correct Horse Battery Staple"):
        assert password in both
    assert "acme1234" not in common
    assert both._words[0] is common._words[0], "nothing is copied"
    assert "password" not in Blocklist()
    unknown: Any = ["password"]
    with pytest.raises(TypeError):
        common | unknown


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"first one\r\nSecond One\n\nthird\xff\n\xc3\xa9tudes12\nlast one")
    found = Blocklist.from_file(path)
    for word in ("first one", "second one", "Études12", "last one"):
        assert word in found
    assert repr(Blocklist.from_file(str(path))) == "Blocklist(4 words)"
    with pytest.raises(FileNotFoundError):
        Blocklist.from_file(tmp_path / "nowhere")


@pytest.mark.parametrize("words", ["password", [b"password"], [None], [["password"]]])
def test_what_is_no_list(words: Any) -> None:
    with pytest.raises(InvalidInput):
        Blocklist.of(words)


def test_context_of_something_else() -> None:
    nothing: Any = None
    with pytest.raises(InvalidInput):
        Blocklist.context("acme", nothing)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    blocklist._common.cache_clear()
    monkeypatch.setitem(sys.modules, "zxcvbn.frequency_lists", None)
    with pytest.raises(ImportError, match=r"authsql\[passwords\]"):
        Blocklist.common()


def test_a_new_password_is_looked_up_in_the_policys_list() -> None:
    policy = replace(FAST, password_blocklist=Blocklist.common() | Blocklist.context("acme"))
    for refused in ("Password1", "iloveyou", "acme2026!"):
        with pytest.raises(CommonPassword) as raised:
            _input.new_password(refused, policy)
        assert isinstance(raised.value, InvalidInput)
        assert refused.lower() not in str(raised.value).lower()
        assert _input.new_password(refused, FAST) == refused, "off unless it is given"
        assert _input.password(refused, policy) == refused, "a sign-in does not ask it"
    assert _input.new_password("correct horse battery staple", policy)
    with pytest.raises(InvalidInput, match="8 to 1024"):
        _input.new_password("1234567", policy)
