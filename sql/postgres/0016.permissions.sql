-- 0016.permissions: asks, in SQL, who may do what: two functions and a view over the tables of 0003, and a function that says
-- on whose behalf a transaction works, for policies of row-level security (docs/howto/row-level-security.md).
-- depends: 0015.former_emails
-- Locks: none. Rollback: drops the functions and the view; a policy or a view of yours that uses one has to go before.

-- The bodies are not texts: their names were looked up when the function was made, and no search_path of a caller can
-- put another table or operator in their place.
CREATE FUNCTION authsql_has_role(user_id uuid, role text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (
    SELECT 1
    FROM authsql_user_roles AS g
    INNER JOIN authsql_users AS u ON g.user_id = u.id
    WHERE g.user_id = $1 AND g.role = $2 AND u.deleted_at IS NULL
);

COMMENT ON FUNCTION authsql_has_role(uuid, text) IS 'Whether a live user has a role.';

CREATE FUNCTION authsql_has_permission(user_id uuid, permission text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN EXISTS (
    SELECT 1
    FROM authsql_user_roles AS g
    INNER JOIN authsql_users AS u ON g.user_id = u.id
    INNER JOIN authsql_role_permissions AS p ON g.role = p.role
    WHERE g.user_id = $1 AND p.permission = $2 AND u.deleted_at IS NULL
);

COMMENT ON FUNCTION authsql_has_permission(uuid, text) IS 'Whether one of the roles of a live user has a permission.';

-- An empty text is what a setting comes back as after the transaction that set it.
CREATE FUNCTION authsql_current_user_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('authsql.user_id', true), '')::uuid;

COMMENT ON FUNCTION authsql_current_user_id() IS
'The user on whose behalf this transaction works: the setting authsql.user_id, or NULL if it is not set.';

CREATE VIEW authsql_user_permissions AS
SELECT
    g.user_id,
    g.role,
    p.permission
FROM authsql_user_roles AS g
INNER JOIN authsql_users AS u ON g.user_id = u.id
INNER JOIN authsql_role_permissions AS p ON g.role = p.role
WHERE u.deleted_at IS NULL;

COMMENT ON VIEW authsql_user_permissions IS 'What each live user may do, and by which role.';
COMMENT ON COLUMN authsql_user_permissions.user_id IS 'The user.';
COMMENT ON COLUMN authsql_user_permissions.role IS 'The role that has the permission.';
COMMENT ON COLUMN authsql_user_permissions.permission IS 'Name of the permission, for example invoices:read.';

INSERT INTO authsql_schema_version (version, name) VALUES (16, 'permissions');
