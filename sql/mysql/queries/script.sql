-- What `authsql script` writes around the migrations: locks, a check, and yoyo's books as yoyo 9 keeps them. There, values
-- stand in the place of parameters. Functions: authsql/_script.py.

-- name: begin
-- The character set that triggers and views are stored with. Differs from postgres: no transaction, as each DDL statement
-- commits by itself.
SET NAMES utf8mb4;

-- name: finish
-- Let another run begin, even if the connection stays. Differs from postgres: nothing is to be committed.
DO RELEASE_LOCK(CONCAT('authsql.work.', LEFT(SHA2(DATABASE(), 256), 40))),
RELEASE_LOCK(CONCAT('authsql.run.', LEFT(SHA2(DATABASE(), 256), 40)));

-- name: lock
-- One run of migrations at a time: the locks of `authsql migrate`. They end with the connection.
DO GET_LOCK(CONCAT('authsql.run.', LEFT(SHA2(DATABASE(), 256), 40)), -1),
GET_LOCK(CONCAT('authsql.work.', LEFT(SHA2(DATABASE(), 256), 40)), -1);

-- name: check_state
-- Stop, by an error that says why, unless the database has the migrations that it should have and lacks those that it
-- should lack.
DO (
    SELECT
        UUID_TO_BIN(
            IF(
                COALESCE(SUM(FIND_IN_SET(v.version, %(has)s) > 0), 0)
                = IF(%(has)s = '', 0, 1 + CHAR_LENGTH(%(has)s) - CHAR_LENGTH(REPLACE(%(has)s, ',', '')))
                AND COALESCE(SUM(FIND_IN_SET(v.version, %(lacks)s) > 0), 0) = 0,
                UUID(),
                -- The server shows 128 characters of it.
                CONCAT(
                    'this database has ', COALESCE(COUNT(v.version), 0), ' migrations, up to ',
                    COALESCE(MAX(v.version), 0), ', and must have [', %(has)s, '] and lack [', %(lacks)s, ']'
                )
            )
        )
    FROM authsql_schema_version AS v
);

-- name: check_empty
-- Stop, by an error that says why, if the database has any migration: this is the script of the first one.
DO (
    SELECT UUID_TO_BIN(CONCAT('this is for a database without authsql, and this one has ', t.table_name))
    FROM information_schema.tables AS t
    WHERE t.table_schema = DATABASE() AND t.table_name = 'authsql_schema_version'
);

-- name: create_lock
-- The lock of yoyo.
CREATE TABLE IF NOT EXISTS yoyo_lock (
    locked INT DEFAULT 1,
    ctime TIMESTAMP,
    pid INT NOT NULL,
    PRIMARY KEY (locked)
);

-- name: create_log
-- The log of yoyo.
CREATE TABLE IF NOT EXISTS _yoyo_log (
    id VARCHAR(36),
    migration_hash VARCHAR(64),
    migration_id VARCHAR(255),
    operation VARCHAR(10),
    username VARCHAR(255),
    hostname VARCHAR(255),
    comment VARCHAR(255),
    created_at_utc TIMESTAMP,
    PRIMARY KEY (id)
);

-- name: create_version
-- The version of yoyo's own tables.
CREATE TABLE IF NOT EXISTS _yoyo_version (
    version INT NOT NULL PRIMARY KEY,
    installed_at_utc TIMESTAMP
);

-- name: create_migration
-- What yoyo takes for applied.
CREATE TABLE IF NOT EXISTS _yoyo_migration (
    migration_hash VARCHAR(64),
    migration_id VARCHAR(255),
    applied_at_utc TIMESTAMP,
    PRIMARY KEY (migration_hash)
);

-- name: set_version
-- Write the version of yoyo's own tables down, if they are new.
INSERT INTO _yoyo_version (version, installed_at_utc)
SELECT
    %(version)s,
    UTC_TIMESTAMP()
WHERE NOT EXISTS (SELECT 1 FROM _yoyo_version);

-- name: mark
-- Tell yoyo that a migration is applied, if it is and yoyo does not know.
INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)
SELECT
    %(migration_hash)s,
    %(migration_id)s,
    UTC_TIMESTAMP()
FROM authsql_schema_version AS v
WHERE v.version = %(number)s
    AND NOT EXISTS (SELECT 1 FROM _yoyo_migration AS o WHERE o.migration_hash = %(migration_hash)s);

-- name: unmark
-- Tell yoyo that a migration is not applied any more.
DELETE FROM _yoyo_migration
WHERE migration_hash = %(migration_hash)s;

-- name: log
-- An entry of yoyo's log: by whom, and from where.
INSERT INTO _yoyo_log (id, migration_hash, migration_id, operation, username, hostname, comment, created_at_utc)
VALUES (
    UUID(), %(migration_hash)s, %(migration_id)s, %(operation)s,
    LEFT(SUBSTRING_INDEX(USER(), '@', 1), 255), SUBSTRING_INDEX(USER(), '@', -1), %(comment)s, UTC_TIMESTAMP()
);
