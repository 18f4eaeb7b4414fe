-- What `authsql script` writes around the migrations: locks, a check, and yoyo's books as yoyo 9 keeps them. There, values
-- stand in the place of parameters. Functions: authsql/_script.py.

-- name: begin
-- All of it or nothing.
BEGIN;

-- name: finish
-- Commit all of it.
COMMIT;

-- name: lock
-- One run of migrations at a time: the locks of `authsql migrate`. They end with the transaction.
SELECT
    pg_advisory_xact_lock(hashtextextended('authsql migrations of ' || coalesce(current_schema(), ''), 1)) AS run,
    pg_advisory_xact_lock(hashtextextended('authsql migrations of ' || coalesce(current_schema(), ''), 2)) AS work;

-- name: keep_path
-- Keep the search_path for the next statement: a migration may change it for its transaction, which is that of all here.
-- Differs from mysql: it has none.
SELECT set_config('authsql.search_path', current_setting('search_path'), true) AS path;

-- name: restore_path
-- Give each migration the search_path that the first one found. Differs from mysql: see keep_path.
SELECT set_config('search_path', current_setting('authsql.search_path'), true) AS path;

-- name: check_state
-- Stop, by an error that says why, unless the database has the migrations that it should have and lacks those that it
-- should lack.
SELECT
    CASE
        WHEN
            count(*) FILTER (WHERE v.version = any(string_to_array(%(has)s, ',')::integer[]))
            = cardinality(string_to_array(%(has)s, ','))
            AND count(*) FILTER (WHERE v.version = any(string_to_array(%(lacks)s, ',')::integer[])) = 0
            THEN 0
        ELSE
            (
                'this database has ' || count(v.version) || ' migrations, up to ' || coalesce(max(v.version), 0)
                || ', and must have [' || %(has)s || '] and lack [' || %(lacks)s || ']'
            )::integer
    END AS refused
FROM authsql_schema_version AS v;

-- name: check_empty
-- Stop, by an error that says why, if the database has any migration: this is the script of the first one.
SELECT
    coalesce(
        (
            'this is for a database without authsql, and this one has '
            || to_regclass(quote_ident(current_schema()) || '.authsql_schema_version')::text
        )::integer,
        0
    ) AS refused;

-- name: create_lock
-- The lock of yoyo.
CREATE TABLE IF NOT EXISTS yoyo_lock (
    locked integer DEFAULT 1,
    ctime timestamp,
    pid integer NOT NULL,
    PRIMARY KEY (locked)
);

-- name: create_log
-- The log of yoyo.
CREATE TABLE IF NOT EXISTS _yoyo_log (
    id varchar(36),
    migration_hash varchar(64),
    migration_id varchar(255),
    operation varchar(10),
    username varchar(255),
    hostname varchar(255),
    comment varchar(255),
    created_at_utc timestamp,
    PRIMARY KEY (id)
);

-- name: create_version
-- The version of yoyo's own tables.
CREATE TABLE IF NOT EXISTS _yoyo_version (
    version integer NOT NULL PRIMARY KEY,
    installed_at_utc timestamp
);

-- name: create_migration
-- What yoyo takes for applied.
CREATE TABLE IF NOT EXISTS _yoyo_migration (
    migration_hash varchar(64),
    migration_id varchar(255),
    applied_at_utc timestamp,
    PRIMARY KEY (migration_hash)
);

-- name: set_version
-- Write the version of yoyo's own tables down, if they are new.
INSERT INTO _yoyo_version (version, installed_at_utc)
SELECT
    %(version)s::integer,
    statement_timestamp() AT TIME ZONE 'UTC'
WHERE NOT EXISTS (SELECT 1 FROM _yoyo_version);

-- name: mark
-- Tell yoyo that a migration is applied, if it is and yoyo does not know.
INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)
SELECT
    %(migration_hash)s,
    %(migration_id)s,
    statement_timestamp() AT TIME ZONE 'UTC'
FROM authsql_schema_version AS v
WHERE v.version = %(number)s
ON CONFLICT (migration_hash) DO NOTHING;

-- name: unmark
-- Tell yoyo that a migration is not applied any more.
DELETE FROM _yoyo_migration
WHERE migration_hash = %(migration_hash)s;

-- name: log
-- An entry of yoyo's log: by whom, and from where.
INSERT INTO _yoyo_log (id, migration_hash, migration_id, operation, username, hostname, comment, created_at_utc)
VALUES (
    gen_random_uuid()::text, %(migration_hash)s, %(migration_id)s, %(operation)s,
    current_user, coalesce(host(inet_client_addr()), 'local'), %(comment)s, statement_timestamp() AT TIME ZONE 'UTC'
);
