-- TOTP factors. Functions: authsql/totp.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed, and
-- %(verdict)s what it left in LAST_INSERT_ID.

-- name: enroll
-- Store a factor that is yet to be confirmed, if there is such a live account.
INSERT INTO authsql_app_totp_factors (id, user_id, name, secret, key_name, expires_at)
SELECT
    %(id)s,
    u.id,
    %(name)s,
    %(secret)s,
    %(key_name)s,
    UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL;

-- name: enroll__2
-- The enrolment as it stands.
SELECT
    f.id,
    f.expires_at
FROM authsql_app_totp_factors AS f
WHERE f.id = %(id)s;

-- name: pending
-- The secret of an enrolment, and the number of the current 30 seconds, if it can still be confirmed.
SELECT
    CASE
        WHEN f.confirmed_at IS NOT NULL THEN 'spent'
        WHEN f.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        ELSE 'pending'
    END AS state,
    authsql_totp_enrolment_secret(f.id) AS secret,
    TIMESTAMPDIFF(SECOND, '1970-01-01', UTC_TIMESTAMP()) DIV 30 AS step
FROM authsql_app_totp_factors AS f
WHERE f.id = %(id)s AND f.user_id = %(user_id)s;

-- name: confirm
-- Make a factor of an enrolment whose first code was right, and spend that code. Who had no factor begins with no failed
-- codes: a user who is blocked gets out by removing every factor and enrolling anew.
UPDATE authsql_totp_attempts AS a
INNER JOIN authsql_app_totp_factors AS f ON a.user_id = f.user_id
    LEFT JOIN authsql_app_totp_factors AS o ON f.user_id = o.user_id AND f.id <> o.id AND o.confirmed_at IS NOT NULL
SET
    f.expires_at = NULL,
    f.confirmed_at = UTC_TIMESTAMP(6),
    f.last_step = %(step)s,
    f.last_used_at = UTC_TIMESTAMP(6),
    a.locked_until = IF(o.id IS NULL, NULL, a.locked_until),
    a.failed_attempts = IF(o.id IS NULL, 0, a.failed_attempts)
WHERE a.user_id = %(user_id)s
    AND f.id = %(id)s
    AND f.confirmed_at IS NULL
    AND f.expires_at > UTC_TIMESTAMP(6);

-- name: attempt
-- Count an attempt of a user who has a factor, in one statement: attempts made at the same time are counted one after
-- the other, and one that finds the factors locked gets no secret. From lock_after failures on, each locks them, the
-- first for lock_base and each further one for twice as long.
UPDATE authsql_totp_attempts AS a
INNER JOIN authsql_users AS u ON a.user_id = u.id
SET
    a.locked_until = IF(
        a.failed_attempts + 1 >= %(lock_after)s,
        UTC_TIMESTAMP(6) + INTERVAL LEAST(
            %(lock_base)s * POW(2, LEAST(a.failed_attempts + 1 - %(lock_after)s, 30)), %(lock_max)s
        ) MICROSECOND,
        NULL
    ),
    a.failed_attempts = a.failed_attempts + 1
WHERE a.user_id = %(user_id)s
    AND u.deleted_at IS NULL
    AND (a.locked_until IS NULL OR a.locked_until <= UTC_TIMESTAMP(6))
    AND a.failed_attempts < %(block_after)s
    AND EXISTS (
        SELECT 1
        FROM authsql_app_totp_factors AS f
        WHERE f.user_id = a.user_id AND f.confirmed_at IS NOT NULL
    );

-- name: attempt__2
-- The secrets to check the code with, if the attempt was counted. One row for each factor, with the number of the
-- current 30 seconds. No row: no factor, or no live account.
SELECT
    CASE
        WHEN %(rows)s > 0 THEN 'counted'
        WHEN a.failed_attempts >= %(block_after)s THEN 'blocked'
        WHEN a.locked_until > UTC_TIMESTAMP(6) THEN 'locked'
        -- It was locked a moment ago.
        ELSE 'overtaken'
    END AS state,
    a.failed_attempts,
    a.locked_until,
    f.id AS factor_id,
    IF(%(rows)s > 0, authsql_totp_secret(f.id), NULL) AS secret,
    f.last_step,
    TIMESTAMPDIFF(SECOND, '1970-01-01', UTC_TIMESTAMP()) DIV 30 AS step
FROM authsql_totp_attempts AS a
INNER JOIN authsql_users AS u ON a.user_id = u.id AND u.deleted_at IS NULL
INNER JOIN authsql_app_totp_factors AS f ON a.user_id = f.user_id AND f.confirmed_at IS NOT NULL
WHERE a.user_id = %(user_id)s;

-- name: spend
-- The code was right: accept it, unless it or a later one was accepted before. Of callers with the same code one changes
-- the row. It was no failure, and ends the count of them.
UPDATE authsql_totp_attempts AS a
INNER JOIN authsql_app_totp_factors AS f ON a.user_id = f.user_id
SET
    f.last_step = %(step)s,
    f.last_used_at = UTC_TIMESTAMP(6),
    a.failed_attempts = 0,
    a.locked_until = NULL
WHERE a.user_id = %(user_id)s AND f.id = %(id)s AND f.last_step < %(step)s;

-- name: list
-- The confirmed factors of a user, the oldest first. Uses authsql_totp_factors_user_id_idx.
SELECT
    f.id,
    f.name,
    f.created_at,
    f.confirmed_at,
    f.last_used_at
FROM authsql_app_totp_factors AS f
WHERE f.user_id = %(user_id)s AND f.confirmed_at IS NOT NULL
ORDER BY f.id;

-- name: rename
-- Give a factor another name.
UPDATE authsql_app_totp_factors AS f
SET f.name = %(name)s
WHERE f.id = %(id)s AND f.user_id = %(user_id)s;

-- name: rename__2
-- The factor, whether its name changed by that or was the same before.
SELECT f.id
FROM authsql_app_totp_factors AS f
WHERE f.id = %(id)s AND f.user_id = %(user_id)s;

-- name: remove
-- Delete a factor, or an enrolment.
DELETE FROM authsql_app_totp_factors AS f
WHERE f.id = %(id)s AND f.user_id = %(user_id)s;

-- name: outdated
-- Hand out secrets that are not encrypted under the current key: for ten minutes they can be read, which is recorded.
UPDATE authsql_app_totp_factors AS f
SET f.reencrypt_until = UTC_TIMESTAMP(6) + INTERVAL 10 MINUTE
WHERE f.key_name <> %(key_name)s
ORDER BY f.key_name, f.id
LIMIT %(batch)s;

-- name: outdated__2
-- The same ones, which are locked. FOR UPDATE: a snapshot may be older than they are. In two halves, which go by
-- authsql_totp_factors_key_name_idx.
WITH earlier AS (
    SELECT
        f.id,
        f.user_id,
        f.key_name
    FROM authsql_app_totp_factors AS f
    WHERE f.key_name < %(key_name)s
    ORDER BY f.key_name, f.id
    LIMIT %(batch)s
    FOR UPDATE -- noqa: PRS
),

later AS (
    SELECT
        f.id,
        f.user_id,
        f.key_name
    FROM authsql_app_totp_factors AS f
    WHERE f.key_name > %(key_name)s
    ORDER BY f.key_name, f.id
    LIMIT %(batch)s
    FOR UPDATE -- noqa: PRS
),

outdated AS (
    SELECT
        e.id,
        e.user_id,
        e.key_name
    FROM earlier AS e
    UNION ALL
    SELECT
        l.id,
        l.user_id,
        l.key_name
    FROM later AS l
    LIMIT %(batch)s
)

SELECT
    o.id,
    o.user_id,
    o.key_name,
    authsql_totp_outdated_secret(o.id) AS secret
FROM outdated AS o;

-- name: reencrypt
-- Replace a secret by the same one under another key, unless another caller did, or the time for it is over.
UPDATE authsql_app_totp_factors AS f
SET f.secret = %(secret)s, f.key_name = %(key_name)s, f.reencrypt_until = NULL
WHERE f.id = %(id)s AND f.key_name = %(old_key_name)s AND f.reencrypt_until > UTC_TIMESTAMP(6);
