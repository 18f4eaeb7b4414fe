-- What the catalog says of authsql's objects, in the current database: for `authsql doctor`, and for catalog.json, to which it
-- compares. Each row is an object: its name, and what would make it another one. Functions: authsql/_catalog.py.

-- name: table
-- Tables.
SELECT
    t.table_name AS name,
    t.engine,
    t.table_collation AS collation,
    t.table_comment AS comment
FROM information_schema.tables AS t
WHERE t.table_schema = DATABASE()
    AND t.table_type = 'BASE TABLE'
    AND LEFT(t.table_name, 8) = 'authsql_';

-- name: column
-- Columns of tables.
SELECT
    CONCAT(c.table_name, '.', c.column_name) AS name,
    c.column_type AS type,
    c.is_nullable AS nullable,
    c.column_default AS value,
    c.extra,
    c.generation_expression AS expression,
    c.character_set_name AS charset,
    c.collation_name AS collation,
    c.column_comment AS comment
FROM information_schema.columns AS c
INNER JOIN information_schema.tables AS t ON c.table_schema = t.table_schema AND c.table_name = t.table_name
WHERE c.table_schema = DATABASE()
    AND t.table_type = 'BASE TABLE'
    AND LEFT(c.table_name, 8) = 'authsql_';

-- name: constraint
-- Constraints.
SELECT
    CONCAT(t.table_name, '.', t.constraint_name) AS name,
    t.constraint_type AS type,
    t.enforced,
    c.check_clause AS expression,
    (
        SELECT GROUP_CONCAT(k.column_name ORDER BY k.ordinal_position)
        FROM information_schema.key_column_usage AS k
        WHERE k.constraint_schema = t.constraint_schema
            AND k.constraint_name = t.constraint_name
            AND k.table_name = t.table_name
    ) AS columns,
    r.referenced_table_name AS referenced_table,
    (
        SELECT GROUP_CONCAT(k.referenced_column_name ORDER BY k.ordinal_position)
        FROM information_schema.key_column_usage AS k
        WHERE k.constraint_schema = t.constraint_schema
            AND k.constraint_name = t.constraint_name
            AND k.table_name = t.table_name
    ) AS referenced_columns,
    r.delete_rule,
    r.update_rule
FROM information_schema.table_constraints AS t
LEFT JOIN information_schema.check_constraints AS c
    ON
        t.constraint_schema = c.constraint_schema
        AND t.constraint_name = c.constraint_name
        AND t.constraint_type = 'CHECK'
LEFT JOIN information_schema.referential_constraints AS r
    ON
        t.constraint_schema = r.constraint_schema
        AND t.constraint_name = r.constraint_name
        AND t.table_name = r.table_name
WHERE t.table_schema = DATABASE() AND LEFT(t.table_name, 8) = 'authsql_';

-- name: index
-- Indexes, those of constraints among them.
SELECT
    CONCAT(s.table_name, '.', s.index_name) AS name,
    GROUP_CONCAT(COALESCE(s.column_name, s.expression) ORDER BY s.seq_in_index) AS columns,
    MAX(s.non_unique) = 0 AS is_unique,
    MAX(s.index_type) AS type,
    MAX(s.is_visible) AS visible
FROM information_schema.statistics AS s
WHERE s.table_schema = DATABASE() AND LEFT(s.table_name, 8) = 'authsql_'
GROUP BY s.table_name, s.index_name;

-- name: trigger
-- Triggers.
SELECT
    CONCAT(t.event_object_table, '.', t.trigger_name) AS name,
    t.action_timing AS timing,
    t.event_manipulation AS event,
    t.action_statement AS body
FROM information_schema.triggers AS t
WHERE t.trigger_schema = DATABASE() AND LEFT(t.event_object_table, 8) = 'authsql_';

-- name: routine
-- Functions and procedures.
SELECT
    r.routine_name AS name,
    r.routine_type AS type,
    r.routine_definition AS body,
    (
        SELECT GROUP_CONCAT(CONCAT_WS(' ', p.parameter_mode, p.parameter_name, p.dtd_identifier) ORDER BY p.ordinal_position)
        FROM information_schema.parameters AS p
        WHERE p.specific_schema = r.routine_schema
            AND p.specific_name = r.specific_name
            AND p.ordinal_position > 0
    ) AS arguments,
    r.dtd_identifier AS result,
    r.is_deterministic,
    r.sql_data_access AS data_access,
    r.security_type AS security,
    r.routine_comment AS comment
FROM information_schema.routines AS r
WHERE r.routine_schema = DATABASE() AND LEFT(r.routine_name, 8) = 'authsql_';

-- name: event
-- Events. Differs from postgres: it has none. How often they run, and whether, is what a DBA may change: not compared.
SELECT
    e.event_name AS name,
    e.event_definition AS body,
    e.on_completion,
    e.event_comment AS comment
FROM information_schema.events AS e
WHERE e.event_schema = DATABASE() AND LEFT(e.event_name, 8) = 'authsql_';

-- name: view
-- Views and what they select.
SELECT
    v.table_name AS name,
    REPLACE(v.view_definition, CONCAT('`', DATABASE(), '`.'), '') AS definition,
    v.security_type AS security
FROM information_schema.views AS v
WHERE v.table_schema = DATABASE() AND LEFT(v.table_name, 8) = 'authsql_';
