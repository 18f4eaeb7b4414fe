-- Accounts at OAuth and OpenID Connect providers. Functions: authsql/identities.py. Who gets which account:
-- docs/decisions/0007-identities.md.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed, and
-- %(rows_1)s how many the first did.

-- name: sign_in
-- Note the sign-in of a known identity whose owner is live, with what the provider says of it now; what it does not say
-- stays.
UPDATE authsql_identities AS i
INNER JOIN authsql_users AS u ON i.user_id = u.id
SET
    i.email = COALESCE(%(email)s, i.email),
    i.profile = COALESCE(CAST(%(profile)s AS JSON), i.profile),
    -- It moves with each, for the audit log.
    i.last_login_at = GREATEST(UTC_TIMESTAMP(6), COALESCE(i.last_login_at + INTERVAL 1 MICROSECOND, UTC_TIMESTAMP(6)))
WHERE i.provider = %(provider)s AND i.subject = %(subject)s AND u.deleted_at IS NULL;

-- name: sign_in__2
-- Whose it is, or else what has to be done. The identity and the holder of the e-mail are read in one snapshot, that is, not
-- FOR SHARE: an account that is made between the two reads would be taken for somebody else's. The owner is: a snapshot of
-- the caller's might be older than the account.
SELECT
    CASE
        WHEN %(rows)s > 0 THEN 'existing'
        WHEN o.deleted_at IS NOT NULL THEN 'deleted'
        -- It was linked a moment ago.
        WHEN i.user_id IS NOT NULL THEN 'overtaken'
        WHEN %(email)s IS NULL THEN 'email_required'
        WHEN h.id IS NULL THEN 'new'
        WHEN %(may_link)s AND h.email_verified_at IS NOT NULL THEN 'linkable'
        ELSE 'ownership_required'
    END AS state,
    i.user_id,
    o.email_verified_at
-- One row, whatever is found.
FROM (SELECT 1 AS n) AS one -- noqa: ST11
LEFT JOIN authsql_identities AS i ON i.provider = %(provider)s AND i.subject = %(subject)s
LEFT JOIN authsql_users AS o ON i.user_id = o.id
LEFT JOIN authsql_users AS h
    ON h.email_key = LOWER(CONVERT(%(email)s USING utf8mb4) COLLATE utf8mb4_bin) AND %(rows)s = 0
FOR SHARE OF o;

-- name: create
-- Make an account of an unknown identity. Differs from postgres: a taken e-mail is error 1062, which leaves the transaction
-- usable here.
INSERT INTO authsql_users (id, email, name, email_verified_at)
VALUES (%(user_id)s, %(email)s, %(name)s, IF(%(email_verified)s, UTC_TIMESTAMP(6), NULL));

-- name: create__2
-- Link them, in one transaction with that. If the identity is known by now, its primary key is violated.
INSERT INTO authsql_identities (provider, subject, user_id, email, profile, last_login_at)
VALUES (
    %(provider)s, %(subject)s, %(user_id)s, %(email)s, CAST(%(profile)s AS JSON), UTC_TIMESTAMP(6)
);

-- name: link_verified
-- Link an unknown identity to the live account with its e-mail, if that e-mail is verified there. IGNORE: the identity may be
-- known by now; whatever else would be ignored was checked before. The account is locked, as accounts are before what
-- belongs to them.
INSERT IGNORE INTO authsql_identities (provider, subject, user_id, email, profile, last_login_at)
SELECT
    %(provider)s,
    %(subject)s,
    u.id,
    %(email)s,
    CAST(%(profile)s AS JSON),
    UTC_TIMESTAMP(6)
FROM authsql_users AS u
WHERE u.email_key = LOWER(CONVERT(%(email)s USING utf8mb4) COLLATE utf8mb4_bin)
    AND u.email_verified_at IS NOT NULL
FOR UPDATE;

-- name: link_verified__2
-- Whose it is, if it was linked just now.
SELECT i.user_id
FROM authsql_identities AS i
WHERE i.provider = %(provider)s AND i.subject = %(subject)s AND %(rows)s > 0;

-- name: link
-- Link an identity to a live account, if it belongs to none. IGNORE as above.
-- Differs from postgres: the renewal is a statement of its own, because ON DUPLICATE KEY UPDATE has no WHERE, and would
-- touch the identity of another account.
INSERT IGNORE INTO authsql_identities (provider, subject, user_id, email, profile)
SELECT
    %(provider)s,
    %(subject)s,
    u.id,
    %(email)s,
    CAST(%(profile)s AS JSON)
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR UPDATE;

-- name: link__2
-- Renew it if it belongs to the account already.
UPDATE authsql_identities AS i
INNER JOIN authsql_users AS u ON i.user_id = u.id
SET
    i.email = COALESCE(%(email)s, i.email),
    i.profile = COALESCE(CAST(%(profile)s AS JSON), i.profile)
WHERE i.provider = %(provider)s
    AND i.subject = %(subject)s
    AND i.user_id = %(user_id)s
    AND u.deleted_at IS NULL
    AND %(rows)s = 0;

-- name: link__3
-- What came of it. FOR SHARE: a snapshot of the caller's might be older than another account's link.
SELECT
    CASE
        WHEN %(rows_1)s > 0 OR %(rows)s > 0 THEN 'linked'
        WHEN u.id IS NULL THEN 'unknown'
        WHEN i.user_id = u.id THEN 'linked'
        WHEN i.user_id IS NOT NULL THEN 'taken'
        -- It was another account's a moment ago.
        ELSE 'overtaken'
    END AS state
-- One row, whatever is found.
FROM (SELECT 1 AS n) AS one -- noqa: ST11
LEFT JOIN authsql_users AS u ON u.id = %(user_id)s AND u.deleted_at IS NULL
LEFT JOIN authsql_identities AS i ON i.provider = %(provider)s AND i.subject = %(subject)s
FOR SHARE;

-- name: unlink
-- Lock the live account: of two that take its last two ways in, one waits, and sees what the other has left.
SELECT u.id
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR UPDATE;

-- name: unlink__2
-- Take an identity, or all of a provider, from it, if it keeps another way in. In one transaction with the lock.
DELETE FROM authsql_identities
WHERE user_id = %(user_id)s
    AND provider = %(provider)s
    AND (%(subject)s IS NULL OR subject = %(subject)s)
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
                    w.kind = 'identity'
                    AND w.provider = %(provider)s
                    AND (%(subject)s IS NULL OR w.subject = %(subject)s)
                )
        )
    );

-- name: unlink_refusal
-- Why an identity was not unlinked.
SELECT IF(COUNT(*) > 0, 'last_way_in', 'unknown') AS reason
FROM authsql_identities AS i
INNER JOIN authsql_users AS u ON i.user_id = u.id
WHERE i.user_id = %(user_id)s
    AND i.provider = %(provider)s
    AND (%(subject)s IS NULL OR i.subject = %(subject)s)
    AND u.deleted_at IS NULL;

-- name: list
-- The identities of an account, the oldest first. Uses authsql_identities_user_id_idx.
SELECT
    i.provider,
    i.subject,
    i.user_id,
    i.email,
    i.profile,
    i.last_login_at,
    i.created_at
FROM authsql_identities AS i
WHERE i.user_id = %(user_id)s
ORDER BY i.created_at, i.provider, i.subject;

-- name: store_tokens
-- Keep a provider's tokens, in place of those before; what is not given stays. No row: there is no such identity. key_name
-- is known only if nothing stays that is encrypted under another key; it comes before the columns that it is computed from.
INSERT INTO authsql_identity_tokens (
    provider, subject, access_token, refresh_token, id_token, key_name, scopes, expires_at
)
SELECT
    n.provider,
    n.subject,
    n.access_token,
    n.refresh_token,
    n.id_token,
    n.key_name,
    n.scopes,
    n.expires_at
FROM (
    SELECT
        i.provider,
        i.subject,
        %(access_token)s AS access_token,
        %(refresh_token)s AS refresh_token,
        %(id_token)s AS id_token,
        %(key_name)s AS key_name,
        %(scopes)s AS scopes,
        UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND AS expires_at
    FROM authsql_identities AS i
    WHERE i.provider = %(provider)s AND i.subject = %(subject)s
    FOR SHARE
) AS n
ON DUPLICATE KEY UPDATE
    key_name = IF(
        authsql_identity_tokens.key_name = n.key_name
        OR (
            (n.refresh_token IS NOT NULL OR authsql_identity_tokens.refresh_token IS NULL)
            AND (n.id_token IS NOT NULL OR authsql_identity_tokens.id_token IS NULL)
        ),
        n.key_name,
        NULL
    ),
    access_token = n.access_token,
    refresh_token = COALESCE(n.refresh_token, authsql_identity_tokens.refresh_token),
    id_token = COALESCE(n.id_token, authsql_identity_tokens.id_token),
    scopes = COALESCE(n.scopes, authsql_identity_tokens.scopes),
    expires_at = n.expires_at;

-- name: tokens
-- A provider's tokens as they are stored.
SELECT
    t.access_token,
    t.refresh_token,
    t.id_token,
    t.scopes,
    t.expires_at,
    COALESCE(t.expires_at <= UTC_TIMESTAMP(6), FALSE) AS expired
FROM authsql_identity_tokens AS t
WHERE t.provider = %(provider)s AND t.subject = %(subject)s;

-- name: forget_tokens
-- Delete a provider's tokens.
DELETE FROM authsql_identity_tokens
WHERE provider = %(provider)s AND subject = %(subject)s;

-- name: tokens_of_other_keys
-- At most batch rows that are not encrypted under this key alone. Uses authsql_identity_tokens_key_name_idx. FOR UPDATE: a
-- snapshot may be older than what another caller did.
SELECT
    t.provider,
    t.subject,
    t.access_token,
    t.refresh_token,
    t.id_token
FROM authsql_identity_tokens AS t
WHERE t.key_name < %(key_name)s OR t.key_name > %(key_name)s OR t.key_name IS NULL
ORDER BY t.key_name, t.provider, t.subject
LIMIT %(batch)s
FOR UPDATE -- noqa: PRS,CV06
;

-- name: replace_tokens
-- Put the same tokens, encrypted anew, in place of what was read, unless other ones were stored since.
UPDATE authsql_identity_tokens AS t
SET
    t.access_token = %(access_token)s,
    t.refresh_token = %(refresh_token)s,
    t.id_token = %(id_token)s,
    t.key_name = %(key_name)s
WHERE t.provider = %(provider)s
    AND t.subject = %(subject)s
    AND t.access_token = %(old_access_token)s
    AND t.refresh_token <=> %(old_refresh_token)s
    AND t.id_token <=> %(old_id_token)s;
