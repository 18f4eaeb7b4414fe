-- One-time codes. Functions: authsql/otps.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed.

-- name: issue
-- Store a new code, replacing the one before it, unless it is too soon after that one or they were too many in this
-- window. Assignments are made from left to right: whether the new issue_id got in decides for the columns after it. With the old
-- issue_id a trigger keeps the old code_hash, which an application need not be able to read.
INSERT INTO authsql_app_otps (
    subject, purpose, issue_id, user_id, code_hash, link_hash, max_attempts,
    created_at, expires_at, resend_at, window_ends_at
)
VALUES (
    %(subject)s, %(purpose)s, %(issue_id)s, %(user_id)s, %(code_hash)s, %(link_hash)s, %(max_attempts)s,
    UTC_TIMESTAMP(6),
    UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND,
    UTC_TIMESTAMP(6) + INTERVAL %(resend_after)s MICROSECOND,
    UTC_TIMESTAMP(6) + INTERVAL %(window)s MICROSECOND
) AS n
ON DUPLICATE KEY UPDATE
    issue_id = IF(
        authsql_app_otps.resend_at <= UTC_TIMESTAMP(6)
        AND (authsql_app_otps.window_ends_at <= UTC_TIMESTAMP(6) OR authsql_app_otps.window_count < %(window_max)s),
        n.issue_id,
        authsql_app_otps.issue_id
    ),
    user_id = IF(authsql_app_otps.issue_id = n.issue_id, n.user_id, authsql_app_otps.user_id),
    code_hash = %(code_hash)s,
    link_hash = IF(authsql_app_otps.issue_id = n.issue_id, n.link_hash, authsql_app_otps.link_hash),
    attempts = IF(authsql_app_otps.issue_id = n.issue_id, 0, authsql_app_otps.attempts),
    max_attempts = IF(authsql_app_otps.issue_id = n.issue_id, n.max_attempts, authsql_app_otps.max_attempts),
    created_at = IF(authsql_app_otps.issue_id = n.issue_id, n.created_at, authsql_app_otps.created_at),
    expires_at = IF(authsql_app_otps.issue_id = n.issue_id, n.expires_at, authsql_app_otps.expires_at),
    resend_at = IF(authsql_app_otps.issue_id = n.issue_id, n.resend_at, authsql_app_otps.resend_at),
    spent_at = IF(authsql_app_otps.issue_id = n.issue_id, NULL, authsql_app_otps.spent_at),
    window_count = IF(
        authsql_app_otps.issue_id = n.issue_id,
        IF(authsql_app_otps.window_ends_at <= UTC_TIMESTAMP(6), 1, authsql_app_otps.window_count + 1),
        authsql_app_otps.window_count
    ),
    window_ends_at = IF(
        authsql_app_otps.issue_id = n.issue_id AND authsql_app_otps.window_ends_at <= UTC_TIMESTAMP(6),
        n.window_ends_at,
        authsql_app_otps.window_ends_at
    );

-- name: issue__2
-- The code's times, if it got in.
SELECT
    o.issue_id,
    o.expires_at,
    o.resend_at
FROM authsql_app_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND o.issue_id = %(issue_id)s;

-- name: issue_refusal
-- Why no code was issued, and when one can be.
SELECT
    CASE
        WHEN o.window_ends_at > UTC_TIMESTAMP(6) AND o.window_count >= %(window_max)s THEN 'too_many'
        ELSE 'cooling_down'
    END AS reason,
    CASE
        WHEN o.window_ends_at > UTC_TIMESTAMP(6) AND o.window_count >= %(window_max)s
            THEN GREATEST(o.window_ends_at, o.resend_at)
        ELSE o.resend_at
    END AS retry_at
FROM authsql_app_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s;

-- name: verify
-- Count an attempt on a live code and spend the code if it is right, in one statement: of attempts made at the same
-- time at most max_attempts are compared and at most one is right. Leaves the verdict in LAST_INSERT_ID: 1 right, 2 wrong.
UPDATE authsql_app_otps AS o
SET
    o.attempts = o.attempts + 1,
    o.spent_at = IF(
        LAST_INSERT_ID(IF(authsql_code_matches(o.subject, o.purpose, %(code_hash)s), 1, 2)) = 1, UTC_TIMESTAMP(6), NULL
    )
WHERE o.subject = %(subject)s
    AND o.purpose = %(purpose)s
    AND o.spent_at IS NULL
    AND o.attempts < o.max_attempts
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND (%(issue_id)s IS NULL OR o.issue_id = %(issue_id)s);

-- name: verify__2
-- What the attempt was, or why there was none. The verdict is asked for here: that a trigger writes to the audit log keeps it
-- out of the UPDATE's answer (see CONVENTIONS.md).
SELECT
    CASE
        WHEN %(rows)s > 0 AND LAST_INSERT_ID() = 1 THEN 'verified'
        WHEN %(rows)s > 0 THEN 'wrong'
        WHEN %(issue_id)s <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        ELSE 'exhausted'
    END AS state,
    o.issue_id,
    o.user_id,
    IF(%(rows)s > 0, o.max_attempts - o.attempts, 0) AS attempts_left
FROM authsql_app_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s;

-- name: verify_link
-- Spend the code whose link this is. Wrong codes that were tried do not matter: a link cannot be guessed, and whoever guesses
-- codes is not to shut its owner out.
UPDATE authsql_app_otps AS o
SET o.spent_at = UTC_TIMESTAMP(6)
WHERE o.issue_id = %(issue_id)s
    AND o.purpose = %(purpose)s
    AND o.link_hash = %(link_hash)s
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6);

-- name: verify_link__2
-- What came of it.
SELECT
    CASE
        WHEN %(rows)s > 0 THEN 'verified'
        WHEN o.spent_at IS NULL AND o.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        ELSE 'spent'
    END AS state,
    o.subject,
    o.issue_id,
    o.user_id
FROM authsql_app_otps AS o
WHERE o.issue_id = %(issue_id)s AND o.purpose = %(purpose)s AND o.link_hash = %(link_hash)s;
