"""Encryption of what has to be read again, such as a provider's tokens or a TOTP secret: AES-256-GCM under
keys that are never in the database. Needs the extra `encryption`.

A key has a name. New values are encrypted under the current key, older ones are read under whichever key they
name, until they have been encrypted anew. What a value belongs to (its table, its column, its row) is
authenticated with it: a ciphertext that is copied to another row is not accepted there (ASVS 13.3.1, 11.3.2).
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping

from authsql._extras import needs
from authsql.errors import AuthsqlError, InvalidInput

KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE = 12
_TAG = 16
_NAME_MAX = 32


class CannotDecrypt(AuthsqlError):
    """The value was encrypted under a key that the keyring lacks, for another row, or was changed since."""


class Keyring:
    """Keys by name, of which one is current. A key is 32 random bytes: `secrets.token_bytes(32)`.

    To rotate: add a key, make it current, encrypt the old values anew (each module that stores any has a
    `reencrypt`), then take the old key away. Names are stored beside the values, and are no secrets.
    """

    __slots__ = ("_ciphers", "_current")

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        with needs("encryption"):
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        for name, key in keys.items():
            _check(name, key)
        if current not in keys:
            raise InvalidInput("current is the name of one of the keys")
        self._ciphers = {name: AESGCM(key) for name, key in keys.items()}
        self._current = current

    def __repr__(self) -> str:
        return f"Keyring({', '.join(sorted(self._ciphers))}; current {self._current})"

    @property
    def current(self) -> str:
        """Name of the key that new values are encrypted under."""
        return self._current

    def encrypt(self, value: bytes, *belongs_to: str) -> bytes:
        """Encrypt a value that belongs to this table, column, row, ...: the same words open it again."""
        name = self._current.encode()
        nonce = os.urandom(_NONCE)
        head = _VERSION + bytes([len(name)]) + name
        return head + nonce + self._ciphers[self._current].encrypt(nonce, value, _bound(head, belongs_to))

    def decrypt(self, sealed: bytes, *belongs_to: str) -> bytes:
        """What was encrypted. Raises CannotDecrypt."""
        from cryptography.exceptions import InvalidTag

        sealed = bytes(sealed)
        name = key_name(sealed)
        cipher = self._ciphers.get(name or "")
        if name is None or cipher is None:
            raise CannotDecrypt(CannotDecrypt.__doc__)
        size = 2 + len(name)
        head, nonce, body = sealed[:size], sealed[size : size + _NONCE], sealed[size + _NONCE :]
        try:
            return cipher.decrypt(nonce, body, _bound(head, belongs_to))
        except InvalidTag:
            raise CannotDecrypt(CannotDecrypt.__doc__) from None


def read_keyring(text: str) -> Keyring:
    """A keyring from the text of a file or of an environment variable: `NAME:KEY`, one a line or separated by
    commas, KEY being 32 random bytes in base64. The first is the current one. What follows a # is a comment.

    A key is made by `openssl rand -base64 32`. Raises InvalidInput, which tells no part of the text.
    """
    keys: dict[str, bytes] = {}
    for entry in re.sub(r"#.*", "", text).replace(",", " ").split():
        name, colon, encoded = entry.partition(":")
        try:
            key = base64.b64decode(encoded.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:
            key = b""
        if not colon or name in keys or len(key) != KEY_BYTES:
            raise InvalidInput(f"keys are written NAME:KEY, KEY being {KEY_BYTES} random bytes in base64")
        keys[name] = key
    if not keys:
        raise InvalidInput("there is no key")
    return Keyring(keys, next(iter(keys)))


def _check(name: object, key: object) -> None:
    known = isinstance(name, str) and name.isascii() and 1 <= len(name) <= _NAME_MAX
    if not known or any(not (c.isalnum() or c in "._-") for c in str(name)):
        raise InvalidInput("a key's name is 1 to 32 ASCII letters, digits, ., _ and -")
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        raise InvalidInput(f"a key is {KEY_BYTES} random bytes, kept outside the database")


def key_name(sealed: bytes) -> str | None:
    """Name of the key that a value was encrypted under, or None if it is no encrypted value."""
    if sealed[:1] != _VERSION or len(sealed) < 2:
        return None
    size = 2 + sealed[1]
    if len(sealed) < size + _NONCE + _TAG or not sealed[2:size].isascii():
        return None
    return sealed[2:size].decode()


def _bound(head: bytes, belongs_to: tuple[str, ...]) -> bytes:
    """The context, each part preceded by its length: no two contexts are alike."""
    parts = [head, b"authsql keyring v1", *(word.encode() for word in belongs_to)]
    return b"".join(len(part).to_bytes(4) + part for part in parts)
