DELETE FROM authsql_schema_version WHERE version = 11;

DROP VIEW authsql_audit_trail;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW authsql_expiry_backlog AS
SELECT
    'authsql_otps' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(o.purge_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(o.purge_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_otps AS o
WHERE o.purge_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_sessions' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(s.absolute_expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(s.absolute_expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_sessions AS s
WHERE s.absolute_expires_at <= UTC_TIMESTAMP(6);

DROP EVENT authsql_purge_users;

DROP EVENT authsql_purge_audit_log;

DROP TRIGGER authsql_retention_delete_audit;

DROP TRIGGER authsql_retention_update_audit;

DROP TRIGGER authsql_retention_insert_audit;

DROP TRIGGER authsql_role_permissions_delete_audit;

DROP TRIGGER authsql_role_permissions_update_audit;

DROP TRIGGER authsql_role_permissions_insert_audit;

DROP TRIGGER authsql_user_roles_delete_audit;

DROP TRIGGER authsql_user_roles_update_audit;

DROP TRIGGER authsql_user_roles_insert_audit;

DROP TRIGGER authsql_roles_delete_audit;

DROP TRIGGER authsql_roles_update_audit;

DROP TRIGGER authsql_roles_insert_audit;

DROP TRIGGER authsql_sessions_delete_audit;

DROP TRIGGER authsql_sessions_update_audit;

DROP TRIGGER authsql_sessions_insert_audit;

DROP TRIGGER authsql_sessions_update;

DROP TRIGGER authsql_otps_update_audit;

DROP TRIGGER authsql_otps_insert_audit;

DROP TRIGGER authsql_identities_delete_audit;

DROP TRIGGER authsql_identities_update_audit;

DROP TRIGGER authsql_identities_insert_audit;

DROP TRIGGER authsql_passwords_delete_audit;

DROP TRIGGER authsql_passwords_update_audit;

DROP TRIGGER authsql_passwords_insert_audit;

DROP TRIGGER authsql_users_delete_audit;

DROP TRIGGER authsql_users_update_id;

DROP TRIGGER authsql_users_update_audit;

DROP TRIGGER authsql_users_insert_audit;

ALTER TABLE authsql_users DROP COLUMN password_verified_at;

DROP INDEX authsql_users_deleted_at_idx ON authsql_users;

DROP VIEW authsql_app_events;

DROP TRIGGER authsql_audit_log_delete;

DROP TRIGGER authsql_audit_log_update;

DROP TRIGGER authsql_audit_log_insert_zero;

DROP TRIGGER authsql_audit_log_insert_number;

DROP TRIGGER authsql_audit_log_insert;

DROP TABLE authsql_audit_log;

DELETE FROM authsql_retention;

DROP TABLE authsql_retention;
