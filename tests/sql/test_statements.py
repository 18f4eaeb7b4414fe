"""The two dialects have the same statements, with the same parameters, and all of them are used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from authsql import maintenance
from authsql._statements import DIALECTS, Dialect, sql_root, statements

PACKAGE = Path(__file__).parents[2] / "authsql"
PART = re.compile(r"__\d+$")
# What the driver itself gives to the parts after the first: of the part before, or of a part by its number.
GIVEN = {
    f"{kind}{number}" for kind in ("rows", "verdict") for number in ("", *(f"_{n}" for n in range(1, 10)))
}

# What the driver says of the connection.
OF_THE_CONNECTION = {"in_transaction"}

# Each of these is explained by "Differs from ..." in the files.
ONLY_POSTGRES = {
    *("migrations.use_schema", "doctor.jobs", "script.keep_path", "script.restore_path"),
    *("doctor.owners", "doctor.creators", "doctor.disabled_triggers", "catalog.rule"),
}
ONLY_MYSQL = {
    f"migrations.{name}_progress" for name in ("create", "begin", "advance", "turn", "end", "drop")
} | {
    *("migrations.progress", "catalog.event", "doctor.definers", "doctor.accounts"),
    *(f"doctor.definer_of_{view}" for view in ("overview", "passwords", "sessions")),
}
# By the view instead of the table.
VIEWED = {"maintenance.purge_app_otps", "maintenance.purge_app_totp_factors"}
ONLY_MYSQL |= VIEWED | {"connection.autocommit"}
OTHER_PARAMETERS = {
    # PostgreSQL's function takes the cap, MySQL's OFFSET how many others stay.
    "sessions.create_capped": ({"cap"}, {"others"}),
}

# Names that are put together. What the demo asks for stands in its modules as a constant of its own.
BUILT: dict[str, set[str]] = {
    "f'maintenance.purge_{seen}'": {f"maintenance.purge_{table}" for table in maintenance._TABLES},
    "f'demo.{name}'": set(),
    "f'inspect.{subject}'": set(),
}

# What is there of these is asked for, whatever its name: kinds of objects, things to look at.
ALL_USED = {"catalog", "inspect"}
NAMED_ALONE = {"migrations", "demo", "script"}


def parameters(dialect: Dialect) -> dict[str, set[str]]:
    """The parameters of each operation's statements together."""
    found: dict[str, set[str]] = {}
    for name, statement in statements(dialect).items():
        found.setdefault(PART.sub("", name), set()).update(
            set(statement.parameters) - GIVEN - OF_THE_CONNECTION
        )
    return found


def test_each_statement_has_its_twin() -> None:
    postgres, mysql = parameters("postgres").keys(), parameters("mysql").keys()
    assert postgres - mysql == ONLY_POSTGRES
    assert mysql - postgres == ONLY_MYSQL


def test_twins_take_the_same_parameters() -> None:
    postgres, mysql = parameters("postgres"), parameters("mysql")
    for name in sorted(postgres.keys() & mysql.keys()):
        here, there = OTHER_PARAMETERS.get(name, (set(), set()))
        assert postgres[name] - mysql[name] == here, name
        assert mysql[name] - postgres[name] == there, name


def test_only_mysql_has_parts() -> None:
    assert not [name for name in statements("postgres") if PART.search(name)]
    known = statements("mysql")
    for name in known:
        if part := PART.search(name):
            number = int(part[0][2:])
            before = PART.sub("" if number == 2 else f"__{number - 1}", name)
            assert number >= 2
            assert before in known, f"{name} follows nothing"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_first_parts_take_nothing_from_a_part_before(dialect: Dialect) -> None:
    for name, statement in statements(dialect).items():
        part = PART.search(name)
        given = GIVEN & set(statement.parameters)
        assert part or not given, name
        for each in given:
            number = each.rpartition("_")[2]
            assert not number.isdigit() or int(number) < int(part[0][2:] if part else 1), f"{name}: {each}"


def asked_for() -> tuple[set[str], set[str]]:
    """Full names and beginnings of names that stand in the package: all of a Query, and other constants."""
    queries, constants = set(), set()
    modules = {name.partition(".")[0] for dialect in DIALECTS for name in statements(dialect)}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Query":
                name = node.args[0]
                if isinstance(name, ast.Constant):
                    queries.add(str(name.value))
                else:
                    queries |= BUILT[ast.unparse(name)]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                constants.add(node.value)
                # Run.query("tables"), and the like, name their module elsewhere.
                constants |= {f"{module}.{node.value}" for module in modules & NAMED_ALONE}
    return queries, constants


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_query_is_there(dialect: Dialect) -> None:
    queries, _ = asked_for()
    assert len(queries) > 25
    assert not queries - statements(dialect).keys()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_statement_is_used(dialect: Dialect) -> None:
    queries, constants = asked_for()
    names = {PART.sub("", name) for name in statements(dialect) if name.partition(".")[0] not in ALL_USED}
    unused = names - queries - constants
    assert not unused - VIEWED


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_statement_says_what_it_does(dialect: Dialect) -> None:
    for path in sorted((sql_root() / dialect / "queries").glob("*.sql")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("-- "), path
        for number, line in enumerate(lines):
            if line.startswith("-- name:"):
                assert re.match(r"-- [A-Z].{6,}", lines[number + 1]), f"{path}:{number + 1}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_percent_signs_are_parameters(dialect: Dialect) -> None:
    for name, statement in statements(dialect).items():
        assert "%" not in re.sub(r"%\(\w+\)s", "", statement.text), name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_statement_is_one_statement(dialect: Dialect) -> None:
    for name, statement in statements(dialect).items():
        assert ";" not in re.sub(r"--.*", "", statement.text), name
