-- 0024.purge_runs: when the purge last ran, one row for each table that is purged, and beside the lag in
-- authsql_expiry_backlog: what a monitor asks for.
-- depends: 0023.hash_isolation
-- Locks: ACCESS EXCLUSIVE on the view authsql_expiry_backlog while it is replaced.
-- Rollback: drops what is known of the purge's runs. The view authsql_expiry_backlog is made anew: who may read it has to be
-- granted it again.

CREATE TABLE authsql_purge_runs (
    table_name text NOT NULL,
    last_run_at timestamptz,
    deleted_rows bigint,
    CONSTRAINT authsql_purge_runs_pkey PRIMARY KEY (table_name),
    CONSTRAINT authsql_purge_runs_table_name_check CHECK (char_length(table_name) BETWEEN 1 AND 64),
    CONSTRAINT authsql_purge_runs_deleted_rows_check CHECK (deleted_rows >= 0)
);

COMMENT ON TABLE authsql_purge_runs IS 'When each table was last purged, as far as it was noted. A monitor asks authsql_expiry_backlog.';
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

CREATE OR REPLACE VIEW authsql_expiry_backlog AS
SELECT
    b.table_name,
    b.expired_rows,
    b.oldest_expired_at,
    b.lag_seconds,
    n.last_run_at
FROM (
    SELECT
        'authsql_otps' AS table_name,
        count(*) AS expired_rows,
        min(o.purge_at) AS oldest_expired_at,
        coalesce(extract(EPOCH FROM statement_timestamp() - min(o.purge_at)), 0)::bigint AS lag_seconds
    FROM authsql_otps AS o
    WHERE o.purge_at <= statement_timestamp()
    UNION ALL
    SELECT
        'authsql_sessions' AS table_name,
        count(*) AS expired_rows,
        min(s.absolute_expires_at) AS oldest_expired_at,
        coalesce(extract(EPOCH FROM statement_timestamp() - min(s.absolute_expires_at)), 0)::bigint AS lag_seconds
    FROM authsql_sessions AS s
    WHERE s.absolute_expires_at <= statement_timestamp()
    UNION ALL
    SELECT
        'authsql_users' AS table_name,
        count(*) AS expired_rows,
        min(u.deleted_at) + max(r.keep_days) * interval '24 hours' AS oldest_expired_at,
        coalesce(
            extract(EPOCH FROM statement_timestamp() - min(u.deleted_at) - max(r.keep_days) * interval '24 hours'), 0
        )::bigint AS lag_seconds
    FROM authsql_retention AS r
    INNER JOIN authsql_users AS u ON u.deleted_at <= statement_timestamp() - r.keep_days * interval '24 hours'
    WHERE r.table_name = 'authsql_users'
    UNION ALL
    SELECT
        'authsql_audit_log' AS table_name,
        count(*) AS expired_rows,
        min(a.occurred_at) + max(r.keep_days) * interval '24 hours' AS oldest_expired_at,
        coalesce(
            extract(EPOCH FROM statement_timestamp() - min(a.occurred_at) - max(r.keep_days) * interval '24 hours'), 0
        )::bigint AS lag_seconds
    FROM authsql_retention AS r
    INNER JOIN authsql_audit_log AS a ON a.occurred_at <= statement_timestamp() - r.keep_days * interval '24 hours'
    WHERE r.table_name = 'authsql_audit_log'
    UNION ALL
    SELECT
        'authsql_known_devices' AS table_name,
        count(*) AS expired_rows,
        min(d.expires_at) AS oldest_expired_at,
        coalesce(extract(EPOCH FROM statement_timestamp() - min(d.expires_at)), 0)::bigint AS lag_seconds
    FROM authsql_known_devices AS d
    WHERE d.expires_at <= statement_timestamp()
    UNION ALL
    SELECT
        'authsql_former_emails' AS table_name,
        count(*) AS expired_rows,
        min(f.expires_at) AS oldest_expired_at,
        coalesce(extract(EPOCH FROM statement_timestamp() - min(f.expires_at)), 0)::bigint AS lag_seconds
    FROM authsql_former_emails AS f
    WHERE f.expires_at <= statement_timestamp()
    UNION ALL
    SELECT
        'authsql_rate_limits' AS table_name,
        count(*) AS expired_rows,
        min(r.expires_at) AS oldest_expired_at,
        coalesce(extract(EPOCH FROM statement_timestamp() - min(r.expires_at)), 0)::bigint AS lag_seconds
    FROM authsql_rate_limits AS r
    WHERE r.expires_at <= statement_timestamp()
    UNION ALL
    SELECT
        'authsql_outbox' AS table_name,
        count(*) AS expired_rows,
        min(m.purge_at) AS oldest_expired_at,
        coalesce(extract(EPOCH FROM statement_timestamp() - min(m.purge_at)), 0)::bigint AS lag_seconds
    FROM authsql_outbox AS m
    WHERE m.purge_at <= statement_timestamp()
    UNION ALL
    SELECT
        'authsql_totp_factors' AS table_name,
        count(*) AS expired_rows,
        min(t.expires_at) AS oldest_expired_at,
        coalesce(extract(EPOCH FROM statement_timestamp() - min(t.expires_at)), 0)::bigint AS lag_seconds
    FROM authsql_totp_factors AS t
    WHERE t.expires_at <= statement_timestamp()
    UNION ALL
    SELECT
        'authsql_passkey_challenges' AS table_name,
        count(*) AS expired_rows,
        min(c.expires_at) AS oldest_expired_at,
        coalesce(extract(EPOCH FROM statement_timestamp() - min(c.expires_at)), 0)::bigint AS lag_seconds
    FROM authsql_passkey_challenges AS c
    WHERE c.expires_at <= statement_timestamp()
) AS b
LEFT JOIN authsql_purge_runs AS n ON b.table_name = n.table_name;

COMMENT ON VIEW authsql_expiry_backlog IS 'Expired rows that the purge has not removed yet, and when it last ran. A lag that grows means that no scheduler runs.';

INSERT INTO authsql_schema_version (version, name) VALUES (24, 'purge_runs');
