-- 0024.purge_runs: when the purge last ran, one row for each table that is purged, and a view that has it beside the lag of
-- authsql_expiry_backlog: what a monitor asks for.
-- depends: 0023.hash_isolation
-- Locks: none: new objects, and a function that is replaced. Rollback: drops what is known of the purge's runs.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_purge_runs (
    table_name text NOT NULL,
    last_run_at timestamptz,
    deleted_rows bigint,
    CONSTRAINT authsql_purge_runs_pkey PRIMARY KEY (table_name),
    CONSTRAINT authsql_purge_runs_table_name_check CHECK (char_length(table_name) BETWEEN 1 AND 64),
    CONSTRAINT authsql_purge_runs_deleted_rows_check CHECK (deleted_rows >= 0)
);

COMMENT ON TABLE authsql_purge_runs IS 'When each table was last purged, as far as it was noted. A monitor asks authsql_purge_overview.';
COMMENT ON COLUMN authsql_purge_runs.table_name IS 'Which table. Of one that is not here, no run is noted.';
COMMENT ON COLUMN authsql_purge_runs.last_run_at IS 'When the last run was that came to its end, whether it found anything or not. NULL: none is noted.';
COMMENT ON COLUMN authsql_purge_runs.deleted_rows IS 'How many rows that run deleted, in one batch.';

-- The rows are there from the start: a run is an UPDATE, which can pass over a row that is locked, as an INSERT cannot.
INSERT INTO authsql_purge_runs (table_name) VALUES
('authsql_otps'),
('authsql_sessions'),
('authsql_users'),
('authsql_audit_log'),
('authsql_known_devices'),
('authsql_former_emails'),
('authsql_rate_limits'),
('authsql_outbox'),
('authsql_totp_factors'),
('authsql_passkey_challenges');

-- Nobody waits for a note. SKIP LOCKED: another run is noting the same, or a caller has yet to commit its own.
-- serialization_failure: by REPEATABLE READ another run was noted since the transaction began, and is as good.
-- insufficient_privilege: who may purge and not note purges, as before this migration.
CREATE FUNCTION authsql_note_purge(purged text, gone bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE authsql_purge_runs AS r
    SET last_run_at = statement_timestamp(), deleted_rows = gone
    WHERE r.table_name = (
        SELECT c.table_name
        FROM authsql_purge_runs AS c
        WHERE c.table_name = purged
        FOR UPDATE SKIP LOCKED
    );
    RETURN gone;
EXCEPTION
    WHEN serialization_failure OR insufficient_privilege THEN
        RETURN gone;
END
$$;

COMMENT ON FUNCTION authsql_note_purge(text, bigint) IS
'Notes in authsql_purge_runs that a table was purged, and returns how many rows that deleted.';

CREATE OR REPLACE FUNCTION authsql_purge(batch integer DEFAULT 10000, OUT table_name text, OUT deleted bigint)
RETURNS SETOF record
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
SELECT p.purged, authsql_note_purge(p.purged, p.gone)
FROM (
    SELECT 'authsql_otps' AS purged, authsql_purge_otps(batch) AS gone
    UNION ALL
    SELECT 'authsql_sessions', authsql_purge_sessions(batch)
    UNION ALL
    SELECT 'authsql_users', authsql_purge_users(greatest(batch / 10, 1))
    UNION ALL
    SELECT 'authsql_audit_log', authsql_purge_audit_log(batch)
    UNION ALL
    SELECT 'authsql_known_devices', authsql_purge_known_devices(batch)
    UNION ALL
    SELECT 'authsql_former_emails', authsql_purge_former_emails(batch)
    UNION ALL
    SELECT 'authsql_rate_limits', authsql_purge_rate_limits(batch)
    UNION ALL
    SELECT 'authsql_outbox', authsql_purge_outbox(batch)
    UNION ALL
    SELECT 'authsql_totp_factors', authsql_purge_totp_factors(batch)
    UNION ALL
    SELECT 'authsql_passkey_challenges', authsql_purge_passkey_challenges(batch)
) AS p
$$;

CREATE VIEW authsql_purge_overview AS
SELECT
    b.table_name,
    b.expired_rows,
    b.oldest_expired_at,
    b.lag_seconds,
    r.last_run_at
FROM authsql_expiry_backlog AS b
LEFT JOIN authsql_purge_runs AS r ON b.table_name = r.table_name;

COMMENT ON VIEW authsql_purge_overview IS 'Expired rows that the purge has not removed yet, and when it last ran. A lag that grows means that no scheduler runs.';

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (24, 'purge_runs');
