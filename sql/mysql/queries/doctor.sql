-- What `authsql doctor` asks the server, besides the catalog (catalog.sql). Functions: authsql/doctor.py.

-- name: server
-- The server, and what this session got from its settings. enforces: whether foreign keys are kept.
SELECT
    CONCAT(VERSION(), ' ', @@version_comment) AS product,
    VERSION() AS version,
    @@character_set_connection AS encoding,
    @@time_zone AS time_zone,
    @@transaction_isolation AS isolation,
    @@read_only AS read_only,
    @@super_read_only AS super_read_only,
    @@sql_mode AS sql_mode,
    @@foreign_key_checks AS enforces,
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

-- name: definers
-- What runs with the rights of an account, and of which, as far as the connected one may see it.
-- Differs from postgres: an account can be dropped while objects are its own.
SELECT
    v.definer,
    'view' AS kind
FROM information_schema.views AS v
WHERE v.table_schema = DATABASE() AND LEFT(v.table_name, 8) = 'authsql_' AND v.security_type = 'DEFINER'
UNION ALL
SELECT
    t.definer,
    'trigger'
FROM information_schema.triggers AS t
WHERE t.trigger_schema = DATABASE() AND LEFT(t.event_object_table, 8) = 'authsql_'
UNION ALL
SELECT
    r.definer,
    'routine'
FROM information_schema.routines AS r
WHERE r.routine_schema = DATABASE() AND LEFT(r.routine_name, 8) = 'authsql_' AND r.security_type = 'DEFINER'
UNION ALL
SELECT
    e.definer,
    'event'
FROM information_schema.events AS e
WHERE e.event_schema = DATABASE() AND LEFT(e.event_name, 8) = 'authsql_';

-- name: readers
-- Who else may read which columns (NULL: all) of which object (NULL: of every one), as far as the connected account may see it:
-- no administrator, who may make accounts, nobody who asks, and not the role authsql_owner.
-- Differs from postgres: there is no owner. Accounts with whose rights views run are told by definers.
WITH granted AS (
    SELECT
        u.grantee,
        NULL AS object,
        NULL AS column_name
    FROM information_schema.user_privileges AS u
    WHERE u.privilege_type = 'SELECT'
    UNION ALL
    SELECT
        s.grantee,
        NULL,
        NULL
    FROM information_schema.schema_privileges AS s
    WHERE s.privilege_type = 'SELECT' AND DATABASE() LIKE s.table_schema
    UNION ALL
    SELECT
        t.grantee,
        t.table_name,
        NULL
    FROM information_schema.table_privileges AS t
    WHERE t.privilege_type = 'SELECT' AND t.table_schema = DATABASE() AND LEFT(t.table_name, 8) = 'authsql_'
    UNION ALL
    SELECT
        c.grantee,
        c.table_name,
        c.column_name
    FROM information_schema.column_privileges AS c
    WHERE c.privilege_type = 'SELECT' AND c.table_schema = DATABASE() AND LEFT(c.table_name, 8) = 'authsql_'
),

named AS (
    SELECT
        TRIM(BOTH '''' FROM REPLACE(g.grantee, '''@''', '@')) AS reader,
        g.grantee,
        g.object,
        g.column_name
    FROM granted AS g
)

SELECT
    n.reader,
    n.object,
    n.column_name
FROM named AS n
WHERE n.reader <> CURRENT_USER()
    AND LEFT(n.reader, 6) <> 'mysql.'
    AND LEFT(n.reader, 14) <> 'authsql_owner@'
    AND NOT EXISTS (
        SELECT 1
        FROM information_schema.user_privileges AS a
        WHERE a.grantee = n.grantee AND a.privilege_type IN ('SUPER', 'CREATE USER')
    )
ORDER BY n.reader, n.object, n.column_name;

-- name: accounts
-- The accounts of the server. Most may not read this.
SELECT CONCAT(u.user, '@', u.host) AS account
FROM mysql.user AS u;

-- name: definer_of_overview
-- Whether a view can be used that runs with its definer's rights: authsql_app and authsql_reader both have it.
SELECT o.table_name
FROM authsql_purge_overview AS o
WHERE FALSE;

-- name: definer_of_passwords
-- The same of one that authsql_app has.
SELECT p.user_id
FROM authsql_app_passwords AS p
WHERE FALSE;

-- name: definer_of_sessions
-- The same of one that authsql_reader has, and that there is from the first views on.
SELECT s.user_id
FROM authsql_active_sessions AS s
WHERE FALSE;

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
