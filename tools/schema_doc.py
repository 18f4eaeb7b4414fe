"""Write docs/schema.md from the catalog of a PostgreSQL database that has all migrations.

    python tools/schema_doc.py postgresql://user:password@127.0.0.1:5432/database > docs/schema.md

`make schema-doc` does that on a server of its own. tests/sql/test_schema_doc.py sees to it that the file is
current.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
from psycopg.rows import tuple_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Row: TypeAlias = tuple[Any, ...]

# In each, the first column is the name of the table or view that a row is about.
RELATIONS = r"""
    SELECT c.relname, c.relkind::text, obj_description(c.oid, 'pg_class')
    FROM pg_class AS c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
        AND c.relname LIKE 'authsql\_%' AND c.relkind IN ('r', 'v')
    ORDER BY
        (SELECT min(v.version) FROM authsql_schema_version AS v WHERE 'authsql_' || v.name = c.relname),
        c.relname
"""
COLUMNS = r"""
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated::text,
        pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
    FROM pg_class AS c
    INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
        AND c.relname LIKE 'authsql\_%' AND c.relkind IN ('r', 'v')
    ORDER BY c.relname, a.attnum
"""
# Without the constraints NOT NULL, which PostgreSQL 18 lists here and which the column says already.
CONSTRAINTS = r"""
    SELECT r.relname, c.conname, c.contype::text, pg_get_constraintdef(c.oid, true), f.relname,
        (SELECT array_agg(a.attname::text ORDER BY array_position(c.conkey, a.attnum))
         FROM pg_attribute AS a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey))
    FROM pg_constraint AS c
    INNER JOIN pg_class AS r ON r.oid = c.conrelid
    LEFT JOIN pg_class AS f ON f.oid = c.confrelid
    WHERE c.connamespace = quote_ident(current_schema())::regnamespace
        AND r.relname LIKE 'authsql\_%' AND c.contype IN ('p', 'u', 'f', 'c')
    ORDER BY r.relname, array_position(ARRAY['p', 'u', 'f', 'c'], c.contype::text), c.conname
"""
INDEXES = r"""
    SELECT r.relname, c.relname, pg_get_indexdef(i.indexrelid)
    FROM pg_index AS i
    INNER JOIN pg_class AS c ON c.oid = i.indexrelid
    INNER JOIN pg_class AS r ON r.oid = i.indrelid
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND r.relname LIKE 'authsql\_%'
        AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u'))
    ORDER BY r.relname, c.relname
"""
TRIGGERS = r"""
    SELECT r.relname, t.tgname, pg_get_triggerdef(t.oid, true), obj_description(t.oid, 'pg_trigger')
    FROM pg_trigger AS t
    INNER JOIN pg_class AS r ON r.oid = t.tgrelid
    WHERE r.relnamespace = quote_ident(current_schema())::regnamespace
        AND r.relname LIKE 'authsql\_%' AND NOT t.tgisinternal
    ORDER BY r.relname, t.tgname
"""
FUNCTIONS = r"""
    SELECT p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
        obj_description(p.oid, 'pg_proc')
    FROM pg_proc AS p
    WHERE p.pronamespace = quote_ident(current_schema())::regnamespace AND p.proname LIKE 'authsql\_%'
    ORDER BY p.proname
"""

HEAD = """\
# Schema

Generated from the catalog of PostgreSQL 18 by [`tools/schema_doc.py`](../tools/schema_doc.py). Do not edit
this file; renew it with `make schema-doc`.

The tables, columns, constraints and views have the same names in MySQL; a primary key is `PRIMARY` there. Its
types are others:

| PostgreSQL | MySQL |
| --- | --- |
| `uuid` | `BINARY(16)` |
| `bytea` | `BINARY(32)` for a hash, else `VARBINARY(n)` |
| `timestamptz` | `DATETIME(6)`, in UTC |
| `text` | `VARCHAR(n)`, with `utf8mb4_bin` or `ascii_bin` |
| `jsonb` | `JSON` |
| `inet` | `VARCHAR(45)` |
| `boolean`, `smallint`, `integer`, `bigint` | `TINYINT(1)`, `SMALLINT`, `INT`, `BIGINT` |

Of the functions MySQL has those that answer with the rights of the owner (`authsql_store_signup_password` is
a procedure there), and `authsql_has_role`, `authsql_has_permission` and `authsql_current_user_id`. The
procedure `authsql_spend_recovery_code` and the function `authsql_last_purge` are MySQL's alone. Column
defaults do the work of `authsql_uuid7`, triggers of one statement that of the trigger functions, the
statement `sessions.create_capped__3` that of `authsql_end_surplus_sessions`, and events that of the purge.
Five tables have a view there that the application works with, `authsql_app_<table>`: passwords, otps,
signups, totp_factors, recovery_codes. The other views show ids as text, but for `authsql_ways_in` and
`authsql_app_events`. MySQL lacks the length checks that its types make needless.
"""


@dataclass(frozen=True)
class Catalog:
    """What the catalog says, by table or view."""

    relations: list[Row]
    columns: dict[str, list[Row]]
    constraints: dict[str, list[Row]]
    indexes: dict[str, list[Row]]
    triggers: dict[str, list[Row]]
    functions: list[Row]


def read(connection: psycopg.Connection[Any]) -> Catalog:
    """Ask the catalog about the current schema."""

    def ask(query: str) -> list[Row]:
        return connection.cursor(row_factory=tuple_row).execute(query.encode()).fetchall()

    def by_table(query: str) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in ask(query):
            found.setdefault(row[0], []).append(row[1:])
        return found

    return Catalog(
        relations=ask(RELATIONS),
        columns=by_table(COLUMNS),
        constraints=by_table(CONSTRAINTS),
        indexes=by_table(INDEXES),
        triggers=by_table(TRIGGERS),
        functions=ask(FUNCTIONS),
    )


def render(connection: psycopg.Connection[Any]) -> str:
    """Write the whole document."""
    catalog = read(connection)
    return "\n".join(_document(catalog)).rstrip() + "\n"


def _document(catalog: Catalog) -> Iterator[str]:
    tables = [(name, comment) for name, kind, comment in catalog.relations if kind == "r"]
    views = [(name, comment) for name, kind, comment in catalog.relations if kind == "v"]
    yield HEAD
    yield from _diagram(catalog, [name for name, _ in tables])
    yield "## Tables\n"
    for name, comment in tables:
        yield from _table(catalog, name, comment)
    yield "## Views\n"
    for name, comment in views:
        yield f"### {name}\n\n{comment}\n"
        yield from _grid(
            ("column", "type", "meaning"),
            ((_code(c[0]), _code(_short(c[1])), c[5]) for c in catalog.columns[name]),
        )
    yield "## Functions\n"
    yield from _grid(
        ("function", "returns", "what it does"),
        ((_code(f"{f[0]}({_short(f[1])})"), _code(_short(f[2])), f[3]) for f in catalog.functions),
    )


def _table(catalog: Catalog, name: str, comment: str) -> Iterator[str]:
    yield f"### {name}\n\n{comment}\n"
    yield from _grid(
        ("column", "type", "null", "default", "meaning"),
        (
            (
                _code(column),
                _code(_short(kind)),
                "" if not_null else "yes",
                _code(("generated: " if generated else "") + _short(default)) if default else "",
                meaning,
            )
            for column, kind, not_null, generated, default, meaning in catalog.columns[name]
        ),
    )
    yield from _grid(
        ("constraint", "definition"),
        ((_code(c[0]), _code(_short(c[2]))) for c in catalog.constraints.get(name, [])),
    )
    yield from _grid(
        ("index", "definition"),
        ((_code(i[0]), _code(i[1].partition(" USING ")[2])) for i in catalog.indexes.get(name, [])),
    )
    yield from _grid(
        ("trigger", "when", "what it does"),
        ((_code(t[0]), _code(_when(t[1])), t[2]) for t in catalog.triggers.get(name, [])),
    )


def _diagram(catalog: Catalog, tables: Sequence[str]) -> Iterator[str]:
    yield "```mermaid\nerDiagram"
    for table in tables:
        for _, kind, _, parent, columns in catalog.constraints.get(table, []):
            if kind == "f":
                yield f'    {parent} {_cardinality(catalog, table, columns)} {table} : "{", ".join(columns)}"'
    for table in tables:
        yield f"    {table} {{"
        for column in catalog.columns[table]:
            keys = sorted(_keys(catalog, table, column[0]), key=["PK", "FK", "UK"].index)
            yield f"        {_short(column[1])} {column[0]} {', '.join(keys)}".rstrip()
        yield "    }"
    yield "```\n"


def _cardinality(catalog: Catalog, table: str, columns: Sequence[str]) -> str:
    nullable = any(not c[2] for c in catalog.columns[table] if c[0] in columns)
    alone = any(set(c[4]) == set(columns) for c in catalog.constraints[table] if c[1] in {"p", "u"})
    return ("|o" if nullable else "||") + "--" + ("o|" if alone else "o{")


def _keys(catalog: Catalog, table: str, column: str) -> set[str]:
    kinds = {"p": "PK", "f": "FK", "u": "UK"}
    return {kinds[c[1]] for c in catalog.constraints.get(table, []) if c[1] in kinds and column in c[4]}


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    if body:
        yield f"| {' | '.join(head)} |\n|{' --- |' * len(head)}"
        yield from body
        yield ""


def _when(definition: str) -> str:
    found = re.fullmatch(r"CREATE TRIGGER \S+ (.*) EXECUTE FUNCTION \S+", definition, re.DOTALL)
    return found[1] if found else definition


def _short(text: str) -> str:
    return " ".join(text.replace("timestamp with time zone", "timestamptz").split())


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/schema_doc.py postgresql://user:password@host:port/database")
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        sys.stdout.write(render(connection))


if __name__ == "__main__":
    main()
