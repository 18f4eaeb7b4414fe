-- 0003.roles: who may do what. `user` and `admin` come with it; every new account is granted the default roles by a
-- trigger, so that no role is ever taken from a sign-up request.
-- depends: 0002.users
-- Locks: SHARE ROW EXCLUSIVE on authsql_users while its trigger is made (writers wait for an instant).
-- Rollback: drops every role and grant.

CREATE TABLE authsql_roles (
    role text NOT NULL,
    description text NOT NULL DEFAULT '',
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT authsql_roles_pkey PRIMARY KEY (role),
    CONSTRAINT authsql_roles_role_check CHECK (role ~ '^[a-z][a-z0-9_-]{0,63}$')
);

COMMENT ON TABLE authsql_roles IS 'Roles that a user may have.';
COMMENT ON COLUMN authsql_roles.role IS 'Name of the role: lower-case letters, digits, _ and -.';
COMMENT ON COLUMN authsql_roles.description IS 'What the role is for, in words.';
COMMENT ON COLUMN authsql_roles.is_default IS 'Every new user is granted this role.';
COMMENT ON COLUMN authsql_roles.created_at IS 'When the row was inserted.';

CREATE TABLE authsql_user_roles (
    user_id uuid NOT NULL,
    role text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT authsql_user_roles_pkey PRIMARY KEY (user_id, role),
    CONSTRAINT authsql_user_roles_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_user_roles_role_fkey FOREIGN KEY (role)
    REFERENCES authsql_roles (role) ON DELETE CASCADE ON UPDATE CASCADE
);

CREATE INDEX authsql_user_roles_role_idx ON authsql_user_roles (role);

COMMENT ON TABLE authsql_user_roles IS 'Which user has which role.';
COMMENT ON COLUMN authsql_user_roles.user_id IS 'The user.';
COMMENT ON COLUMN authsql_user_roles.role IS 'The role.';
COMMENT ON COLUMN authsql_user_roles.granted_at IS 'When the role was granted.';

CREATE TABLE authsql_role_permissions (
    role text NOT NULL,
    permission text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT authsql_role_permissions_pkey PRIMARY KEY (role, permission),
    CONSTRAINT authsql_role_permissions_role_fkey FOREIGN KEY (role)
    REFERENCES authsql_roles (role) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT authsql_role_permissions_permission_check CHECK (permission ~ '^[a-z][a-z0-9_:.-]{0,99}$')
);

COMMENT ON TABLE authsql_role_permissions IS 'Which role has which permission.';
COMMENT ON COLUMN authsql_role_permissions.role IS 'The role.';
COMMENT ON COLUMN authsql_role_permissions.permission IS 'Name of the permission, for example invoices:read.';
COMMENT ON COLUMN authsql_role_permissions.granted_at IS 'When the permission was granted.';

CREATE FUNCTION authsql_tg_users_default_roles() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO authsql_user_roles (user_id, role)
    SELECT NEW.id, r.role
    FROM authsql_roles AS r
    WHERE r.is_default;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_users_default_roles() IS 'Trigger: grants the default roles to a new user.';

CREATE TRIGGER authsql_users_insert_default_roles
AFTER INSERT ON authsql_users
FOR EACH ROW EXECUTE FUNCTION authsql_tg_users_default_roles();

COMMENT ON TRIGGER authsql_users_insert_default_roles ON authsql_users IS 'Grants the default roles to a new user.';

INSERT INTO authsql_roles (role, description, is_default) VALUES
('user', 'Every account.', true),
('admin', 'May administer other accounts.', false);

INSERT INTO authsql_user_roles (user_id, role)
SELECT
    u.id,
    'user'
FROM authsql_users AS u;

INSERT INTO authsql_schema_version (version, name) VALUES (3, 'roles');
