"""Keys that access tokens are signed with: each has one algorithm, which its kind decides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from authsql.errors import InvalidInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey
    PublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
    Key: TypeAlias = bytes | str | PrivateKey | PublicKey

SECRET_MIN = 32
RSA_BITS_MIN = 2048
_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")


@dataclass(frozen=True, slots=True, repr=False)
class LoadedKey:
    """A key with the one algorithm that it is good for. What a token says about algorithms is compared with
    it, and chooses nothing.
    """

    algorithm: str
    signs: Any
    """None for a public key."""
    verifies: Any


class AccessTokenKeys:
    """Keys by name (`kid`). The kind of a key decides its algorithm.

    - Ed25519: EdDSA; elliptic curve P-256: ES256; RSA of at least 2048 bits: RS256. As an object of
      `cryptography` or as PEM, private, or public for who only verifies. (RFC 9864 has a newer name for
      EdDSA, which PyJWT does not know yet.)
    - at least 32 random bytes: HS256. Whoever can verify with them can issue too.

    current names the key that new tokens are signed with. Shows no key.
    """

    __slots__ = ("_current", "_keys")

    def __init__(self, keys: Mapping[str, Key], current: str | None = None) -> None:
        self._keys = {_name(name): _load(key) for name, key in keys.items()}
        self._current = current
        if current is not None and (current not in self._keys or self._keys[current].signs is None):
            raise InvalidInput("current is the name of one of the keys, and of one that can sign")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {key.algorithm}" for name, key in sorted(self._keys.items()))
        return f"AccessTokenKeys({shown}; current {self._current})"

    def signing(self) -> tuple[str, LoadedKey]:
        """The current key and its name."""
        if self._current is None:
            raise InvalidInput("keys has no current key: these can only verify")
        return self._current, self._keys[self._current]

    def named(self, name: object) -> LoadedKey | None:
        return self._keys.get(name) if isinstance(name, str) else None

    def public(self) -> list[tuple[str, LoadedKey]]:
        """Those that have a public half, by name."""
        return [
            (name, key) for name, key in sorted(self._keys.items()) if not isinstance(key.verifies, bytes)
        ]


def checked(keys: object) -> AccessTokenKeys:
    if not isinstance(keys, AccessTokenKeys):
        raise InvalidInput("keys is an AccessTokenKeys")
    return keys


def _name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput("a key's name is 1 to 32 ASCII letters, digits, ., _ and -")
    return name


def _load(key: Any) -> LoadedKey:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    # A public key in PEM must not be taken for a secret: whoever has it could sign (RFC 8725, 2.1).
    if isinstance(key, bytes | str) and "-----BEGIN" in str(key[:200]):
        key = _from_pem(key)
    if isinstance(key, bytes):
        if len(key) < SECRET_MIN:
            raise InvalidInput(f"a secret is at least {SECRET_MIN} random bytes")
        return LoadedKey("HS256", key, key)
    private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    public = key.public_key() if isinstance(key, private) else key
    signs = key if isinstance(key, private) else None
    if isinstance(public, ed25519.Ed25519PublicKey):
        return LoadedKey("EdDSA", signs, public)
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return LoadedKey("ES256", signs, public)
    if isinstance(public, rsa.RSAPublicKey) and public.key_size >= RSA_BITS_MIN:
        return LoadedKey("RS256", signs, public)
    raise InvalidInput(f"a key is Ed25519, P-256, RSA of {RSA_BITS_MIN} bits, or {SECRET_MIN} random bytes")


def _from_pem(pem: bytes | str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    data = pem.encode() if isinstance(pem, str) else pem
    try:
        return load_pem_private_key(data, None) if b"PRIVATE" in data else load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Nothing of what it was goes on: it may be a key.
        raise InvalidInput("cannot read the PEM: it is one private or public key, not encrypted") from None
