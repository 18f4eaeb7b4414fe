DELETE FROM authsql_schema_version WHERE version = 13;

DROP PROCEDURE authsql_store_signup_password;

DROP VIEW authsql_app_signups;

DROP TRIGGER authsql_signups_update_hash;

DROP TRIGGER authsql_signups_insert_hash;

DROP TABLE authsql_signups;
