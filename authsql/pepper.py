"""A pepper: a key that passwords are hashed under, and that is never in the database (NIST SP 800-63B-4,
3.1.1.2: a keyed hash, its key stored apart). Who has a copy of the database but not the key cannot try a
single guess.

The password's HMAC-SHA-256 under the key, in base64, is what argon2id hashes. The stored string names the
key: `$argon2id-hmac-sha256$v=19$m=65536,t=3,p=4,key=2026$salt$hash`. It is a PHC string with a name of its
own: other software would take one that begins with `$argon2id$` for a hash of the password itself, and find
each password wrong.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from typing import final

from authsql.errors import InvalidInput

KEY_BYTES = 32
# What the value of a parameter in a PHC string may hold, but for / and +.
_NAME = re.compile(r"[A-Za-z0-9.-]{1,32}")


@final
class Pepper:
    """Keys by name, of which one is current: `Policy(pepper=Pepper({"2026": key}, "2026"))`. A key is at
    least 32 random bytes: `secrets.token_bytes(32)`. A lost key means a new password for everybody who has a
    hash under it.

    To rotate: add a key everywhere, then make it current. A hash under another key, or under none, is renewed
    when its password is next verified. With None as current it is renewed without a pepper, which is the way
    back. Names are stored with the hashes, and are no secrets.
    """

    __slots__ = ("_current", "_keys")

    def __init__(self, keys: Mapping[str, bytes], current: str | None) -> None:
        if not isinstance(keys, Mapping):
            raise InvalidInput("the keys of a pepper are a mapping of names to bytes")
        for name, key in keys.items():
            _check(name, key)
        if current is not None and current not in list(keys):
            raise InvalidInput("current is the name of one of the keys, or None")
        self._keys = dict(keys)
        self._current = current

    def __repr__(self) -> str:
        return f"Pepper({', '.join(sorted(self._keys))}; current {self._current})"

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    @property
    def current(self) -> str | None:
        """Name of the key that new hashes are made under, or None if they are made without one."""
        return self._current

    def apply(self, name: str, password: str) -> str:
        """What argon2id hashes in the password's place: its HMAC under the key of that name, as base64."""
        return base64.b64encode(hmac.digest(self._keys[name], password.encode(), "sha256")).decode()


def _check(name: object, key: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput("a pepper key's name is 1 to 32 ASCII letters, digits, . and -")
    if not isinstance(key, bytes) or len(key) < KEY_BYTES:
        raise InvalidInput(f"a pepper key is at least {KEY_BYTES} random bytes, kept outside the database")
