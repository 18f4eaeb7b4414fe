DELETE FROM authsql_schema_version WHERE version = 22;

CREATE OR REPLACE SQL SECURITY INVOKER VIEW authsql_ways_in AS
SELECT
    p.user_id,
    'password' AS kind,
    NULL AS provider,
    NULL AS subject
FROM authsql_passwords AS p
UNION ALL
SELECT
    i.user_id,
    'identity' AS kind,
    i.provider,
    i.subject
FROM authsql_identities AS i;

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
WHERE s.absolute_expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_users' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(u.deleted_at) + INTERVAL MAX(r.keep_days) DAY AS oldest_expired_at,
    COALESCE(
        TIMESTAMPDIFF(SECOND, MIN(u.deleted_at) + INTERVAL MAX(r.keep_days) DAY, UTC_TIMESTAMP(6)), 0
    ) AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_users AS u ON u.deleted_at <= UTC_TIMESTAMP(6) - INTERVAL r.keep_days DAY
WHERE r.table_name = 'authsql_users'
UNION ALL
SELECT
    'authsql_audit_log' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(a.occurred_at) + INTERVAL MAX(r.keep_days) DAY AS oldest_expired_at,
    COALESCE(
        TIMESTAMPDIFF(SECOND, MIN(a.occurred_at) + INTERVAL MAX(r.keep_days) DAY, UTC_TIMESTAMP(6)), 0
    ) AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_audit_log AS a ON a.occurred_at <= UTC_TIMESTAMP(6) - INTERVAL r.keep_days DAY
WHERE r.table_name = 'authsql_audit_log'
UNION ALL
SELECT
    'authsql_known_devices' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(d.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(d.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_known_devices AS d
WHERE d.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_former_emails' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(f.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(f.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_former_emails AS f
WHERE f.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_rate_limits' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(r.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(r.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_rate_limits AS r
WHERE r.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_outbox' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(m.purge_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(m.purge_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_outbox AS m
WHERE m.purge_at <= UTC_TIMESTAMP(6);

DROP EVENT authsql_purge_passkey_challenges;

DROP TRIGGER authsql_passkeys_delete_audit;

DROP TRIGGER authsql_passkeys_update_audit;

DROP TRIGGER authsql_passkeys_insert_audit;

DROP TRIGGER authsql_passkeys_update;

DROP TABLE authsql_passkey_challenges;

DROP TABLE authsql_passkeys;
