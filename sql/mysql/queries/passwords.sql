-- Passwords. Functions: authsql/passwords.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed, and
-- %(verdict)s what it left in LAST_INSERT_ID.

-- name: attempt
-- Count an attempt on the account with this e-mail, in one statement: attempts made at the same time are counted one
-- after the other, and one that finds the account locked gets nothing. From lock_after failures on, each locks the
-- account, the first for lock_base and each further one for twice as long.
UPDATE authsql_users AS u
SET
    u.locked_until = IF(
        u.failed_attempts + 1 >= %(lock_after)s,
        UTC_TIMESTAMP(6) + INTERVAL LEAST(
            %(lock_base)s * POW(2, LEAST(u.failed_attempts + 1 - %(lock_after)s, 30)), %(lock_max)s
        ) MICROSECOND,
        NULL
    ),
    u.failed_attempts = u.failed_attempts + 1
WHERE u.email_key = LOWER(CONVERT(%(email)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND (u.locked_until IS NULL OR u.locked_until <= UTC_TIMESTAMP(6))
    AND u.failed_attempts < %(block_after)s;

-- name: attempt__2
-- What it takes to check it, if the attempt was counted.
SELECT
    CASE
        WHEN %(rows)s > 0 THEN 'counted'
        WHEN u.failed_attempts >= %(block_after)s THEN 'blocked'
        WHEN u.locked_until > UTC_TIMESTAMP(6) THEN 'locked'
        -- It was locked a moment ago.
        ELSE 'overtaken'
    END AS state,
    u.id AS user_id,
    u.failed_attempts,
    u.locked_until,
    u.email_verified_at,
    authsql_password_form(p.user_id) AS form,
    p.changed_at,
    p.must_change_since
FROM authsql_users AS u
LEFT JOIN authsql_app_passwords AS p ON u.id = p.user_id AND %(rows)s > 0
WHERE u.email_key = LOWER(CONVERT(%(email)s USING utf8mb4) COLLATE utf8mb4_bin);

-- name: attempt_by_id
-- The same for the account with this id.
UPDATE authsql_users AS u
SET
    u.locked_until = IF(
        u.failed_attempts + 1 >= %(lock_after)s,
        UTC_TIMESTAMP(6) + INTERVAL LEAST(
            %(lock_base)s * POW(2, LEAST(u.failed_attempts + 1 - %(lock_after)s, 30)), %(lock_max)s
        ) MICROSECOND,
        NULL
    ),
    u.failed_attempts = u.failed_attempts + 1
WHERE u.id = %(user_id)s
    AND u.deleted_at IS NULL
    AND (u.locked_until IS NULL OR u.locked_until <= UTC_TIMESTAMP(6))
    AND u.failed_attempts < %(block_after)s;

-- name: attempt_by_id__2
-- What it takes to check it, if the attempt was counted.
SELECT
    CASE
        WHEN %(rows)s > 0 THEN 'counted'
        WHEN u.failed_attempts >= %(block_after)s THEN 'blocked'
        WHEN u.locked_until > UTC_TIMESTAMP(6) THEN 'locked'
        -- It was locked a moment ago.
        ELSE 'overtaken'
    END AS state,
    u.id AS user_id,
    u.failed_attempts,
    u.locked_until,
    u.email_verified_at,
    authsql_password_form(p.user_id) AS form,
    p.changed_at,
    p.must_change_since
FROM authsql_users AS u
LEFT JOIN authsql_app_passwords AS p ON u.id = p.user_id AND %(rows)s > 0
WHERE u.id = %(user_id)s
    AND u.deleted_at IS NULL;

-- name: attempt_from_device
-- The same from a known device of the account's: it counts on the device, whatever lock others have brought upon the
-- account, but not past its ceiling.
UPDATE authsql_known_devices AS d
INNER JOIN authsql_users AS u ON d.user_id = u.id
SET d.failed_attempts = d.failed_attempts + 1
WHERE d.id = %(device_id)s
    AND d.secret_hash = %(device_hash)s
    AND d.expires_at > UTC_TIMESTAMP(6)
    AND d.failed_attempts < %(device_attempts)s
    AND u.email_key = LOWER(CONVERT(%(email)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.failed_attempts < %(block_after)s;

-- name: attempt_from_device__2
-- What it takes to check it, if the attempt was counted. No row: it is no known device, or was wrong too often.
SELECT
    'counted' AS state,
    u.id AS user_id,
    d.failed_attempts,
    NULL AS locked_until,
    u.email_verified_at,
    authsql_password_form(p.user_id) AS form,
    p.changed_at,
    p.must_change_since
FROM authsql_known_devices AS d
INNER JOIN authsql_users AS u ON d.user_id = u.id
LEFT JOIN authsql_app_passwords AS p ON u.id = p.user_id
WHERE d.id = %(device_id)s AND %(rows)s > 0;

-- name: lock_state
-- Why an attempt that was overtaken by another one was not counted.
SELECT
    CASE WHEN u.failed_attempts >= %(block_after)s THEN 'blocked' ELSE 'locked' END AS state,
    u.failed_attempts,
    u.locked_until
FROM authsql_users AS u
WHERE u.id = %(user_id)s;

-- name: succeed
-- The attempt was right: it was no failure. Not if the password was changed while it was being checked.
UPDATE authsql_users AS u
INNER JOIN authsql_app_passwords AS p ON u.id = p.user_id
SET
    u.failed_attempts = 0,
    u.locked_until = NULL,
    -- It moves each time: the audit log goes by that.
    u.password_verified_at = GREATEST(
        UTC_TIMESTAMP(6), COALESCE(u.password_verified_at + INTERVAL 1 MICROSECOND, UTC_TIMESTAMP(6))
    )
WHERE u.id = %(user_id)s
    AND u.deleted_at IS NULL
    AND p.changed_at = %(changed_at)s
    AND authsql_password_matches(p.user_id, %(candidate)s);

-- name: succeed_from_device
-- The same for an attempt from a known device. The account's count begins again, too, as with any success; a lock that others
-- brought upon it stays for them until its time. LEFT JOIN: the password is right even if the device was forgotten meanwhile.
UPDATE authsql_users AS u
INNER JOIN authsql_app_passwords AS p ON u.id = p.user_id
LEFT JOIN authsql_known_devices AS d ON d.id = %(device_id)s AND u.id = d.user_id -- noqa: LT02
SET
    u.failed_attempts = 0,
    u.password_verified_at = GREATEST(
        UTC_TIMESTAMP(6), COALESCE(u.password_verified_at + INTERVAL 1 MICROSECOND, UTC_TIMESTAMP(6))
    ),
    d.failed_attempts = 0,
    d.last_used_at = GREATEST(UTC_TIMESTAMP(6), d.last_used_at + INTERVAL 1 MICROSECOND),
    d.expires_at = GREATEST(d.expires_at, UTC_TIMESTAMP(6) + INTERVAL %(device_lifetime)s MICROSECOND)
WHERE u.id = %(user_id)s
    AND u.deleted_at IS NULL
    AND p.changed_at = %(changed_at)s
    AND authsql_password_matches(p.user_id, %(candidate)s);

-- name: current
-- The password as it is now, to tell why an attempt came to nothing.
SELECT
    p.changed_at,
    authsql_password_form(p.user_id) AS form
FROM authsql_app_passwords AS p
INNER JOIN authsql_users AS u ON p.user_id = u.id
WHERE p.user_id = %(user_id)s AND u.deleted_at IS NULL;

-- name: rehash
-- Store a stronger hash of the same password, unless another call did. That rehashed_at moves tells the triggers that the
-- password is the same.
UPDATE authsql_app_passwords AS p
SET
    p.hash = %(hash)s,
    -- It moves each time: the trigger goes by that.
    p.rehashed_at = GREATEST(
        UTC_TIMESTAMP(6), COALESCE(p.rehashed_at + INTERVAL 1 MICROSECOND, UTC_TIMESTAMP(6))
    )
WHERE p.user_id = %(user_id)s
    AND p.changed_at = %(changed_at)s
    AND authsql_password_matches(p.user_id, %(candidate)s);

-- name: set
-- Clear the lock of a live account. First, because accounts are locked before what belongs to them (see CONVENTIONS.md).
UPDATE authsql_users AS u
SET u.failed_attempts = 0, u.locked_until = NULL
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL;

-- name: set__2
-- Give it a password, its first or a new one. A trigger ends the sessions that the old password opened, but for
-- keep_session_id.
INSERT INTO authsql_app_passwords (user_id, hash, must_change_since)
SELECT
    n.user_id,
    n.hash,
    n.must_change_since
FROM (
    SELECT
        u.id AS user_id,
        %(hash)s AS hash,
        IF(%(must_change)s, UTC_TIMESTAMP(6), NULL) AS must_change_since
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
) AS n
ON DUPLICATE KEY UPDATE
    hash = n.hash,
    must_change_since = n.must_change_since,
    keep_session_id = %(keep_session_id)s;

-- name: change
-- Clear the lock of a live account whose password was just checked, unless it was changed meanwhile. First, because
-- accounts are locked before what belongs to them (see CONVENTIONS.md).
UPDATE authsql_users AS u
INNER JOIN authsql_app_passwords AS p ON u.id = p.user_id
SET
    u.failed_attempts = 0,
    u.locked_until = NULL,
    u.password_verified_at = GREATEST(
        UTC_TIMESTAMP(6), COALESCE(u.password_verified_at + INTERVAL 1 MICROSECOND, UTC_TIMESTAMP(6))
    )
WHERE u.id = %(user_id)s
    AND u.deleted_at IS NULL
    AND p.changed_at = %(changed_at)s
    AND authsql_password_matches(p.user_id, %(candidate)s);

-- name: change__2
-- Replace the password. A trigger ends all sessions but keep_session_id.
UPDATE authsql_app_passwords AS p
INNER JOIN authsql_users AS u ON p.user_id = u.id
SET p.hash = %(hash)s, p.must_change_since = NULL, p.keep_session_id = %(keep_session_id)s
WHERE p.user_id = %(user_id)s AND p.changed_at = %(changed_at)s AND u.deleted_at IS NULL AND %(rows)s > 0;

-- name: import_hash
-- Give a live account that has no password one that another system hashed. FOR SHARE: not while it is being deleted.
-- Differs from postgres: IGNORE, because the count of ON DUPLICATE KEY UPDATE depends on the flag FOUND_ROWS.
INSERT IGNORE INTO authsql_app_passwords (user_id, hash)
SELECT
    u.id,
    %(hash)s
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR SHARE;
