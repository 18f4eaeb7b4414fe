-- Accounts. Functions: authsql/users.py.

-- name: create
-- Insert an account. No row: a live account has that e-mail already.
-- Differs from mysql: ON CONFLICT, so that a taken e-mail leaves the caller's transaction usable.
INSERT INTO authsql_users (id, email, name, avatar, email_verified_at)
VALUES (
    %(id)s,
    %(email)s,
    %(name)s,
    %(avatar)s::jsonb,
    CASE WHEN %(email_verified)s THEN statement_timestamp() END
)
ON CONFLICT ON CONSTRAINT authsql_users_email_key DO NOTHING
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
    updated_at;

-- name: get
-- An account by id, soft-deleted or not.
SELECT
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
FROM authsql_users AS u
WHERE u.id = %(id)s;

-- name: get_by_email
-- The live account with an e-mail, whatever its case. Uses authsql_users_email_key.
SELECT
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
FROM authsql_users AS u
WHERE u.email_key = lower(%(email)s::text);

-- name: update_profile
-- Set the name, the avatar or both of a live account.
UPDATE authsql_users AS u
SET
    name = CASE WHEN %(set_name)s THEN %(name)s::text ELSE u.name END,
    avatar = CASE WHEN %(set_avatar)s THEN %(avatar)s::jsonb ELSE u.avatar END
WHERE u.id = %(id)s AND u.deleted_at IS NULL
RETURNING
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
    u.updated_at;

-- name: mark_email_verified
-- Note the proof that the owner reads mail at this address, if it still is the account's address.
UPDATE authsql_users AS u
SET email_verified_at = coalesce(u.email_verified_at, statement_timestamp())
WHERE u.id = %(id)s AND u.email_key = lower(%(email)s::text);

-- name: soft_delete
-- Mark a live account as deleted. A trigger ends its sessions.
UPDATE authsql_users AS u
SET
    deleted_at = statement_timestamp(),
    reactivatable_at = statement_timestamp() + %(reactivation_wait)s
WHERE u.id = %(id)s AND u.deleted_at IS NULL
RETURNING
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
    u.updated_at;

-- name: reactivate
-- Bring a soft-deleted account back, if its wait is over and nobody has taken its e-mail meanwhile.
-- Differs from mysql: the look for a taken e-mail, so that it leaves the caller's transaction usable.
UPDATE authsql_users AS u
SET deleted_at = NULL, reactivatable_at = NULL
WHERE u.id = %(id)s
    AND u.deleted_at IS NOT NULL
    AND u.reactivatable_at <= statement_timestamp()
    AND NOT EXISTS (SELECT 1 FROM authsql_users AS o WHERE o.email_key = lower(u.email))
RETURNING
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
    u.updated_at;

-- name: reactivate_refusal
-- Why an account was not reactivated.
SELECT
    u.reactivatable_at AS retry_at,
    CASE
        WHEN u.deleted_at IS NULL THEN 'not_deleted'
        WHEN EXISTS (SELECT 1 FROM authsql_users AS o WHERE o.email_key = lower(u.email)) THEN 'email_taken'
        ELSE 'not_yet'
    END AS reason
FROM authsql_users AS u
WHERE u.id = %(id)s;

-- name: delete
-- Delete an account and, by foreign keys, all that belongs to it.
DELETE FROM authsql_users AS u
WHERE u.id = %(id)s;
