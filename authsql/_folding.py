"""Letters that an e-mail cannot have, because the databases and Python do not agree on their lower case.

An address is one whatever its case, by `lower()` in a database and by Python where a code is hashed under it.
MySQL's collations fold the letters of an older Unicode; PostgreSQL takes its system's, which is newer than
some Pythons. A letter of which one of them makes another one than the others do would be found by one
statement and not by the next. U+0130 is worse: a database makes an ASCII i of it, which is another address.

The table is made, and held against both servers and Python for all of Unicode, by tests/sql/test_folding.py.
Small letters are not in it: who has such an address writes it in lower case.
"""

from __future__ import annotations

# Hexadecimal; /2 stands for every other one: a capital letter before each small one.
_TABLE = """
0130 0220 023A-023B 023D-023E 0241-0243/2 0244-0246 0248-024E/2 0370-0372/2 0376 037F 03CF 03D8 03F4
03F7-03F9/2 03FA 03FD-03FF 048A 04C0 04C5 04C9 04CD 04F6 04FA-052E/2 10A0-10C5 10C7 10CD 13A0-13F5
1C89 1C90-1CBA 1CBD-1CBF 1E9E 1EFA-1EFE/2 2132 2183 2C00-2C2F 2C60-2C62/2 2C63-2C64 2C67-2C6D/2
2C6E-2C70 2C72 2C75 2C7E-2C80 2C82-2CE2/2 2CEB-2CED/2 2CF2 A640-A66C/2 A680-A69A/2 A722-A72E/2
A732-A76E/2 A779-A77D/2 A77E-A786/2 A78B-A78D/2 A790-A792/2 A796-A7AA/2 A7AB-A7AE A7B0-A7B4
A7B6-A7C4/2 A7C5-A7C7 A7C9-A7CB/2 A7CC-A7DC/2 A7F5 10400-10427 104B0-104D3 10570-1057A 1057C-1058A
1058C-10592 10594-10595 10C80-10CB2 10D50-10D65 118A0-118BF 16E40-16E5F 16EA0-16EB8 1E900-1E921
"""


def _letters(table: str) -> frozenset[str]:
    found: set[str] = set()
    for word in table.split():
        span, _, step = word.partition("/")
        first, _, last = span.partition("-")
        found.update(map(chr, range(int(first, 16), int(last or first, 16) + 1, int(step or 1))))
    return frozenset(found)


UNLIKE = _letters(_TABLE)
"""The letters. U+212A and U+212B are none of them: Unicode NFC, which comes first, leaves no such letter."""
