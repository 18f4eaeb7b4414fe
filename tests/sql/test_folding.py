"""The lower case of every letter that an e-mail can have is the same in both databases and in Python."""

from __future__ import annotations

import json
import unicodedata

import pytest

from authsql import InvalidInput, _input
from authsql._folding import UNLIKE
from tests.servers import Database, SyncConnection
from tests.support import Sql

# Without surrogates, and without control characters, which an e-mail cannot have.
LETTERS = [
    chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF and unicodedata.category(chr(c)) != "Cc"
]
CHUNK = 5000


def lower(sql: Sql, letters: list[str]) -> list[str]:
    """Fold letters as the statements of authsql do."""
    if sql.is_mysql:
        statement = (
            "SELECT LOWER(CONVERT(t.c USING utf8mb4) COLLATE utf8mb4_bin) FROM JSON_TABLE(%s, '$[*]' COLUMNS"
            " (n FOR ORDINALITY, c VARCHAR(2) CHARACTER SET utf8mb4 PATH '$')) AS t ORDER BY t.n"
        )
    else:
        statement = (
            "SELECT lower(t.c) FROM jsonb_array_elements_text(%s::jsonb) WITH ORDINALITY AS t (c, n)"
            " ORDER BY t.n"
        )
    return [row[0] for row in sql(statement, json.dumps(letters))]


def test_every_letter_that_is_taken_is_folded_alike(conn: SyncConnection, database: Database) -> None:
    """Where this finds letters, a server or Python has learnt them: they go into the table."""
    sql = Sql(database, conn)
    taken = [letter for letter in LETTERS if letter not in UNLIKE]
    found: list[str] = []
    for at in range(0, len(taken), CHUNK):
        chunk = taken[at : at + CHUNK]
        folded = lower(sql, chunk)
        assert len(folded) == len(chunk)
        found += [
            f"U+{ord(letter):04X}"
            for letter, theirs in zip(chunk, folded, strict=True)
            # NFC leaves no letter that it takes for another one.
            if theirs != letter.lower() and unicodedata.is_normalized("NFC", letter)
        ]
    assert found == []


@pytest.mark.only("mysql")
def test_no_letter_is_refused_for_nothing(conn: SyncConnection, database: Database) -> None:
    """MySQL knows none of them, and the others do, or will with a newer Unicode."""
    sql = Sql(database, conn)
    letters = sorted(UNLIKE - {"\u0130"})
    assert lower(sql, letters) == letters
    known = [letter for letter in letters if letter.lower() != letter]
    assert all(unicodedata.category(letter) == "Cn" for letter in set(letters) - set(known))
    assert len(known) > 700


def test_what_is_refused() -> None:
    for letter in sorted(UNLIKE):
        for take in (_input.email, _input.subject):
            with pytest.raises(InvalidInput, match="lower case"):
                take(f"{letter}x@x.org")
        # Whatever is no address is folded in one place only.
        assert _input.subject(letter)
        small = letter.lower()
        if small != letter and small[0] != "i":
            assert _input.email(f"{small}@x.org")
