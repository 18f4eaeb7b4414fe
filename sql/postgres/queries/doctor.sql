-- What `authsql doctor` asks the server, besides the catalog (catalog.sql). Functions: authsql/doctor.py.

-- name: server
-- The server, and what this session got from its settings. folds_case: whether lower() knows letters beyond ASCII. enforces:
-- whether triggers fire, those of foreign keys among them.
SELECT
    version() AS product,
    current_setting('server_version') AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('TimeZone') AS time_zone,
    current_setting('default_transaction_isolation') AS isolation,
    current_setting('transaction_read_only') = 'on' AS read_only,
    pg_is_in_recovery() AS replica,
    lower('É') = 'é' AS folds_case,
    current_setting('session_replication_role') <> 'replica' AS enforces;

-- name: clock
-- The clock of the database.
SELECT clock_timestamp() AS now;

-- name: tls
-- How this connection is encrypted.
SELECT
    s.ssl AS encrypted,
    s.version,
    s.cipher
FROM pg_stat_ssl AS s
WHERE s.pid = pg_backend_pid();

-- name: books
-- What yoyo takes for applied.
SELECT m.migration_hash
FROM _yoyo_migration AS m;

-- name: role
-- Who is connected.
SELECT
    current_user::text AS name,
    r.rolsuper AS superuser,
    r.rolbypassrls AS bypasses_row_security,
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS creates,
    has_database_privilege(current_database(), 'TEMPORARY') AS makes_temporary,
    current_database()::text AS database,
    current_schema() AS schema
FROM pg_roles AS r
WHERE r.rolname = current_user;

-- name: inactive_roles
-- Roles that were granted to the connected one and give it nothing, as it does not inherit them.
SELECT r.rolname::text AS name
FROM pg_roles AS r
WHERE pg_has_role(r.oid, 'MEMBER') AND NOT pg_has_role(r.oid, 'USAGE')
ORDER BY r.rolname;

-- name: objects
-- Tables, views and functions, and the columns of each. owned: by the connected role. is_public: anybody may call it.
-- Differs from mysql: what there is can be seen without a right on it.
SELECT
    c.relname::text AS object,
    a.attname::text AS column_name,
    pg_has_role(c.relowner, 'USAGE') AS owned,
    c.relkind IN ('r', 'p') AS is_table,
    false AS is_public
FROM pg_class AS c
INNER JOIN pg_attribute AS a ON c.oid = a.attrelid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    AND c.relkind IN ('r', 'p', 'v', 'm')
    AND starts_with(c.relname, 'authsql_')
UNION ALL
SELECT
    p.proname || '()',
    NULL,
    pg_has_role(p.proowner, 'USAGE'),
    false,
    has_function_privilege('public', p.oid, 'EXECUTE')
FROM pg_proc AS p
WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
    AND starts_with(p.proname, 'authsql_');

-- name: rights
-- What the connected role may do with each of these, whatever gives it the right: the columns, or * for the whole.
-- Differs from mysql: the server itself is asked for each right.
SELECT
    c.relname::text AS object,
    v.verb,
    CASE
        WHEN has_table_privilege(c.oid, v.privilege) THEN ARRAY['*']
        WHEN v.by_column THEN (
            SELECT array_agg(a.attname::text)
            FROM pg_attribute AS a
            WHERE a.attrelid = c.oid
                AND a.attnum > 0
                AND NOT a.attisdropped
                AND has_column_privilege(c.oid, a.attnum, v.privilege)
        )
    END AS columns
FROM pg_class AS c
CROSS JOIN (
    VALUES
    ('SELECT', 'SELECT', true),
    ('INSERT', 'INSERT', true),
    ('UPDATE', 'UPDATE', true),
    ('DELETE', 'DELETE', false),
    ('TRUNCATE', 'TRUNCATE', false),
    ('REFERENCES', 'REFERENCES', true),
    ('TRIGGER', 'TRIGGER', false),
    (
        'GRANT OPTION',
        'SELECT WITH GRANT OPTION, INSERT WITH GRANT OPTION, UPDATE WITH GRANT OPTION, DELETE WITH GRANT OPTION',
        false
    )
) AS v (verb, privilege, by_column)
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    AND c.relkind IN ('r', 'p', 'v', 'm')
    AND starts_with(c.relname, 'authsql_')
UNION ALL
SELECT
    p.proname || '()',
    'EXECUTE',
    ARRAY['*']
FROM pg_proc AS p
WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
    AND starts_with(p.proname, 'authsql_')
    AND has_function_privilege(p.oid, 'EXECUTE');

-- name: owners
-- Whose the tables, views and functions are.
SELECT
    c.relname::text AS object,
    pg_get_userbyid(c.relowner)::text AS owner
FROM pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    AND c.relkind IN ('r', 'p', 'v', 'm')
    AND starts_with(c.relname, 'authsql_')
UNION ALL
SELECT
    p.proname || '()',
    pg_get_userbyid(p.proowner)::text
FROM pg_proc AS p
WHERE p.pronamespace = quote_ident(current_schema())::regnamespace
    AND starts_with(p.proname, 'authsql_')
ORDER BY object;

-- name: creators
-- Who may make objects in the schema, but for its owner and those of the tables. Differs from mysql: functions there are looked
-- up by name when a statement runs, and one that fits better comes before the server's own.
SELECT coalesce(r.rolname::text, 'PUBLIC') AS creator
FROM pg_namespace AS n
CROSS JOIN LATERAL aclexplode(n.nspacl) AS g
LEFT JOIN pg_roles AS r ON g.grantee = r.oid
WHERE n.nspname = current_schema()
    AND g.privilege_type = 'CREATE'
    AND g.grantee <> n.nspowner
    AND NOT EXISTS (
        SELECT 1
        FROM pg_class AS c
        WHERE c.relnamespace = n.oid AND c.relkind = 'r' AND starts_with(c.relname, 'authsql_') AND c.relowner = g.grantee
    )
ORDER BY creator;

-- name: readers
-- Who else may read which columns (NULL: all) of which object (NULL: of every one): neither the owner, nor a superuser, nor who
-- asks. The role PUBLIC is everybody.
WITH granted AS (
    SELECT
        c.relname::text AS object,
        NULL::text AS column_name,
        c.relowner AS owner,
        a.grantee
    FROM pg_class AS c
    CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
        AND starts_with(c.relname, 'authsql_')
        AND a.privilege_type = 'SELECT'
    UNION
    SELECT
        c.relname::text,
        t.attname::text,
        c.relowner,
        a.grantee
    FROM pg_class AS c
    INNER JOIN pg_attribute AS t ON c.oid = t.attrelid AND NOT t.attisdropped
    CROSS JOIN LATERAL aclexplode(t.attacl) AS a
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
        AND starts_with(c.relname, 'authsql_')
        AND a.privilege_type = 'SELECT'
)

SELECT
    coalesce(r.rolname::text, 'PUBLIC') AS reader,
    g.object,
    g.column_name
FROM granted AS g
LEFT JOIN pg_roles AS r ON g.grantee = r.oid
WHERE g.grantee <> g.owner
    AND NOT coalesce(r.rolsuper, false)
    AND r.rolname IS DISTINCT FROM current_user
UNION ALL
SELECT
    r.rolname::text,
    NULL,
    NULL
FROM pg_roles AS r
WHERE pg_has_role(r.oid, 'pg_read_all_data', 'USAGE')
    AND NOT r.rolsuper
    AND NOT starts_with(r.rolname, 'pg_')
    AND r.rolname <> current_user
ORDER BY reader, object, column_name;

-- name: disabled_triggers
-- Triggers of authsql's tables that do not fire, in a session that is no replica. Those of the server itself keep a foreign key,
-- and go by its name; one of another table that refers to one of these is among them.
-- Differs from mysql: there, a trigger and a foreign key are there or not.
SELECT DISTINCT
    coalesce(k.relname, r.relname) || '.' || coalesce(c.conname, t.tgname) AS name,
    t.tgisinternal AS is_foreign_key
FROM pg_trigger AS t
INNER JOIN pg_class AS r ON t.tgrelid = r.oid
LEFT JOIN pg_constraint AS c ON t.tgisinternal AND t.tgconstraint = c.oid
LEFT JOIN pg_class AS k ON c.conrelid = k.oid
WHERE r.relnamespace = quote_ident(current_schema())::regnamespace
    AND starts_with(r.relname, 'authsql_')
    AND t.tgenabled IN ('D', 'R')
ORDER BY name;

-- name: scheduler
-- Whether pg_cron is in this database, and whether this role can see its jobs.
SELECT
    EXISTS(SELECT 1 FROM pg_extension AS e WHERE e.extname = 'pg_cron') AS installed,
    coalesce(has_schema_privilege(n.oid, 'USAGE'), false) AS visible
FROM (SELECT to_regnamespace('cron') AS oid) AS n;

-- name: jobs
-- The jobs of pg_cron that purge this schema, and how the last run of each ended. Of another role's jobs nothing is seen.
-- Differs from mysql: its events are a part of it, pg_cron is an extension.
SELECT
    j.jobname AS name,
    j.schedule,
    j.active
FROM cron.job AS j
WHERE j.database = current_database()
    AND position(quote_ident(current_schema()) || '.authsql_purge' IN j.command) > 0;

-- name: backlog
-- Expired rows that are still there, before the migration purge_runs. After it: maintenance.backlog.
SELECT
    b.table_name,
    b.expired_rows,
    b.lag_seconds
FROM authsql_expiry_backlog AS b
ORDER BY b.table_name;

-- name: runs
-- Since when runs of the purge are noted.
SELECT
    statement_timestamp() AS now,
    v.applied_at AS noted_since
FROM authsql_schema_version AS v
WHERE v.name = 'purge_runs';
