-- The demo: what it shows of the tables, and how it makes time pass. Functions: authsql/_demo/.
-- Differs from postgres: a database of its own where PostgreSQL has a schema.

-- name: create_text
-- The statement that creates a database of this name.
SELECT CONCAT('CREATE DATABASE `', REPLACE(%(name)s, '`', '``'), '`') AS text;

-- name: drop_text
-- The statement that drops it, with all that is in it.
SELECT CONCAT('DROP DATABASE `', REPLACE(%(name)s, '`', '``'), '`') AS text;

-- name: server
-- Which server this is, and its clock.
SELECT
    CONCAT('MySQL ', VERSION()) AS server,
    UTC_TIMESTAMP(6) AS now;

-- name: users
-- Accounts.
SELECT
    u.email,
    u.email_verified_at,
    u.failed_attempts,
    u.locked_until
FROM authsql_users AS u
ORDER BY u.id;

-- name: roles
-- Who has which role.
SELECT
    u.email,
    r.role,
    r.granted_at
FROM authsql_user_roles AS r
INNER JOIN authsql_users AS u ON r.user_id = u.id
ORDER BY u.id, r.role;

-- name: passwords
-- Passwords, of each hash its parameters and the beginning of its salt.
SELECT
    u.email,
    CONCAT(LEFT(p.hash, 36), '...') AS hash,
    p.changed_at
FROM authsql_passwords AS p
INNER JOIN authsql_users AS u ON p.user_id = u.id
ORDER BY u.id;

-- name: otps
-- Codes, of each hash the beginning.
SELECT
    o.purpose,
    CONCAT(LEFT(LOWER(HEX(o.code_hash)), 8), '...') AS code_hash,
    o.attempts,
    o.expires_at,
    o.spent_at
FROM authsql_otps AS o
ORDER BY o.issue_id;

-- name: sessions
-- Sessions, of each hash the beginning.
SELECT
    s.device,
    CONCAT(LEFT(LOWER(HEX(s.secret_hash)), 8), '...') AS secret_hash,
    s.expires_at,
    s.revoked_at,
    s.revoke_reason
FROM authsql_sessions AS s
ORDER BY s.id;

-- name: refresh_tokens
-- Families of refresh tokens, of each hash the beginning.
SELECT
    s.device,
    CONCAT(LEFT(LOWER(HEX(r.previous_hash)), 8), '...') AS previous_hash,
    CONCAT(LEFT(LOWER(HEX(r.current_hash)), 8), '...') AS current_hash,
    r.generation,
    r.rotated_at
FROM authsql_refresh_tokens AS r
INNER JOIN authsql_sessions AS s ON r.session_id = s.id
ORDER BY s.id;

-- name: age_rotations
-- As if each rotation had been a minute earlier.
UPDATE authsql_refresh_tokens AS r
SET r.rotated_at = r.rotated_at - INTERVAL 1 MINUTE
WHERE r.rotated_at IS NOT NULL;

-- name: age_otps
-- As if each spent code had been issued a day earlier.
UPDATE authsql_otps AS o
SET
    o.created_at = o.created_at - INTERVAL 1 DAY,
    o.expires_at = o.expires_at - INTERVAL 1 DAY,
    o.resend_at = o.resend_at - INTERVAL 1 DAY,
    o.spent_at = o.spent_at - INTERVAL 1 DAY,
    o.window_ends_at = o.window_ends_at - INTERVAL 1 DAY
WHERE o.spent_at IS NOT NULL;

-- name: age_sessions
-- As if each session that was ended had begun 40 days earlier.
UPDATE authsql_sessions AS s
SET
    s.created_at = s.created_at - INTERVAL 40 DAY,
    s.authenticated_at = s.authenticated_at - INTERVAL 40 DAY,
    s.last_seen_at = s.last_seen_at - INTERVAL 40 DAY,
    s.expires_at = s.expires_at - INTERVAL 40 DAY,
    s.absolute_expires_at = s.absolute_expires_at - INTERVAL 40 DAY,
    s.revoked_at = s.revoked_at - INTERVAL 40 DAY
WHERE s.revoked_at IS NOT NULL;

-- name: user_overview
-- The view of that name.
SELECT
    v.user_id,
    v.email,
    v.name,
    v.state,
    v.roles,
    v.has_password,
    v.providers,
    v.active_sessions,
    v.failed_attempts,
    v.locked_until,
    v.email_verified_at,
    v.last_login_at,
    v.deleted_at,
    v.created_at
FROM authsql_user_overview AS v
ORDER BY v.user_id;

-- name: active_sessions
-- The view of that name.
SELECT
    v.session_id,
    v.user_id,
    v.email,
    v.device,
    v.ip,
    v.user_agent,
    v.aal,
    v.created_at,
    v.authenticated_at,
    v.last_seen_at,
    v.expires_at,
    v.absolute_expires_at,
    v.refresh_generation,
    v.refresh_expires_at
FROM authsql_active_sessions AS v
ORDER BY v.session_id;

-- name: pending_otps
-- The view of that name.
SELECT
    v.subject,
    v.purpose,
    v.user_id,
    v.attempts,
    v.max_attempts,
    v.created_at,
    v.expires_at,
    v.resend_at,
    v.window_count,
    v.window_ends_at
FROM authsql_pending_otps AS v
ORDER BY v.subject, v.purpose;

-- name: expiry_backlog
-- The view of that name.
SELECT
    v.table_name,
    v.expired_rows,
    v.oldest_expired_at,
    v.lag_seconds
FROM authsql_expiry_backlog AS v
ORDER BY v.table_name;
