DELETE FROM authsql_schema_version WHERE version = 23;

DROP TRIGGER authsql_otps_update_code_hash ON authsql_otps;

DROP TRIGGER authsql_otps_insert_code_hash ON authsql_otps;

DROP FUNCTION authsql_tg_otps_code_hash();

DROP TRIGGER authsql_passwords_hash_update ON authsql_passwords;

DROP TRIGGER authsql_passwords_hash_insert ON authsql_passwords;

DROP FUNCTION authsql_tg_passwords_hash();

ALTER TABLE authsql_otps
DROP COLUMN new_code_hash;

ALTER TABLE authsql_passwords
DROP COLUMN new_hash;

DROP FUNCTION authsql_code_matches(text, text, bytea);

DROP FUNCTION authsql_password_matches(uuid, text);

DROP FUNCTION authsql_password_form(uuid);
