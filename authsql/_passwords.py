"""argon2id, and a hash that belongs to nobody so that an unknown account takes as long as a known one."""

from __future__ import annotations

from functools import lru_cache

from argon2 import Parameters, PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from authsql.errors import UnknownHash


# argon2's Parameters cannot be a key of a cache.
@lru_cache(maxsize=8)
def _hasher_of(*parameters: int) -> tuple[PasswordHasher, str]:
    time_cost, memory_cost, parallelism, hash_len, salt_len, kind = parameters
    hasher = PasswordHasher(time_cost, memory_cost, parallelism, hash_len, salt_len, type=Type(kind))
    return hasher, hasher.hash("nobody's password")


def _hasher(p: Parameters) -> tuple[PasswordHasher, str]:
    """A hasher, and the hash that belongs to nobody: made by the first use, whatever that one is for."""
    return _hasher_of(p.time_cost, p.memory_cost, p.parallelism, p.hash_len, p.salt_len, p.type.value)


def hash_password(password: str, parameters: Parameters) -> str:
    """The PHC string of a password, with a salt of its own."""
    return _hasher(parameters)[0].hash(password)


def check(stored: str | None, password: str, parameters: Parameters) -> bool:
    """Whether the password is the stored one. Without a stored one: False, after as much work."""
    hasher, nobodys = _hasher(parameters)
    try:
        hasher.verify(stored or nobodys, password)
    except VerifyMismatchError:
        return False
    except (VerificationError, InvalidHashError):
        raise UnknownHash(UnknownHash.__doc__) from None
    return stored is not None


def is_outdated(stored: str, parameters: Parameters) -> bool:
    """Whether the hash was made with other parameters than these."""
    return extract_parameters(stored) != parameters
