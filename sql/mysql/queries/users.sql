-- Accounts. Functions: authsql/users.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed, and
-- %(verdict)s what it left in LAST_INSERT_ID.

-- name: create
-- Insert an account. Differs from postgres: a taken e-mail is error 1062, which leaves the transaction usable here.
INSERT INTO authsql_users (id, email, name, avatar, email_verified_at)
VALUES (%(id)s, %(email)s, %(name)s, %(avatar)s, IF(%(email_verified)s, UTC_TIMESTAMP(6), NULL));

-- name: create__2
-- The account as it stands.
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
WHERE u.email_key = LOWER(CONVERT(%(email)s USING utf8mb4) COLLATE utf8mb4_bin);

-- name: update_profile
-- Set the name, the avatar or both of a live account.
UPDATE authsql_users AS u
SET
    u.name = IF(%(set_name)s, %(name)s, u.name),
    u.avatar = IF(%(set_avatar)s, CAST(%(avatar)s AS JSON), u.avatar)
WHERE u.id = %(id)s AND u.deleted_at IS NULL;

-- name: update_profile__2
-- The account as it stands, if it was changed just now.
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
WHERE u.id = %(id)s AND %(rows)s > 0;

-- name: mark_email_verified
-- Note the proof that the owner reads mail at this address, if it still is the account's address.
UPDATE authsql_users AS u
SET u.email_verified_at = COALESCE(u.email_verified_at, UTC_TIMESTAMP(6))
WHERE u.id = %(id)s AND u.email_key = LOWER(CONVERT(%(email)s USING utf8mb4) COLLATE utf8mb4_bin);

-- name: soft_delete
-- Mark a live account as deleted. A trigger ends its sessions.
UPDATE authsql_users AS u
SET
    u.deleted_at = UTC_TIMESTAMP(6),
    u.reactivatable_at = UTC_TIMESTAMP(6) + INTERVAL %(reactivation_wait)s MICROSECOND
WHERE u.id = %(id)s AND u.deleted_at IS NULL;

-- name: soft_delete__2
-- The account as it stands, if it was marked just now.
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
WHERE u.id = %(id)s AND %(rows)s > 0;

-- name: reactivate
-- Bring a soft-deleted account back, if its wait is over. Differs from postgres: a taken e-mail is error 1062, which
-- leaves the transaction usable here.
UPDATE authsql_users AS u
SET u.deleted_at = NULL, u.reactivatable_at = NULL
WHERE u.id = %(id)s AND u.deleted_at IS NOT NULL AND u.reactivatable_at <= UTC_TIMESTAMP(6);

-- name: reactivate__2
-- The account as it stands, if it was brought back just now.
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
WHERE u.id = %(id)s AND %(rows)s > 0;

-- name: reactivate_refusal
-- Why an account was not reactivated.
SELECT
    u.reactivatable_at AS retry_at,
    CASE
        WHEN u.deleted_at IS NULL THEN 'not_deleted'
        WHEN EXISTS (SELECT 1 FROM authsql_users AS o WHERE o.email_key = LOWER(u.email)) THEN 'email_taken'
        ELSE 'not_yet'
    END AS reason
FROM authsql_users AS u
WHERE u.id = %(id)s;

-- name: delete
-- Delete an account and, by foreign keys, all that belongs to it.
DELETE FROM authsql_users
WHERE id = %(id)s;
