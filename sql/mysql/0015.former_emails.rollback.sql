DELETE FROM authsql_schema_version WHERE version = 15;

DROP EVENT authsql_purge_former_emails;

DROP TRIGGER authsql_users_update_former_email;

DROP TABLE authsql_former_emails;
