DELETE FROM authsql_schema_version WHERE version = 20;

DROP FUNCTION authsql_totp_outdated_secret;

DROP FUNCTION authsql_totp_secret;

DROP FUNCTION authsql_totp_enrolment_secret;

DROP VIEW authsql_app_totp_factors;

DROP TRIGGER authsql_totp_factors_update_secret;

DROP TRIGGER authsql_totp_factors_insert_secret;

DROP EVENT authsql_purge_totp_factors;

DROP TRIGGER authsql_sessions_update_elevated;

DROP TRIGGER authsql_totp_attempts_update_audit;

DROP TRIGGER authsql_totp_factors_delete_audit;

DROP TRIGGER authsql_totp_factors_update_audit;

DROP TRIGGER authsql_totp_factors_insert_audit;

DROP TRIGGER authsql_totp_attempts_update;

DROP TRIGGER authsql_totp_factors_update;

DROP TRIGGER authsql_totp_factors_insert;

DROP TABLE authsql_totp_attempts;

DROP TABLE authsql_totp_factors;
