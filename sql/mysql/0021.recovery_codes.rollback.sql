DELETE FROM authsql_schema_version WHERE version = 21;

DROP PROCEDURE authsql_spend_recovery_code;

DROP FUNCTION authsql_recovery_code_number;

DROP VIEW authsql_app_recovery_codes;

DROP TRIGGER authsql_recovery_codes_update;

DROP TRIGGER authsql_recovery_codes_insert_code_hash;

DROP TRIGGER authsql_recovery_codes_update_audit;

DROP TRIGGER authsql_recovery_codes_insert_audit;

DROP TABLE authsql_recovery_codes;
