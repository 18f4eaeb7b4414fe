"""The schema is the same in both dialects, but for what is listed here.

It takes a server of each dialect: `-m postgres` and `-m mysql` leave it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.catalog import Catalog, catalog
from tests.conftest import FLEET
from tests.roles import migrate_and_grant
from tests.servers import targets

# What a column of MySQL may be in PostgreSQL.
TYPES = {
    "binary(16)": {"uuid"},
    "binary(32)": {"bytea"},
    "datetime(6)": {"timestamp with time zone"},
    "bigint": {"bigint"},
    "int": {"integer"},
    "smallint": {"smallint"},
    "tinyint(1)": {"boolean"},
    "json": {"jsonb"},
    "mediumblob": {"bytea"},
    "varbinary": {"bytea"},
    "varchar": {"text"},
}
# There is a type for addresses in PostgreSQL.
OTHER_TYPES = {
    ("authsql_audit_log", "ip"): ("varchar(45)", "inet"),
    ("authsql_sessions", "ip"): ("varchar(45)", "inet"),
}
# A default knows no user variable there: a trigger fills these in.
FILLED_IN_BY_A_TRIGGER = {
    ("authsql_audit_log", column) for column in ("actor_id", "session_id", "ip", "user_agent")
}
# Who may write a hash and not read it writes it there into a column beside it, and a trigger moves it.
WRITTEN_BESIDE = {
    ("authsql_otps", "code_hash"),
    ("authsql_passwords", "hash"),
    ("authsql_recovery_codes", "code_hash"),
    ("authsql_signups", "hash"),
    ("authsql_totp_factors", "secret"),
}
# Lengths are in the type there: VARCHAR(512), BINARY(32). And an address that is none is no inet.
ONLY_POSTGRES_CHECKS = {
    "authsql_known_devices_secret_hash_check",
    "authsql_otps_link_hash_check",
    "authsql_audit_log_db_user_check",
    "authsql_audit_log_user_agent_check",
    "authsql_identity_tokens_provider_check",
    "authsql_identity_tokens_subject_check",
    "authsql_otps_code_hash_check",
    "authsql_outbox_dedup_hash_check",
    "authsql_outbox_last_error_check",
    # There a time is never infinite.
    "authsql_purge_runs_last_run_at_check",
    "authsql_rate_limits_key_hash_check",
    "authsql_passkey_challenges_challenge_hash_check",
    "authsql_recovery_codes_code_hash_check",
    "authsql_refresh_tokens_current_hash_check",
    "authsql_refresh_tokens_family_hash_check",
    "authsql_refresh_tokens_previous_hash_check",
    "authsql_refresh_tokens_seal_check",
    "authsql_sessions_secret_hash_check",
    "authsql_sessions_user_agent_check",
}
ONLY_MYSQL_CHECKS = {"authsql_audit_log_ip_check", "authsql_sessions_ip_check"}
# The body of a trigger is one statement there, a default knows no user variable, and a session may choose the
# number that a row gets.
ONLY_MYSQL_TRIGGERS = {
    ("authsql_passwords", "authsql_passwords_update_2"),
    ("authsql_audit_log", "authsql_audit_log_insert"),
    ("authsql_audit_log", "authsql_audit_log_insert_number"),
    ("authsql_audit_log", "authsql_audit_log_insert_zero"),
}
# TRUNCATE fires none there.
ONLY_POSTGRES_TRIGGERS = {("authsql_audit_log", "authsql_audit_log_truncate")}

# What is asked by hand, in a policy, or in a view. PostgreSQL has others, which triggers and queries call.
FUNCTIONS = {"authsql_current_user_id", "authsql_has_permission", "authsql_has_role"}
# What runs with the rights of the owner, where a secret is to be compared that its caller may not read.
OF_THE_OWNER = {
    "authsql_code_matches",
    "authsql_password_form",
    "authsql_password_matches",
    "authsql_recovery_code_number",
    "authsql_store_signup_password",
    "authsql_totp_enrolment_secret",
    "authsql_totp_secret",
    "authsql_totp_outdated_secret",
}
OF_THE_OWNER_IN_MYSQL = {"authsql_last_purge", "authsql_spend_recovery_code"}

# What an application has rights on there instead of the table: of the same columns.
ONLY_MYSQL_VIEWS = {table.replace("authsql_", "authsql_app_") for table, _ in WRITTEN_BESIDE}

_KINDS = {"p": "PRIMARY KEY", "u": "UNIQUE", "f": "FOREIGN KEY", "c": "CHECK"}


@dataclass(frozen=True)
class Schemas:
    """A catalog of each dialect."""

    postgres: Catalog
    mysql: Catalog


@pytest.fixture(scope="module")
def schemas(pytestconfig: pytest.Config) -> Iterator[Schemas]:
    """The catalogs of the first target of each dialect."""
    with ExitStack() as lent:
        found: dict[str, Catalog] = {}
        for target in targets():
            if target.dialect not in found:
                database = lent.enter_context(
                    pytestconfig.stash[FLEET].server(target).migrated(migrate_and_grant)
                )
                found[target.dialect] = catalog(database.connect())
        yield Schemas(found["postgres"], found["mysql"])


def tables(found: Catalog) -> set[str]:
    views = {row[0] for row in found["views"]}
    # In PostgreSQL a sequence is a relation, too.
    return {row[0] for row in found["tables"] if row[1] != "S"} - views


def columns(found: Catalog) -> dict[str, list[tuple[Any, ...]]]:
    """Columns of each table or view, in their order."""
    by_table: dict[str, list[tuple[Any, ...]]] = {}
    for row in sorted(found["columns"], key=lambda row: (row[0], row[1])):
        by_table.setdefault(row[0], []).append(row[2:])
    return by_table


def test_tables_and_views(schemas: Schemas) -> None:
    assert len(tables(schemas.postgres)) > 10
    assert tables(schemas.postgres) == tables(schemas.mysql)
    postgres, mysql = ({row[0] for row in each["views"]} for each in (schemas.postgres, schemas.mysql))
    assert postgres == mysql - ONLY_MYSQL_VIEWS
    assert mysql >= ONLY_MYSQL_VIEWS


def test_columns_and_their_order(schemas: Schemas) -> None:
    postgres, mysql = (
        {table: [column[0] for column in each] for table, each in columns(schema).items()}
        for schema in (schemas.postgres, schemas.mysql)
    )
    for view in ONLY_MYSQL_VIEWS:
        table = mysql[view.replace("authsql_app_", "authsql_")]
        assert mysql.pop(view) == [column for column in table if not column.startswith("new_")]
    assert postgres == mysql


def test_nullability_generated_columns_and_defaults(schemas: Schemas) -> None:
    postgres, mysql = columns(schemas.postgres), columns(schemas.mysql)
    for table in tables(schemas.postgres):
        for here, there in zip(postgres[table], mysql[table], strict=True):
            where = f"{table}.{here[0]}"
            _, _, not_null, generated, _, default = here[:6]
            _, _, nullable, other_default, extra = there[:5]
            assert not_null is (nullable == "NO"), where
            is_generated = "GENERATED" in extra.replace("DEFAULT_GENERATED", "")
            assert (generated == "s") is is_generated, where
            if not is_generated and (table, here[0]) not in FILLED_IN_BY_A_TRIGGER | WRITTEN_BESIDE:
                assert (default is not None) is (other_default is not None), where


def test_types(schemas: Schemas) -> None:
    postgres, mysql = columns(schemas.postgres), columns(schemas.mysql)
    for table in tables(schemas.postgres):
        for here, there in zip(postgres[table], mysql[table], strict=True):
            if (table, here[0]) in OTHER_TYPES:
                assert (there[1], here[1]) == OTHER_TYPES[table, here[0]]
                continue
            kind = re.sub(r"^(varchar|varbinary)\(\d+\)$", r"\1", there[1])
            assert here[1] in TYPES[kind], f"{table}.{here[0]}: {here[1]}, {there[1]}"


def test_lengths_are_checked_in_both(schemas: Schemas) -> None:
    """What VARCHAR(n) and BINARY(32) say, a check says in PostgreSQL, with the same number."""
    checks: dict[str, str] = {}
    for table, _, kind, definition, *_ in schemas.postgres["constraints"]:
        if kind == "c":
            checks[table] = checks.get(table, "") + "\n" + definition
    unchecked = set()
    for table in tables(schemas.mysql):
        for column, kind, *_ in columns(schemas.mysql)[table]:
            if column.startswith("new_"):
                # It is NULL again before a check looks at it.
                continue
            if found := re.fullmatch(r"varchar\((\d+)\)", kind):
                length = int(found[1])
                # A length, or a pattern: a letter and up to n - 1 characters.
                limit = rf"char_length\({column}\) <?=? ?\D*{length}\b|{column} ~ .*\{{0,{length - 1}\}}"
                between = rf"char_length\({column}\) >= \d+\) AND \(char_length\({column}\) <= {length}\)"
                if not re.search(f"{limit}|{between}", checks.get(table, "")):
                    unchecked.add((table, column))
            elif found := re.fullmatch(r"varbinary\((\d+)\)", kind):
                limit = rf"octet_length\({column}\) <= {found[1]}\b"
                assert re.search(limit, checks[table]), f"{table}.{column}"
            elif kind == "binary(32)":
                assert f"(octet_length({column}) = 32)" in checks[table], f"{table}.{column}"
    assert unchecked == {
        # Written by migrations alone.
        ("authsql_schema_version", "name"),
        # Written by the owner of the roles.
        ("authsql_roles", "description"),
        # Made of email, and of an inet.
        ("authsql_users", "email_key"),
        ("authsql_sessions", "ip"),
        # Foreign keys.
        ("authsql_signups", "subject"),
        ("authsql_signups", "purpose"),
        ("authsql_audit_log", "ip"),
        # Foreign keys to authsql_roles.
        ("authsql_user_roles", "role"),
        ("authsql_role_permissions", "role"),
    }


def constraints(found: Catalog, *, is_mysql: bool) -> dict[str, set[tuple[str, str]]]:
    """Names of constraints with their tables, by kind."""
    by_kind: dict[str, set[tuple[str, str]]] = {}
    for table, name, kind, *_ in found["constraints"]:
        word = kind if is_mysql else _KINDS.get(kind)
        if word is not None:
            # MySQL calls every primary key the same, whatever its constraint is called.
            by_kind.setdefault(word, set()).add((table, f"{table}_pkey" if name == "PRIMARY" else name))
    return by_kind


def test_constraints(schemas: Schemas) -> None:
    postgres = constraints(schemas.postgres, is_mysql=False)
    mysql = constraints(schemas.mysql, is_mysql=True)
    assert postgres.keys() == mysql.keys() == set(_KINDS.values())
    for kind in ("PRIMARY KEY", "UNIQUE", "FOREIGN KEY"):
        assert postgres[kind] == mysql[kind], kind
    here = {name for _, name in postgres["CHECK"]}
    there = {name for _, name in mysql["CHECK"]}
    assert here - there == ONLY_POSTGRES_CHECKS
    assert there - here == ONLY_MYSQL_CHECKS


def test_keys_have_the_same_columns(schemas: Schemas) -> None:
    there: dict[tuple[str, str], list[tuple[int, str, Any, Any]]] = {}
    for table, name, position, column, parent, parent_column in schemas.mysql["keys"]:
        key = (table, f"{table}_pkey" if name == "PRIMARY" else name)
        there.setdefault(key, []).append((position, column, parent, parent_column))
    rules = {
        (row[0], row[1]): (row[6], row[7]) for row in schemas.mysql["constraints"] if row[2] == "FOREIGN KEY"
    }
    compared = 0
    for table, name, kind, definition, *_ in schemas.postgres["constraints"]:
        if kind not in {"p", "u", "f"}:
            continue
        of = sorted(there[table, name])
        listed = ", ".join(column for _, column, _, _ in of)
        assert f"{_KINDS[kind]} ({listed})" in definition, name
        if kind == "f":
            parents = ", ".join(parent_column for _, _, _, parent_column in of)
            assert f"REFERENCES {of[0][2]}({parents})" in definition, name
            deleted, updated = rules[table, name]
            assert ("ON DELETE CASCADE" in definition) is (deleted == "CASCADE"), name
            assert ("ON UPDATE CASCADE" in definition) is (updated == "CASCADE"), name
        compared += 1
    assert compared == len(there)


def test_indexes(schemas: Schemas) -> None:
    postgres = {(row[0], row[1]) for row in schemas.postgres["indexes"]}
    mysql = {
        (row[0], f"{row[0]}_pkey" if row[1] == "PRIMARY" else row[1]) for row in schemas.mysql["indexes"]
    }
    # InnoDB makes an index for a foreign key that has none. There is none such.
    assert postgres == mysql


def test_triggers(schemas: Schemas) -> None:
    postgres = {(row[0], row[1]) for row in schemas.postgres["triggers"]}
    mysql = {(row[0], row[1]) for row in schemas.mysql["triggers"]}
    assert mysql - postgres == ONLY_MYSQL_TRIGGERS
    assert postgres - mysql == ONLY_POSTGRES_TRIGGERS


def test_functions(schemas: Schemas) -> None:
    postgres = {row[0]: row[-1] for row in schemas.postgres["functions"]}
    mysql = {row[0]: row[-1] for row in schemas.mysql["functions"]}
    assert mysql.keys() == FUNCTIONS | OF_THE_OWNER | OF_THE_OWNER_IN_MYSQL
    assert mysql.keys() - OF_THE_OWNER_IN_MYSQL <= postgres.keys()
    for name in ("authsql_has_permission", "authsql_has_role"):
        assert postgres[name] == mysql[name]
    definers = {row[0] for row in schemas.mysql["functions"] if row[5] != "INVOKER"}
    assert definers == OF_THE_OWNER | OF_THE_OWNER_IN_MYSQL
