-- 0016.permissions: asks, in SQL, who may do what: two functions and a view over the tables of 0003, and a function that says
-- on whose behalf a session works, for views that show each user what is theirs (docs/howto/row-level-security.md).
-- depends: 0015.former_emails
-- transactional: false
-- Locks: none. Needs the privilege CREATE ROUTINE. Rollback: drops the functions and the view; a view of yours that uses
-- one fails from then on.

-- Differs from postgres: an argument that fits no column is an error, and not false.
CREATE FUNCTION authsql_has_role(
    wanted_user_id BINARY(16), wanted_role VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin
) RETURNS BOOLEAN
READS SQL DATA
SQL SECURITY INVOKER
COMMENT 'Whether a live user has a role.'
RETURN EXISTS (
    SELECT 1
    FROM authsql_user_roles AS g
    INNER JOIN authsql_users AS u ON g.user_id = u.id
    WHERE g.user_id = wanted_user_id AND g.role = wanted_role AND u.deleted_at IS NULL
);

CREATE FUNCTION authsql_has_permission(
    wanted_user_id BINARY(16), wanted_permission VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin
) RETURNS BOOLEAN
READS SQL DATA
SQL SECURITY INVOKER
COMMENT 'Whether one of the roles of a live user has a permission.'
RETURN EXISTS (
    SELECT 1
    FROM authsql_user_roles AS g
    INNER JOIN authsql_users AS u ON g.user_id = u.id
    INNER JOIN authsql_role_permissions AS p ON g.role = p.role
    WHERE g.user_id = wanted_user_id AND p.permission = wanted_permission AND u.deleted_at IS NULL
);

-- Differs from postgres: a variable of the session, because MySQL has no setting that ends with the transaction. A view
-- may not read a variable itself, but may call a function that does.
CREATE FUNCTION authsql_current_user_id() RETURNS BINARY(16)
NO SQL
SQL SECURITY INVOKER
COMMENT 'The user on whose behalf this session works: the variable @authsql_user_id, or NULL if it is not set.'
RETURN @authsql_user_id;

-- What each live user may do, and by which role.
CREATE SQL SECURITY DEFINER VIEW authsql_user_permissions AS
SELECT
    BIN_TO_UUID(g.user_id) AS user_id,
    g.role,
    p.permission
FROM authsql_user_roles AS g
INNER JOIN authsql_users AS u ON g.user_id = u.id
INNER JOIN authsql_role_permissions AS p ON g.role = p.role
WHERE u.deleted_at IS NULL;

INSERT INTO authsql_schema_version (version, name) VALUES (16, 'permissions');
