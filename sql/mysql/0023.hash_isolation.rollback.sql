DELETE FROM authsql_schema_version WHERE version = 23;

DROP VIEW authsql_app_otps;

DROP VIEW authsql_app_passwords;

DROP TRIGGER authsql_otps_update_code_hash;

DROP TRIGGER authsql_otps_insert_code_hash;

DROP TRIGGER authsql_passwords_hash_update;

DROP TRIGGER authsql_passwords_hash_insert;

ALTER TABLE authsql_otps
DROP COLUMN new_code_hash,
ALTER COLUMN code_hash DROP DEFAULT;

ALTER TABLE authsql_passwords
DROP COLUMN new_hash,
ALTER COLUMN hash DROP DEFAULT;

DROP FUNCTION authsql_code_matches;

DROP FUNCTION authsql_password_matches;

DROP FUNCTION authsql_password_form;
