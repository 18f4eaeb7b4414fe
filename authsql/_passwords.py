"""What is stored of a password: argon2id, under a pepper if the policy has one. A hash that came from
elsewhere is checked too, until it is renewed. And there is a hash that belongs to nobody, so that an unknown
account takes as long as a known one.

The database hands out a hash without its digest, the form: it says how to make one to compare with. Whether
they are equal the database says.
"""

from __future__ import annotations

import re
from base64 import b64decode
from functools import lru_cache

from argon2 import Parameters, PasswordHasher, Type, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import hash_secret_raw

from authsql._foreign_hashes import within, write_base64
from authsql._hash_forms import NO_HASH, argon2_of, parse
from authsql.errors import InvalidInput, UnknownHash
from authsql.policy import Policy

LONGEST = 255
_PEPPERED = re.compile(
    r"(?P<scheme>\$argon2(?:id|i|d))-hmac-sha256(?P<costs>\$v=[0-9]+\$[a-z0-9=,]+),key=(?P<key>[A-Za-z0-9.-]{1,32})"
    r"(?P<rest>\$[^$]+\$[^$]+)"
)


# argon2's Parameters cannot be a key of a cache.
@lru_cache(maxsize=8)
def _hasher_of(*parameters: int) -> tuple[PasswordHasher, str]:
    time_cost, memory_cost, parallelism, hash_len, salt_len, kind = parameters
    hasher = PasswordHasher(time_cost, memory_cost, parallelism, hash_len, salt_len, type=Type(kind))
    return hasher, hasher.hash("nobody's password")


def _hasher(p: Parameters) -> tuple[PasswordHasher, str]:
    """A hasher, and the hash that belongs to nobody: made by the first use, whatever that one is for."""
    return _hasher_of(p.time_cost, p.memory_cost, p.parallelism, p.hash_len, p.salt_len, p.type.value)


def hash_password(password: str, policy: Policy) -> str:
    """The string that is stored for a password, with a salt of its own."""
    name = _current(policy)
    made = _hasher(policy.argon2)[0].hash(_peppered(password, name, policy))
    if name is None:
        return made
    scheme, version, costs, salt, digest = made.split("$")[1:]
    return f"${scheme}-hmac-sha256${version}${costs},key={name}${salt}${digest}"


def candidate(form: str | None, password: str, policy: Policy) -> str:
    """What is stored of the password, if it is the one that was hashed in this form. Without a form: what
    nobody's is, after as much work.
    """
    _, nobodys = _hasher(policy.argon2)
    name, plain = (_current(policy), nobodys) if form is None else _split(form)
    try:
        if form is not None and (foreign := parse(form)):
            made = foreign.hashed(password.encode())
            if not foreign.stored.startswith(form[: -len(made)]):
                # As passlib wrote it: a DBA copied it, instead of importing it.
                made = made.replace("+", ".")
        else:
            made = _argon2(plain, _peppered(password, name, policy))
    except (Argon2Error, InvalidHashError, ValueError):
        raise UnknownHash(UnknownHash.__doc__) from None
    # All but the digest is the form's, in the very spelling that is stored.
    return (form or nobodys)[: -len(made)] + made


def _argon2(form: str, password: str) -> str:
    """The digest of a password, as text."""
    p = extract_parameters(form)
    salt = form.split("$")[-2]
    made = hash_secret_raw(
        password.encode(),
        b64decode(salt + "=" * (-len(salt) % 4)),
        p.time_cost,
        p.memory_cost,
        p.parallelism,
        p.hash_len,
        p.type,
        # Hashes of argon2 1.0 do not name their version; argon2-cffi takes them for another.
        p.version if "$v=" in form else 16,
    )
    return write_base64(made)


def is_outdated(form: str, policy: Policy) -> bool:
    """Whether the hash is another one than would be made now: of other parameters, under another pepper."""
    name, plain = _split(form)
    if name != _current(policy) or not plain.startswith("$argon2"):
        return True
    return extract_parameters(plain) != policy.argon2


def imported(hashed: object, policy: Policy) -> str:
    """The string that is stored for a hash from elsewhere. Raises InvalidInput."""
    if not isinstance(hashed, str) or len(hashed) > 2 * LONGEST:
        raise InvalidInput(NO_HASH)
    name, plain = _split(hashed)
    if name is not None:
        if policy.pepper is None or name not in policy.pepper:
            raise InvalidInput("the hash is not taken: it is under a pepper key that Policy.pepper lacks")
        argon2_of(plain, policy.argon2)
        found = hashed
    elif foreign := parse(hashed):
        found = foreign.stored
    else:
        found = argon2_of(hashed, policy.argon2)
    # The column's limit. MySQL would cut it.
    within("its number of characters", len(found), 20, LONGEST)
    return found


def _current(policy: Policy) -> str | None:
    return policy.pepper.current if policy.pepper else None


def _split(stored: str) -> tuple[str | None, str]:
    """The name of the pepper key, if there is one, and the hash as argon2 knows it."""
    found = _PEPPERED.fullmatch(stored)
    return (found["key"], f"{found['scheme']}{found['costs']}{found['rest']}") if found else (None, stored)


def _peppered(password: str, name: str | None, policy: Policy) -> str:
    """What argon2 is given for a password."""
    if name is None:
        return password
    if policy.pepper is None or name not in policy.pepper:
        raise UnknownHash(
            f"The stored password hash is under the pepper key {name}, which Policy.pepper lacks."
        )
    return policy.pepper.apply(name, password)
