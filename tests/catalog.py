"""What a database's catalog says of the tables and all that belongs to them, as plain data that can be
compared.

Two databases whose snapshots are equal cannot be told apart by a statement, rows and rights aside.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import psycopg

from tests.servers import Rows, SyncConnection, rows

Catalog: TypeAlias = dict[str, list[tuple[Any, ...]]]

YOYO = frozenset({"_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock"})
"""The tables of yoyo, and all that a run of migrations may leave beside authsql's own."""

# Each begins with the name of the table that it is about, or with what else it belongs to. A column's
# position is counted: its number never comes back once it was dropped.
POSTGRES = {
    "tables": """
        SELECT c.relname, c.relkind::text, c.relpersistence::text, c.reloptions::text, c.relrowsecurity,
               obj_description(c.oid, 'pg_class')
        FROM pg_class AS c
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
          AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    """,
    "columns": """
        SELECT c.relname, row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum), a.attname,
               format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attgenerated::text, a.attidentity::text, pg_get_expr(d.adbin, d.adrelid),
               a.attcollation::regcollation::text, a.attstorage::text, col_description(c.oid, a.attnum)
        FROM pg_class AS c
        INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    """,
    "constraints": """
        SELECT c.conrelid::regclass::text, c.conname, c.contype::text, pg_get_constraintdef(c.oid),
               c.convalidated, obj_description(c.oid, 'pg_constraint')
        FROM pg_constraint AS c
        WHERE c.connamespace = quote_ident(current_schema())::regnamespace
    """,
    "indexes": """
        SELECT i.indrelid::regclass::text, c.relname, pg_get_indexdef(i.indexrelid), c.reloptions::text,
               i.indisvalid, obj_description(c.oid, 'pg_class')
        FROM pg_index AS i
        INNER JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    """,
    "triggers": """
        SELECT t.tgrelid::regclass::text, t.tgname, pg_get_triggerdef(t.oid), t.tgenabled::text,
               obj_description(t.oid, 'pg_trigger')
        FROM pg_trigger AS t
        INNER JOIN pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND NOT t.tgisinternal
    """,
    "functions": """
        SELECT p.proname, pg_get_function_identity_arguments(p.oid), pg_get_functiondef(p.oid),
               p.proacl::text, obj_description(p.oid, 'pg_proc')
        FROM pg_proc AS p
        WHERE p.pronamespace = quote_ident(current_schema())::regnamespace AND p.prokind IN ('f', 'p')
    """,
    "views": """
        SELECT c.relname, pg_get_viewdef(c.oid)
        FROM pg_class AS c
        WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
          AND c.relkind IN ('v', 'm')
    """,
    "types": """
        SELECT t.typname, t.typtype::text, obj_description(t.oid, 'pg_type')
        FROM pg_type AS t
        WHERE t.typnamespace = quote_ident(current_schema())::regnamespace AND t.typtype IN ('d', 'e', 'r')
    """,
}

MYSQL = {
    "tables": """
        SELECT table_name, table_type, engine, row_format, table_collation, create_options, table_comment
        FROM information_schema.tables
        WHERE table_schema = DATABASE()
    """,
    "columns": """
        SELECT table_name, ordinal_position, column_name, column_type, is_nullable, column_default, extra,
               generation_expression, character_set_name, collation_name, column_comment
        FROM information_schema.columns
        WHERE table_schema = DATABASE()
    """,
    "constraints": """
        SELECT t.table_name, t.constraint_name, t.constraint_type, t.enforced, c.check_clause,
               r.referenced_table_name, r.delete_rule, r.update_rule
        FROM information_schema.table_constraints AS t
        LEFT JOIN information_schema.check_constraints AS c
            ON c.constraint_schema = t.constraint_schema AND c.constraint_name = t.constraint_name
            AND t.constraint_type = 'CHECK'
        LEFT JOIN information_schema.referential_constraints AS r
            ON r.constraint_schema = t.constraint_schema AND r.constraint_name = t.constraint_name
            AND r.table_name = t.table_name
        WHERE t.table_schema = DATABASE()
    """,
    "keys": """
        SELECT table_name, constraint_name, ordinal_position, column_name, referenced_table_name,
               referenced_column_name FROM information_schema.key_column_usage WHERE table_schema =
               DATABASE() """,
    "indexes": """ SELECT table_name, index_name, seq_in_index, column_name,
               expression, non_unique, sub_part, collation, index_type, is_visible, index_comment
        FROM information_schema.statistics
        WHERE table_schema = DATABASE()
    """,
    "triggers": """
        SELECT event_object_table, trigger_name, action_timing, event_manipulation, action_order,
               action_statement, sql_mode, character_set_client, collation_connection
        FROM information_schema.triggers
        WHERE trigger_schema = DATABASE()
    """,
    "functions": """
        SELECT routine_name, routine_type, dtd_identifier, routine_definition, sql_data_access,
               security_type, sql_mode, routine_comment
        FROM information_schema.routines
        WHERE routine_schema = DATABASE()
    """,
    "events": """
        SELECT event_name, event_definition, event_type, interval_value, interval_field, time_zone, status,
               on_completion, sql_mode, character_set_client, collation_connection, event_comment
        FROM information_schema.events
        WHERE event_schema = DATABASE()
    """,
    "views": """
        SELECT table_name, REPLACE(view_definition, CONCAT('`', DATABASE(), '`.'), ''), check_option,
               security_type, character_set_client, collation_connection
        FROM information_schema.views
        WHERE table_schema = DATABASE()
    """,
}


def catalog(connection: SyncConnection, without: frozenset[str] = YOYO) -> Catalog:
    """Take a snapshot of a database (PostgreSQL: of its current schema), the tables in `without` left out."""
    queries = POSTGRES if isinstance(connection, psycopg.Connection) else MYSQL
    return {part: _sorted(rows(connection, query), without) for part, query in queries.items()}


def _sorted(found: Rows, without: frozenset[str]) -> list[tuple[Any, ...]]:
    plain = [tuple(value.decode() if isinstance(value, bytes) else value for value in row) for row in found]
    return sorted((row for row in plain if row[0] not in without), key=repr)
