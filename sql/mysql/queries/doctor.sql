-- What `authsql doctor` asks the server, besides the catalog (catalog.sql). Functions: authsql/doctor.py.

-- name: server
-- The server, and what this session got from its settings.
SELECT
    CONCAT(VERSION(), ' ', @@version_comment) AS product,
    VERSION() AS version,
    @@character_set_connection AS encoding,
    @@time_zone AS time_zone,
    @@transaction_isolation AS isolation,
    @@read_only AS read_only,
    @@super_read_only AS super_read_only,
    @@sql_mode AS sql_mode,
    @@event_scheduler AS event_scheduler,
    @@log_bin AS log_bin,
    @@log_bin_trust_function_creators AS trusts_creators;

-- name: clock
-- The clock of the database.
SELECT UTC_TIMESTAMP(6) AS now;

-- name: tls
-- How this connection is encrypted.
SELECT
    MAX(IF(s.variable_name = 'Ssl_cipher', s.variable_value, '')) <> '' AS encrypted,
    MAX(IF(s.variable_name = 'Ssl_version', s.variable_value, '')) AS version,
    MAX(IF(s.variable_name = 'Ssl_cipher', s.variable_value, '')) AS cipher
FROM performance_schema.session_status AS s
WHERE s.variable_name IN ('Ssl_cipher', 'Ssl_version');

-- name: books
-- What yoyo takes for applied.
SELECT m.migration_hash
FROM _yoyo_migration AS m;

-- name: role
-- Who is connected.
SELECT
    CURRENT_USER() AS name,
    DATABASE() AS `schema`;

-- name: inactive_roles
-- Roles that were granted to the connected account and give it nothing, as they are not active.
SELECT a.role_name AS name
FROM information_schema.applicable_roles AS a
WHERE a.user = a.grantee
    AND a.host = a.grantee_host
    AND NOT EXISTS (
        SELECT 1
        FROM information_schema.enabled_roles AS e
        WHERE e.role_name = a.role_name AND e.role_host = a.role_host
    )
ORDER BY a.role_name;

-- name: objects
-- Tables, views, functions and procedures that the connected account has a right on, and the columns of each.
-- Differs from postgres: what it has none on does not show.
SELECT
    c.table_name AS object,
    c.column_name
FROM information_schema.columns AS c
WHERE c.table_schema = DATABASE() AND LEFT(c.table_name, 8) = 'authsql_'
UNION ALL
SELECT
    CONCAT(r.routine_name, '()'),
    NULL
FROM information_schema.routines AS r
WHERE r.routine_schema = DATABASE() AND LEFT(r.routine_name, 8) = 'authsql_';

-- name: rights
-- What the connected account may do, its active roles included, as statements.
-- Differs from postgres: which does not say which rights there are, but whether there is this one.
SHOW GRANTS;

-- name: scheduler
-- The events that purge, and when each last ran.
SELECT
    e.event_name AS name,
    e.status,
    CONCAT(e.interval_value, ' ', e.interval_field) AS schedule,
    e.definer,
    e.last_executed
FROM information_schema.events AS e
WHERE e.event_schema = DATABASE() AND LEFT(e.event_name, 14) = 'authsql_purge_'
ORDER BY e.event_name;

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
    UTC_TIMESTAMP(6) AS now,
    v.applied_at AS noted_since
FROM authsql_schema_version AS v
WHERE v.name = 'purge_runs';
