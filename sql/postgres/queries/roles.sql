-- Roles and permissions. Functions: authsql/roles.py.

-- name: create
-- Add a role, unless there is one of that name. Differs from mysql: ON CONFLICT, so that one that is there leaves the
-- caller's transaction usable.
INSERT INTO authsql_roles (role, description, is_default)
VALUES (%(role)s, %(description)s, %(is_default)s)
ON CONFLICT ON CONSTRAINT authsql_roles_pkey DO NOTHING;

-- name: delete
-- Delete a role and, by foreign keys, its permissions and its grants.
DELETE FROM authsql_roles AS r
WHERE r.role = %(role)s;

-- name: list
-- Every role, with its permissions.
SELECT
    r.role AS name,
    r.description,
    r.is_default,
    r.created_at,
    (
        SELECT coalesce(jsonb_agg(p.permission), '[]'::jsonb)
        FROM authsql_role_permissions AS p
        WHERE p.role = r.role
    ) AS permissions
FROM authsql_roles AS r;

-- name: grant
-- Give a user a role, unless the user has it. Differs from mysql: see create.
INSERT INTO authsql_user_roles (user_id, role)
VALUES (%(user_id)s, %(role)s)
ON CONFLICT ON CONSTRAINT authsql_user_roles_pkey DO NOTHING;

-- name: revoke
-- Take a role from a user.
DELETE FROM authsql_user_roles AS g
WHERE g.user_id = %(user_id)s AND g.role = %(role)s;

-- name: allow
-- Give a role a permission, unless the role has it. Differs from mysql: see create.
INSERT INTO authsql_role_permissions (role, permission)
VALUES (%(role)s, %(permission)s)
ON CONFLICT ON CONSTRAINT authsql_role_permissions_pkey DO NOTHING;

-- name: disallow
-- Take a permission from a role.
DELETE FROM authsql_role_permissions AS p
WHERE p.role = %(role)s AND p.permission = %(permission)s;

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
-- Say on whose behalf this transaction works; what authsql_current_user_id returns. true: until its end, and no longer.
SELECT set_config('authsql.user_id', coalesce(%(user_id)s::uuid::text, ''), true);
