-- What `authsql inspect NAME` shows: the statement of that name. `user` narrows it to one account, where it stands in the
-- statement. No secret, and no hash of one, is shown. Functions: authsql/_inspect.py.

-- name: users
-- Accounts, the newest first.
SELECT
    o.user_id,
    o.email,
    o.name,
    o.state,
    o.roles,
    o.has_password,
    o.providers,
    o.active_sessions,
    o.failed_attempts,
    o.locked_until,
    o.last_login_at,
    o.created_at
FROM authsql_user_overview AS o
WHERE %(user)s IS NULL OR LOWER(o.email) = LOWER(%(user)s)
ORDER BY o.user_id DESC
LIMIT %(limit)s;

-- name: sessions
-- Live sessions, the last used first.
SELECT
    s.session_id,
    s.email,
    s.device,
    s.ip,
    s.user_agent,
    s.aal,
    s.created_at,
    s.last_seen_at,
    s.expires_at,
    s.absolute_expires_at,
    s.refresh_generation
FROM authsql_active_sessions AS s
WHERE %(user)s IS NULL OR LOWER(s.email) = LOWER(%(user)s)
ORDER BY s.last_seen_at DESC, s.session_id DESC
LIMIT %(limit)s;

-- name: otps
-- Codes that could still be used, without the codes, the newest first; of an account, those to any address.
SELECT
    p.subject,
    p.purpose,
    p.user_id,
    p.attempts,
    p.max_attempts,
    p.created_at,
    p.expires_at,
    p.resend_at,
    p.window_count
FROM authsql_pending_otps AS p
WHERE %(user)s IS NULL
    OR p.subject = LOWER(%(user)s)
    OR p.user_id IN (SELECT o.user_id FROM authsql_user_overview AS o WHERE LOWER(o.email) = LOWER(%(user)s))
ORDER BY p.created_at DESC
LIMIT %(limit)s;

-- name: backlog
-- Expired rows that wait for the purge, and when it last ran.
SELECT
    b.table_name,
    b.expired_rows,
    b.oldest_expired_at,
    b.lag_seconds,
    b.last_run_at
FROM authsql_purge_overview AS b
ORDER BY b.table_name
LIMIT %(limit)s;

-- name: migrations
-- Migrations that this database has, the last first.
SELECT
    v.version,
    v.name,
    v.applied_at
FROM authsql_schema_version AS v
ORDER BY v.version DESC
LIMIT %(limit)s;
