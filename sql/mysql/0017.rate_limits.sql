-- 0017.rate_limits: how often something was done lately, one row for each key that is counted. By GCRA (the generic cell
-- rate algorithm) one time says all: a hit moves it on by period / limit, and is refused if that takes it too far ahead.
-- depends: 0016.permissions
-- transactional: false
-- Locks: a metadata lock on the view authsql_expiry_backlog while it is replaced (who reads it waits for an instant).
-- Needs the privilege EVENT. Rollback: drops every count; all limits begin anew.

-- The purge goes by expires_at, which is set well ahead and then left alone: of the hits on a key only one now and then
-- writes that index.
CREATE TABLE authsql_rate_limits (
    key_hash BINARY(32) NOT NULL
    COMMENT 'SHA-256 of the scope and of whom or what is counted, such as an address: the length and the words of it do not matter.',
    scope VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'What is counted, in clear: signin, password-reset or any other word of the application.',
    hit_at DATETIME(6) NOT NULL
    COMMENT 'When it was last hit. Whoever had to wait for the row counts from then: for a key, time does not run backwards.',
    reset_at DATETIME(6) NOT NULL
    COMMENT 'When the limit is all free again, if there is no other hit: the theoretical arrival time of GCRA.',
    expires_at DATETIME(6) NOT NULL
    COMMENT 'Not before reset_at. The row says nothing any more from then on, and is purged.',
    CONSTRAINT authsql_rate_limits_pkey PRIMARY KEY (key_hash),
    INDEX authsql_rate_limits_expires_at_idx (expires_at),
    CONSTRAINT authsql_rate_limits_scope_check CHECK (scope REGEXP '^[a-z]' AND scope NOT REGEXP '[^a-z0-9_-]'),
    CONSTRAINT authsql_rate_limits_reset_at_check CHECK (reset_at > hit_at),
    CONSTRAINT authsql_rate_limits_expires_at_check CHECK (expires_at >= reset_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Rate limits, one row for each key that was hit of late. How much is left follows from reset_at and the limit given.';

-- Differs from postgres: an event (see 0009.purge). FORCE INDEX: a small table would be scanned, past no lock.
CREATE EVENT authsql_purge_rate_limits
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 expired rows of authsql_rate_limits.'
DO
DELETE r FROM (
    SELECT c.key_hash
    FROM authsql_rate_limits AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_rate_limits AS r FORCE INDEX (PRIMARY) ON e.key_hash = r.key_hash;

-- Expired rows that the purge has not removed yet.
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
WHERE r.expires_at <= UTC_TIMESTAMP(6);

INSERT INTO authsql_schema_version (version, name) VALUES (17, 'rate_limits');
