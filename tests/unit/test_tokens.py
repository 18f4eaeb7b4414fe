"""Tokens: what is written is read, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import string
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from authsql import _tokens

IDS = st.uuids()
SECRETS = st.binary(min_size=32, max_size=32)
PARTS = st.lists(SECRETS, min_size=1, max_size=3)
PREFIXES = st.sampled_from([_tokens.SESSION_PREFIX, _tokens.REFRESH_PREFIX])
WORDS = st.text(max_size=20)
KEYS = st.binary(min_size=32, max_size=64)
URLSAFE = string.ascii_letters + string.digits + "-_"


@given(PREFIXES, IDS, PARTS)
def test_round_trip(prefix: str, row_id: UUID, parts: list[bytes]) -> None:
    token = _tokens.write(prefix, row_id, *parts)
    assert token.startswith(prefix)
    assert set(token) <= set(URLSAFE)
    assert _tokens.read(prefix, token, len(parts)) == (row_id, parts)


@given(IDS, SECRETS, st.data())
def test_another_spelling_is_not_accepted(row_id: UUID, secret: bytes, data: st.DataObject) -> None:
    token = _tokens.write("sess_", row_id, secret)
    at = data.draw(st.integers(0, len(token) - 1))
    changed = token[:at] + data.draw(st.sampled_from(URLSAFE + "=+/ .é\n\0")) + token[at + 1 :]
    assume(changed != token)
    found = _tokens.read("sess_", changed, 1)
    # Where it is read at all, it is another token, and its own only spelling.
    assert found != (row_id, [secret])
    if found is not None:
        assert _tokens.write("sess_", found[0], *found[1]) == changed


def test_the_bits_that_base64_leaves_over_are_zero() -> None:
    # 16 + 2 * 32 bytes leave 2 characters with 4 bits too many at the end.
    token = _tokens.write("rfsh_", UUID(int=0), bytes(32), bytes(32))
    raw = base64.urlsafe_b64decode(token.removeprefix("rfsh_") + "=")
    accepted = [c for c in URLSAFE if _tokens.read("rfsh_", token[:-1] + c, 2) is not None]
    same = [c for c in URLSAFE if base64.urlsafe_b64decode(token.removeprefix("rfsh_")[:-1] + c + "=") == raw]
    assert len(same) > 1
    assert set(same) & set(accepted) == {token[-1]}


@given(IDS, SECRETS)
def test_lengths_and_prefixes(row_id: UUID, secret: bytes) -> None:
    token = _tokens.write("sess_", row_id, secret)
    refused: list[object] = [
        token + "A",
        token[:-1],
        token + "=",
        " " + token,
        token.upper() if token.upper() != token else "",
        "rfsh_" + token.removeprefix("sess_"),
        token.removeprefix("sess_"),
        token.encode(),
        None,
        1,
    ]
    for other in refused:
        found = _tokens.read("sess_", other, 1)
        assert found != (row_id, [secret]), other
    assert _tokens.read("sess_", token, 2) is None


@given(st.one_of(st.text(), st.text(alphabet=URLSAFE, min_size=69, max_size=69).map("sess_".__add__)))
def test_no_text_is_an_error(text: str) -> None:
    found = _tokens.read("sess_", text, 1)
    assert found is None or _tokens.write("sess_", found[0], *found[1]) == text


@given(SECRETS, SECRETS, SECRETS)
def test_a_seal_is_opened_by_what_it_was_made_with(
    successor: bytes, predecessor: bytes, other: bytes
) -> None:
    sealed = _tokens.seal(successor, predecessor)
    assert len(sealed) == 32
    assert _tokens.seal(sealed, predecessor) == successor
    assume(other != predecessor)
    assert _tokens.seal(sealed, other) != successor


def test_a_seal_takes_secrets_only() -> None:
    with pytest.raises(ValueError, match="zip"):
        _tokens.seal(bytes(31), bytes(32))


@given(KEYS, st.tuples(WORDS, WORDS, WORDS), st.tuples(WORDS, WORDS, WORDS))
@example(bytes(32), ("a", "bc", "1"), ("ab", "c", "1"))
@example(bytes(32), ("", "a", ""), ("a", "", ""))
@example(bytes(32), ("p", "s1", "23"), ("p", "s", "123"))
def test_code_digests_are_apart(key: bytes, one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (_tokens.code_digest(key, *one) == _tokens.code_digest(key, *other)) is (one == other)


@given(KEYS, KEYS)
def test_code_digests_depend_on_the_key(one: bytes, other: bytes) -> None:
    # HMAC pads a key with zeros up to the block of 64 bytes.
    assume(one.ljust(64, b"\0") != other.ljust(64, b"\0"))
    assert _tokens.code_digest(one, "p", "s", "1") != _tokens.code_digest(other, "p", "s", "1")


@pytest.mark.parametrize("digits", [4, 6, 8, 12])
def test_codes_have_their_digits(digits: int) -> None:
    codes = {_tokens.new_code(digits) for _ in range(200)}
    assert all(len(code) == digits and code.isascii() and code.isdigit() for code in codes)
    assert len(codes) > 100


def test_digest_is_sha256() -> None:
    assert _tokens.digest(b"secret") == hashlib.sha256(b"secret").digest()
    assert len({_tokens.new_secret() for _ in range(100)}) == 100
