"""Codes of TOTP (RFC 6238): six digits of HMAC-SHA-1, anew every 30 seconds. No I/O.

These are the numbers that every authenticator app knows; some take no others.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from urllib.parse import quote, urlencode

DIGITS = 6
PERIOD = 30
SECRET_BYTES = 20  # 160 bits, as RFC 4226 recommends; ASVS and NIST ask for 112


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one step, which is the number of the 30 seconds since 1970."""
    # Whoever has a secret has a keyring, and so the extra.
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.hotp import HOTP

    # HMAC-SHA-1 does not suffer from collisions of SHA-1, and is what the apps use.
    return HOTP(secret, digits, SHA1()).generate(step).decode()  # noqa: S303


def matching_step(secret: bytes, code: str, step: int, drift: int, last_step: int | None) -> int | None:
    """The step whose code this is, of those at most drift steps away: one that is not spent, if any is."""
    steps = [
        each
        for each in range(step - drift, step + drift + 1)
        if hmac.compare_digest(code_at(secret, each), code)
    ]
    unspent = [each for each in steps if last_step is None or each > last_step]
    return next(iter(unspent + steps), None)


def text_of(secret: bytes) -> str:
    """As it is typed into an app: base32, which 20 bytes fill without padding."""
    return base64.b32encode(secret).decode()


def uri(secret: bytes, issuer: str, account: str) -> str:
    """What the QR code holds. Not made by cryptography, which writes a space as +: some apps show that."""
    values = {
        "secret": text_of(secret),
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": DIGITS,
        "period": PERIOD,
    }
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    return f"otpauth://totp/{label}?{urlencode(values, quote_via=quote)}"
