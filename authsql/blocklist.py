"""Passwords that nobody may choose: those that are tried first (ASVS 6.2.4, 6.2.11; NIST SP 800-63B-4,
3.1.1.2).

A list is given as `Policy.password_blocklist`, and asked where a password is chosen: `passwords.set`,
`passwords.change`. It is never asked at a sign-in. Passwords are compared as a whole, whatever their case.
"""

from __future__ import annotations

import os
import string
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import final

from authsql.errors import InvalidInput

# What is put around a word to make a password of it.
_AROUND = string.digits + string.punctuation + string.whitespace
_CORE_MIN = 3


@final
class Blocklist:
    """A set of passwords that are refused. Two of them are joined by `|`, which copies neither."""

    __slots__ = ("_cores", "_words")

    def __init__(self) -> None:
        self._words: tuple[frozenset[str], ...] = ()
        self._cores: tuple[frozenset[str], ...] = ()

    @classmethod
    def _made(cls, words: tuple[frozenset[str], ...], cores: tuple[frozenset[str], ...] = ()) -> Blocklist:
        made = cls()
        made._words = words
        made._cores = cores
        return made

    @classmethod
    def common(cls) -> Blocklist:
        """The 30,000 most common passwords of the package zxcvbn. Some 11,600 of them have 8 characters or
        more, but 31 have 15: for such a minimum bring a list of your own. Needs the extra `passwords`.
        """
        return cls._made((_common(),))

    @classmethod
    def of(cls, words: Iterable[str]) -> Blocklist:
        """These passwords."""
        return cls._made((_folded(words),))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Blocklist:
        """A file with a password on each line, in UTF-8; lines that are not are left out. All of it is held
        in memory, at about 100 bytes a line.
        """
        with Path(path).open("rb") as lines:
            return cls._made((_folded(_decoded(lines)),))

    @classmethod
    def context(cls, *words: str) -> Blocklist:
        """Names that are known to whoever guesses, and what is easily made of them: `acme` also refuses
        `Acme2026!`. Digits, punctuation and spaces at both ends do not count. Of an e-mail the part before
        the @ is a name too.
        """
        if not all(isinstance(word, str) for word in words):
            raise InvalidInput("a word of a blocklist is a string")
        names = _folded([*words, *(word.rpartition("@")[0] for word in words)])
        cores = frozenset(core for core in map(_core, names) if len(core) >= _CORE_MIN)
        return cls._made((names,), (cores,))

    def __or__(self, other: Blocklist) -> Blocklist:
        if not isinstance(other, Blocklist):
            return NotImplemented
        return Blocklist._made(self._words + other._words, self._cores + other._cores)

    def __contains__(self, password: object) -> bool:
        if not isinstance(password, str):
            return False
        folded = _fold(password)
        core = _core(folded)
        return any(folded in words for words in self._words) or any(core in cores for cores in self._cores)

    def __repr__(self) -> str:
        return f"Blocklist({sum(map(len, self._words))} words)"


def _fold(word: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).casefold())


def _core(folded: str) -> str:
    return folded.strip(_AROUND)


def _folded(words: Iterable[str]) -> frozenset[str]:
    if isinstance(words, str):
        raise InvalidInput("the words of a blocklist are several strings, not one")
    found = set()
    for word in words:
        if not isinstance(word, str):
            raise InvalidInput("a word of a blocklist is a string")
        found.add(_fold(word))
    return frozenset(found - {""})


def _decoded(lines: Iterable[bytes]) -> Iterable[str]:
    for line in lines:
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            continue


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    try:
        from zxcvbn.frequency_lists import FREQUENCY_LISTS
    except ImportError:
        raise ImportError("Blocklist.common needs the extra `passwords`: authsql[passwords]") from None
    return _folded(FREQUENCY_LISTS["passwords"])
