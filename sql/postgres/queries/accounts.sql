-- Flows that spend a code and change an account in one step. Functions: authsql/accounts.py.
-- The account is locked first, then the code (see CONVENTIONS.md). A code that is right is only spent if all of the rest can
-- be done. link_hash stands in for code_hash where the link came: it is not counted, because it cannot be guessed.

-- name: find_link
-- The subject of a code whose link this is, and whether it is live.
SELECT
    o.subject,
    CASE
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= statement_timestamp() THEN 'expired'
        ELSE 'live'
    END AS state
FROM authsql_otps AS o
WHERE o.issue_id = %(issue_id)s AND o.purpose = %(purpose)s AND o.link_hash = %(link_hash)s;

-- name: sign_up
-- Issue a code for a sign-up, as otps.issue does, and keep the sign-up until the code comes back. No row: too soon, or too
-- many.
WITH issued AS (
    INSERT INTO authsql_otps AS o (
        subject, purpose, issue_id, new_code_hash, link_hash, max_attempts, created_at, expires_at, resend_at, window_ends_at
    )
    VALUES (
        %(subject)s, %(purpose)s, %(issue_id)s, %(code_hash)s, %(link_hash)s, %(max_attempts)s,
        statement_timestamp(),
        statement_timestamp() + %(lifetime)s,
        statement_timestamp() + %(resend_after)s,
        statement_timestamp() + %(window)s
    )
    ON CONFLICT (subject, purpose) DO UPDATE
        SET
            issue_id = excluded.issue_id,
            user_id = NULL,
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
        WHERE o.resend_at <= statement_timestamp()
        AND (o.window_ends_at <= statement_timestamp() OR o.window_count < %(window_max)s)
    RETURNING o.subject, o.purpose, o.issue_id, o.expires_at, o.resend_at
),

pending AS (
    INSERT INTO authsql_signups (subject, purpose, issue_id, email, name, new_hash)
    SELECT
        i.subject,
        i.purpose,
        i.issue_id,
        %(email)s,
        %(name)s,
        %(hash)s
    FROM issued AS i
    ON CONFLICT (subject, purpose) DO UPDATE
        SET
            issue_id = excluded.issue_id,
            email = excluded.email,
            name = excluded.name,
            new_hash = %(hash)s,
            created_at = excluded.created_at
)

SELECT
    i.issue_id,
    i.expires_at,
    i.resend_at,
    EXISTS(SELECT 1 FROM authsql_users AS u WHERE u.email_key = lower(i.subject)) AS email_taken
FROM issued AS i;

-- name: confirm_sign_up
-- Spend the code of a sign-up, and make the account that was signed up for with this very issue of the code.
WITH attempt AS (
    UPDATE authsql_otps AS o
    SET
        attempts = o.attempts + CASE WHEN %(link_hash)s::bytea IS NULL THEN 1 ELSE 0 END,
        spent_at = CASE
            WHEN (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s::bytea)
                AND EXISTS (
                    SELECT 1 FROM authsql_signups AS w WHERE w.subject = o.subject AND w.issue_id = o.issue_id
                )
                THEN statement_timestamp()
        END
    WHERE o.subject = %(subject)s
        AND o.purpose = %(purpose)s
        AND o.spent_at IS NULL
        AND o.expires_at > statement_timestamp()
        AND o.issue_id = %(issue_id)s
        AND (o.link_hash = %(link_hash)s::bytea OR (%(link_hash)s::bytea IS NULL AND o.attempts < o.max_attempts))
    RETURNING o.subject, o.spent_at, o.max_attempts - o.attempts AS attempts_left
),

pending AS (
    SELECT
        w.subject,
        w.purpose,
        w.email,
        w.name
    FROM authsql_signups AS w
    INNER JOIN attempt AS a ON w.subject = a.subject
    WHERE a.spent_at IS NOT NULL
),

created AS (
    INSERT INTO authsql_users (id, email, name, email_verified_at)
    SELECT
        %(user_id)s,
        p.email,
        p.name,
        statement_timestamp()
    FROM pending AS p
    RETURNING
        id,
        email,
        name,
        avatar,
        email_verified_at,
        last_login_at,
        locked_until,
        deleted_at,
        reactivatable_at,
        created_at,
        updated_at
),

stored AS (
    SELECT authsql_store_signup_password(c.id, p.subject, p.purpose) AS is_stored
    FROM created AS c
    CROSS JOIN pending AS p
)

SELECT
    CASE WHEN a.spent_at IS NULL THEN 'wrong' WHEN s.is_stored THEN 'verified' END AS state,
    a.attempts_left,
    c.id,
    c.email,
    c.name,
    c.avatar,
    c.email_verified_at,
    c.last_login_at,
    c.locked_until,
    c.deleted_at,
    c.reactivatable_at,
    c.created_at,
    c.updated_at
FROM attempt AS a
LEFT JOIN created AS c ON a.spent_at IS NOT NULL
LEFT JOIN stored AS s ON a.spent_at IS NOT NULL
UNION ALL
SELECT
    CASE
        WHEN o.issue_id <> %(issue_id)s THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= statement_timestamp() THEN 'expired'
        WHEN %(link_hash)s::bytea IS NULL AND o.attempts >= o.max_attempts THEN 'exhausted'
        ELSE 'spent'
    END AS state,
    0 AS attempts_left,
    NULL AS id,
    NULL AS email,
    NULL AS name,
    NULL AS avatar,
    NULL AS email_verified_at,
    NULL AS last_login_at,
    NULL AS locked_until,
    NULL AS deleted_at,
    NULL AS reactivatable_at,
    NULL AS created_at,
    NULL AS updated_at
FROM authsql_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND NOT EXISTS (SELECT 1 FROM attempt);

-- name: verify_email
-- Spend the code, and note the proof that the owner reads mail at this address.
WITH owner AS (
    SELECT u.id
    FROM authsql_users AS u
    WHERE u.email_key = lower(%(subject)s::text)
    FOR NO KEY UPDATE
),

attempt AS (
    UPDATE authsql_otps AS o
    SET
        user_id = coalesce(o.user_id, (SELECT w.id FROM owner AS w)),
        attempts = o.attempts + CASE WHEN %(link_hash)s::bytea IS NULL THEN 1 ELSE 0 END,
        spent_at = CASE
            WHEN (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s::bytea)
                AND EXISTS (SELECT 1 FROM owner AS w WHERE o.user_id IS NULL OR o.user_id = w.id)
                THEN statement_timestamp()
        END
    WHERE o.subject = %(subject)s
        AND o.purpose = %(purpose)s
        AND o.spent_at IS NULL
        AND o.expires_at > statement_timestamp()
        AND (%(issue_id)s::uuid IS NULL OR o.issue_id = %(issue_id)s::uuid)
        AND (o.link_hash = %(link_hash)s::bytea OR (%(link_hash)s::bytea IS NULL AND o.attempts < o.max_attempts))
    RETURNING o.spent_at, o.max_attempts - o.attempts AS attempts_left
),

verified AS (
    UPDATE authsql_users AS u
    SET email_verified_at = coalesce(u.email_verified_at, statement_timestamp())
    FROM owner AS w
    CROSS JOIN attempt AS a
    WHERE u.id = w.id AND a.spent_at IS NOT NULL
    RETURNING u.id
)

SELECT
    CASE WHEN a.spent_at IS NULL THEN 'wrong' ELSE 'verified' END AS state,
    a.attempts_left,
    v.id AS user_id
FROM attempt AS a
LEFT JOIN verified AS v ON a.spent_at IS NOT NULL
UNION ALL
SELECT
    CASE
        WHEN %(issue_id)s::uuid <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= statement_timestamp() THEN 'expired'
        WHEN %(link_hash)s::bytea IS NULL AND o.attempts >= o.max_attempts THEN 'exhausted'
        ELSE 'spent'
    END AS state,
    0 AS attempts_left,
    NULL AS user_id
FROM authsql_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND NOT EXISTS (SELECT 1 FROM attempt);

-- name: sign_in
-- Spend the code. An account whose e-mail nobody had proved until now is claimed by whoever proves it: what was set up before
-- the proof (a password, identities, devices, sessions, codes) may be somebody else's, and goes. With create, an account is made
-- if there is none.
WITH owner AS (
    SELECT
        u.id,
        u.email_verified_at
    FROM authsql_users AS u
    WHERE u.email_key = lower(%(subject)s::text)
    FOR NO KEY UPDATE
),

attempt AS (
    UPDATE authsql_otps AS o
    SET
        user_id = coalesce(o.user_id, (SELECT w.id FROM owner AS w)),
        attempts = o.attempts + CASE WHEN %(link_hash)s::bytea IS NULL THEN 1 ELSE 0 END,
        spent_at = CASE
            WHEN (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s::bytea)
                AND (
                    EXISTS (SELECT 1 FROM owner AS w WHERE o.user_id IS NULL OR o.user_id = w.id)
                    OR (%(create)s AND o.user_id IS NULL AND NOT EXISTS (SELECT 1 FROM owner))
                )
                THEN statement_timestamp()
        END
    WHERE o.subject = %(subject)s
        AND o.purpose = %(purpose)s
        AND o.spent_at IS NULL
        AND o.expires_at > statement_timestamp()
        AND (%(issue_id)s::uuid IS NULL OR o.issue_id = %(issue_id)s::uuid)
        AND (o.link_hash = %(link_hash)s::bytea OR (%(link_hash)s::bytea IS NULL AND o.attempts < o.max_attempts))
    RETURNING o.spent_at, o.max_attempts - o.attempts AS attempts_left
),

claimed AS (
    UPDATE authsql_users AS u
    SET email_verified_at = statement_timestamp(), failed_attempts = 0, locked_until = NULL
    FROM owner AS w
    CROSS JOIN attempt AS a
    WHERE u.id = w.id AND w.email_verified_at IS NULL AND a.spent_at IS NOT NULL
    RETURNING u.id
),

-- After the lock, and by a function: what was committed while the lock was waited for goes, too.
taken AS (
    SELECT authsql_take_over(c.id, NULL, TRUE, %(subject)s, %(purpose)s) AS is_taken
    FROM claimed AS c
),

created AS (
    INSERT INTO authsql_users (id, email, email_verified_at)
    SELECT
        %(user_id)s,
        %(email)s,
        statement_timestamp()
    FROM attempt AS a
    WHERE a.spent_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM owner)
    RETURNING id
)

SELECT
    CASE
        WHEN a.spent_at IS NULL THEN 'wrong'
        WHEN t.is_taken THEN 'claimed'
        WHEN n.id IS NOT NULL THEN 'created'
        ELSE 'existing'
    END AS state,
    a.attempts_left,
    coalesce(w.id, n.id) AS user_id
FROM attempt AS a
LEFT JOIN owner AS w ON a.spent_at IS NOT NULL
LEFT JOIN taken AS t ON a.spent_at IS NOT NULL
LEFT JOIN created AS n ON a.spent_at IS NOT NULL
UNION ALL
SELECT
    CASE
        WHEN %(issue_id)s::uuid <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= statement_timestamp() THEN 'expired'
        WHEN %(link_hash)s::bytea IS NULL AND o.attempts >= o.max_attempts THEN 'exhausted'
        ELSE 'spent'
    END AS state,
    0 AS attempts_left,
    NULL AS user_id
FROM authsql_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND NOT EXISTS (SELECT 1 FROM attempt);

-- name: is_right
-- Whether a code would be right, so that no hash is made of a new password for one that is not. Decides nothing: the
-- statement that spends the code asks again. On the same conditions: the time that a hash takes tells that a code is right, and
-- only an attempt that is counted may be told.
SELECT authsql_code_matches(o.subject, o.purpose, %(code_hash)s) AS is_right
FROM authsql_otps AS o
WHERE o.subject = %(subject)s
    AND o.purpose = %(purpose)s
    AND o.spent_at IS NULL
    AND o.expires_at > statement_timestamp()
    AND (%(issue_id)s::uuid IS NULL OR o.issue_id = %(issue_id)s::uuid)
    AND o.attempts < o.max_attempts;

-- name: reset_password
-- Spend the code, set the password, clear the lock, note that the e-mail is its owner's, end every session, forget every device
-- and void the codes that wait; without a hash only count the attempt. Identities of an account whose e-mail nobody had proved
-- go, too (see sign_in).
WITH owner AS (
    SELECT
        u.id,
        u.email_verified_at
    FROM authsql_users AS u
    WHERE u.email_key = lower(%(subject)s::text)
    FOR NO KEY UPDATE
),

attempt AS (
    UPDATE authsql_otps AS o
    SET
        user_id = coalesce(o.user_id, (SELECT w.id FROM owner AS w)),
        attempts = o.attempts + CASE WHEN %(link_hash)s::bytea IS NULL THEN 1 ELSE 0 END,
        spent_at = CASE
            WHEN (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s::bytea)
                AND %(hash)s::text IS NOT NULL
                AND EXISTS (SELECT 1 FROM owner AS w WHERE o.user_id IS NULL OR o.user_id = w.id)
                THEN statement_timestamp()
        END
    WHERE o.subject = %(subject)s
        AND o.purpose = %(purpose)s
        AND o.spent_at IS NULL
        AND o.expires_at > statement_timestamp()
        AND (%(issue_id)s::uuid IS NULL OR o.issue_id = %(issue_id)s::uuid)
        AND (o.link_hash = %(link_hash)s::bytea OR (%(link_hash)s::bytea IS NULL AND o.attempts < o.max_attempts))
    RETURNING o.spent_at, o.max_attempts - o.attempts AS attempts_left
),

cleared AS (
    UPDATE authsql_users AS u
    SET
        failed_attempts = 0,
        locked_until = NULL,
        email_verified_at = coalesce(u.email_verified_at, statement_timestamp())
    FROM owner AS w
    CROSS JOIN attempt AS a
    WHERE u.id = w.id AND a.spent_at IS NOT NULL
    RETURNING u.id, w.email_verified_at IS NULL AS was_unproved
),

-- After the lock, and by a function: what was committed while the lock was waited for goes, too.
taken AS (
    SELECT
        c.id,
        authsql_take_over(c.id, %(hash)s, c.was_unproved, %(subject)s, %(purpose)s) AS is_taken
    FROM cleared AS c
)

SELECT
    CASE WHEN a.spent_at IS NULL THEN 'wrong' WHEN t.is_taken THEN 'verified' END AS state,
    a.attempts_left,
    t.id AS user_id
FROM attempt AS a
LEFT JOIN taken AS t ON a.spent_at IS NOT NULL
UNION ALL
SELECT
    CASE
        WHEN %(issue_id)s::uuid <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= statement_timestamp() THEN 'expired'
        WHEN %(link_hash)s::bytea IS NULL AND o.attempts >= o.max_attempts THEN 'exhausted'
        ELSE 'spent'
    END AS state,
    0 AS attempts_left,
    NULL AS user_id
FROM authsql_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND NOT EXISTS (SELECT 1 FROM attempt);

-- name: change_email
-- Spend the code that the new address got, and, if it is asked for, the one that the old address got; both or neither. Then the
-- new address, proved, takes the place of the old one, which a trigger keeps.
WITH owner AS (
    SELECT
        u.id,
        u.email,
        u.email_verified_at
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    FOR NO KEY UPDATE
),

presented AS (
    SELECT
        o.subject,
        o.purpose,
        CASE o.purpose WHEN %(purpose)s THEN %(link_hash)s::bytea ELSE %(approval_link_hash)s::bytea END IS NOT NULL AS is_link,
        o.user_id = w.id AND coalesce(
            CASE o.purpose
                WHEN %(purpose)s
                    THEN authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s::bytea
                ELSE
                    o.subject = lower(w.email) AND (
                        authsql_code_matches(o.subject, o.purpose, %(approval_code_hash)s)
                        OR o.link_hash = %(approval_link_hash)s::bytea
                    )
            END,
            FALSE
        ) AS is_right
    FROM authsql_otps AS o
    CROSS JOIN owner AS w
    WHERE o.spent_at IS NULL
        AND o.expires_at > statement_timestamp()
        AND (
            (
                o.subject = %(subject)s
                AND o.purpose = %(purpose)s
                AND (%(issue_id)s::uuid IS NULL OR o.issue_id = %(issue_id)s::uuid)
                AND (%(link_hash)s::bytea IS NOT NULL OR o.attempts < o.max_attempts)
            )
            OR (
                o.subject = %(approval_subject)s::text
                AND o.purpose = %(approval_purpose)s
                AND (%(approval_issue_id)s::uuid IS NULL OR o.issue_id = %(approval_issue_id)s::uuid)
                AND (%(approval_link_hash)s::bytea IS NOT NULL OR o.attempts < o.max_attempts)
            )
        )
    ORDER BY o.purpose
    FOR NO KEY UPDATE OF o
),

verdict AS (
    SELECT count(*) FILTER (WHERE p.is_right) = %(needed)s AS is_right
    FROM presented AS p
),

attempt AS (
    UPDATE authsql_otps AS o
    SET
        -- One that is right is not used up by another one that is wrong.
        attempts = o.attempts + CASE WHEN p.is_link OR (p.is_right AND NOT v.is_right) THEN 0 ELSE 1 END,
        spent_at = CASE WHEN v.is_right THEN statement_timestamp() END
    FROM presented AS p
    CROSS JOIN verdict AS v
    WHERE o.subject = p.subject AND o.purpose = p.purpose
    RETURNING
        o.subject,
        o.purpose,
        o.max_attempts - o.attempts AS attempts_left,
        CASE WHEN v.is_right THEN 'verified' WHEN p.is_right THEN 'right' ELSE 'wrong' END AS state
),

changed AS (
    UPDATE authsql_users AS u
    SET
        email = %(email)s::text,
        -- The same address but for its case: an earlier proof holds.
        email_verified_at = coalesce(
            CASE WHEN lower(u.email) = lower(%(email)s::text) THEN u.email_verified_at END, statement_timestamp()
        )
    FROM owner AS w
    CROSS JOIN verdict AS v
    WHERE u.id = w.id AND v.is_right
    RETURNING u.id
)

SELECT
    a.purpose,
    a.state,
    a.attempts_left,
    c.id AS user_id,
    w.email AS former_email,
    w.email_verified_at IS NOT NULL AS former_verified
FROM attempt AS a
LEFT JOIN changed AS c ON a.state = 'verified'
LEFT JOIN owner AS w ON a.state = 'verified'
UNION ALL
SELECT
    o.purpose,
    CASE
        WHEN o.purpose = %(purpose)s AND o.issue_id <> %(issue_id)s::uuid THEN 'unknown'
        WHEN o.purpose <> %(purpose)s AND o.issue_id <> %(approval_issue_id)s::uuid THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= statement_timestamp() THEN 'expired'
        WHEN o.attempts >= o.max_attempts
            AND CASE o.purpose WHEN %(purpose)s THEN %(link_hash)s::bytea ELSE %(approval_link_hash)s::bytea END IS NULL
            THEN 'exhausted'
        WHEN NOT EXISTS (SELECT 1 FROM owner) THEN 'unknown'
        -- It was live when this statement began, and another one ended it first.
        ELSE 'spent'
    END AS state,
    0 AS attempts_left,
    NULL AS user_id,
    NULL AS former_email,
    NULL AS former_verified
FROM authsql_otps AS o
WHERE (
    (o.subject = %(subject)s AND o.purpose = %(purpose)s)
    OR (o.subject = %(approval_subject)s::text AND o.purpose = %(approval_purpose)s)
)
AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.subject = o.subject AND a.purpose = o.purpose);
