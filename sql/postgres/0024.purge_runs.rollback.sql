DELETE FROM authsql_schema_version WHERE version = 24;

-- Names are looked up in this schema, and in temporary ones last. Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

COMMENT ON COLUMN authsql_pending_otps.window_ends_at IS NULL;
COMMENT ON COLUMN authsql_pending_otps.window_count IS NULL;
COMMENT ON COLUMN authsql_pending_otps.resend_at IS NULL;
COMMENT ON COLUMN authsql_pending_otps.expires_at IS NULL;
COMMENT ON COLUMN authsql_pending_otps.created_at IS NULL;
COMMENT ON COLUMN authsql_pending_otps.max_attempts IS NULL;
COMMENT ON COLUMN authsql_pending_otps.attempts IS NULL;
COMMENT ON COLUMN authsql_pending_otps.user_id IS NULL;
COMMENT ON COLUMN authsql_pending_otps.purpose IS NULL;
COMMENT ON COLUMN authsql_pending_otps.subject IS NULL;

COMMENT ON COLUMN authsql_user_overview.created_at IS NULL;
COMMENT ON COLUMN authsql_user_overview.deleted_at IS NULL;
COMMENT ON COLUMN authsql_user_overview.last_login_at IS NULL;
COMMENT ON COLUMN authsql_user_overview.email_verified_at IS NULL;
COMMENT ON COLUMN authsql_user_overview.locked_until IS NULL;
COMMENT ON COLUMN authsql_user_overview.failed_attempts IS NULL;
COMMENT ON COLUMN authsql_user_overview.active_sessions IS NULL;
COMMENT ON COLUMN authsql_user_overview.providers IS NULL;
COMMENT ON COLUMN authsql_user_overview.has_password IS NULL;
COMMENT ON COLUMN authsql_user_overview.roles IS NULL;
COMMENT ON COLUMN authsql_user_overview.state IS NULL;
COMMENT ON COLUMN authsql_user_overview.name IS NULL;
COMMENT ON COLUMN authsql_user_overview.email IS NULL;
COMMENT ON COLUMN authsql_user_overview.user_id IS NULL;

COMMENT ON COLUMN authsql_active_sessions.refresh_expires_at IS NULL;
COMMENT ON COLUMN authsql_active_sessions.refresh_generation IS NULL;
COMMENT ON COLUMN authsql_active_sessions.absolute_expires_at IS NULL;
COMMENT ON COLUMN authsql_active_sessions.expires_at IS NULL;
COMMENT ON COLUMN authsql_active_sessions.last_seen_at IS NULL;
COMMENT ON COLUMN authsql_active_sessions.authenticated_at IS NULL;
COMMENT ON COLUMN authsql_active_sessions.created_at IS NULL;
COMMENT ON COLUMN authsql_active_sessions.aal IS NULL;
COMMENT ON COLUMN authsql_active_sessions.user_agent IS NULL;
COMMENT ON COLUMN authsql_active_sessions.ip IS NULL;
COMMENT ON COLUMN authsql_active_sessions.device IS NULL;
COMMENT ON COLUMN authsql_active_sessions.email IS NULL;
COMMENT ON COLUMN authsql_active_sessions.user_id IS NULL;
COMMENT ON COLUMN authsql_active_sessions.session_id IS NULL;

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
