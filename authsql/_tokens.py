"""Tokens and codes: how they are made, read and hashed. No I/O, and nothing here ends up in an error message.

A token is `prefix_` and base64url of the row's id and of 32-byte secrets, without padding. The row keeps
SHA-256 of a secret, which is enough for 256 random bits (ASVS 6.5.2). A code has few digits: it is stored as
HMAC-SHA-256 under a key that never enters the database.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from uuid import UUID

SECRET_BYTES = 32
SESSION_PREFIX = "sess_"
REFRESH_PREFIX = "rfsh_"
LINK_PREFIX = "link_"
DEVICE_PREFIX = "devc_"

_SEAL_LABEL = b"authsql refresh token seal v1"


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def digest(secret: bytes) -> bytes:
    """What the database keeps of a secret."""
    return hashlib.sha256(secret).digest()


def name_digest(what: str, *names: str) -> bytes:
    """What the database keeps of a name that may be long, or personal. Each part is preceded by its length:
    no two cases are alike.
    """
    parts = [part.encode("utf-8", "surrogatepass") for part in (what, *names)]
    return hashlib.sha256(b"".join(len(part).to_bytes(4) + part for part in parts)).digest()


def write(prefix: str, row_id: UUID, *parts: bytes) -> str:
    raw = row_id.bytes + b"".join(parts)
    return prefix + base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def read(prefix: str, token: object, parts: int) -> tuple[UUID, list[bytes]] | None:
    """Take a token apart, or None if it cannot be one of ours: one spelling of a token is accepted, not
    several.
    """
    length = 16 + parts * SECRET_BYTES
    if not isinstance(token, str) or len(token) != len(prefix) + (length * 4 + 2) // 3:
        return None
    try:
        body = token.removeprefix(prefix).encode("ascii")
        raw = base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4))
    except ValueError:
        return None
    if len(raw) != length:
        return None
    row_id = UUID(bytes=raw[:16])
    secrets_ = [raw[at : at + SECRET_BYTES] for at in range(16, length, SECRET_BYTES)]
    return (row_id, secrets_) if write(prefix, row_id, *secrets_) == token else None


def seal(successor: bytes, predecessor: bytes) -> bytes:
    """Wrap a secret so that only who holds the one before it can open it. Its own inverse."""
    mask = hmac.digest(predecessor, _SEAL_LABEL, "sha256")
    return bytes(a ^ b for a, b in zip(successor, mask, strict=True))


def new_code(digits: int) -> str:
    return f"{secrets.randbelow(10**digits):0{digits}d}"


def code_digest(key: bytes, purpose: str, subject: str, code: str) -> bytes:
    """HMAC of a code, bound to its purpose and subject. Each part is preceded by its length: no two cases are
    alike.
    """
    parts = [b"authsql code v1", purpose.encode(), subject.encode(), code.encode()]
    return hmac.digest(key, b"".join(len(part).to_bytes(4) + part for part in parts), "sha256")
