"""Rights as statements: those of optional/roles.sql, and what SHOW GRANTS of MySQL tells."""

from __future__ import annotations

import pytest

from authsql._mysql_grants import account_rights, database_rights, everywhere
from authsql._rights import DATABASE, WHOLE, minus, of_role, parse, plus, told
from authsql._statements import DIALECTS, Dialect

ROLES = """
-- GRANT DELETE ON not_this TO a;
DO $$ BEGIN EXECUTE 'GRANT USAGE ON SCHEMA x TO a'; END $$;
GRANT
SELECT (
    id, name
),
INSERT, UPDATE (name), DELETE
ON t, u TO a, b;
GRANT SELECT (size) ON t TO a;  -- and one more
GRANT SELECT ON TABLE u TO b;
GRANT EXECUTE ON FUNCTION f(uuid), g(text, bytea) TO a;
GRANT EXECUTE ON PROCEDURE p TO a;
"""


def columns(*names: str) -> frozenset[str]:
    return frozenset(names)


def test_roles() -> None:
    found = parse(ROLES)
    assert found["a"] == {
        ("t", "SELECT"): columns("id", "name", "size"),
        ("u", "SELECT"): columns("id", "name"),
        **{(name, "UPDATE"): columns("name") for name in "tu"},
        **{(name, verb): WHOLE for name in "tu" for verb in ("INSERT", "DELETE")},
        **{(f"{name}()", "EXECUTE"): WHOLE for name in "fgp"},
    }
    assert found["b"]["u", "SELECT"] == WHOLE
    assert found.keys() == {"a", "b"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_roles_of_this_version(dialect: Dialect) -> None:
    """Every GRANT of the file is read, those within DO aside."""
    app, reader = of_role(dialect, "authsql_app"), of_role(dialect, "authsql_reader")
    assert app["authsql_audit_log", "UPDATE"] == columns("ip", "user_agent", "detail")
    assert app["authsql_password_matches()", "EXECUTE"] == WHOLE
    assert {verb for _, verb in app} == {"SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE"}
    assert {verb for _, verb in reader} == {"SELECT"}
    assert all(name.startswith("authsql_") for name, _ in (*app, *reader))
    assert "hash" not in {column for those in plus(app, reader).values() for column in those}


def test_differences() -> None:
    known = {"t": {"id", "name", "hash"}}
    some = {("t", "SELECT"): columns("id", "name")}
    whole = {("t", "SELECT"): WHOLE}
    assert minus(whole, some, known) == {("t", "SELECT"): columns("hash")}
    assert minus(some, whole, known) == {}
    assert minus(whole, {("t", "SELECT"): columns("id", "name", "hash")}, known) == {}
    assert minus(whole, {}, known) == whole
    # Of what is not known one cannot say that it is all.
    assert minus(whole, some, {}) == whole
    assert plus(some, {("t", "SELECT"): columns("hash"), ("u", "DELETE"): WHOLE}) == {
        ("t", "SELECT"): columns("id", "name", "hash"),
        ("u", "DELETE"): WHOLE,
    }


def test_words() -> None:
    rights = {
        ("u", "DELETE"): WHOLE,
        ("u", "SELECT"): columns("b", "a"),
        ("t", "TRUNCATE"): WHOLE,
        ("s", "TRUNCATE"): WHOLE,
    }
    assert told(rights) == "TRUNCATE on s, t; SELECT (a, b), DELETE on u"


def test_rights_on_a_database() -> None:
    texts = [
        "GRANT USAGE ON *.* TO `a`@`%`",
        r"GRANT SELECT, INSERT, CREATE VIEW ON `my\_app`.* TO `a`@`%`",
        "GRANT DELETE ON `other`.* TO `a`@`%`",
        "GRANT EVENT ON `my%`.* TO `a`@`%`",
        "GRANT UPDATE (`name`, `email`), TRIGGER ON `my_app`.`t` TO `a`@`%`",
        "GRANT `role`@`%`,`role ON x.y TO z`@`%` TO `a`@`%`",
        "GRANT PROXY ON ``@`` TO `a`@`%`",
    ]
    assert database_rights(texts, "my_app") == {"USAGE", "SELECT", "INSERT", "CREATE_VIEW", "EVENT"}
    assert database_rights(texts, "myXapp") == {"USAGE", "EVENT"}
    assert database_rights(["GRANT DROP ON `my_app`.* TO `a`@`%`"], "myXapp") == {"DROP"}
    assert database_rights(texts, "other") == {"USAGE", "DELETE"}
    assert {"TRIGGER", "EVENT", "SHOW_VIEW"} <= database_rights(
        ["GRANT ALL PRIVILEGES ON `x`.* TO `a`@`%` WITH GRANT OPTION"], "x"
    )
    assert everywhere(texts) == {"USAGE"}


def test_rights_taken_back_on_one_database() -> None:
    texts = ["GRANT SELECT, DROP ON *.* TO `a`@`%`", "REVOKE DROP ON `x`.* FROM `a`@`%`"]
    assert database_rights(texts, "x") == {"SELECT"}
    assert database_rights(texts, "y") == {"SELECT", "DROP"}


def test_rights_of_an_account() -> None:
    texts = [
        "GRANT PROCESS,BACKUP_ADMIN ON *.* TO `a`@`%`",
        "GRANT INSERT, EXECUTE, ALTER, LOCK TABLES ON `my``app`.* TO `a`@`%`",
        "GRANT SELECT (`id`, `a, ``b``)`), INSERT ON `my``app`.`t` TO `a`@`%`",
        "GRANT ALL PRIVILEGES ON `my``app`.`u` TO `a`@`%` WITH GRANT OPTION",
        "GRANT SELECT ON `other`.`t` TO `a`@`%`",
        "GRANT ALTER ROUTINE ON FUNCTION `my``app`.`f` TO `a`@`%`",
    ]
    found = account_rights(texts, "my`app", ["t", "u", "f()"])
    assert found["t", "SELECT"] == columns("id", "a, `b`)")
    assert {verb for name, verb in found if name == "t"} == {"SELECT", "INSERT"}
    assert {verb for name, verb in found if name == "u"} >= {"SELECT", "DROP", "TRIGGER", "GRANT OPTION"}
    assert {verb for name, verb in found if name == "f()"} == {"EXECUTE", "ALTER ROUTINE"}
    # To lock what may be written is not more than that.
    assert {verb for name, verb in found if name == DATABASE} == {"ALTER"}
