"""Password hashes that other systems made: bounded, checked, and written in the one form that is stored.

That form begins with `$`: bcrypt's own, and PHC strings of scrypt and PBKDF2. What somebody may have put
into a list of hashes must not cost hours or gigabytes: costs are bounded wherever a hash is read, when it is
imported and when it is checked.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from authsql.errors import InvalidInput

MEMORY_MAX = 2**30  # bytes; what libsodium calls sensitive
BCRYPT_COST = (4, 16)
SCRYPT_LOG_N = (10, 30)
SCRYPT_WORK_MAX = 2**24  # N * r * p
PBKDF2_ITERATIONS = (1_000, 10_000_000)
SALT_BYTES = (4, 64)
DIGEST_BYTES = (16, 64)

_BCRYPT_ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@final
@dataclass(frozen=True, slots=True)
class Bcrypt:
    """bcrypt, which goes by the first 72 bytes of a password."""

    version: str
    cost: int
    body: str = field(repr=False)
    """Salt and digest, in an alphabet of its own."""

    def __post_init__(self) -> None:
        within("bcrypt's cost", self.cost, *BCRYPT_COST)
        _bcrypt()

    @property
    def stored(self) -> str:
        # 22 characters of salt hold 4 bits more than its 128, those of the digest 2 more than its 184. Some
        # libraries leave them set; the one that checks wants zeros.
        salt, digest = self.body[:22], self.body[22:]
        body = salt[:-1] + _masked(salt[-1], 0b110000) + digest[:-1] + _masked(digest[-1], 0b111100)
        return f"${self.version}${self.cost:02}${body}"

    def hashed(self, password: bytes) -> str:
        """The digest of a password with this salt, as it is stored."""
        # Cut as the system cut it that made the hash: bcrypt 5 raises instead.
        made: bytes = _bcrypt().hashpw(password[:72], self.stored.encode())
        return made[-31:].decode()


@final
@dataclass(frozen=True, slots=True)
class Scrypt:
    log_n: int
    r: int
    p: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def __post_init__(self) -> None:
        within("scrypt's N, as a power of 2,", self.log_n, *SCRYPT_LOG_N)
        within(
            "scrypt's N, as a power of 2 for its r,", self.log_n, 1, 16 * self.r - 1
        )  # RFC 7914, section 2
        within("scrypt's memory", 128 * self.r << self.log_n, 1, MEMORY_MAX)
        within("scrypt's N * r * p", self.r * self.p << self.log_n, 1, SCRYPT_WORK_MAX)
        _check_lengths(self.salt, self.digest)

    @property
    def stored(self) -> str:
        costs = f"ln={self.log_n},r={self.r},p={self.p}"
        return f"$scrypt${costs}${write_base64(self.salt)}${write_base64(self.digest)}"

    def hashed(self, password: bytes) -> str:
        """The digest of a password with this salt, as it is stored."""
        n, r, p = 2**self.log_n, self.r, self.p
        memory = 128 * r * (n + p + 3)  # OpenSSL counts what is around N * r too
        made = hashlib.scrypt(password, salt=self.salt, n=n, r=r, p=p, maxmem=memory, dklen=len(self.digest))
        return write_base64(made)


@final
@dataclass(frozen=True, slots=True)
class Pbkdf2:
    algorithm: str
    iterations: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def __post_init__(self) -> None:
        within("PBKDF2's iterations", self.iterations, *PBKDF2_ITERATIONS)
        _check_lengths(self.salt, self.digest)

    @property
    def stored(self) -> str:
        costs = f"i={self.iterations},l={len(self.digest)}"
        return f"$pbkdf2-{self.algorithm}${costs}${write_base64(self.salt)}${write_base64(self.digest)}"

    def hashed(self, password: bytes) -> str:
        """The digest of a password with this salt, as it is stored."""
        made = hashlib.pbkdf2_hmac(self.algorithm, password, self.salt, self.iterations, len(self.digest))
        return write_base64(made)


ForeignHash: TypeAlias = Bcrypt | Scrypt | Pbkdf2


def within(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"the hash is not taken: {what} is {least} to {most}")


def write_base64(value: bytes) -> str:
    """Base64 as in a PHC string: without padding."""
    return base64.b64encode(value).decode().rstrip("=")


def _check_lengths(salt: bytes, digest: bytes) -> None:
    within("the number of bytes of its salt", len(salt), *SALT_BYTES)
    within("the number of bytes of its digest", len(digest), *DIGEST_BYTES)


def _masked(character: str, kept: int) -> str:
    return _BCRYPT_ALPHABET[_BCRYPT_ALPHABET.index(character) & kept]


def _bcrypt() -> Any:
    try:
        import bcrypt
    except ImportError:
        raise ImportError("a bcrypt hash needs the extra `passwords`: authsql[passwords]") from None
    return bcrypt
