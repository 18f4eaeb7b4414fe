-- 0010.views: for whoever looks in with psql. No view shows a hash, a seal or anything else that opens something.
-- depends: 0009.purge
-- Locks: none. Rollback: drops the views.

CREATE VIEW authsql_active_sessions AS
SELECT
    s.id AS session_id,
    s.user_id,
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
WHERE s.revoked_at IS NULL AND s.expires_at > statement_timestamp();

COMMENT ON VIEW authsql_active_sessions IS 'Sessions that are live now, with their owners and refresh tokens.';

CREATE VIEW authsql_user_overview AS
SELECT
    u.id AS user_id,
    u.email,
    u.name,
    CASE
        WHEN u.deleted_at IS NOT NULL THEN 'deleted'
        WHEN u.locked_until > statement_timestamp() THEN 'locked'
        WHEN u.email_verified_at IS NULL THEN 'unverified'
        ELSE 'active'
    END AS state,
    (
        SELECT string_agg(r.role, ', ' ORDER BY r.role)
        FROM authsql_user_roles AS r
        WHERE r.user_id = u.id
    ) AS roles,
    EXISTS(SELECT 1 FROM authsql_passwords AS p WHERE p.user_id = u.id) AS has_password,
    (
        SELECT string_agg(i.provider, ', ' ORDER BY i.provider)
        FROM authsql_identities AS i
        WHERE i.user_id = u.id
    ) AS providers,
    (
        SELECT count(*)
        FROM authsql_sessions AS s
        WHERE s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > statement_timestamp()
    ) AS active_sessions,
    u.failed_attempts,
    u.locked_until,
    u.email_verified_at,
    u.last_login_at,
    u.deleted_at,
    u.created_at
FROM authsql_users AS u;

COMMENT ON VIEW authsql_user_overview IS 'One row for each user: state, roles, ways to sign in, number of live sessions.';

CREATE VIEW authsql_pending_otps AS
SELECT
    o.subject,
    o.purpose,
    o.user_id,
    o.attempts,
    o.max_attempts,
    o.created_at,
    o.expires_at,
    o.resend_at,
    o.window_count,
    o.window_ends_at
FROM authsql_otps AS o
WHERE o.spent_at IS NULL AND o.attempts < o.max_attempts AND o.expires_at > statement_timestamp();

COMMENT ON VIEW authsql_pending_otps IS 'Codes that could still be used now. The codes themselves are nowhere.';

CREATE VIEW authsql_expiry_backlog AS
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
WHERE s.absolute_expires_at <= statement_timestamp();

COMMENT ON VIEW authsql_expiry_backlog IS 'Expired rows that the purge has not removed yet. A lag that grows means that no scheduler runs.';

INSERT INTO authsql_schema_version (version, name) VALUES (10, 'views');
