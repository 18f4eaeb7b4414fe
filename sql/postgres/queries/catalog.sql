-- What the catalog says of authsql's objects, in the current schema: for `authsql doctor`, and for catalog.json, to which it
-- compares. Each row is an object: its name, and what would make it another one. Functions: authsql/_catalog.py.

-- name: table
-- Tables.
SELECT
    c.relname AS name,
    array_to_string(c.reloptions, ', ') AS options,
    c.relpersistence::text AS persistence,
    c.relrowsecurity AS row_security,
    obj_description(c.oid, 'pg_class') AS comment
FROM pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    AND c.relkind IN ('r', 'p')
    AND starts_with(c.relname, 'authsql_');

-- name: column
-- Columns of tables.
SELECT
    c.relname || '.' || a.attname AS name,
    format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AS not_null,
    a.attgenerated::text AS generated,
    pg_get_expr(d.adbin, d.adrelid, true) AS value,
    nullif(a.attcollation::regcollation::text, '"default"') AS collation,
    col_description(c.oid, a.attnum) AS comment
FROM pg_class AS c
INNER JOIN pg_attribute AS a ON c.oid = a.attrelid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON c.oid = d.adrelid AND a.attnum = d.adnum
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    AND c.relkind IN ('r', 'p')
    AND starts_with(c.relname, 'authsql_');

-- name: constraint
-- Constraints. NOT NULL, which PostgreSQL 18 counts among them, is said by the column.
SELECT
    r.relname || '.' || c.conname AS name,
    pg_get_constraintdef(c.oid, true) AS definition,
    c.convalidated AS validated
FROM pg_constraint AS c
INNER JOIN pg_class AS r ON c.conrelid = r.oid
WHERE r.relnamespace = quote_ident(current_schema())::regnamespace
    AND c.contype <> 'n'
    AND starts_with(r.relname, 'authsql_');

-- name: index
-- Indexes, those of constraints among them.
SELECT
    r.relname || '.' || c.relname AS name,
    pg_get_indexdef(i.indexrelid, 0, true) AS definition,
    array_to_string(c.reloptions, ', ') AS options,
    i.indisvalid AS valid
FROM pg_index AS i
INNER JOIN pg_class AS c ON i.indexrelid = c.oid
INNER JOIN pg_class AS r ON i.indrelid = r.oid
WHERE r.relnamespace = quote_ident(current_schema())::regnamespace
    AND r.relkind IN ('r', 'p')
    AND starts_with(r.relname, 'authsql_');

-- name: trigger
-- Triggers. enabled: O is as made, D is disabled.
SELECT
    r.relname || '.' || t.tgname AS name,
    pg_get_triggerdef(t.oid, true) AS definition,
    t.tgenabled::text AS enabled,
    obj_description(t.oid, 'pg_trigger') AS comment
FROM pg_trigger AS t
INNER JOIN pg_class AS r ON t.tgrelid = r.oid
WHERE r.relnamespace = quote_ident(current_schema())::regnamespace
    AND NOT t.tgisinternal
    AND starts_with(r.relname, 'authsql_');

-- name: rule
-- Rules on tables and views, but for those that make a view one. Differs from mysql: it has none. authsql makes none.
SELECT
    r.relname || '.' || w.rulename AS name,
    w.ev_enabled::text AS enabled
FROM pg_rewrite AS w
INNER JOIN pg_class AS r ON w.ev_class = r.oid
WHERE r.relnamespace = quote_ident(current_schema())::regnamespace
    AND w.rulename <> '_RETURN'
    AND starts_with(r.relname, 'authsql_');

-- name: routine
-- Functions and procedures. Of their search_path is told whether nobody else's schema is in it: this schema or the server's own,
-- then pg_temp. False: that of whoever applied the migrations 0001 to 0010, or none.
SELECT
    p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
    p.prosrc AS body,
    pg_get_function_arguments(p.oid) AS arguments,
    pg_get_function_result(p.oid) AS result,
    l.lanname AS language,
    p.provolatile::text AS volatility,
    p.proparallel::text AS parallel,
    p.proisstrict AS strict,
    p.prosecdef AS security_definer,
    coalesce(
        p.proconfig && ARRAY[
            'search_path=' || quote_ident(current_schema()) || ', pg_temp',
            'search_path=pg_catalog, pg_temp'
        ],
        false
    ) AS search_path_fixed,
    EXISTS(
        SELECT 1
        FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
        WHERE a.grantee = 0
    ) AS public_executes,
    obj_description(p.oid, 'pg_proc') AS comment
FROM pg_proc AS p
INNER JOIN pg_language AS l ON p.prolang = l.oid
WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
    AND starts_with(p.proname, 'authsql_');

-- name: view
-- Views and what they select.
SELECT
    c.relname AS name,
    pg_get_viewdef(c.oid, true) AS definition,
    array_to_string(c.reloptions, ', ') AS options,
    obj_description(c.oid, 'pg_class') AS comment
FROM pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    AND c.relkind IN ('v', 'm')
    AND starts_with(c.relname, 'authsql_');
