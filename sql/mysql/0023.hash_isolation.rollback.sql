DELETE FROM authsql_schema_version WHERE version = 23;

DROP VIEW authsql_app_otps;

DROP VIEW authsql_app_passwords;

DROP TRIGGER authsql_otps_update_code_hash;

DROP FUNCTION authsql_code_matches;

DROP FUNCTION authsql_password_matches;

DROP FUNCTION authsql_password_form;
