DELETE FROM authsql_schema_version WHERE version = 24;

-- Names are looked up in this schema, and in temporary ones last. Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

DROP VIEW authsql_purge_overview;

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
UNION ALL
SELECT 'authsql_outbox', authsql_purge_outbox(batch)
UNION ALL
SELECT 'authsql_totp_factors', authsql_purge_totp_factors(batch)
UNION ALL
SELECT 'authsql_passkey_challenges', authsql_purge_passkey_challenges(batch)
$$;

DROP FUNCTION authsql_note_purge(text, bigint);

DELETE FROM authsql_purge_runs;

DROP TABLE authsql_purge_runs;

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;
