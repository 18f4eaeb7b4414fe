DELETE FROM authsql_schema_version WHERE version = 21;

DROP TRIGGER authsql_recovery_codes_update_audit;

DROP TRIGGER authsql_recovery_codes_insert_audit;

DROP TABLE authsql_recovery_codes;
