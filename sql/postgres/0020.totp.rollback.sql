DELETE FROM authsql_schema_version WHERE version = 20;

DROP FUNCTION authsql_totp_outdated_secret(uuid);

DROP FUNCTION authsql_totp_secret(uuid);

DROP FUNCTION authsql_totp_enrolment_secret(uuid);

DROP FUNCTION authsql_purge_totp_factors(integer);

DROP TRIGGER authsql_sessions_update_elevated ON authsql_sessions;

DROP FUNCTION authsql_tg_sessions_elevated();

DROP TRIGGER authsql_totp_attempts_update_audit ON authsql_totp_attempts;

DROP FUNCTION authsql_tg_totp_attempts_audit();

DROP TRIGGER authsql_totp_factors_delete_audit ON authsql_totp_factors;

DROP TRIGGER authsql_totp_factors_update_audit ON authsql_totp_factors;

DROP TRIGGER authsql_totp_factors_insert_audit ON authsql_totp_factors;

DROP FUNCTION authsql_tg_totp_factors_audit();

DROP TRIGGER authsql_totp_factors_insert ON authsql_totp_factors;

DROP FUNCTION authsql_tg_totp_factors_insert();

DROP TRIGGER authsql_totp_factors_update_secret ON authsql_totp_factors;

DROP TRIGGER authsql_totp_factors_insert_secret ON authsql_totp_factors;

DROP FUNCTION authsql_tg_totp_factors_secret();

DROP TRIGGER authsql_totp_attempts_update ON authsql_totp_attempts;

DROP TRIGGER authsql_totp_factors_update ON authsql_totp_factors;

DROP TABLE authsql_totp_attempts;

DROP INDEX authsql_totp_factors_expires_at_idx;

DROP INDEX authsql_totp_factors_key_name_idx;

DROP INDEX authsql_totp_factors_user_id_idx;

DROP TABLE authsql_totp_factors;
