-- Housekeeping. Functions: authsql/maintenance.py.

-- name: purgeable
-- What there is to purge, where only some subjects may be installed. How long users are kept is in another table, that of the
-- log. And purge_runs, if there is a place to note that it was purged.
-- Differs from postgres: there, the functions that purge are looked for. A table that one has no right on is not seen here.
-- app_otps and app_totp_factors are the views of these tables that an application has rights on.
SELECT SUBSTRING(t.table_name, LENGTH('authsql_') + 1) AS name
FROM information_schema.tables AS t
WHERE t.table_schema = DATABASE()
    AND LEFT(t.table_name, LENGTH('authsql_')) = 'authsql_'
    AND (
        t.table_name <> 'authsql_users'
        OR EXISTS (
            SELECT 1
            FROM information_schema.tables AS r
            WHERE r.table_schema = DATABASE() AND r.table_name = 'authsql_retention'
        )
    );

-- name: purge_otps
-- Delete at most batch expired codes, past rows that somebody works with. STRAIGHT_JOIN, so that the DELETE reads, and
-- locks, those rows only that were chosen.
DELETE o FROM (
    SELECT
        c.subject,
        c.purpose
    FROM authsql_otps AS c
    WHERE c.purge_at <= UTC_TIMESTAMP(6)
    ORDER BY c.purge_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_otps AS o ON e.subject = o.subject AND e.purpose = o.purpose;

-- name: purge_app_otps
-- The same by the view, which an application has rights on.
DELETE o FROM (
    SELECT
        c.subject,
        c.purpose
    FROM authsql_app_otps AS c
    WHERE c.purge_at <= UTC_TIMESTAMP(6)
    ORDER BY c.purge_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_app_otps AS o ON e.subject = o.subject AND e.purpose = o.purpose;

-- name: purge_passkey_challenges
-- Delete at most batch challenges that have expired. FORCE INDEX: a small table would be scanned, past no lock.
DELETE h FROM (
    SELECT c.id
    FROM authsql_passkey_challenges AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_passkey_challenges AS h FORCE INDEX (PRIMARY) ON e.id = h.id;

-- name: purge_sessions
-- Delete at most batch sessions whose absolute end has passed, with their refresh tokens.
DELETE s FROM (
    SELECT c.id
    FROM authsql_sessions AS c
    WHERE c.absolute_expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.absolute_expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_sessions AS s ON e.id = s.id;

-- name: purge_known_devices
-- Delete at most batch devices that are known no longer.
DELETE d FROM (
    SELECT c.id
    FROM authsql_known_devices AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_known_devices AS d ON e.id = d.id;

-- name: purge_former_emails
-- Delete at most batch former e-mails whose time is over.
DELETE f FROM (
    SELECT c.id
    FROM authsql_former_emails AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_former_emails AS f ON e.id = f.id;

-- name: purge_rate_limits
-- Delete at most batch rate limits that are all free again. FORCE INDEX: a small table would be scanned, past no lock.
DELETE r FROM (
    SELECT c.key_hash
    FROM authsql_rate_limits AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_rate_limits AS r FORCE INDEX (PRIMARY) ON e.key_hash = r.key_hash;

-- name: purge_outbox
-- Delete at most batch mails that need not be remembered any more.
DELETE m FROM (
    SELECT c.id
    FROM authsql_outbox AS c
    WHERE c.purge_at <= UTC_TIMESTAMP(6)
    ORDER BY c.purge_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_outbox AS m FORCE INDEX (PRIMARY) ON e.id = m.id;

-- name: purge_users
-- Delete at most batch users who were soft-deleted longer ago than authsql_retention says, and all that belongs to them.
DELETE u FROM (
    SELECT c.id
    FROM authsql_users AS c
    WHERE c.deleted_at <= UTC_TIMESTAMP(6) - INTERVAL (
        SELECT r.keep_days
        FROM authsql_retention AS r
        WHERE r.table_name = 'authsql_users'
    ) DAY
    ORDER BY c.deleted_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_users AS u ON e.id = u.id;

-- name: purge_audit_log
-- Delete at most batch entries of the audit log that are older than authsql_retention says.
DELETE a FROM (
    SELECT c.number
    FROM authsql_audit_log AS c
    WHERE c.occurred_at <= UTC_TIMESTAMP(6) - INTERVAL (
        SELECT r.keep_days
        FROM authsql_retention AS r
        WHERE r.table_name = 'authsql_audit_log'
    ) DAY
    ORDER BY c.occurred_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_audit_log AS a ON e.number = a.number;

-- name: purge_totp_factors
-- Delete at most batch enrolments that were never confirmed. FORCE INDEX: a small table would be scanned, past no lock.
DELETE f FROM (
    SELECT c.id
    FROM authsql_totp_factors AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_totp_factors AS f FORCE INDEX (PRIMARY) ON e.id = f.id;

-- name: purge_app_totp_factors
-- The same by the view, which an application has rights on.
DELETE f FROM (
    SELECT c.id
    FROM authsql_app_totp_factors AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_app_totp_factors AS f ON e.id = f.id;

-- name: note_runs
-- Note when each table was purged, and how many rows that deleted: a JSON object of both. Past rows that are locked; LIMIT, so
-- that they are chosen first.
UPDATE (
    SELECT c.table_name
    FROM authsql_purge_runs AS c
    WHERE JSON_CONTAINS_PATH(%(deleted)s, 'one', CONCAT('$.', c.table_name))
    ORDER BY c.table_name
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_purge_runs AS r FORCE INDEX (PRIMARY) ON e.table_name = r.table_name
SET
    r.last_run_at = UTC_TIMESTAMP(6),
    r.deleted_rows = JSON_EXTRACT(%(deleted)s, CONCAT('$.', r.table_name));

-- name: backlog
-- Expired rows that are still there, and when each table was last purged.
SELECT
    b.table_name,
    b.expired_rows,
    b.oldest_expired_at,
    b.lag_seconds,
    b.last_run_at
FROM authsql_purge_overview AS b
ORDER BY b.table_name;
