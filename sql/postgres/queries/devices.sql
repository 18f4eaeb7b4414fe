-- Known devices. Functions: authsql/devices.py. Attempts from them: passwords.sql.

-- name: remember
-- Make a device known for a live account. No row: there is no such live account. FOR SHARE: one that is being deleted, or
-- taken over, is waited for.
INSERT INTO authsql_known_devices AS d (id, user_id, secret_hash, name, trusted_until, expires_at)
SELECT
    %(id)s,
    u.id,
    %(secret_hash)s,
    %(name)s,
    statement_timestamp() + %(trust)s::interval,
    statement_timestamp() + %(lifetime)s::interval
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR SHARE OF u
RETURNING
    d.id,
    d.user_id,
    d.name,
    d.trusted_until,
    d.created_at,
    d.last_used_at,
    d.expires_at;

-- name: is_trusted
-- The device, if its user trusts it now. A device from which too many attempts failed is one like any other.
SELECT d.id
FROM authsql_known_devices AS d
WHERE d.id = %(id)s
    AND d.user_id = %(user_id)s
    AND d.secret_hash = %(secret_hash)s
    AND d.trusted_until > statement_timestamp()
    AND d.expires_at > statement_timestamp()
    AND d.failed_attempts < %(device_attempts)s;

-- name: list
-- The known devices of a user, the last used first. Uses authsql_known_devices_user_id_idx.
SELECT
    d.id,
    d.user_id,
    d.name,
    d.trusted_until,
    d.created_at,
    d.last_used_at,
    d.expires_at
FROM authsql_known_devices AS d
WHERE d.user_id = %(user_id)s AND d.expires_at > statement_timestamp()
ORDER BY d.last_used_at DESC, d.id DESC;

-- name: forget
-- Forget one device of a user.
DELETE FROM authsql_known_devices
WHERE id = %(id)s AND user_id = %(user_id)s;

-- name: forget_all
-- Forget all devices of a user.
DELETE FROM authsql_known_devices
WHERE user_id = %(user_id)s;
