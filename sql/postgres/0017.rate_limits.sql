-- 0017.rate_limits: how often something was done lately, one row for each key that is counted. By GCRA (the generic cell
-- rate algorithm) one time says all: a hit moves it on by period / limit, and is refused if that takes it too far ahead.
-- depends: 0016.permissions
-- Locks: ACCESS EXCLUSIVE on the view authsql_expiry_backlog while it is replaced (who reads it waits for an instant), nothing
-- else.
-- Rollback: drops every count; all limits begin anew.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_rate_limits (
    key_hash bytea NOT NULL,
    scope text NOT NULL,
    hit_at timestamptz NOT NULL,
    reset_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT authsql_rate_limits_pkey PRIMARY KEY (key_hash),
    CONSTRAINT authsql_rate_limits_key_hash_check CHECK (octet_length(key_hash) = 32),
    CONSTRAINT authsql_rate_limits_scope_check CHECK (scope ~ '^[a-z][a-z0-9_-]{0,31}$'),
    CONSTRAINT authsql_rate_limits_reset_at_check CHECK (reset_at > hit_at),
    CONSTRAINT authsql_rate_limits_expires_at_check CHECK (expires_at >= reset_at)
)
-- Room on each page for the new version of a row. The purge goes by expires_at, which is set well ahead and then left
-- alone: of the hits on a key only one now and then writes an index, the others stay on their page (HOT).
WITH (fillfactor = 80);

CREATE INDEX authsql_rate_limits_expires_at_idx ON authsql_rate_limits (expires_at);

COMMENT ON TABLE authsql_rate_limits IS 'Rate limits, one row for each key that was hit of late. How much is left follows from reset_at and the limit given.';
COMMENT ON COLUMN authsql_rate_limits.key_hash IS 'SHA-256 of the scope and of whom or what is counted, such as an address: the length and the words of it do not matter.';
COMMENT ON COLUMN authsql_rate_limits.scope IS 'What is counted, in clear: signin, password-reset or any other word of the application.';
COMMENT ON COLUMN authsql_rate_limits.hit_at IS 'When it was last hit. Whoever had to wait for the row counts from then: for a key, time does not run backwards.';
COMMENT ON COLUMN authsql_rate_limits.reset_at IS 'When the limit is all free again, if there is no other hit: the theoretical arrival time of GCRA.';
COMMENT ON COLUMN authsql_rate_limits.expires_at IS 'Not before reset_at. The row says nothing any more from then on, and is purged.';

-- Differs from mysql: functions, not events (see 0009.purge).
CREATE FUNCTION authsql_purge_rate_limits(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_rate_limits AS r
    WHERE r.key_hash IN (
        SELECT c.key_hash
        FROM authsql_rate_limits AS c
        WHERE c.expires_at <= statement_timestamp()
        ORDER BY c.expires_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_rate_limits(integer) IS
'Deletes at most batch expired rows of authsql_rate_limits and returns how many.';

CREATE OR REPLACE FUNCTION authsql_purge(batch integer DEFAULT 10000, OUT table_name text, OUT deleted bigint)
RETURNS SETOF record
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
SELECT 'authsql_otps', authsql_purge_otps(batch)
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
$$;

CREATE OR REPLACE VIEW authsql_expiry_backlog AS
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
WHERE r.expires_at <= statement_timestamp();

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (17, 'rate_limits');
