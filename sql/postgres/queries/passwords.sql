-- Passwords. Functions: authsql/passwords.py.

-- name: attempt
-- Count an attempt on the account with this e-mail and hand out what it takes to check it, in one statement: attempts
-- made at the same time are counted one after the other, and one that finds the account locked gets nothing. From
-- lock_after failures on, each locks the account, the first for lock_base and each further one for twice as long.
WITH attempt AS (
    UPDATE authsql_users AS u
    SET
        failed_attempts = u.failed_attempts + 1,
        locked_until = CASE
            WHEN u.failed_attempts + 1 >= %(lock_after)s
                THEN statement_timestamp() + least(
                        %(lock_base)s::interval * power(2, least(u.failed_attempts + 1 - %(lock_after)s, 30)),
                        %(lock_max)s::interval
                    )
        END
    WHERE u.email_key = lower(%(email)s::text)
        AND (u.locked_until IS NULL OR u.locked_until <= statement_timestamp())
        AND u.failed_attempts < %(block_after)s
    RETURNING u.id, u.failed_attempts, u.locked_until, u.email_verified_at
)

SELECT
    'counted' AS state,
    a.id AS user_id,
    a.failed_attempts,
    a.locked_until,
    a.email_verified_at,
    authsql_password_form(p.user_id) AS form,
    p.changed_at,
    p.must_change_since
FROM attempt AS a
LEFT JOIN authsql_passwords AS p ON a.id = p.user_id
UNION ALL
SELECT
    CASE
        WHEN u.failed_attempts >= %(block_after)s THEN 'blocked'
        WHEN u.locked_until > statement_timestamp() THEN 'locked'
        -- It was open when this statement began, and another attempt locked it first.
        ELSE 'overtaken'
    END AS state,
    u.id AS user_id,
    u.failed_attempts,
    u.locked_until,
    u.email_verified_at,
    NULL AS form,
    NULL AS changed_at,
    NULL AS must_change_since
FROM authsql_users AS u
WHERE u.email_key = lower(%(email)s::text)
    AND NOT EXISTS (SELECT 1 FROM attempt);

-- name: attempt_by_id
-- The same for the account with this id.
WITH attempt AS (
    UPDATE authsql_users AS u
    SET
        failed_attempts = u.failed_attempts + 1,
        locked_until = CASE
            WHEN u.failed_attempts + 1 >= %(lock_after)s
                THEN statement_timestamp() + least(
                        %(lock_base)s::interval * power(2, least(u.failed_attempts + 1 - %(lock_after)s, 30)),
                        %(lock_max)s::interval
                    )
        END
    WHERE u.id = %(user_id)s
        AND u.deleted_at IS NULL
        AND (u.locked_until IS NULL OR u.locked_until <= statement_timestamp())
        AND u.failed_attempts < %(block_after)s
    RETURNING u.id, u.failed_attempts, u.locked_until, u.email_verified_at
)

SELECT
    'counted' AS state,
    a.id AS user_id,
    a.failed_attempts,
    a.locked_until,
    a.email_verified_at,
    authsql_password_form(p.user_id) AS form,
    p.changed_at,
    p.must_change_since
FROM attempt AS a
LEFT JOIN authsql_passwords AS p ON a.id = p.user_id
UNION ALL
SELECT
    CASE
        WHEN u.failed_attempts >= %(block_after)s THEN 'blocked'
        WHEN u.locked_until > statement_timestamp() THEN 'locked'
        -- It was open when this statement began, and another attempt locked it first.
        ELSE 'overtaken'
    END AS state,
    u.id AS user_id,
    u.failed_attempts,
    u.locked_until,
    u.email_verified_at,
    NULL AS form,
    NULL AS changed_at,
    NULL AS must_change_since
FROM authsql_users AS u
WHERE u.id = %(user_id)s
    AND u.deleted_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM attempt);

-- name: attempt_from_device
-- The same from a known device of the account's: it counts on the device, whatever lock others have brought upon the
-- account, but not past its ceiling. No row: it is no known device, or was wrong too often.
WITH attempt AS (
    UPDATE authsql_known_devices AS d
    SET failed_attempts = d.failed_attempts + 1
    FROM authsql_users AS u
    WHERE d.id = %(device_id)s
        AND d.secret_hash = %(device_hash)s
        AND d.expires_at > statement_timestamp()
        AND d.failed_attempts < %(device_attempts)s
        AND u.id = d.user_id
        AND u.email_key = lower(%(email)s::text)
        AND u.failed_attempts < %(block_after)s
    RETURNING u.id, d.failed_attempts, u.email_verified_at
)

SELECT
    'counted' AS state,
    a.id AS user_id,
    a.failed_attempts,
    NULL::timestamptz AS locked_until,
    a.email_verified_at,
    authsql_password_form(p.user_id) AS form,
    p.changed_at,
    p.must_change_since
FROM attempt AS a
LEFT JOIN authsql_passwords AS p ON a.id = p.user_id;

-- name: lock_state
-- Why an attempt that was overtaken by another one was not counted.
SELECT
    CASE WHEN u.failed_attempts >= %(block_after)s THEN 'blocked' ELSE 'locked' END AS state,
    u.failed_attempts,
    u.locked_until
FROM authsql_users AS u
WHERE u.id = %(user_id)s;

-- name: succeed
-- The attempt was right: it was no failure. Not if the password was changed while it was being checked: both rows are
-- locked, the account first, so that what a change committed meanwhile is seen.
WITH owner AS (
    SELECT u.id
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    FOR NO KEY UPDATE
),

proof AS (
    SELECT p.user_id
    FROM authsql_passwords AS p
    INNER JOIN owner AS o ON p.user_id = o.id
    WHERE p.changed_at = %(changed_at)s AND authsql_password_matches(p.user_id, %(candidate)s)
    FOR SHARE OF p
)

UPDATE authsql_users AS u
SET
    failed_attempts = 0,
    locked_until = NULL,
    -- It moves each time: the audit log goes by that.
    password_verified_at = greatest(statement_timestamp(), u.password_verified_at + interval '1 microsecond')
FROM proof
WHERE u.id = proof.user_id;

-- name: succeed_from_device
-- The same for an attempt from a known device. The account's count begins again, too, as with any success; a lock that others
-- brought upon it stays for them until its time.
WITH owner AS (
    SELECT u.id
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    FOR NO KEY UPDATE
),

proof AS (
    SELECT p.user_id
    FROM authsql_passwords AS p
    INNER JOIN owner AS o ON p.user_id = o.id
    WHERE p.changed_at = %(changed_at)s AND authsql_password_matches(p.user_id, %(candidate)s)
    FOR SHARE OF p
),

device AS (
    UPDATE authsql_known_devices AS d
    SET
        failed_attempts = 0,
        last_used_at = statement_timestamp(),
        expires_at = greatest(d.expires_at, statement_timestamp() + %(device_lifetime)s::interval)
    FROM proof AS p
    WHERE d.id = %(device_id)s AND d.user_id = p.user_id
)

UPDATE authsql_users AS u
SET
    failed_attempts = 0,
    password_verified_at = greatest(statement_timestamp(), u.password_verified_at + interval '1 microsecond')
FROM proof
WHERE u.id = proof.user_id;

-- name: current
-- The password as it is now, to tell why an attempt came to nothing.
SELECT
    p.changed_at,
    authsql_password_form(p.user_id) AS form
FROM authsql_passwords AS p
INNER JOIN authsql_users AS u ON p.user_id = u.id
WHERE p.user_id = %(user_id)s AND u.deleted_at IS NULL;

-- name: rehash
-- Store a stronger hash of the same password, unless another call did. That rehashed_at moves tells the trigger that the
-- password is the same.
UPDATE authsql_passwords AS p
SET
    new_hash = %(hash)s,
    -- It moves each time: the trigger goes by that.
    rehashed_at = greatest(statement_timestamp(), p.rehashed_at + interval '1 microsecond')
WHERE p.user_id = %(user_id)s
    AND p.changed_at = %(changed_at)s
    AND authsql_password_matches(p.user_id, %(candidate)s);

-- name: set
-- Give a live account a password, its first or a new one, and clear its lock. A trigger ends the sessions that the old
-- password opened, but for keep_session_id.
WITH owner AS (
    UPDATE authsql_users AS u
    SET failed_attempts = 0, locked_until = NULL
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    RETURNING u.id
)

INSERT INTO authsql_passwords AS p (user_id, new_hash, must_change_since)
SELECT
    o.id,
    %(hash)s,
    CASE WHEN %(must_change)s THEN statement_timestamp() END
FROM owner AS o
ON CONFLICT (user_id) DO UPDATE
    SET
        new_hash = %(hash)s,
        must_change_since = excluded.must_change_since,
        keep_session_id = %(keep_session_id)s;

-- name: change
-- Replace a password that was just checked, unless it was changed meanwhile, and clear the account's lock. A trigger
-- ends all sessions but keep_session_id.
WITH owner AS (
    UPDATE authsql_users AS u
    SET
        failed_attempts = 0,
        locked_until = NULL,
        password_verified_at = greatest(statement_timestamp(), u.password_verified_at + interval '1 microsecond')
    FROM authsql_passwords AS p
    WHERE u.id = %(user_id)s
        AND u.deleted_at IS NULL
        AND p.user_id = u.id
        AND p.changed_at = %(changed_at)s
        AND authsql_password_matches(p.user_id, %(candidate)s)
    RETURNING u.id
)

UPDATE authsql_passwords AS p
SET new_hash = %(hash)s, must_change_since = NULL, keep_session_id = %(keep_session_id)s
FROM owner AS o
WHERE p.user_id = o.id AND p.changed_at = %(changed_at)s;

-- name: import_hash
-- Give a live account that has no password one that another system hashed. FOR SHARE: not while it is being deleted.
INSERT INTO authsql_passwords AS p (user_id, new_hash)
SELECT
    u.id,
    %(hash)s
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR SHARE OF u
ON CONFLICT (user_id) DO NOTHING;
