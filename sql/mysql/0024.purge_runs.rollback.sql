DELETE FROM authsql_schema_version WHERE version = 24;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW authsql_pending_otps AS
SELECT
    o.subject,
    o.purpose,
    BIN_TO_UUID(o.user_id) AS user_id,
    o.attempts,
    o.max_attempts,
    o.created_at,
    o.expires_at,
    o.resend_at,
    o.window_count,
    o.window_ends_at
FROM authsql_otps AS o
WHERE o.spent_at IS NULL AND o.attempts < o.max_attempts AND o.expires_at > UTC_TIMESTAMP(6);

CREATE OR REPLACE SQL SECURITY INVOKER VIEW authsql_user_overview AS
SELECT
    BIN_TO_UUID(u.id) AS user_id,
    u.email,
    u.name,
    CASE
        WHEN u.deleted_at IS NOT NULL THEN 'deleted'
        WHEN u.locked_until > UTC_TIMESTAMP(6) THEN 'locked'
        WHEN u.email_verified_at IS NULL THEN 'unverified'
        ELSE 'active'
    END AS state,
    (
        SELECT GROUP_CONCAT(r.role ORDER BY r.role SEPARATOR ', ')
        FROM authsql_user_roles AS r
        WHERE r.user_id = u.id
    ) AS roles,
    EXISTS(SELECT 1 FROM authsql_passwords AS p WHERE p.user_id = u.id) AS has_password,
    (
        SELECT GROUP_CONCAT(i.provider ORDER BY i.provider SEPARATOR ', ')
        FROM authsql_identities AS i
        WHERE i.user_id = u.id
    ) AS providers,
    (
        SELECT COUNT(*)
        FROM authsql_sessions AS s
        WHERE s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > UTC_TIMESTAMP(6)
    ) AS active_sessions,
    u.failed_attempts,
    u.locked_until,
    u.email_verified_at,
    u.last_login_at,
    u.deleted_at,
    u.created_at
FROM authsql_users AS u;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW authsql_active_sessions AS
SELECT
    BIN_TO_UUID(s.id) AS session_id,
    BIN_TO_UUID(s.user_id) AS user_id,
    u.email,
    s.device,
    s.ip,
    s.user_agent,
    s.aal,
    s.created_at,
    s.authenticated_at,
    s.last_seen_at,
    s.expires_at,
    s.absolute_expires_at,
    r.generation AS refresh_generation,
    r.expires_at AS refresh_expires_at
FROM authsql_sessions AS s
INNER JOIN authsql_users AS u ON s.user_id = u.id
LEFT JOIN authsql_refresh_tokens AS r ON s.id = r.session_id
WHERE s.revoked_at IS NULL AND s.expires_at > UTC_TIMESTAMP(6);

CREATE OR REPLACE SQL SECURITY DEFINER VIEW authsql_expiry_backlog AS
SELECT
    'authsql_otps' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(o.purge_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(o.purge_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_otps AS o
WHERE o.purge_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_sessions' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(s.absolute_expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(s.absolute_expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_sessions AS s
WHERE s.absolute_expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_users' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(u.deleted_at) + INTERVAL MAX(r.keep_days) DAY AS oldest_expired_at,
    COALESCE(
        TIMESTAMPDIFF(SECOND, MIN(u.deleted_at) + INTERVAL MAX(r.keep_days) DAY, UTC_TIMESTAMP(6)), 0
    ) AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_users AS u ON u.deleted_at <= UTC_TIMESTAMP(6) - INTERVAL r.keep_days DAY
WHERE r.table_name = 'authsql_users'
UNION ALL
SELECT
    'authsql_audit_log' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(a.occurred_at) + INTERVAL MAX(r.keep_days) DAY AS oldest_expired_at,
    COALESCE(
        TIMESTAMPDIFF(SECOND, MIN(a.occurred_at) + INTERVAL MAX(r.keep_days) DAY, UTC_TIMESTAMP(6)), 0
    ) AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_audit_log AS a ON a.occurred_at <= UTC_TIMESTAMP(6) - INTERVAL r.keep_days DAY
WHERE r.table_name = 'authsql_audit_log'
UNION ALL
SELECT
    'authsql_known_devices' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(d.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(d.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_known_devices AS d
WHERE d.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_former_emails' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(f.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(f.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_former_emails AS f
WHERE f.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_rate_limits' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(r.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(r.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_rate_limits AS r
WHERE r.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_outbox' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(m.purge_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(m.purge_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_outbox AS m
WHERE m.purge_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_totp_factors' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(t.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(t.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_totp_factors AS t
WHERE t.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_passkey_challenges' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(c.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(c.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_passkey_challenges AS c
WHERE c.expires_at <= UTC_TIMESTAMP(6);

DROP FUNCTION authsql_last_purge;

DELETE FROM authsql_purge_runs;

DROP TABLE authsql_purge_runs;
