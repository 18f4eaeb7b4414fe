DELETE FROM authsql_schema_version WHERE version = 16;

DROP VIEW authsql_user_permissions;

DROP FUNCTION authsql_current_user_id();

DROP FUNCTION authsql_has_permission(uuid, text);

DROP FUNCTION authsql_has_role(uuid, text);
