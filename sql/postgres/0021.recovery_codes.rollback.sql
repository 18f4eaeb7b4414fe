DELETE FROM authsql_schema_version WHERE version = 21;

DROP FUNCTION authsql_recovery_code_number(uuid, bytea);

DROP TRIGGER authsql_recovery_codes_update_audit ON authsql_recovery_codes;

DROP TRIGGER authsql_recovery_codes_insert_audit ON authsql_recovery_codes;

DROP FUNCTION authsql_tg_recovery_codes_audit();

DROP FUNCTION authsql_replace_recovery_codes(uuid, json);

DROP TRIGGER authsql_recovery_codes_update ON authsql_recovery_codes;

DROP TRIGGER authsql_recovery_codes_insert_code_hash ON authsql_recovery_codes;

DROP FUNCTION authsql_tg_recovery_codes_code_hash();

DROP TABLE authsql_recovery_codes;
