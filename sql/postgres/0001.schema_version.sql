-- 0001.schema_version: which migrations this database has, whoever applied them (yoyo, authsql, or a DBA with psql),
-- and the default for ids.
-- Locks: none, new objects. Rollback: drops both; do it last.

-- Ids are UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds first, so that new rows land side by side in
-- the index. Python makes them; this is the default for a hand-written INSERT. PostgreSQL 18 has uuidv7(), 15 has not.
CREATE FUNCTION authsql_uuid7() RETURNS uuid
LANGUAGE sql
VOLATILE
PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
SELECT encode(
    set_bit(
        set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(EPOCH FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6
            ),
            52, 1
        ),
        53, 1
    ),
    'hex'
)::uuid
$$;

COMMENT ON FUNCTION authsql_uuid7() IS 'A new UUID version 7 (time-ordered): the default of id columns.';

CREATE TABLE authsql_schema_version (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT authsql_schema_version_pkey PRIMARY KEY (version),
    CONSTRAINT authsql_schema_version_name_key UNIQUE (name)
);

COMMENT ON TABLE authsql_schema_version IS 'One row for each authsql migration that this database has.';
COMMENT ON COLUMN authsql_schema_version.version IS 'Number of the migration: the four digits its file name begins with.';
COMMENT ON COLUMN authsql_schema_version.name IS 'Name of the migration: what follows the number in its file name.';
COMMENT ON COLUMN authsql_schema_version.applied_at IS 'When the migration was applied.';

INSERT INTO authsql_schema_version (version, name) VALUES (1, 'schema_version');
