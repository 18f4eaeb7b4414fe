DELETE FROM authsql_schema_version WHERE version = 13;

DROP FUNCTION authsql_store_signup_password(uuid, text, text);

DROP TABLE authsql_signups;
