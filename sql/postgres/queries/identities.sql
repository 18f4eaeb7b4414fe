-- Accounts at OAuth and OpenID Connect providers. Functions: authsql/identities.py. Who gets which account:
-- docs/decisions/0007-identities.md.

-- name: sign_in
-- Note the sign-in of a known identity whose owner is live, with what the provider says of it now; what it does not say
-- stays. Or else what has to be done: an account with that e-mail is looked for only where the identity is unknown.
WITH renewed AS (
    UPDATE authsql_identities AS i
    SET
        email = coalesce(%(email)s::text, i.email),
        profile = coalesce(%(profile)s::jsonb, i.profile),
        -- It moves with each, for the audit log.
        last_login_at = greatest(statement_timestamp(), i.last_login_at + interval '1 microsecond')
    FROM authsql_users AS u
    WHERE i.provider = %(provider)s
        AND i.subject = %(subject)s
        AND u.id = i.user_id
        AND u.deleted_at IS NULL
    RETURNING i.user_id, u.email_verified_at
)

SELECT
    'existing' AS state,
    r.user_id,
    r.email_verified_at
FROM renewed AS r
UNION ALL
SELECT
    CASE
        WHEN o.deleted_at IS NOT NULL THEN 'deleted'
        -- It was unlinked while this statement waited for it.
        WHEN i.user_id IS NOT NULL THEN 'overtaken'
        WHEN %(email)s::text IS NULL THEN 'email_required'
        WHEN h.id IS NULL THEN 'new'
        WHEN %(may_link)s AND h.email_verified_at IS NOT NULL THEN 'linkable'
        ELSE 'ownership_required'
    END AS state,
    o.id AS user_id,
    o.email_verified_at
-- One row, whatever is found.
FROM (SELECT 1 AS n) AS one -- noqa: ST11
LEFT JOIN authsql_identities AS i ON i.provider = %(provider)s AND i.subject = %(subject)s
LEFT JOIN authsql_users AS o ON i.user_id = o.id
LEFT JOIN authsql_users AS h ON h.email_key = lower(%(email)s::text)
WHERE NOT EXISTS (SELECT 1 FROM renewed);

-- name: create
-- Make an account of an unknown identity, and link them. No row: a live account has that e-mail by now. If the identity is
-- known by now, its primary key is violated, and there is no account either.
WITH created AS (
    INSERT INTO authsql_users (id, email, name, email_verified_at)
    VALUES (
        %(user_id)s,
        %(email)s,
        %(name)s,
        CASE WHEN %(email_verified)s THEN statement_timestamp() END
    )
    ON CONFLICT ON CONSTRAINT authsql_users_email_key DO NOTHING
    RETURNING id
)

INSERT INTO authsql_identities (provider, subject, user_id, email, profile, last_login_at)
SELECT
    %(provider)s,
    %(subject)s,
    c.id,
    %(email)s,
    %(profile)s::jsonb,
    statement_timestamp()
FROM created AS c;

-- name: link_verified
-- Link an unknown identity to the live account with its e-mail, if that e-mail is verified there. No row: it is not, or the
-- identity is known by now. The account is locked, so that what was committed meanwhile is seen.
WITH holder AS (
    SELECT u.id
    FROM authsql_users AS u
    WHERE u.email_key = lower(%(email)s::text) AND u.email_verified_at IS NOT NULL
    FOR NO KEY UPDATE
)

INSERT INTO authsql_identities AS i (provider, subject, user_id, email, profile, last_login_at)
SELECT
    %(provider)s,
    %(subject)s,
    h.id,
    %(email)s,
    %(profile)s::jsonb,
    statement_timestamp()
FROM holder AS h
ON CONFLICT ON CONSTRAINT authsql_identities_pkey DO NOTHING
RETURNING i.user_id;

-- name: link
-- Link an identity to a live account, or renew it there. It stays where it is if it belongs to another account.
WITH owner AS (
    SELECT u.id
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    FOR NO KEY UPDATE
),

linked AS (
    INSERT INTO authsql_identities AS i (provider, subject, user_id, email, profile)
    SELECT
        %(provider)s,
        %(subject)s,
        o.id,
        %(email)s,
        %(profile)s::jsonb
    FROM owner AS o
    ON CONFLICT ON CONSTRAINT authsql_identities_pkey DO UPDATE
        SET email = coalesce(excluded.email, i.email), profile = coalesce(excluded.profile, i.profile)
        WHERE i.user_id = excluded.user_id
    RETURNING i.user_id
)

SELECT
    CASE
        WHEN EXISTS (SELECT 1 FROM linked) THEN 'linked'
        WHEN EXISTS (SELECT 1 FROM owner) THEN 'taken'
        ELSE 'unknown'
    END AS state;

-- name: unlink
-- Take an identity, or all of a provider, from a live account that keeps another way in. The account is locked first: of
-- two that take the last two, one sees what the other has left. Then it is touched: a transaction whose snapshot is older
-- fails at the lock, where it has to.
WITH owner AS (
    SELECT
        u.id,
        u.email_verified_at
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    FOR NO KEY UPDATE
),

unlinked AS (
    DELETE FROM authsql_identities AS i
    USING owner AS o
    WHERE i.user_id = o.id
        AND i.provider = %(provider)s
        AND (%(subject)s::text IS NULL OR i.subject = %(subject)s::text)
        AND (
            (%(email_signs_in)s AND o.email_verified_at IS NOT NULL)
            OR authsql_keeps_way_in(o.id, 'identity', %(provider)s, %(subject)s::text)
        )
    RETURNING i.user_id
)

UPDATE authsql_users AS u
SET updated_at = statement_timestamp()
WHERE u.id IN (SELECT n.user_id FROM unlinked AS n);

-- name: unlink_refusal
-- Why an identity was not unlinked.
SELECT CASE WHEN count(*) > 0 THEN 'last_way_in' ELSE 'unknown' END AS reason
FROM authsql_identities AS i
INNER JOIN authsql_users AS u ON i.user_id = u.id
WHERE i.user_id = %(user_id)s
    AND i.provider = %(provider)s
    AND (%(subject)s::text IS NULL OR i.subject = %(subject)s::text)
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
-- is known only if nothing stays that is encrypted under another key.
INSERT INTO authsql_identity_tokens AS t (
    provider, subject, access_token, refresh_token, id_token, key_name, scopes, expires_at
)
SELECT
    i.provider,
    i.subject,
    %(access_token)s,
    %(refresh_token)s,
    %(id_token)s,
    %(key_name)s,
    %(scopes)s,
    statement_timestamp() + %(lifetime)s::interval
FROM authsql_identities AS i
WHERE i.provider = %(provider)s AND i.subject = %(subject)s
FOR KEY SHARE
ON CONFLICT ON CONSTRAINT authsql_identity_tokens_pkey DO UPDATE
    SET
        access_token = excluded.access_token,
        refresh_token = coalesce(excluded.refresh_token, t.refresh_token),
        id_token = coalesce(excluded.id_token, t.id_token),
        key_name = CASE
            WHEN t.key_name = excluded.key_name
                OR (
                    coalesce(excluded.refresh_token, t.refresh_token) IS NOT DISTINCT FROM excluded.refresh_token
                    AND coalesce(excluded.id_token, t.id_token) IS NOT DISTINCT FROM excluded.id_token
                )
                THEN excluded.key_name
        END,
        scopes = coalesce(excluded.scopes, t.scopes),
        expires_at = excluded.expires_at;

-- name: tokens
-- A provider's tokens as they are stored.
SELECT
    t.access_token,
    t.refresh_token,
    t.id_token,
    t.scopes,
    t.expires_at,
    coalesce(t.expires_at <= statement_timestamp(), FALSE) AS expired
FROM authsql_identity_tokens AS t
WHERE t.provider = %(provider)s AND t.subject = %(subject)s;

-- name: forget_tokens
-- Delete a provider's tokens.
DELETE FROM authsql_identity_tokens AS t
WHERE t.provider = %(provider)s AND t.subject = %(subject)s;

-- name: tokens_of_other_keys
-- At most batch rows that are not encrypted under this key alone. Uses authsql_identity_tokens_key_name_idx, which <> does
-- not.
SELECT
    t.provider,
    t.subject,
    t.access_token,
    t.refresh_token,
    t.id_token
FROM authsql_identity_tokens AS t
WHERE t.key_name < %(key_name)s OR t.key_name > %(key_name)s OR t.key_name IS NULL
ORDER BY t.key_name, t.provider, t.subject
LIMIT %(batch)s;

-- name: replace_tokens
-- Put the same tokens, encrypted anew, in place of what was read, unless other ones were stored since.
UPDATE authsql_identity_tokens AS t
SET
    access_token = %(access_token)s,
    refresh_token = %(refresh_token)s,
    id_token = %(id_token)s,
    key_name = %(key_name)s
WHERE t.provider = %(provider)s
    AND t.subject = %(subject)s
    AND t.access_token = %(old_access_token)s
    AND t.refresh_token IS NOT DISTINCT FROM %(old_refresh_token)s
    AND t.id_token IS NOT DISTINCT FROM %(old_id_token)s;
