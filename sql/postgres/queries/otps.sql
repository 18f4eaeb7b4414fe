-- One-time codes. Functions: authsql/otps.py.

-- name: issue
-- Store a new code, replacing the one before it. No row: too soon after that one, or too many in this window.
INSERT INTO authsql_otps AS o (
    subject, purpose, issue_id, user_id, new_code_hash, link_hash, max_attempts,
    created_at, expires_at, resend_at, window_ends_at
)
VALUES (
    %(subject)s, %(purpose)s, %(issue_id)s, %(user_id)s, %(code_hash)s, %(link_hash)s, %(max_attempts)s,
    statement_timestamp(),
    statement_timestamp() + %(lifetime)s,
    statement_timestamp() + %(resend_after)s,
    statement_timestamp() + %(window)s
)
ON CONFLICT (subject, purpose) DO UPDATE
    SET
        issue_id = excluded.issue_id,
        user_id = excluded.user_id,
        new_code_hash = %(code_hash)s,
        link_hash = excluded.link_hash,
        attempts = 0,
        max_attempts = excluded.max_attempts,
        created_at = excluded.created_at,
        expires_at = excluded.expires_at,
        resend_at = excluded.resend_at,
        spent_at = NULL,
        window_count = CASE WHEN o.window_ends_at <= statement_timestamp() THEN 1 ELSE o.window_count + 1 END,
        window_ends_at = CASE
            WHEN o.window_ends_at <= statement_timestamp() THEN excluded.window_ends_at ELSE o.window_ends_at
        END
    WHERE o.resend_at <= statement_timestamp() AND (o.window_ends_at <= statement_timestamp() OR o.window_count < %(window_max)s)
RETURNING o.issue_id, o.expires_at, o.resend_at;

-- name: issue_refusal
-- Why no code was issued, and when one can be.
SELECT
    CASE
        WHEN o.window_ends_at > statement_timestamp() AND o.window_count >= %(window_max)s THEN 'too_many'
        ELSE 'cooling_down'
    END AS reason,
    CASE
        WHEN o.window_ends_at > statement_timestamp() AND o.window_count >= %(window_max)s
            THEN greatest(o.window_ends_at, o.resend_at)
        ELSE o.resend_at
    END AS retry_at
FROM authsql_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s;

-- name: verify
-- Count an attempt on a live code and spend the code if it is right, in one statement: of attempts made at the same
-- time at most max_attempts are compared and at most one is right.
WITH attempt AS (
    UPDATE authsql_otps AS o
    SET
        attempts = o.attempts + 1,
        spent_at = CASE
            WHEN authsql_code_matches(o.subject, o.purpose, %(code_hash)s) THEN statement_timestamp()
        END
    WHERE o.subject = %(subject)s
        AND o.purpose = %(purpose)s
        AND o.spent_at IS NULL
        AND o.attempts < o.max_attempts
        AND o.expires_at > statement_timestamp()
        AND (%(issue_id)s::uuid IS NULL OR o.issue_id = %(issue_id)s::uuid)
    RETURNING o.issue_id, o.user_id, o.spent_at, o.max_attempts - o.attempts AS attempts_left
)

SELECT
    CASE WHEN a.spent_at IS NULL THEN 'wrong' ELSE 'verified' END AS state,
    a.issue_id,
    a.user_id,
    a.attempts_left
FROM attempt AS a
UNION ALL
SELECT
    CASE
        WHEN %(issue_id)s::uuid <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= statement_timestamp() THEN 'expired'
        WHEN o.attempts >= o.max_attempts THEN 'exhausted'
        -- It was live when this statement began, and another one ended it first.
        ELSE 'spent'
    END AS state,
    o.issue_id,
    o.user_id,
    0 AS attempts_left
FROM authsql_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND NOT EXISTS (SELECT 1 FROM attempt);

-- name: verify_link
-- Spend the code whose link this is. Wrong codes that were tried do not matter: a link cannot be guessed, and whoever guesses
-- codes is not to shut its owner out.
WITH attempt AS (
    UPDATE authsql_otps AS o
    SET spent_at = statement_timestamp()
    WHERE o.issue_id = %(issue_id)s
        AND o.purpose = %(purpose)s
        AND o.link_hash = %(link_hash)s
        AND o.spent_at IS NULL
        AND o.expires_at > statement_timestamp()
    RETURNING o.subject, o.issue_id, o.user_id
)

SELECT
    'verified' AS state,
    a.subject,
    a.issue_id,
    a.user_id
FROM attempt AS a
UNION ALL
SELECT
    CASE
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= statement_timestamp() THEN 'expired'
        -- It was live when this statement began, and another one spent it first.
        ELSE 'spent'
    END AS state,
    o.subject,
    o.issue_id,
    o.user_id
FROM authsql_otps AS o
WHERE o.issue_id = %(issue_id)s
    AND o.purpose = %(purpose)s
    AND o.link_hash = %(link_hash)s
    AND NOT EXISTS (SELECT 1 FROM attempt);
