-- 0024.purge_runs: when the purge last ran, one row for each table that is purged, and a view that has it beside the lag of
-- authsql_expiry_backlog: what a monitor asks for. For this view, and the others that show no secret, it needs no right on any
-- table.
-- depends: 0023.hash_isolation
-- transactional: false
-- Locks: a metadata lock on authsql_active_sessions, authsql_user_overview and authsql_pending_otps while they are replaced
-- (who reads them waits for an instant each).
-- Needs the privileges CREATE ROUTINE and EVENT.
-- Rollback: drops what is known of the purge's runs. authsql_reader can then no longer read authsql_active_sessions,
-- authsql_user_overview and authsql_pending_otps.

CREATE TABLE authsql_purge_runs (
    table_name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'Which table. Of one that is not here, no run is noted.',
    last_run_at DATETIME(6) NULL
    COMMENT 'When the last run was that came to its end, whether it found anything or not. NULL: none is noted.',
    deleted_rows BIGINT NULL COMMENT 'How many rows that run deleted, in one batch.',
    CONSTRAINT authsql_purge_runs_pkey PRIMARY KEY (table_name),
    CONSTRAINT authsql_purge_runs_table_name_check CHECK (CHAR_LENGTH(table_name) >= 1),
    CONSTRAINT authsql_purge_runs_deleted_rows_check CHECK (deleted_rows >= 0)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'When each table was last purged, as far as it was noted. A monitor asks authsql_purge_overview.';

-- The rows are there from the start: a run is an UPDATE, which can pass over a row that is locked, as an INSERT cannot.
INSERT INTO authsql_purge_runs (table_name) VALUES
('authsql_otps'),
('authsql_sessions'),
('authsql_users'),
('authsql_audit_log'),
('authsql_known_devices'),
('authsql_former_emails'),
('authsql_rate_limits'),
('authsql_outbox'),
('authsql_totp_factors'),
('authsql_passkey_challenges');

-- Differs from postgres: an event is one statement, which cannot note that it ran, so the server is asked. It says when an event
-- began, in whole seconds and in the event's time zone, and not how it ended: of one that fails, the lag tells. Events show to
-- who has a right on them: hence a function, with the rights of who migrated (in a view of theirs the server hides them).
CREATE FUNCTION authsql_last_purge(wanted_table VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin) RETURNS DATETIME(6)
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'When a table was last purged, by an event or by who noted it in authsql_purge_runs. NULL: never, or not known.'
RETURN (
    SELECT MAX(k.run_at)
    FROM (
        SELECT r.last_run_at AS run_at
        FROM authsql_purge_runs AS r
        WHERE r.table_name = wanted_table -- noqa: RF03
        UNION ALL
        SELECT CONVERT_TZ(e.last_executed, e.time_zone, '+00:00') AS run_at
        FROM information_schema.events AS e
        WHERE e.event_schema = DATABASE()
            AND e.event_name = CONCAT('authsql_purge_', SUBSTRING(wanted_table, CHAR_LENGTH('authsql_') + 1)) -- noqa: RF03
    ) AS k
);

-- Expired rows that the purge has not removed yet, and when it last ran. A lag that grows means that no scheduler runs.
-- SQL SECURITY DEFINER: it shows counts and times alone, and who reads it needs no right on the tables.
CREATE SQL SECURITY DEFINER VIEW authsql_purge_overview AS
SELECT
    b.table_name,
    b.expired_rows,
    b.oldest_expired_at,
    b.lag_seconds,
    authsql_last_purge(b.table_name) AS last_run_at
FROM authsql_expiry_backlog AS b;

-- Sessions that are live now, with their owners and refresh tokens.
-- With the rights of who migrated, like authsql_purge_overview and the views of later migrations than 0010, so that a reader
-- needs none on the tables (optional/roles.sql). Differs from postgres: there, every view is so.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW authsql_active_sessions AS
SELECT
    BIN_TO_UUID(s.id) AS session_id,
    BIN_TO_UUID(s.user_id) AS user_id,
    u.email,
    s.device,
    s.ip,
    s.user_agent,
    s.aal,
    s.created_at,
    s.authenticated_at,
    s.last_seen_at,
    s.expires_at,
    s.absolute_expires_at,
    r.generation AS refresh_generation,
    r.expires_at AS refresh_expires_at
FROM authsql_sessions AS s
INNER JOIN authsql_users AS u ON s.user_id = u.id
LEFT JOIN authsql_refresh_tokens AS r ON s.id = r.session_id
WHERE s.revoked_at IS NULL AND s.expires_at > UTC_TIMESTAMP(6);

-- One row for each user: state, roles, ways to sign in, number of live sessions.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW authsql_user_overview AS
SELECT
    BIN_TO_UUID(u.id) AS user_id,
    u.email,
    u.name,
    CASE
        WHEN u.deleted_at IS NOT NULL THEN 'deleted'
        WHEN u.locked_until > UTC_TIMESTAMP(6) THEN 'locked'
        WHEN u.email_verified_at IS NULL THEN 'unverified'
        ELSE 'active'
    END AS state,
    (
        SELECT GROUP_CONCAT(r.role ORDER BY r.role SEPARATOR ', ')
        FROM authsql_user_roles AS r
        WHERE r.user_id = u.id
    ) AS roles,
    EXISTS(SELECT 1 FROM authsql_passwords AS p WHERE p.user_id = u.id) AS has_password,
    (
        SELECT GROUP_CONCAT(i.provider ORDER BY i.provider SEPARATOR ', ')
        FROM authsql_identities AS i
        WHERE i.user_id = u.id
    ) AS providers,
    (
        SELECT COUNT(*)
        FROM authsql_sessions AS s
        WHERE s.user_id = u.id AND s.revoked_at IS NULL AND s.expires_at > UTC_TIMESTAMP(6)
    ) AS active_sessions,
    u.failed_attempts,
    u.locked_until,
    u.email_verified_at,
    u.last_login_at,
    u.deleted_at,
    u.created_at
FROM authsql_users AS u;

-- Codes that could still be used now. The codes themselves are nowhere.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW authsql_pending_otps AS
SELECT
    o.subject,
    o.purpose,
    BIN_TO_UUID(o.user_id) AS user_id,
    o.attempts,
    o.max_attempts,
    o.created_at,
    o.expires_at,
    o.resend_at,
    o.window_count,
    o.window_ends_at
FROM authsql_otps AS o
WHERE o.spent_at IS NULL AND o.attempts < o.max_attempts AND o.expires_at > UTC_TIMESTAMP(6);

INSERT INTO authsql_schema_version (version, name) VALUES (24, 'purge_runs');
