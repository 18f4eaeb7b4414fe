-- Migrations: locks, what is applied, and how far a run has come. Functions: authsql/migrations.py.
-- Differs from postgres: no use_schema, as a database is a schema here and the connection names it.

-- name: keep_guard
-- The connection that guards a run idles: no time-out may end it (31536000 s, a year, is the longest).
SET SESSION wait_timeout = 31536000;

-- name: lock_run
-- Try to take the lock that one run of migrations has at a time. It ends with the connection, and so with a killed run.
SELECT GET_LOCK(CONCAT('authsql.run.', LEFT(SHA2(DATABASE(), 256), 40)), 0) AS is_locked;

-- name: lock_work
-- Wait until no other connection works on migrations: the server may still be busy with the last statement of a run that
-- was killed.
SELECT GET_LOCK(CONCAT('authsql.work.', LEFT(SHA2(DATABASE(), 256), 40)), -1) AS is_locked;

-- name: hold_yoyo_lock
-- Take the lock of yoyo too, so that a stock yoyo waits. The row is never committed: it vanishes with the transaction. No
-- row inserted: a yoyo has the lock.
INSERT IGNORE INTO yoyo_lock (locked, ctime, pid)
VALUES (1, UTC_TIMESTAMP(), %(pid)s);

-- name: yoyo_lock_holder
-- The process that has the lock of yoyo, and for how many seconds.
SELECT
    l.pid,
    TIMESTAMPDIFF(SECOND, l.ctime, UTC_TIMESTAMP()) AS seconds
FROM yoyo_lock AS l;

-- name: break_yoyo_lock
-- Remove the lock that a killed yoyo left.
DELETE FROM yoyo_lock;

-- name: yoyo_version
-- The version of yoyo's own tables, 0 if none is written down.
SELECT COALESCE(MAX(v.version), 0) AS newest
FROM _yoyo_version AS v;

-- name: tables
-- The tables and views that are there and that this user may see.
SELECT t.table_name
FROM information_schema.tables AS t
WHERE t.table_schema = DATABASE();

-- name: recorded
-- The migrations that this database has, whoever applied them.
SELECT
    v.version,
    v.name,
    v.applied_at
FROM authsql_schema_version AS v
ORDER BY v.version;

-- name: create_progress
-- The journal of a run: how many statements of a migration are done. There only while a migration is in progress.
-- Differs from postgres: DDL commits by itself here, so that a killed run may leave a part of a migration behind.
CREATE TABLE _authsql_progress (
    migration VARCHAR(255) COLLATE utf8mb4_bin NOT NULL COMMENT 'File name of the migration without its ending.',
    direction VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'apply: statements of the file. rollback: statements of its rollback file.',
    done INT NOT NULL COMMENT 'So many statements, from the first, are done. The one after them may be done too.',
    PRIMARY KEY (migration)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Journal of a run of authsql migrations. Left by a killed run: the next run finishes it.';

-- name: progress
-- What was in progress when a run was killed. Differs from postgres: see create_progress.
SELECT
    p.migration,
    p.direction,
    p.done
FROM _authsql_progress AS p;

-- name: begin_progress
-- A migration begins. Differs from postgres: see create_progress.
INSERT INTO _authsql_progress (migration, direction, done)
VALUES (%(migration)s, %(direction)s, 0);

-- name: advance_progress
-- A statement more is done. Differs from postgres: see create_progress.
UPDATE _authsql_progress
SET done = %(done)s
WHERE migration = %(migration)s;

-- name: turn_progress
-- A statement failed: what was done is undone from here on. Differs from postgres: see create_progress.
UPDATE _authsql_progress
SET direction = %(direction)s, done = %(done)s
WHERE migration = %(migration)s;

-- name: end_progress
-- A migration is complete, or undone. Differs from postgres: see create_progress.
DELETE FROM _authsql_progress
WHERE migration = %(migration)s;

-- name: drop_progress
-- Nothing is in progress. Differs from postgres: see create_progress.
DROP TABLE _authsql_progress;
