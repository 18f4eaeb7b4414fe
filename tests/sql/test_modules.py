"""sql/modules.toml says of each migration what its file names of the others: no less, and no more."""

from __future__ import annotations

import pytest

from authsql._migration_files import migration_files
from authsql._modules import UnknownModule, build, modules, select
from authsql._statements import DIALECTS, Dialect
from tools.modules import changed, code, missing, named


def test_every_migration_is_listed() -> None:
    """`make modules` adds what is missing."""
    assert not missing()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_file_names_it_needs(dialect: Dialect) -> None:
    table = modules(dialect)
    for name, needs in named(dialect).items():
        assert needs <= table.closure([name]), name


def test_nothing_is_needed_without_reason() -> None:
    """Each need is named in one of the dialects, or changed a table that is."""
    reasons: dict[str, set[str]] = {}
    for dialect in DIALECTS:
        for found in (named(dialect), changed(dialect)):
            for name, needs in found.items():
                reasons.setdefault(name, set()).update(needs)
    for name, listed in modules("postgres").needs.items():
        assert listed <= reasons[name], name


def test_both_dialects_have_the_same_subjects() -> None:
    assert modules("postgres") == modules("mysql")


def test_names_that_are_understood() -> None:
    table = modules("postgres")
    for asked in ("sessions", "session", "auth/session", "auth/sessions", " Sessions "):
        assert table.find(asked) == "sessions"
    assert table.find("auth/refresh-token") == "refresh_tokens"
    assert table.find("identity") == "identities"
    assert table.find("purge") == "purge"
    assert table.named(["auth"]) == {file.name for file in migration_files("postgres")}
    for asked in ("", "sess", "auth/", "auth/auth", "0007.sessions"):
        with pytest.raises(UnknownModule, match="known are auth"):
            table.find(asked)


def test_what_comes_along() -> None:
    assert [file.name for file in select("mysql", ["sessions"])] == [
        "schema_version",
        "users",
        "passwords",
        "sessions",
    ]
    below = {file.name for file in select("mysql", ["refresh_tokens"], dependents=True)}
    assert {"refresh_tokens", "views"} <= below
    assert not below & {"sessions", "users", "roles", "otps"}
    assert select("mysql", []) == migration_files("mysql")
    assert {file.name for file in select("mysql", ["users"], dependents=True)} == {
        file.name for file in migration_files("mysql")
    } - {"schema_version"}


def test_a_table_that_cannot_be() -> None:
    assert build(["a", "b", "c"], {}).needs["c"] == {"a", "b"}
    table = build(["a", "b", "c"], {"b": {"needs": []}, "c": {"needs": ["a"], "subject": "a"}})
    assert table.subjects == {"a": ("a", "c"), "b": ("b",)}
    assert table.closure(["c"]) == {"a", "c"}
    assert table.dependents(["a"]) == {"a", "c"}
    with pytest.raises(ValueError, match="names migrations that there are not"):
        build(["a"], {"b": {"needs": []}})
    with pytest.raises(ValueError, match="can need those before it alone"):
        build(["a", "b"], {"a": {"needs": ["b"]}})


def test_comments_and_descriptions_are_no_code() -> None:
    assert code("-- authsql_a\nSELECT 'it''s -- not' -- authsql_b") == "SELECT 'it''s -- not'"
    assert code("COMMENT ON TABLE authsql_a IS 'authsql_b;'") == ""
    assert "authsql_b" not in code("CREATE TABLE authsql_a (a INT COMMENT 'authsql_b') COMMENT = 'authsql_b'")
