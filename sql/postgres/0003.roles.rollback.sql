DELETE FROM authsql_schema_version WHERE version = 3;

DELETE FROM authsql_user_roles;

DELETE FROM authsql_roles;

DROP TRIGGER authsql_users_insert_default_roles ON authsql_users;

DROP FUNCTION authsql_tg_users_default_roles();

DROP TABLE authsql_role_permissions;

DROP INDEX authsql_user_roles_role_idx;

DROP TABLE authsql_user_roles;

DROP TABLE authsql_roles;
