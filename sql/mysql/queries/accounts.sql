-- Flows that spend a code and change an account in one step. Functions: authsql/accounts.py.
-- The account is locked first, then the code (see CONVENTIONS.md). A code that is right is only spent if all of the rest can
-- be done. link_hash stands in for code_hash where the link came: it is not counted, because it cannot be guessed.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, in one transaction, and the last one's rows are the answer. %(rows_2)s is how many rows the second
-- one changed. What was left in LAST_INSERT_ID by then is the verdict on the code: 1 right, 2 wrong.

-- name: find_link
-- The subject of a code whose link this is, and whether it is live.
SELECT
    o.subject,
    CASE
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        ELSE 'live'
    END AS state
FROM authsql_app_otps AS o
WHERE o.issue_id = %(issue_id)s AND o.purpose = %(purpose)s AND o.link_hash = %(link_hash)s;

-- name: sign_up
-- Issue a code for a sign-up, as otps.issue does.
INSERT INTO authsql_app_otps (
    subject, purpose, issue_id, code_hash, link_hash, max_attempts,
    created_at, expires_at, resend_at, window_ends_at
)
VALUES (
    %(subject)s, %(purpose)s, %(issue_id)s, %(code_hash)s, %(link_hash)s, %(max_attempts)s,
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
    user_id = IF(authsql_app_otps.issue_id = n.issue_id, NULL, authsql_app_otps.user_id),
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

-- name: sign_up__2
-- Keep the sign-up until the code comes back, if the code got in.
INSERT INTO authsql_app_signups (subject, purpose, issue_id, email, name, hash)
SELECT
    n.subject,
    n.purpose,
    n.issue_id,
    n.email,
    n.name,
    n.hash
FROM (
    SELECT
        o.subject,
        o.purpose,
        o.issue_id,
        %(email)s AS email,
        %(name)s AS name,
        %(hash)s AS hash
    FROM authsql_app_otps AS o
    WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND o.issue_id = %(issue_id)s
) AS n
ON DUPLICATE KEY UPDATE
    issue_id = n.issue_id,
    email = n.email,
    name = n.name,
    hash = n.hash,
    created_at = UTC_TIMESTAMP(6);

-- name: sign_up__3
-- The code's times, if it got in.
SELECT
    o.issue_id,
    o.expires_at,
    o.resend_at,
    EXISTS(
        SELECT 1
        FROM authsql_users AS u
        WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    ) AS email_taken
FROM authsql_app_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND o.issue_id = %(issue_id)s;

-- name: confirm_sign_up
-- Spend the code of a sign-up, if it was signed up with this very issue of the code.
UPDATE authsql_app_otps AS o
SET
    o.attempts = o.attempts + IF(%(link_hash)s IS NULL, 1, 0),
    o.spent_at = IF(
        LAST_INSERT_ID(
            IF(
                (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s)
                AND EXISTS (
                    SELECT 1 FROM authsql_app_signups AS w WHERE w.subject = o.subject AND w.issue_id = o.issue_id
                ),
                1, 2
            )
        ) = 1,
        UTC_TIMESTAMP(6), NULL
    )
WHERE o.subject = %(subject)s
    AND o.purpose = %(purpose)s
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND o.issue_id = %(issue_id)s
    AND (o.link_hash = %(link_hash)s OR (%(link_hash)s IS NULL AND o.attempts < o.max_attempts));

-- name: confirm_sign_up__2
-- Make the account. A taken e-mail is error 1062, which takes back that the code was spent.
INSERT INTO authsql_users (id, email, name, email_verified_at)
SELECT
    %(user_id)s,
    w.email,
    w.name,
    UTC_TIMESTAMP(6)
FROM authsql_app_signups AS w
WHERE w.subject = %(subject)s AND w.purpose = %(purpose)s AND %(rows_1)s > 0 AND LAST_INSERT_ID() = 1;

-- name: confirm_sign_up__3
-- Give it its password, if it signed up with one.
CALL authsql_store_signup_password(
    IF(%(rows_1)s > 0 AND LAST_INSERT_ID() = 1, %(user_id)s, NULL), %(subject)s, %(purpose)s
);

-- name: confirm_sign_up__4
-- The sign-up waits no more.
DELETE FROM authsql_app_signups
WHERE subject = %(subject)s AND purpose = %(purpose)s AND %(rows_1)s > 0 AND LAST_INSERT_ID() = 1;

-- name: confirm_sign_up__5
-- What the attempt was, and the account if it was made.
SELECT
    CASE
        WHEN %(rows_1)s > 0 AND LAST_INSERT_ID() = 1 THEN 'verified'
        WHEN %(rows_1)s > 0 THEN 'wrong'
        WHEN %(issue_id)s <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        WHEN %(link_hash)s IS NULL AND o.attempts >= o.max_attempts THEN 'exhausted'
        ELSE 'wrong'
    END AS state,
    IF(%(rows_1)s > 0, o.max_attempts - o.attempts, 0) AS attempts_left,
    u.id,
    u.email,
    u.name,
    u.avatar,
    u.email_verified_at,
    u.last_login_at,
    u.locked_until,
    u.deleted_at,
    u.reactivatable_at,
    u.created_at,
    u.updated_at
FROM authsql_app_otps AS o
LEFT JOIN authsql_users AS u ON u.id = %(user_id)s AND %(rows_1)s > 0 AND LAST_INSERT_ID() = 1
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s;

-- name: verify_email
-- Lock the account.
SELECT u.id
FROM authsql_users AS u
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
FOR UPDATE;

-- name: verify_email__2
-- Count the attempt, and spend the code if it is right. An account that came after the lock was looked for is none: in READ
-- COMMITTED it could go again before the next statement.
UPDATE authsql_app_otps AS o
SET
    o.attempts = o.attempts + IF(%(link_hash)s IS NULL, 1, 0),
    o.spent_at = IF(
        LAST_INSERT_ID(
            IF(
                (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s)
                AND %(rows_1)s > 0
                AND EXISTS (
                    SELECT 1
                    FROM authsql_users AS u
                    WHERE u.email_key = LOWER(o.subject) AND (o.user_id IS NULL OR o.user_id = u.id)
                ),
                1, 2
            )
        ) = 1,
        UTC_TIMESTAMP(6), NULL
    ),
    -- For the audit log: whose it is. Last, because what stands before goes by it.
    o.user_id = COALESCE(
        o.user_id,
        IF(%(rows_1)s > 0, (SELECT u.id FROM authsql_users AS u WHERE u.email_key = LOWER(o.subject)), NULL)
    )
WHERE o.subject = %(subject)s
    AND o.purpose = %(purpose)s
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND (%(issue_id)s IS NULL OR o.issue_id = %(issue_id)s)
    AND (o.link_hash = %(link_hash)s OR (%(link_hash)s IS NULL AND o.attempts < o.max_attempts));

-- name: verify_email__3
-- Note the proof that the owner reads mail at this address.
UPDATE authsql_users AS u
SET u.email_verified_at = COALESCE(u.email_verified_at, UTC_TIMESTAMP(6))
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: verify_email__4
-- What the attempt was.
SELECT
    CASE
        WHEN %(rows_2)s > 0 AND LAST_INSERT_ID() = 1 THEN 'verified'
        WHEN %(rows_2)s > 0 THEN 'wrong'
        WHEN %(issue_id)s <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        WHEN %(link_hash)s IS NULL AND o.attempts >= o.max_attempts THEN 'exhausted'
        ELSE 'wrong'
    END AS state,
    IF(%(rows_2)s > 0, o.max_attempts - o.attempts, 0) AS attempts_left,
    u.id AS user_id
FROM authsql_app_otps AS o
LEFT JOIN authsql_users AS u ON u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s;

-- name: sign_in
-- Lock the account, if there is one. It is looked for without a lock: one on an e-mail that is not there would be on the gap,
-- and of all who may lock a gap at once, none could insert the account.
SELECT u.id
FROM authsql_users AS u
WHERE
    u.id = (
        SELECT v.id
        FROM authsql_users AS v
        WHERE v.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    )
    AND u.deleted_at IS NULL
FOR UPDATE;

-- name: sign_in__2
-- Count the attempt, and spend the code if it is right. With create, there need not be an account.
UPDATE authsql_app_otps AS o
SET
    o.attempts = o.attempts + IF(%(link_hash)s IS NULL, 1, 0),
    o.spent_at = IF(
        LAST_INSERT_ID(
            IF(
                (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s)
                AND (
                    (
                        %(rows_1)s > 0
                        AND EXISTS (
                            SELECT 1
                            FROM authsql_users AS u
                            WHERE u.email_key = LOWER(o.subject) AND (o.user_id IS NULL OR o.user_id = u.id)
                        )
                    )
                    OR (%(create)s AND o.user_id IS NULL AND %(rows_1)s = 0)
                ),
                1, 2
            )
        ) = 1,
        UTC_TIMESTAMP(6), NULL
    ),
    -- For the audit log: whose it is. Last, because what stands before goes by it.
    o.user_id = COALESCE(
        o.user_id,
        IF(%(rows_1)s > 0, (SELECT u.id FROM authsql_users AS u WHERE u.email_key = LOWER(o.subject)), NULL)
    )
WHERE o.subject = %(subject)s
    AND o.purpose = %(purpose)s
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND (%(issue_id)s IS NULL OR o.issue_id = %(issue_id)s)
    AND (o.link_hash = %(link_hash)s OR (%(link_hash)s IS NULL AND o.attempts < o.max_attempts));

-- name: sign_in__3
-- An account whose e-mail nobody had proved until now is claimed by whoever proves it: what was set up before the proof may be
-- somebody else's, and goes. First its password.
DELETE p
FROM authsql_app_passwords AS p
INNER JOIN authsql_users AS u ON p.user_id = u.id
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.email_verified_at IS NULL
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: sign_in__4
-- Then its sessions.
UPDATE authsql_sessions AS s
INNER JOIN authsql_users AS u ON s.user_id = u.id
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = 'account_claimed'
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.email_verified_at IS NULL
    AND s.revoked_at IS NULL
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: sign_in__5
-- Its identities and second factors.
DELETE i, f, r, k
FROM authsql_users AS u
LEFT JOIN authsql_identities AS i ON u.id = i.user_id
LEFT JOIN authsql_app_totp_factors AS f ON u.id = f.user_id
LEFT JOIN authsql_app_recovery_codes AS r ON u.id = r.user_id
LEFT JOIN authsql_passkeys AS k ON u.id = k.user_id
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.email_verified_at IS NULL
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: sign_in__6
-- Its known devices.
DELETE d
FROM authsql_known_devices AS d
INNER JOIN authsql_users AS u ON d.user_id = u.id
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.email_verified_at IS NULL
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: sign_in__7
-- The codes that wait for it, such as one for a new e-mail.
UPDATE authsql_app_otps AS o
INNER JOIN authsql_users AS u ON o.user_id = u.id
SET o.expires_at = GREATEST(UTC_TIMESTAMP(6), o.created_at + INTERVAL 1 MICROSECOND)
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.email_verified_at IS NULL
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND NOT (o.subject = %(subject)s AND o.purpose = %(purpose)s)
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: sign_in__8
-- With create, make an account if there is none.
INSERT INTO authsql_users (id, email, email_verified_at)
SELECT
    %(user_id)s,
    %(email)s,
    UTC_TIMESTAMP(6)
FROM authsql_app_otps AS o
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s AND %(rows_1)s = 0 AND %(rows_2)s > 0 AND LAST_INSERT_ID() = 1;

-- name: sign_in__9
-- Note the proof.
UPDATE authsql_users AS u
SET u.email_verified_at = UTC_TIMESTAMP(6), u.failed_attempts = 0, u.locked_until = NULL
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.email_verified_at IS NULL
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: sign_in__10
-- What the attempt was. The code as it is now: the first statement's look at the accounts began a snapshot, which may be older
-- than what was waited for.
SELECT
    CASE
        WHEN %(rows_2)s > 0 AND LAST_INSERT_ID() = 1 THEN IF(%(rows_8)s > 0, 'created', IF(%(rows_9)s > 0, 'claimed', 'existing'))
        WHEN %(rows_2)s > 0 THEN 'wrong'
        WHEN %(issue_id)s <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        WHEN %(link_hash)s IS NULL AND o.attempts >= o.max_attempts THEN 'exhausted'
        ELSE 'wrong'
    END AS state,
    IF(%(rows_2)s > 0, o.max_attempts - o.attempts, 0) AS attempts_left,
    u.id AS user_id
FROM authsql_app_otps AS o
LEFT JOIN authsql_users AS u ON u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s
FOR SHARE OF o;

-- name: is_right
-- Whether a code would be right, so that no hash is made of a new password for one that is not. Decides nothing: the
-- statement that spends the code asks again. On the same conditions: the time that a hash takes tells that a code is right, and
-- only an attempt that is counted may be told.
SELECT authsql_code_matches(o.subject, o.purpose, %(code_hash)s) AS is_right
FROM authsql_app_otps AS o
WHERE o.subject = %(subject)s
    AND o.purpose = %(purpose)s
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND (%(issue_id)s IS NULL OR o.issue_id = %(issue_id)s)
    AND o.attempts < o.max_attempts;

-- name: reset_password
-- Lock the account.
SELECT u.id
FROM authsql_users AS u
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
FOR UPDATE;

-- name: reset_password__2
-- Count the attempt, and spend the code if it is right and there is a hash to store.
UPDATE authsql_app_otps AS o
SET
    o.attempts = o.attempts + IF(%(link_hash)s IS NULL, 1, 0),
    o.spent_at = IF(
        LAST_INSERT_ID(
            IF(
                (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s)
                AND %(hash)s IS NOT NULL
                AND %(rows_1)s > 0
                AND EXISTS (
                    SELECT 1
                    FROM authsql_users AS u
                    WHERE u.email_key = LOWER(o.subject) AND (o.user_id IS NULL OR o.user_id = u.id)
                ),
                1, 2
            )
        ) = 1,
        UTC_TIMESTAMP(6), NULL
    ),
    -- For the audit log: whose it is. Last, because what stands before goes by it.
    o.user_id = COALESCE(
        o.user_id,
        IF(%(rows_1)s > 0, (SELECT u.id FROM authsql_users AS u WHERE u.email_key = LOWER(o.subject)), NULL)
    )
WHERE o.subject = %(subject)s
    AND o.purpose = %(purpose)s
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND (%(issue_id)s IS NULL OR o.issue_id = %(issue_id)s)
    AND (o.link_hash = %(link_hash)s OR (%(link_hash)s IS NULL AND o.attempts < o.max_attempts));

-- name: reset_password__3
-- Store the password. The trigger on it ends the sessions that a password before this one opened.
INSERT INTO authsql_app_passwords (user_id, hash)
SELECT
    n.user_id,
    n.hash
FROM (
    SELECT
        u.id AS user_id,
        %(hash)s AS hash
    FROM authsql_users AS u
    WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
        AND %(rows_2)s > 0
        AND LAST_INSERT_ID() = 1
) AS n
ON DUPLICATE KEY UPDATE hash = n.hash, must_change_since = NULL;

-- name: reset_password__4
-- Without a password before, there is no such trigger.
UPDATE authsql_sessions AS s
INNER JOIN authsql_users AS u ON s.user_id = u.id
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = 'password_change'
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND s.revoked_at IS NULL
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: reset_password__5
-- Identities and second factors of an account whose e-mail nobody had proved may be somebody else's (see sign_in).
DELETE i, f, r, k
FROM authsql_users AS u
LEFT JOIN authsql_identities AS i ON u.id = i.user_id
LEFT JOIN authsql_app_totp_factors AS f ON u.id = f.user_id
LEFT JOIN authsql_app_recovery_codes AS r ON u.id = r.user_id
LEFT JOIN authsql_passkeys AS k ON u.id = k.user_id
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.email_verified_at IS NULL
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: reset_password__6
-- Forget every device.
DELETE d
FROM authsql_known_devices AS d
INNER JOIN authsql_users AS u ON d.user_id = u.id
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: reset_password__7
-- Void the codes that wait, such as one for a new e-mail: whoever had the account until now may have asked for them.
UPDATE authsql_app_otps AS o
INNER JOIN authsql_users AS u ON o.user_id = u.id
SET o.expires_at = GREATEST(UTC_TIMESTAMP(6), o.created_at + INTERVAL 1 MICROSECOND)
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND NOT (o.subject = %(subject)s AND o.purpose = %(purpose)s)
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: reset_password__8
-- Clear the lock, and note that the e-mail is its owner's.
UPDATE authsql_users AS u
SET
    u.failed_attempts = 0,
    u.locked_until = NULL,
    u.email_verified_at = COALESCE(u.email_verified_at, UTC_TIMESTAMP(6))
WHERE u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND %(rows_2)s > 0
    AND LAST_INSERT_ID() = 1;

-- name: reset_password__9
-- What the attempt was.
SELECT
    CASE
        WHEN %(rows_2)s > 0 AND LAST_INSERT_ID() = 1 THEN 'verified'
        WHEN %(rows_2)s > 0 THEN 'wrong'
        WHEN %(issue_id)s <> o.issue_id THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        WHEN %(link_hash)s IS NULL AND o.attempts >= o.max_attempts THEN 'exhausted'
        ELSE 'wrong'
    END AS state,
    IF(%(rows_2)s > 0, o.max_attempts - o.attempts, 0) AS attempts_left,
    u.id AS user_id
FROM authsql_app_otps AS o
LEFT JOIN authsql_users AS u ON u.email_key = LOWER(CONVERT(%(subject)s USING utf8mb4) COLLATE utf8mb4_bin)
WHERE o.subject = %(subject)s AND o.purpose = %(purpose)s;

-- name: change_email
-- Lock the account.
SELECT u.id
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR UPDATE;

-- name: change_email__2
-- Lock the code that the new address got, and the one that the old address got if it is asked for, as far as they are right.
-- How many these are is the verdict for what follows.
(
    SELECT o.purpose
    FROM authsql_app_otps AS o
    WHERE
        o.subject = %(subject)s
        AND o.purpose = %(purpose)s
        AND o.spent_at IS NULL
        AND o.expires_at > UTC_TIMESTAMP(6)
        AND (%(issue_id)s IS NULL OR o.issue_id = %(issue_id)s)
        AND (%(link_hash)s IS NOT NULL OR o.attempts < o.max_attempts)
        AND o.user_id = %(user_id)s
        AND (authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s)
        AND %(rows_1)s > 0
    FOR UPDATE
)
UNION ALL
(
    SELECT o.purpose
    FROM authsql_app_otps AS o
    WHERE
        o.subject = %(approval_subject)s
        AND o.purpose = %(approval_purpose)s
        AND o.spent_at IS NULL
        AND o.expires_at > UTC_TIMESTAMP(6)
        AND (%(approval_issue_id)s IS NULL OR o.issue_id = %(approval_issue_id)s)
        AND (%(approval_link_hash)s IS NOT NULL OR o.attempts < o.max_attempts)
        AND o.user_id = %(user_id)s
        AND (authsql_code_matches(o.subject, o.purpose, %(approval_code_hash)s) OR o.link_hash = %(approval_link_hash)s)
        AND o.subject = (SELECT u.email_key FROM authsql_users AS u WHERE u.id = %(user_id)s)
        AND %(rows_1)s > 0
    FOR UPDATE
);

-- name: change_email__3
-- Count the attempt and spend the code of the new address. One that is right is not used up by another one that is wrong.
UPDATE authsql_app_otps AS o
SET
    o.attempts = o.attempts + IF(
        %(link_hash)s IS NOT NULL
        OR (
            o.user_id = %(user_id)s
            AND %(rows_2)s < %(needed)s
            AND authsql_code_matches(o.subject, o.purpose, %(code_hash)s)
        ),
        0, 1
    ),
    o.spent_at = IF(%(rows_2)s = %(needed)s, UTC_TIMESTAMP(6), NULL)
WHERE
    o.subject = %(subject)s
    AND o.purpose = %(purpose)s
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND (%(issue_id)s IS NULL OR o.issue_id = %(issue_id)s)
    AND (%(link_hash)s IS NOT NULL OR o.attempts < o.max_attempts)
    AND %(rows_1)s > 0;

-- name: change_email__4
-- The same for the code of the old address.
UPDATE authsql_app_otps AS o
SET
    o.attempts = o.attempts + IF(
        %(approval_link_hash)s IS NOT NULL
        OR (
            o.user_id = %(user_id)s
            AND authsql_code_matches(o.subject, o.purpose, %(approval_code_hash)s)
            AND o.subject = (SELECT u.email_key FROM authsql_users AS u WHERE u.id = %(user_id)s)
            AND %(rows_2)s < %(needed)s
        ),
        0, 1
    ),
    o.spent_at = IF(%(rows_2)s = %(needed)s, UTC_TIMESTAMP(6), NULL)
WHERE
    o.subject = %(approval_subject)s
    AND o.purpose = %(approval_purpose)s
    AND o.spent_at IS NULL
    AND o.expires_at > UTC_TIMESTAMP(6)
    AND (%(approval_issue_id)s IS NULL OR o.issue_id = %(approval_issue_id)s)
    AND (%(approval_link_hash)s IS NOT NULL OR o.attempts < o.max_attempts)
    AND %(rows_1)s > 0;

-- name: change_email__5
-- The new address, proved, takes the place of the old one, which a trigger keeps. The same address but for its case: an earlier
-- proof holds. A taken e-mail is error 1062, which takes back that the codes were spent.
UPDATE authsql_users AS u
SET
    u.email_verified_at = COALESCE(
        IF(u.email_key = LOWER(CONVERT(%(email)s USING utf8mb4) COLLATE utf8mb4_bin), u.email_verified_at, NULL),
        UTC_TIMESTAMP(6)
    ),
    u.email = %(email)s
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL AND %(rows_2)s = %(needed)s AND %(rows_1)s > 0;

-- name: change_email__6
-- What the attempts were.
SELECT
    o.purpose,
    CASE
        WHEN %(rows_2)s = %(needed)s THEN 'verified'
        WHEN o.issue_id <> IF(o.purpose = %(purpose)s, %(issue_id)s, %(approval_issue_id)s) THEN 'unknown'
        WHEN o.spent_at IS NOT NULL THEN 'spent'
        WHEN o.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        WHEN o.attempts >= o.max_attempts
            AND IF(
                o.purpose = %(purpose)s,
                %(rows_3)s = 0 AND %(link_hash)s IS NULL,
                %(rows_4)s = 0 AND %(approval_link_hash)s IS NULL
            ) THEN 'exhausted'
        WHEN %(rows_1)s = 0 THEN 'unknown'
        WHEN o.user_id = %(user_id)s AND IF(
                o.purpose = %(purpose)s,
                authsql_code_matches(o.subject, o.purpose, %(code_hash)s) OR o.link_hash = %(link_hash)s,
                (authsql_code_matches(o.subject, o.purpose, %(approval_code_hash)s) OR o.link_hash = %(approval_link_hash)s)
                AND o.subject = (SELECT u.email_key FROM authsql_users AS u WHERE u.id = %(user_id)s)
            ) THEN 'right'
        ELSE 'wrong'
    END AS state,
    o.max_attempts - o.attempts AS attempts_left,
    w.id AS user_id,
    COALESCE(f.email, w.email) AS former_email,
    -- Without a row the address is the same: it was proved before this statement, or by it.
    COALESCE(f.was_verified, w.email_verified_at < w.updated_at) AS former_verified
FROM authsql_app_otps AS o
LEFT JOIN authsql_users AS w ON w.id = %(user_id)s AND %(rows_2)s = %(needed)s
LEFT JOIN authsql_former_emails AS f ON w.id = f.user_id AND w.updated_at = f.changed_at
WHERE (o.subject = %(subject)s AND o.purpose = %(purpose)s)
    OR (o.subject = %(approval_subject)s AND o.purpose = %(approval_purpose)s);
