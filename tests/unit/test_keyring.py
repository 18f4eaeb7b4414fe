"""Encrypted values: bound to their key and to what they belong to."""

from __future__ import annotations

import pytest

from authsql.errors import InvalidInput
from authsql.keyring import CannotDecrypt, Keyring, key_name, read_keyring

OLD, NEW = bytes(32), bytes(range(32))


def test_round_trip() -> None:
    ring = Keyring({"2026": NEW}, "2026")
    sealed = ring.encrypt(b"secret", "table", "row")
    assert ring.decrypt(sealed, "table", "row") == b"secret"
    assert b"secret" not in sealed
    assert ring.encrypt(b"secret", "table", "row") != sealed


@pytest.mark.parametrize(
    "belongs_to", [(), ("table",), ("tablerow",), ("row", "table"), ("table", "row", "")]
)
def test_a_value_belongs_to_its_row(belongs_to: tuple[str, ...]) -> None:
    ring = Keyring({"2026": NEW}, "2026")
    with pytest.raises(CannotDecrypt):
        ring.decrypt(ring.encrypt(b"secret", "table", "row"), *belongs_to)


def test_rotation() -> None:
    old = Keyring({"2025": OLD}, "2025")
    both = Keyring({"2025": OLD, "2026": NEW}, "2026")
    sealed = old.encrypt(b"secret", "row")
    assert both.decrypt(sealed, "row") == b"secret"
    assert key_name(sealed) == "2025"
    assert key_name(both.encrypt(b"secret", "row")) == both.current == "2026"
    with pytest.raises(CannotDecrypt):
        Keyring({"2026": NEW}, "2026").decrypt(sealed, "row")
    with pytest.raises(CannotDecrypt):
        Keyring({"2025": NEW}, "2025").decrypt(sealed, "row")


@pytest.mark.parametrize("at", range(0, 40, 3))
def test_a_changed_value_is_refused(at: int) -> None:
    ring = Keyring({"2026": NEW}, "2026")
    sealed = bytearray(ring.encrypt(b"secret", "row"))
    sealed[at % len(sealed)] ^= 1
    with pytest.raises(CannotDecrypt):
        ring.decrypt(bytes(sealed), "row")


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01\x04", b"\x01\x042026", b"plain text", b"\x01" * 60])
def test_what_was_never_encrypted(value: bytes) -> None:
    with pytest.raises(CannotDecrypt):
        Keyring({"2026": NEW}, "2026").decrypt(value, "row")


@pytest.mark.parametrize(
    ("keys", "current"),
    [
        ({"a": b"short"}, "a"),
        ({"a": NEW}, "b"),
        ({"": NEW}, ""),
        ({"a b": NEW}, "a b"),
        ({"ä": NEW}, "ä"),
        ({}, "a"),
    ],
)
def test_bad_keys(keys: dict[str, bytes], current: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Keyring(keys, current)
    assert "short" not in str(raised.value)


def test_repr_has_no_key() -> None:
    assert repr(Keyring({"2026": NEW, "2025": OLD}, "2026")) == "Keyring(2025, 2026; current 2026)"


A, B = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=", "Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8="


@pytest.mark.parametrize(
    "text",
    [
        f"new:{A},old:{B}",
        f"new:{A}\nold:{B}\n",
        f"# the keys\n\nnew:{A}   # since May\r\n\told:{B.replace('/', '_')}",
    ],
)
def test_a_keyring_in_a_file(text: str) -> None:
    ring = read_keyring(text)
    assert repr(ring) == "Keyring(new, old; current new)"
    sealed = Keyring({"old": b"?" * 32}, "old").encrypt(b"secret", "row")
    assert ring.decrypt(sealed, "row") == b"secret"


@pytest.mark.parametrize(
    "text",
    ["", "# nothing", A, f":{A}", f"a:{A[:-4]}", f"a:{A} a:{B}", "a:hush", f"a={A}", f"a b:{A}", "a:\u00e4"],
)
def test_files_that_hold_no_keyring(text: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        read_keyring(text)
    assert A[:8] not in str(raised.value)
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None
