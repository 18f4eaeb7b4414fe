"""The strings in which other systems write password hashes, and how they are read."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from argon2 import Parameters

from authsql._foreign_hashes import MEMORY_MAX, Bcrypt, ForeignHash, Pbkdf2, Scrypt, within, write_base64
from authsql.errors import InvalidInput

NO_HASH = (
    "the hash is not taken: it is bcrypt, scrypt, PBKDF2 (with SHA-256 or SHA-512) or argon2, as a library"
    " writes it; of plain text and fast hashes (MD5, SHA-1, SHA-256) let the owners choose a new password"
)
ARGON2_WORK_MAX = 2**22  # KiB * passes
ARGON2_LANES_MAX = 64

_N = r"[1-9][0-9]{0,9}"
_SHA2 = r"(?P<algorithm>sha256|sha512)"
# Salts and digests: base64 with and without padding, passlib's variant, hexadecimal, and text as it is.
_B64 = r"[A-Za-z0-9+/]+"
_PADDED = r"[A-Za-z0-9+/]+={0,2}"
_ADAPTED = r"[A-Za-z0-9./]+"
_HEX = r"(?:[0-9A-Fa-f]{2})+"
_TEXT = r"[!-#%-~]+"

_BCRYPT = re.compile(r"(?:bcrypt\$)?\$(?P<version>2[aby])\$(?P<cost>[0-9]{2})\$(?P<body>[A-Za-z0-9./]{53})")
_ARGON2 = re.compile(
    r"(?:argon2)?(?P<phc>\$argon2(?:id|i|d)(?:\$v=(?:16|19))?"
    rf"\$m=(?P<m>{_N}),t=(?P<t>{_N}),p=(?P<p>{_N})\$(?P<salt>{_B64})\$(?P<digest>{_B64}))"
)


def parse(text: str) -> ForeignHash | None:
    """The hash that a string holds, or None if it has none of the forms. Raises InvalidInput for one that is
    out of bounds, ImportError for bcrypt without the extra `passwords`.
    """
    if found := _BCRYPT.fullmatch(text):
        return Bcrypt(found["version"], int(found["cost"]), found["body"])
    for form in _FORMS:
        if found := form.pattern.fullmatch(text):
            salt, digest = form.read_salt(found["salt"]), form.read_digest(found["digest"])
            return form.make(found.groupdict(), salt, digest)
    return None


def argon2_of(text: str, own: Parameters) -> str:
    """The argon2 hash that a string holds, by itself or as Django writes it. Raises InvalidInput for what is
    none, and for one that is out of bounds. What the policy's own parameters cost is within them.
    """
    found = _ARGON2.fullmatch(text)
    if found is None:
        raise InvalidInput(NO_HASH)
    memory, passes, lanes = (int(found[name]) for name in ("m", "t", "p"))
    within("argon2's p", lanes, 1, max(ARGON2_LANES_MAX, own.parallelism))
    within("argon2's m", memory, 8 * lanes, max(MEMORY_MAX // 1024, own.memory_cost))
    within("argon2's m * t", memory * passes, 1, max(ARGON2_WORK_MAX, own.memory_cost * own.time_cost))
    within("the number of bytes of argon2's salt", len(_plain(found["salt"])), 8, 64)
    within("the number of bytes of argon2's digest", len(_plain(found["digest"])), 12, 64)
    return found["phc"]


def _scrypt(found: Mapping[str, str], salt: bytes, digest: bytes) -> Scrypt:
    if "ln" in found:
        log_n = int(found["ln"])
    else:
        log_n = int(found["n"]).bit_length() - 1
        if int(found["n"]) != 2**log_n:
            raise InvalidInput(NO_HASH)
    return Scrypt(log_n, int(found["r"]), int(found["p"]), salt, digest)


def _pbkdf2(found: Mapping[str, str], salt: bytes, digest: bytes) -> Pbkdf2:
    if int(found.get("l") or len(digest)) != len(digest):
        raise InvalidInput(NO_HASH)
    return Pbkdf2(found["algorithm"], int(found["i"]), salt, digest)


def _plain(text: str) -> bytes:
    # Of the spellings of a value, the one that is written is taken.
    if len(text) % 4 != 1:
        value = base64.b64decode(text + "=" * (-len(text) % 4))
        if write_base64(value) == text:
            return value
    raise InvalidInput(NO_HASH)


def _padded(text: str) -> bytes:
    return _plain(text.rstrip("="))


def _adapted(text: str) -> bytes:
    return _plain(text.replace(".", "+"))


@dataclass(frozen=True, slots=True)
class _Form:
    pattern: re.Pattern[str]
    make: Callable[[Mapping[str, str], bytes, bytes], ForeignHash]
    read_salt: Callable[[str], bytes]
    read_digest: Callable[[str], bytes]


_FORMS = (
    # PHC strings, which is what is stored. passlib writes scrypt so.
    _Form(
        re.compile(
            rf"\$scrypt\$ln=(?P<ln>{_N}),r=(?P<r>{_N}),p=(?P<p>{_N})\$(?P<salt>{_B64})\$(?P<digest>{_B64})"
        ),
        _scrypt,
        _plain,
        _plain,
    ),
    _Form(
        re.compile(
            rf"\$pbkdf2-{_SHA2}\$i=(?P<i>{_N})(?:,l=(?P<l>{_N}))?\$(?P<salt>{_B64})\$(?P<digest>{_B64})"
        ),
        _pbkdf2,
        _plain,
        _plain,
    ),
    # passlib.
    _Form(
        re.compile(rf"\$pbkdf2-{_SHA2}\$(?P<i>{_N})\$(?P<salt>{_ADAPTED})\$(?P<digest>{_ADAPTED})"),
        _pbkdf2,
        _adapted,
        _adapted,
    ),
    # werkzeug, and what is made of the output of Node's crypto.scrypt.
    _Form(
        re.compile(rf"scrypt:(?P<n>{_N}):(?P<r>{_N}):(?P<p>{_N})\$(?P<salt>{_TEXT})\$(?P<digest>{_HEX})"),
        _scrypt,
        str.encode,
        bytes.fromhex,
    ),
    _Form(
        re.compile(rf"pbkdf2:{_SHA2}:(?P<i>{_N})\$(?P<salt>{_TEXT})\$(?P<digest>{_HEX})"),
        _pbkdf2,
        str.encode,
        bytes.fromhex,
    ),
    # Django.
    _Form(
        re.compile(
            rf"scrypt\$(?P<n>{_N})\$(?P<salt>{_TEXT})\$(?P<r>{_N})\$(?P<p>{_N})\$(?P<digest>{_PADDED})"
        ),
        _scrypt,
        str.encode,
        _padded,
    ),
    _Form(
        re.compile(rf"pbkdf2_{_SHA2}\$(?P<i>{_N})\$(?P<salt>{_TEXT})\$(?P<digest>{_PADDED})"),
        _pbkdf2,
        str.encode,
        _padded,
    ),
)
