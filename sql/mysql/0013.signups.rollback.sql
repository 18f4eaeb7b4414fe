DELETE FROM authsql_schema_version WHERE version = 13;

DROP PROCEDURE authsql_store_signup_password;

DROP TABLE authsql_signups;
