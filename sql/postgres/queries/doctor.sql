-- What `authsql doctor` asks the server, besides the catalog (catalog.sql). Functions: authsql/doctor.py.

-- name: server
-- The server, and what this session got from its settings. folds_case: whether lower() knows letters beyond ASCII.
SELECT
    version() AS product,
    current_setting('server_version') AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('TimeZone') AS time_zone,
    current_setting('default_transaction_isolation') AS isolation,
    current_setting('transaction_read_only') = 'on' AS read_only,
    pg_is_in_recovery() AS replica,
    lower('É') = 'é' AS folds_case;

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
    current_schema() AS schema
FROM pg_roles AS r
WHERE r.rolname = current_user;

-- name: rights
-- What the connected role may do with each table. surplus: what no operation needs.
SELECT
    c.relname AS table_name,
    pg_has_role(c.relowner, 'USAGE') AS owner,
    has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE') OR has_any_column_privilege(c.oid, 'SELECT') AS any_use,
    has_table_privilege(c.oid, 'TRUNCATE, REFERENCES, TRIGGER') AS surplus
FROM pg_class AS c
WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    AND c.relkind IN ('r', 'p')
    AND starts_with(c.relname, 'authsql_')
ORDER BY c.relname;

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
