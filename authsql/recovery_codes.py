"""Recovery codes: what a user writes down, to get in once by each without the other factors (NIST SP
800-63B-4, 3.1.2, 4.2.1.1).

A code has 120 random bits: guesses need not be counted, and a plain hash would do (ASVS 6.5.2: from 112 bits
on). It is stored as an HMAC under a key that is not in the database, bound to its user.
"""

from __future__ import annotations

import json
import secrets
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps, operation
from authsql._tokens import code_digest
from authsql.errors import InvalidInput
from authsql.models import Reason, RecoveryCodes, Refusal, VerifiedRecoveryCode

# Crockford's base32: digits, and letters without I, L, O and U, which are read as digits if they are typed.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHARACTERS, GROUP = 24, 4
_SPELLED = str.maketrans({"I": "1", "L": "1", "O": "0", "-": None, " ": None})


@operation()
def regenerate(user_id: UUID, *, key: bytes, count: int = 10) -> Steps[RecoveryCodes | Refusal]:
    """Make count codes for a live account, 1 to 100, in place of those that it has. Returned once, and stored
    nowhere: show them to be printed or saved.

    key is at least 32 random bytes that are kept outside the database; with another key the codes are wrong,
    so a new key takes new codes. Refused: UNKNOWN (no such live account).
    """
    secret = _input.key(key)
    owner = _input.uuid("user_id", user_id)
    number = _input.integer("count", count, 1, 100)
    codes = tuple("".join(secrets.choice(ALPHABET) for _ in range(CHARACTERS)) for _ in range(number))
    hashes = json.dumps([_digest(secret, owner, code).hex() for code in codes])
    result = yield Query("recovery_codes.regenerate", {"user_id": owner, "hashes": hashes}, atomic=True)
    # PostgreSQL's function says how many it inserted, MySQL's statement itself counts.
    if not (result.row["inserted"] if result.row else result.count):
        return Refusal(Reason.UNKNOWN)
    return RecoveryCodes(
        tuple("-".join(code[at : at + GROUP] for at in range(0, CHARACTERS, GROUP)) for code in codes)
    )


@operation(counted=True)
def verify(user_id: UUID, code: str, *, key: bytes) -> Steps[VerifiedRecoveryCode | Refusal]:
    """Check a code and spend it. Of callers with the right code at the same time one gets it (ASVS 6.5.1).

    Case, spaces and dashes do not matter, nor I or L for 1 and O for 0. Tell the user that a code was used,
    and to make new ones when few remain (NIST SP 800-63B-4, 4.2.3). Refused: WRONG (also for an unknown
    account; not counted), SPENT, MALFORMED. What is spent stays spent when the caller rolls back, so this
    raises TransactionOpen in an open transaction.
    """
    secret = _input.key(key)
    owner = _input.uuid("user_id", user_id)
    if not isinstance(code, str):
        raise InvalidInput("code is a string")
    plain = code.upper().translate(_SPELLED) if len(code) <= 100 and code.isascii() else ""
    if len(plain) != CHARACTERS or set(plain) - set(ALPHABET):
        return Refusal(Reason.MALFORMED)
    parameters = {"user_id": owner, "code_hash": _digest(secret, owner, plain)}
    row = (yield Query("recovery_codes.verify", parameters)).row
    if row is None:
        return Refusal(Reason.WRONG)
    if row["state"] != "verified":
        return Refusal(Reason(row["state"]))
    return VerifiedRecoveryCode(owner, row["remaining"])


@operation()
def remaining(user_id: UUID) -> Steps[int]:
    """How many codes of a user can still be used."""
    row = (yield Query("recovery_codes.remaining", {"user_id": _input.uuid("user_id", user_id)})).row
    count: int = row["remaining"] if row else 0
    return count


def _digest(key: bytes, owner: UUID, code: str) -> bytes:
    return code_digest(key, "recovery-code", str(owner), code)
