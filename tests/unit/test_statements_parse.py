"""The loader of query files."""

from __future__ import annotations

import pytest

from authsql._statements import DIALECTS, parse, sql_root, statements

SOURCE = """-- About the file.

-- name: get
-- What it does.
SELECT a
FROM t
-- Inside.
WHERE b = %(b)s AND c = %(c)s AND d = %(b)s;

-- About the next one.

-- name: drop
-- What that does.
DELETE FROM t;
"""


def test_names_and_texts() -> None:
    found = parse("things", SOURCE)
    assert list(found) == ["things.get", "things.drop"]
    get = found["things.get"]
    assert get.name == "things.get"
    assert get.text.startswith("SELECT a\nFROM t\n-- Inside.")
    assert get.text.endswith("d = %(b)s")
    assert found["things.drop"].text == "DELETE FROM t"


def test_parameters_in_their_order() -> None:
    get = parse("things", SOURCE)["things.get"]
    assert get.parameters == ("b", "c", "b")
    assert get.native.endswith("WHERE b = ? AND c = ? AND d = ?")


def test_a_file_without_statements() -> None:
    assert parse("things", "-- Nothing yet.\n") == {}


def test_a_name_twice() -> None:
    with pytest.raises(ValueError, match=r"things\.get is there twice"):
        parse("things", "-- name: get\nSELECT 1;\n-- name: get\nSELECT 2;\n")


@pytest.mark.parametrize("body", ["", "-- Only a comment.\n", ";\n"])
def test_a_name_without_a_text(body: str) -> None:
    with pytest.raises(ValueError, match=r"things\.get has no text"):
        parse("things", f"-- name: get\n{body}-- name: other\nSELECT 1;\n")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_files_are_read_once(dialect: str) -> None:
    for each in DIALECTS:
        if each == dialect:
            assert statements(each) is statements(each)
            assert len(statements(each)) > 40
            assert (sql_root() / each / "queries").is_dir()
