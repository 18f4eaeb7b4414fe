-- Passkeys. Functions: authsql/passkeys.py.

-- name: begin_registration
-- Store a challenge for a live account, and say which passkeys it has. One row at least: without one there is no such
-- account.
WITH challenge AS (
    INSERT INTO authsql_passkey_challenges AS c (
        id, purpose, user_id, challenge_hash, user_verification, expires_at
    )
    SELECT
        %(id)s,
        'registration',
        u.id,
        %(challenge_hash)s,
        %(user_verification)s,
        statement_timestamp() + %(lifetime)s::interval
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    RETURNING c.user_id, c.expires_at
)

SELECT
    c.expires_at,
    p.credential,
    p.transports
FROM challenge AS c
LEFT JOIN authsql_passkeys AS p ON c.user_id = p.user_id
ORDER BY p.id;

-- name: begin_authentication
-- Store a challenge for a live account that has a passkey, and say which. No row: there is no such account.
WITH challenge AS (
    INSERT INTO authsql_passkey_challenges AS c (
        id, purpose, user_id, challenge_hash, user_verification, expires_at
    )
    SELECT
        %(id)s,
        'authentication',
        u.id,
        %(challenge_hash)s,
        %(user_verification)s,
        statement_timestamp() + %(lifetime)s::interval
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s
        AND u.deleted_at IS NULL
        AND EXISTS (SELECT 1 FROM authsql_passkeys AS p WHERE p.user_id = u.id)
    RETURNING c.user_id, c.expires_at
)

SELECT
    c.expires_at,
    p.credential,
    p.transports
FROM challenge AS c
INNER JOIN authsql_passkeys AS p ON c.user_id = p.user_id
ORDER BY p.id;

-- name: begin_discoverable
-- Store a challenge for whoever signs in by a passkey that names its user.
INSERT INTO authsql_passkey_challenges AS c (id, purpose, challenge_hash, user_verification, expires_at)
VALUES (
    %(id)s,
    'authentication',
    %(challenge_hash)s,
    %(user_verification)s,
    statement_timestamp() + %(lifetime)s::interval
)
RETURNING c.expires_at;

-- name: spend_registration
-- Spend the challenge of a user's registration: of callers with it at the same time one changes the row. No row: there is
-- no such challenge, or no such live account.
WITH spent AS (
    UPDATE authsql_passkey_challenges AS c
    SET spent_at = statement_timestamp()
    FROM authsql_users AS u
    WHERE c.id = %(id)s
        AND c.challenge_hash = %(challenge_hash)s
        AND c.purpose = 'registration'
        AND c.user_id = %(user_id)s
        AND c.spent_at IS NULL
        AND c.expires_at > statement_timestamp()
        AND u.id = c.user_id
        AND u.deleted_at IS NULL
    RETURNING c.user_verification
)

SELECT
    'presented' AS state,
    s.user_verification
FROM spent AS s
UNION ALL
SELECT
    CASE
        WHEN c.spent_at IS NULL AND c.expires_at <= statement_timestamp() THEN 'expired'
        ELSE 'spent'
    END AS state,
    c.user_verification
FROM authsql_passkey_challenges AS c
INNER JOIN authsql_users AS u ON c.user_id = u.id AND u.deleted_at IS NULL
WHERE c.id = %(id)s
    AND c.challenge_hash = %(challenge_hash)s
    AND c.purpose = 'registration'
    AND c.user_id = %(user_id)s
    AND NOT EXISTS (SELECT 1 FROM spent);

-- name: add
-- Store a passkey of a live account, unless the credential is registered already. No row: it is. FOR SHARE: an account that is
-- being taken over is waited for.
INSERT INTO authsql_passkeys AS p (
    id, user_id, name, credential, public_key, sign_count, transports, aaguid, backup_eligible, backed_up, user_verified_at
)
SELECT
    %(id)s,
    u.id,
    %(name)s,
    %(credential)s,
    %(public_key)s,
    %(sign_count)s,
    %(transports)s::jsonb,
    %(aaguid)s,
    %(backup_eligible)s,
    %(backed_up)s,
    CASE WHEN %(user_verified)s THEN statement_timestamp() END
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR SHARE OF u
ON CONFLICT (credential) DO NOTHING
RETURNING
    p.id,
    p.user_id,
    p.name,
    p.credential,
    p.transports,
    p.aaguid,
    p.backup_eligible,
    p.backed_up,
    p.created_at,
    p.last_used_at,
    p.user_verified_at,
    p.cloned_at;

-- name: spend_authentication
-- Spend a challenge, and find the passkey that answered it: of callers with it at the same time one changes the row. A
-- challenge that was made for a user is answered by that user's passkeys only. No row: there is no such challenge.
WITH spent AS (
    UPDATE authsql_passkey_challenges AS c
    SET spent_at = statement_timestamp()
    WHERE c.id = %(id)s
        AND c.challenge_hash = %(challenge_hash)s
        AND c.purpose = 'authentication'
        AND c.spent_at IS NULL
        AND c.expires_at > statement_timestamp()
    RETURNING c.user_id, c.user_verification
)

SELECT
    'presented' AS state,
    s.user_verification,
    s.user_id AS asked_id,
    p.id AS passkey_id,
    u.id AS user_id,
    p.public_key,
    p.backup_eligible
FROM spent AS s
LEFT JOIN authsql_passkeys AS p ON p.credential = %(credential)s AND p.user_id = coalesce(s.user_id, p.user_id)
LEFT JOIN authsql_users AS u ON p.user_id = u.id AND u.deleted_at IS NULL
UNION ALL
SELECT
    CASE
        WHEN c.spent_at IS NULL AND c.expires_at <= statement_timestamp() THEN 'expired'
        ELSE 'spent'
    END AS state,
    c.user_verification,
    NULL AS asked_id,
    NULL AS passkey_id,
    NULL AS user_id,
    NULL AS public_key,
    NULL AS backup_eligible
FROM authsql_passkey_challenges AS c
WHERE c.id = %(id)s
    AND c.challenge_hash = %(challenge_hash)s
    AND c.purpose = 'authentication'
    AND NOT EXISTS (SELECT 1 FROM spent);

-- name: advance
-- The signature was right: note the use, unless the counter did not go up. A counter that stays 0 counts nothing.
UPDATE authsql_passkeys AS p
SET
    sign_count = %(sign_count)s,
    backed_up = %(backed_up)s,
    last_used_at = statement_timestamp(),
    user_verified_at = CASE WHEN %(user_verified)s THEN statement_timestamp() ELSE p.user_verified_at END
WHERE p.id = %(id)s AND (p.sign_count < %(sign_count)s OR (p.sign_count = 0 AND %(sign_count)s = 0));

-- name: suspect
-- Note that a counter did not go up, if the passkey is still there.
UPDATE authsql_passkeys AS p
SET cloned_at = statement_timestamp()
WHERE p.id = %(id)s;

-- name: list
-- The passkeys of a user, the oldest first. Uses authsql_passkeys_user_id_idx.
SELECT
    p.id,
    p.user_id,
    p.name,
    p.credential,
    p.transports,
    p.aaguid,
    p.backup_eligible,
    p.backed_up,
    p.created_at,
    p.last_used_at,
    p.user_verified_at,
    p.cloned_at
FROM authsql_passkeys AS p
WHERE p.user_id = %(user_id)s
ORDER BY p.id;

-- name: rename
-- Give a passkey another name.
UPDATE authsql_passkeys AS p
SET name = %(name)s
WHERE p.id = %(id)s AND p.user_id = %(user_id)s
RETURNING p.id;

-- name: remove
-- Delete a passkey of a live account that keeps another way in. As identities.unlink does it, and in the same order.
WITH owner AS (
    SELECT
        u.id,
        u.email_verified_at
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    FOR NO KEY UPDATE
),

removed AS (
    DELETE FROM authsql_passkeys AS p
    USING owner AS o
    WHERE p.id = %(id)s
        AND p.user_id = o.id
        AND (
            (%(email_signs_in)s AND o.email_verified_at IS NOT NULL)
            OR authsql_keeps_way_in(o.id, 'passkey', NULL, %(id)s::text)
        )
    RETURNING p.user_id
)

UPDATE authsql_users AS u
SET updated_at = statement_timestamp()
WHERE u.id IN (SELECT r.user_id FROM removed AS r);

-- name: remove_refusal
-- Why a passkey was not removed.
SELECT CASE WHEN count(*) > 0 THEN 'last_way_in' ELSE 'unknown' END AS reason
FROM authsql_passkeys AS p
INNER JOIN authsql_users AS u ON p.user_id = u.id
WHERE p.id = %(id)s AND p.user_id = %(user_id)s AND u.deleted_at IS NULL;
