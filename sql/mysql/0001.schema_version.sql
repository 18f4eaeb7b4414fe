-- 0001.schema_version: which migrations this database has, whoever applied them (yoyo, authsql, or a DBA with mysql).
-- transactional: false
-- Locks: none, new table. Rollback: drops it; do it last.

-- Differs from postgres: no function for new ids here. A function would need more rights than a migration has where
-- binary logging is on, and an expression does as the default of a column.

CREATE TABLE authsql_schema_version (
    version INT NOT NULL COMMENT 'Number of the migration: the four digits its file name begins with.',
    name VARCHAR(100) COLLATE utf8mb4_bin NOT NULL COMMENT 'Name of the migration: what follows the number in its file name.',
    applied_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the migration was applied (UTC).',
    CONSTRAINT authsql_schema_version_pkey PRIMARY KEY (version),
    CONSTRAINT authsql_schema_version_name_key UNIQUE (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'One row for each authsql migration that this database has.';

INSERT INTO authsql_schema_version (version, name) VALUES (1, 'schema_version');
