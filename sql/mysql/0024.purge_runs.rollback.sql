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

DROP VIEW authsql_purge_overview;

DROP FUNCTION authsql_last_purge;

DELETE FROM authsql_purge_runs;

DROP TABLE authsql_purge_runs;
