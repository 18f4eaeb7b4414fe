-- TOTP factors. Functions: authsql/totp.py.

-- name: enroll
-- Store a factor that is yet to be confirmed. No row: there is no such live account. FOR SHARE: one that is being taken over is
-- waited for.
INSERT INTO authsql_totp_factors AS f (id, user_id, name, new_secret, key_name, expires_at)
SELECT
    %(id)s,
    u.id,
    %(name)s,
    %(secret)s,
    %(key_name)s,
    statement_timestamp() + %(lifetime)s::interval
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR SHARE OF u
RETURNING f.id, f.expires_at;

-- name: pending
-- The secret of an enrolment, and the number of the current 30 seconds, if it can still be confirmed.
SELECT
    CASE
        WHEN f.confirmed_at IS NOT NULL THEN 'spent'
        WHEN f.expires_at <= statement_timestamp() THEN 'expired'
        ELSE 'pending'
    END AS state,
    authsql_totp_enrolment_secret(f.id) AS secret,
    floor(extract(EPOCH FROM statement_timestamp()) / 30)::bigint AS step
FROM authsql_totp_factors AS f
WHERE f.id = %(id)s AND f.user_id = %(user_id)s;

-- name: confirm
-- Make a factor of an enrolment whose first code was right, and spend that code. Who had no factor begins with no failed
-- codes: a user who is blocked gets out by removing every factor and enrolling anew.
WITH confirmed AS (
    UPDATE authsql_totp_factors AS f
    SET
        expires_at = NULL,
        confirmed_at = statement_timestamp(),
        last_step = %(step)s,
        last_used_at = statement_timestamp()
    WHERE f.id = %(id)s
        AND f.user_id = %(user_id)s
        AND f.confirmed_at IS NULL
        AND f.expires_at > statement_timestamp()
    RETURNING f.id, f.user_id
),

cleared AS (
    UPDATE authsql_totp_attempts AS a
    SET failed_attempts = 0, locked_until = NULL
    FROM confirmed AS c
    WHERE a.user_id = c.user_id
        AND NOT EXISTS (
            SELECT 1
            FROM authsql_totp_factors AS o
            WHERE o.user_id = a.user_id AND o.id <> %(id)s AND o.confirmed_at IS NOT NULL
        )
)

SELECT c.id
FROM confirmed AS c;

-- name: attempt
-- Count an attempt of a user who has a factor, and hand out the secrets to check the code with, in one statement:
-- attempts made at the same time are counted one after the other, and one that finds the factors locked gets no secret.
-- From lock_after failures on, each locks them, the first for lock_base and each further one for twice as long.
-- One row for each factor, with the number of the current 30 seconds. No row: no factor, or no live account.
WITH attempt AS (
    UPDATE authsql_totp_attempts AS a
    SET
        failed_attempts = a.failed_attempts + 1,
        locked_until = CASE
            WHEN a.failed_attempts + 1 >= %(lock_after)s
                THEN statement_timestamp() + least(
                        %(lock_base)s::interval * power(2, least(a.failed_attempts + 1 - %(lock_after)s, 30)),
                        %(lock_max)s::interval
                    )
        END
    FROM authsql_users AS u
    WHERE a.user_id = %(user_id)s
        AND u.id = a.user_id
        AND u.deleted_at IS NULL
        AND (a.locked_until IS NULL OR a.locked_until <= statement_timestamp())
        AND a.failed_attempts < %(block_after)s
        AND EXISTS (
            SELECT 1
            FROM authsql_totp_factors AS f
            WHERE f.user_id = a.user_id AND f.confirmed_at IS NOT NULL
        )
    RETURNING a.user_id, a.failed_attempts, a.locked_until
)

SELECT
    'counted' AS state,
    a.failed_attempts,
    a.locked_until,
    f.id AS factor_id,
    authsql_totp_secret(f.id) AS secret,
    f.last_step,
    floor(extract(EPOCH FROM statement_timestamp()) / 30)::bigint AS step
FROM attempt AS a
INNER JOIN authsql_totp_factors AS f ON a.user_id = f.user_id AND f.confirmed_at IS NOT NULL
UNION ALL
SELECT
    CASE
        WHEN a.failed_attempts >= %(block_after)s THEN 'blocked'
        WHEN a.locked_until > statement_timestamp() THEN 'locked'
        -- It was open when this statement began, and another attempt locked it first.
        ELSE 'overtaken'
    END AS state,
    a.failed_attempts,
    a.locked_until,
    NULL AS factor_id,
    NULL AS secret,
    NULL AS last_step,
    NULL AS step
FROM authsql_totp_attempts AS a
INNER JOIN authsql_users AS u ON a.user_id = u.id AND u.deleted_at IS NULL
WHERE a.user_id = %(user_id)s
    AND EXISTS (
        SELECT 1
        FROM authsql_totp_factors AS f
        WHERE f.user_id = a.user_id AND f.confirmed_at IS NOT NULL
    )
    AND NOT EXISTS (SELECT 1 FROM attempt);

-- name: spend
-- The code was right: accept it, unless it or a later one was accepted before. Of callers with the same code one changes
-- the row. It was no failure, and ends the count of them.
WITH spent AS (
    UPDATE authsql_totp_factors AS f
    SET last_step = %(step)s, last_used_at = statement_timestamp()
    WHERE f.id = %(id)s AND f.user_id = %(user_id)s AND f.last_step < %(step)s
    RETURNING f.user_id
)

UPDATE authsql_totp_attempts AS a
SET failed_attempts = 0, locked_until = NULL
FROM spent AS s
WHERE a.user_id = s.user_id;

-- name: list
-- The confirmed factors of a user, the oldest first. Uses authsql_totp_factors_user_id_idx.
SELECT
    f.id,
    f.name,
    f.created_at,
    f.confirmed_at,
    f.last_used_at
FROM authsql_totp_factors AS f
WHERE f.user_id = %(user_id)s AND f.confirmed_at IS NOT NULL
ORDER BY f.id;

-- name: rename
-- Give a factor another name.
UPDATE authsql_totp_factors AS f
SET name = %(name)s
WHERE f.id = %(id)s AND f.user_id = %(user_id)s
RETURNING f.id;

-- name: remove
-- Delete a factor, or an enrolment.
DELETE FROM authsql_totp_factors AS f
WHERE f.id = %(id)s AND f.user_id = %(user_id)s;

-- name: outdated
-- Hand out secrets that are not encrypted under the current key: for ten minutes they can be read, which is recorded. In two
-- halves, which go by authsql_totp_factors_key_name_idx.
WITH earlier AS (
    SELECT f.id
    FROM authsql_totp_factors AS f
    WHERE f.key_name < %(key_name)s
    ORDER BY f.key_name
    LIMIT %(batch)s
    FOR NO KEY UPDATE
),

later AS (
    SELECT f.id
    FROM authsql_totp_factors AS f
    WHERE f.key_name > %(key_name)s
    ORDER BY f.key_name
    LIMIT %(batch)s
    FOR NO KEY UPDATE
),

outdated AS (
    SELECT e.id FROM earlier AS e
    UNION ALL
    SELECT l.id FROM later AS l
    LIMIT %(batch)s
),

handed_out AS (
    UPDATE authsql_totp_factors AS f
    SET reencrypt_until = statement_timestamp() + interval '10 minutes'
    FROM outdated AS o
    WHERE f.id = o.id
    RETURNING f.id, f.user_id, f.key_name
)

SELECT
    h.id,
    h.user_id,
    h.key_name,
    authsql_totp_outdated_secret(h.id) AS secret
FROM handed_out AS h;

-- name: reencrypt
-- Replace a secret by the same one under another key, unless another caller did, or the time for it is over.
UPDATE authsql_totp_factors AS f
SET new_secret = %(secret)s, key_name = %(key_name)s, reencrypt_until = NULL
WHERE f.id = %(id)s AND f.key_name = %(old_key_name)s AND f.reencrypt_until > statement_timestamp();
