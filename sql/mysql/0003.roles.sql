-- 0003.roles: who may do what. `user` and `admin` come with it; every new account is granted the default roles by a
-- trigger, so that no role is ever taken from a sign-up request.
-- depends: 0002.users
-- transactional: false
-- Locks: a metadata lock on authsql_users while its trigger is made (statements wait for an instant).
-- Rollback: drops every role and grant.

CREATE TABLE authsql_roles (
    role VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'Name of the role: lower-case letters, digits, _ and -.',
    description VARCHAR(1000) COLLATE utf8mb4_bin NOT NULL DEFAULT '' COMMENT 'What the role is for, in words.',
    is_default BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'Every new user is granted this role.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the row was inserted.',
    CONSTRAINT authsql_roles_pkey PRIMARY KEY (role),
    -- Two simple patterns: in MySQL, $ would let a line feed at the end pass.
    CONSTRAINT authsql_roles_role_check CHECK (role REGEXP '^[a-z]' AND role NOT REGEXP '[^a-z0-9_-]')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Roles that a user may have.';

CREATE TABLE authsql_user_roles (
    user_id BINARY(16) NOT NULL COMMENT 'The user.',
    role VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The role.',
    granted_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the role was granted.',
    CONSTRAINT authsql_user_roles_pkey PRIMARY KEY (user_id, role),
    INDEX authsql_user_roles_role_idx (role),
    CONSTRAINT authsql_user_roles_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_user_roles_role_fkey FOREIGN KEY (role)
    REFERENCES authsql_roles (role) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Which user has which role.';

CREATE TABLE authsql_role_permissions (
    role VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The role.',
    permission VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'Name of the permission, for example invoices:read.',
    granted_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the permission was granted.',
    CONSTRAINT authsql_role_permissions_pkey PRIMARY KEY (role, permission),
    CONSTRAINT authsql_role_permissions_role_fkey FOREIGN KEY (role)
    REFERENCES authsql_roles (role) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT authsql_role_permissions_permission_check CHECK (
        permission REGEXP '^[a-z]' AND permission NOT REGEXP '[^a-z0-9_:.-]'
    )
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Which role has which permission.';

-- Grants the default roles to a new user.
CREATE TRIGGER authsql_users_insert_default_roles
AFTER INSERT ON authsql_users
FOR EACH ROW
INSERT INTO authsql_user_roles (user_id, role)
SELECT
    NEW.id,
    r.role
FROM authsql_roles AS r
WHERE r.is_default;

INSERT INTO authsql_roles (role, description, is_default) VALUES
('user', 'Every account.', TRUE),
('admin', 'May administer other accounts.', FALSE);

INSERT INTO authsql_user_roles (user_id, role)
SELECT
    u.id,
    'user'
FROM authsql_users AS u;

INSERT INTO authsql_schema_version (version, name) VALUES (3, 'roles');
