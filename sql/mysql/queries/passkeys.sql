-- Passkeys. Functions: authsql/passkeys.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed, and
-- %(verdict)s what it left in LAST_INSERT_ID.

-- name: begin_registration
-- Store a challenge for a live account.
INSERT INTO authsql_passkey_challenges (id, purpose, user_id, challenge_hash, user_verification, expires_at)
SELECT
    %(id)s,
    'registration',
    u.id,
    %(challenge_hash)s,
    %(user_verification)s,
    UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL;

-- name: begin_registration__2
-- Which passkeys the account has. One row at least: without one there is no such account.
SELECT
    c.expires_at,
    p.credential,
    p.transports
FROM authsql_passkey_challenges AS c
LEFT JOIN authsql_passkeys AS p ON c.user_id = p.user_id
WHERE c.id = %(id)s
ORDER BY p.id;

-- name: begin_authentication
-- Store a challenge for a live account that has a passkey.
INSERT INTO authsql_passkey_challenges (id, purpose, user_id, challenge_hash, user_verification, expires_at)
SELECT
    %(id)s,
    'authentication',
    u.id,
    %(challenge_hash)s,
    %(user_verification)s,
    UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND
FROM authsql_users AS u
WHERE u.id = %(user_id)s
    AND u.deleted_at IS NULL
    AND EXISTS (SELECT 1 FROM authsql_passkeys AS p WHERE p.user_id = u.id);

-- name: begin_authentication__2
-- Which passkeys the account has. No row: there is no such account.
SELECT
    c.expires_at,
    p.credential,
    p.transports
FROM authsql_passkey_challenges AS c
INNER JOIN authsql_passkeys AS p ON c.user_id = p.user_id
WHERE c.id = %(id)s
ORDER BY p.id;

-- name: begin_discoverable
-- Store a challenge for whoever signs in by a passkey that names its user.
INSERT INTO authsql_passkey_challenges (id, purpose, challenge_hash, user_verification, expires_at)
VALUES (
    %(id)s,
    'authentication',
    %(challenge_hash)s,
    %(user_verification)s,
    UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND
);

-- name: begin_discoverable__2
-- The challenge as it stands.
SELECT c.expires_at
FROM authsql_passkey_challenges AS c
WHERE c.id = %(id)s;

-- name: spend_registration
-- Spend the challenge of a user's registration: of callers with it at the same time one changes the row.
UPDATE authsql_passkey_challenges AS c
INNER JOIN authsql_users AS u ON c.user_id = u.id
SET c.spent_at = UTC_TIMESTAMP(6)
WHERE c.id = %(id)s
    AND c.challenge_hash = %(challenge_hash)s
    AND c.purpose = 'registration'
    AND c.user_id = %(user_id)s
    AND c.spent_at IS NULL
    AND c.expires_at > UTC_TIMESTAMP(6)
    AND u.deleted_at IS NULL;

-- name: spend_registration__2
-- Whether it was spent by that, or why not. No row: there is no such challenge, or no such live account.
SELECT
    CASE
        WHEN %(rows)s > 0 THEN 'presented'
        WHEN c.spent_at IS NULL AND c.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        ELSE 'spent'
    END AS state,
    c.user_verification
FROM authsql_passkey_challenges AS c
INNER JOIN authsql_users AS u ON c.user_id = u.id AND u.deleted_at IS NULL
WHERE c.id = %(id)s
    AND c.challenge_hash = %(challenge_hash)s
    AND c.purpose = 'registration'
    AND c.user_id = %(user_id)s;

-- name: add
-- Store a passkey of a live account, unless the credential is registered already: then nothing changes.
INSERT INTO authsql_passkeys (
    id, user_id, name, credential, public_key, sign_count, transports, aaguid, backup_eligible, backed_up, user_verified_at
)
SELECT
    %(id)s,
    u.id,
    %(name)s,
    %(credential)s,
    %(public_key)s,
    %(sign_count)s,
    %(transports)s,
    %(aaguid)s,
    %(backup_eligible)s,
    %(backed_up)s,
    IF(%(user_verified)s, UTC_TIMESTAMP(6), NULL)
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
ON DUPLICATE KEY UPDATE credential = authsql_passkeys.credential;

-- name: add__2
-- The passkey as it stands. No row: the credential is registered already.
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
WHERE p.id = %(id)s;

-- name: spend_authentication
-- Spend a challenge: of callers with it at the same time one changes the row.
UPDATE authsql_passkey_challenges AS c
SET c.spent_at = UTC_TIMESTAMP(6)
WHERE c.id = %(id)s
    AND c.challenge_hash = %(challenge_hash)s
    AND c.purpose = 'authentication'
    AND c.spent_at IS NULL
    AND c.expires_at > UTC_TIMESTAMP(6);

-- name: spend_authentication__2
-- Whether it was spent by that, or why not, and the passkey that answered it. A challenge that was made for a user is
-- answered by that user's passkeys only. No row: there is no such challenge.
SELECT
    CASE
        WHEN %(rows)s > 0 THEN 'presented'
        WHEN c.spent_at IS NULL AND c.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        ELSE 'spent'
    END AS state,
    c.user_verification,
    c.user_id AS asked_id,
    p.id AS passkey_id,
    u.id AS user_id,
    p.public_key,
    p.backup_eligible
FROM authsql_passkey_challenges AS c
LEFT JOIN authsql_passkeys AS p
    ON p.credential = %(credential)s AND p.user_id = COALESCE(c.user_id, p.user_id) AND %(rows)s > 0
LEFT JOIN authsql_users AS u ON p.user_id = u.id AND u.deleted_at IS NULL
WHERE c.id = %(id)s
    AND c.challenge_hash = %(challenge_hash)s
    AND c.purpose = 'authentication';

-- name: advance
-- The signature was right: note the use, unless the counter did not go up. A counter that stays 0 counts nothing.
UPDATE authsql_passkeys AS p
SET
    p.sign_count = %(sign_count)s,
    p.backed_up = %(backed_up)s,
    p.last_used_at = UTC_TIMESTAMP(6),
    p.user_verified_at = IF(%(user_verified)s, UTC_TIMESTAMP(6), p.user_verified_at)
WHERE p.id = %(id)s AND (p.sign_count < %(sign_count)s OR (p.sign_count = 0 AND %(sign_count)s = 0));

-- name: suspect
-- Note that a counter did not go up, if the passkey is still there.
UPDATE authsql_passkeys AS p
SET p.cloned_at = UTC_TIMESTAMP(6)
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
SET p.name = %(name)s
WHERE p.id = %(id)s AND p.user_id = %(user_id)s;

-- name: rename__2
-- The passkey, whether its name changed by that or was the same before.
SELECT p.id
FROM authsql_passkeys AS p
WHERE p.id = %(id)s AND p.user_id = %(user_id)s;

-- name: remove
-- Lock the live account, as identities.unlink does: of two that take its last two ways in, one sees what the other has left.
SELECT u.id
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR UPDATE;

-- name: remove__2
-- Delete a passkey of it, if it keeps another way in. In one transaction with the lock.
DELETE FROM authsql_passkeys
WHERE id = %(id)s
    AND user_id = %(user_id)s
    AND %(rows)s > 0
    AND (
        EXISTS (
            SELECT 1
            FROM authsql_users AS u
            WHERE u.id = %(user_id)s AND u.email_verified_at IS NOT NULL AND %(email_signs_in)s
        )
        OR EXISTS (
            SELECT 1
            FROM authsql_ways_in AS w
            WHERE w.user_id = %(user_id)s
                AND NOT (
                    w.kind = 'passkey'
                    AND w.subject = CONVERT(BIN_TO_UUID(%(id)s) USING utf8mb4) COLLATE utf8mb4_bin
                )
        )
    );

-- name: remove_refusal
-- Why a passkey was not removed.
SELECT IF(COUNT(*) > 0, 'last_way_in', 'unknown') AS reason
FROM authsql_passkeys AS p
INNER JOIN authsql_users AS u ON p.user_id = u.id
WHERE p.id = %(id)s AND p.user_id = %(user_id)s AND u.deleted_at IS NULL;
