DELETE FROM authsql_schema_version WHERE version = 24;

CREATE OR REPLACE SQL SECURITY DEFINER VIEW authsql_expiry_backlog AS
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
WHERE m.purge_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_totp_factors' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(t.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(t.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_totp_factors AS t
WHERE t.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_passkey_challenges' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(c.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(c.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_passkey_challenges AS c
WHERE c.expires_at <= UTC_TIMESTAMP(6);

DROP FUNCTION authsql_last_purge;

DELETE FROM authsql_purge_runs;

DROP TABLE authsql_purge_runs;
