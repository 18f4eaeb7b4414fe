-- Migrations: locks, and what is applied. Functions: authsql/migrations.py.

-- name: use_schema
-- Make an existing schema the one that unqualified names mean, for the rest of the connection. No row: there is no such
-- schema. Differs from mysql: not there, as a database is a schema there and the connection names it.
SELECT set_config('search_path', quote_ident(n.nspname), false)
FROM pg_namespace AS n
WHERE n.nspname = %(schema)s;

-- name: keep_guard
-- The connection that guards a run idles in a transaction: no time-out may end it.
SELECT set_config('idle_in_transaction_session_timeout', '0', false);

-- name: lock_run
-- Try to take the lock that one run of migrations has at a time. It ends with the transaction, and so with a killed
-- run's connection.
SELECT pg_try_advisory_xact_lock(
    hashtextextended('authsql migrations of ' || coalesce(current_schema(), ''), 1)
) AS is_locked;

-- name: lock_work
-- Wait until no other connection works on migrations: the server may still be busy with the last statement of a run that
-- was killed.
SELECT pg_advisory_xact_lock(hashtextextended('authsql migrations of ' || coalesce(current_schema(), ''), 2));

-- name: hold_yoyo_lock
-- Take the lock of yoyo too, so that a stock yoyo waits. The row is never committed: it vanishes with the transaction. No
-- row inserted: a yoyo has the lock.
INSERT INTO yoyo_lock (locked, ctime, pid)
VALUES (1, statement_timestamp() AT TIME ZONE 'UTC', %(pid)s)
ON CONFLICT (locked) DO NOTHING;

-- name: yoyo_lock_holder
-- The process that has the lock of yoyo, and for how many seconds.
SELECT
    l.pid,
    extract(EPOCH FROM (statement_timestamp() AT TIME ZONE 'UTC') - l.ctime)::integer AS seconds
FROM yoyo_lock AS l;

-- name: break_yoyo_lock
-- Remove the lock that a killed yoyo left.
DELETE FROM yoyo_lock;

-- name: yoyo_version
-- The version of yoyo's own tables, 0 if none is written down.
SELECT coalesce(max(v.version), 0) AS newest
FROM _yoyo_version AS v;

-- name: tables
-- The tables and views that are there, whoever may read them.
SELECT c.relname AS table_name
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v');

-- name: recorded
-- The migrations that this database has, whoever applied them.
SELECT
    v.version,
    v.name,
    v.applied_at
FROM authsql_schema_version AS v
ORDER BY v.version;

-- Differs from mysql: none of its statements about _authsql_progress, as a migration is one transaction here.
