DELETE FROM authsql_schema_version WHERE version = 7;

DROP TRIGGER authsql_passwords_update_2;

DROP TRIGGER authsql_passwords_update;

DROP TRIGGER authsql_users_update_soft_delete;

DROP TABLE authsql_sessions;
