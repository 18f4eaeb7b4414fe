DELETE FROM authsql_schema_version WHERE version = 23;

DROP FUNCTION authsql_code_matches(text, text, bytea);

DROP FUNCTION authsql_password_matches(uuid, text);

DROP FUNCTION authsql_password_form(uuid);
