-- Roles and permissions. Functions: authsql/roles.py.

-- name: create
-- Add a role. Differs from postgres: one that is there is error 1062, which leaves the transaction usable here. A count
-- after ON DUPLICATE KEY UPDATE would depend on the flag FOUND_ROWS, and IGNORE would hide a missing parent as well.
INSERT INTO authsql_roles (role, description, is_default)
VALUES (%(role)s, %(description)s, %(is_default)s);

-- name: delete
-- Delete a role and, by foreign keys, its permissions and its grants.
DELETE FROM authsql_roles
WHERE role = %(role)s;

-- name: list
-- Every role, with its permissions.
SELECT
    r.role AS name,
    r.description,
    r.is_default,
    r.created_at,
    (
        SELECT COALESCE(JSON_ARRAYAGG(p.permission), JSON_ARRAY())
        FROM authsql_role_permissions AS p
        WHERE p.role = r.role
    ) AS permissions
FROM authsql_roles AS r;

-- name: grant
-- Give a user a role. Differs from postgres: see create.
INSERT INTO authsql_user_roles (user_id, role)
VALUES (%(user_id)s, %(role)s);

-- name: revoke
-- Take a role from a user.
DELETE FROM authsql_user_roles
WHERE user_id = %(user_id)s AND role = %(role)s;

-- name: allow
-- Give a role a permission. Differs from postgres: see create.
INSERT INTO authsql_role_permissions (role, permission)
VALUES (%(role)s, %(permission)s);

-- name: disallow
-- Take a permission from a role.
DELETE FROM authsql_role_permissions
WHERE role = %(role)s AND permission = %(permission)s;

-- name: of_user
-- The roles of a live user.
SELECT g.role
FROM authsql_user_roles AS g
INNER JOIN authsql_users AS u ON g.user_id = u.id
WHERE g.user_id = %(user_id)s AND u.deleted_at IS NULL;

-- name: permissions_of
-- The permissions of a live user, by whichever roles.
SELECT DISTINCT p.permission
FROM authsql_user_roles AS g
INNER JOIN authsql_users AS u ON g.user_id = u.id
INNER JOIN authsql_role_permissions AS p ON g.role = p.role
WHERE g.user_id = %(user_id)s AND u.deleted_at IS NULL;

-- name: has_role
-- Whether a live user has a role. The same as the function authsql_has_role.
SELECT EXISTS(
    SELECT 1
    FROM authsql_user_roles AS g
    INNER JOIN authsql_users AS u ON g.user_id = u.id
    WHERE g.user_id = %(user_id)s AND g.role = %(role)s AND u.deleted_at IS NULL
) AS granted;

-- name: has_permission
-- Whether one of the roles of a live user has a permission. The same as the function authsql_has_permission.
SELECT EXISTS(
    SELECT 1
    FROM authsql_user_roles AS g
    INNER JOIN authsql_users AS u ON g.user_id = u.id
    INNER JOIN authsql_role_permissions AS p ON g.role = p.role
    WHERE g.user_id = %(user_id)s AND p.permission = %(permission)s AND u.deleted_at IS NULL
) AS granted;

-- name: set_current_user
-- Say on whose behalf this session works; what authsql_current_user_id returns. Differs from postgres: until the session
-- ends, is reset, or is told otherwise, because no variable here ends with the transaction.
SET @authsql_user_id = CAST(%(user_id)s AS BINARY(16));
