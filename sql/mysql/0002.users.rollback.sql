DELETE FROM authsql_schema_version WHERE version = 2;

DROP TRIGGER authsql_users_update;

DROP TABLE authsql_users;
