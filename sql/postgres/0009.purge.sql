-- 0009.purge: removes what has expired. Lookups judge expiry themselves: a stopped purge costs disk, never security.
-- It is scheduled here if the extension pg_cron is installed in this database and the migrating role may use it;
-- optional/pg_cron.sql does the same later, and `authsql purge` does the work where there is no pg_cron.
-- depends: 0008.refresh_tokens
-- Locks: none. Rollback: takes the job off the schedule and drops the function.

-- Differs from mysql: functions, not events, because PostgreSQL has no scheduler of its own.
-- SKIP LOCKED: a row that somebody works with is left for the next run, and nobody waits.
CREATE FUNCTION authsql_purge_otps(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_otps AS o
    WHERE (o.subject, o.purpose) IN (
        SELECT c.subject, c.purpose
        FROM authsql_otps AS c
        WHERE c.purge_at <= statement_timestamp()
        ORDER BY c.purge_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_otps(integer) IS 'Deletes at most batch expired rows of authsql_otps and returns how many.';

-- Refresh tokens go with their session: a revoked one is evidence of reuse for as long as it could have lived.
CREATE FUNCTION authsql_purge_sessions(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_sessions AS s
    WHERE s.id IN (
        SELECT c.id
        FROM authsql_sessions AS c
        WHERE c.absolute_expires_at <= statement_timestamp()
        ORDER BY c.absolute_expires_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_sessions(integer) IS
'Deletes at most batch expired rows of authsql_sessions, with their refresh tokens, and returns how many sessions.';

CREATE FUNCTION authsql_purge(batch integer DEFAULT 10000, OUT table_name text, OUT deleted bigint)
RETURNS SETOF record
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
SELECT 'authsql_otps', authsql_purge_otps(batch)
UNION ALL
SELECT 'authsql_sessions', authsql_purge_sessions(batch)
$$;

COMMENT ON FUNCTION authsql_purge(integer) IS
'Deletes at most batch expired rows of each table. Call it again while any count equals batch.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')
        AND has_schema_privilege('cron', 'USAGE')
    THEN
        PERFORM cron.schedule(
            'authsql_purge_' || current_schema(),
            '* * * * *',
            'SELECT ' || quote_ident(current_schema()) || '.authsql_purge()'
        );
    END IF;
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (9, 'purge');
