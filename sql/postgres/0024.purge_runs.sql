-- 0024.purge_runs: when the purge last ran, one row for each table that is purged, and a view that has it beside the lag of
-- authsql_expiry_backlog: what a monitor asks for.
-- depends: 0023.hash_isolation
-- Locks: none, however large the tables are: new objects, comments, and a function that is replaced in an instant.
-- Rollback: drops what is known of the purge's runs.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_purge_runs (
    table_name text NOT NULL,
    last_run_at timestamptz,
    deleted_rows bigint,
    CONSTRAINT authsql_purge_runs_pkey PRIMARY KEY (table_name),
    CONSTRAINT authsql_purge_runs_table_name_check CHECK (char_length(table_name) BETWEEN 1 AND 64),
    CONSTRAINT authsql_purge_runs_last_run_at_check CHECK (isfinite(last_run_at)),
    CONSTRAINT authsql_purge_runs_deleted_rows_check CHECK (deleted_rows >= 0)
);

COMMENT ON TABLE authsql_purge_runs IS 'When each table was last purged, as far as it was noted. A monitor asks authsql_purge_overview.';
COMMENT ON COLUMN authsql_purge_runs.table_name IS 'Which table. Of one that is not here, no run is noted.';
COMMENT ON COLUMN authsql_purge_runs.last_run_at IS 'When the last run was that came to its end, whether it found anything or not. NULL: none is noted.';
COMMENT ON COLUMN authsql_purge_runs.deleted_rows IS 'How many rows that run deleted, in one batch.';

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

-- Nobody waits for a note. SKIP LOCKED: another run is noting the same, or a caller has yet to commit its own.
-- serialization_failure: by REPEATABLE READ another run was noted since the transaction began, and is as good.
-- insufficient_privilege: who may purge and not note purges, as before this migration.
CREATE FUNCTION authsql_note_purge(purged text, gone bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE authsql_purge_runs AS r
    SET last_run_at = statement_timestamp(), deleted_rows = gone
    WHERE r.table_name = (
        SELECT c.table_name
        FROM authsql_purge_runs AS c
        WHERE c.table_name = purged
        FOR UPDATE SKIP LOCKED
    );
    RETURN gone;
EXCEPTION
    WHEN serialization_failure OR insufficient_privilege THEN
        RETURN gone;
END
$$;

COMMENT ON FUNCTION authsql_note_purge(text, bigint) IS
'Notes in authsql_purge_runs that a table was purged, and returns how many rows that deleted.';

CREATE OR REPLACE FUNCTION authsql_purge(batch integer DEFAULT 10000, OUT table_name text, OUT deleted bigint)
RETURNS SETOF record
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
SELECT p.purged, authsql_note_purge(p.purged, p.gone)
FROM (
    SELECT 'authsql_otps' AS purged, authsql_purge_otps(batch) AS gone
    UNION ALL
    SELECT 'authsql_sessions', authsql_purge_sessions(batch)
    UNION ALL
    SELECT 'authsql_users', authsql_purge_users(greatest(batch / 10, 1))
    UNION ALL
    SELECT 'authsql_audit_log', authsql_purge_audit_log(batch)
    UNION ALL
    SELECT 'authsql_known_devices', authsql_purge_known_devices(batch)
    UNION ALL
    SELECT 'authsql_former_emails', authsql_purge_former_emails(batch)
    UNION ALL
    SELECT 'authsql_rate_limits', authsql_purge_rate_limits(batch)
    UNION ALL
    SELECT 'authsql_outbox', authsql_purge_outbox(batch)
    UNION ALL
    SELECT 'authsql_totp_factors', authsql_purge_totp_factors(batch)
    UNION ALL
    SELECT 'authsql_passkey_challenges', authsql_purge_passkey_challenges(batch)
) AS p
$$;

CREATE VIEW authsql_purge_overview AS
SELECT
    b.table_name,
    b.expired_rows,
    b.oldest_expired_at,
    b.lag_seconds,
    r.last_run_at
FROM authsql_expiry_backlog AS b
LEFT JOIN authsql_purge_runs AS r ON b.table_name = r.table_name;

COMMENT ON VIEW authsql_purge_overview IS 'Expired rows that the purge has not removed yet, and when it last ran. A lag that grows means that no scheduler runs.';
COMMENT ON COLUMN authsql_purge_overview.table_name IS 'Which table.';
COMMENT ON COLUMN authsql_purge_overview.expired_rows IS 'How many of its rows the purge would delete now.';
COMMENT ON COLUMN authsql_purge_overview.oldest_expired_at IS 'Since when the oldest of them could have been deleted. NULL: there is none.';
COMMENT ON COLUMN authsql_purge_overview.lag_seconds IS 'For how many seconds that one has been waiting. 0: there is none.';
COMMENT ON COLUMN authsql_purge_overview.last_run_at IS 'When the purge last came to its end there. NULL: no run is noted.';

-- 0010.views is released: the columns of its views are described here.
COMMENT ON COLUMN authsql_active_sessions.session_id IS 'UUID version 7, also the first part of the token. Not a secret.';
COMMENT ON COLUMN authsql_active_sessions.user_id IS 'Who signed in.';
COMMENT ON COLUMN authsql_active_sessions.email IS 'E-mail address as its owner typed it, in Unicode NFC.';
COMMENT ON COLUMN authsql_active_sessions.device IS 'Name of the device, for the list that its owner sees.';
COMMENT ON COLUMN authsql_active_sessions.ip IS 'Address the sign-in came from.';
COMMENT ON COLUMN authsql_active_sessions.user_agent IS 'User-Agent header of the sign-in, cut at 512 characters.';
COMMENT ON COLUMN authsql_active_sessions.aal IS 'Authentication assurance level of the sign-in (NIST SP 800-63B): 1, 2 or 3.';
COMMENT ON COLUMN authsql_active_sessions.created_at IS 'When the session was created.';
COMMENT ON COLUMN authsql_active_sessions.authenticated_at IS 'When the user last proved who they are in this session.';
COMMENT ON COLUMN authsql_active_sessions.last_seen_at IS 'When the session was last used; moves at most once a minute.';
COMMENT ON COLUMN authsql_active_sessions.expires_at IS 'Idle end: moves on with use, never past absolute_expires_at.';
COMMENT ON COLUMN authsql_active_sessions.absolute_expires_at IS 'Absolute end: never moves. The row is purged after it.';
COMMENT ON COLUMN authsql_active_sessions.refresh_generation IS 'How often its refresh tokens were rotated. NULL: it has none.';
COMMENT ON COLUMN authsql_active_sessions.refresh_expires_at IS 'The current refresh token is good until then. NULL: it has none.';

COMMENT ON COLUMN authsql_user_overview.user_id IS 'UUID version 7. Not a secret.';
COMMENT ON COLUMN authsql_user_overview.email IS 'E-mail address as its owner typed it, in Unicode NFC.';
COMMENT ON COLUMN authsql_user_overview.name IS 'Display name.';
COMMENT ON COLUMN authsql_user_overview.state IS 'The first that applies: deleted, locked, unverified, active.';
COMMENT ON COLUMN authsql_user_overview.roles IS 'Names of the roles that the user has, by the alphabet. NULL: none.';
COMMENT ON COLUMN authsql_user_overview.has_password IS 'Whether there is a password.';
COMMENT ON COLUMN authsql_user_overview.providers IS 'Providers of the linked identities, by the alphabet. NULL: none.';
COMMENT ON COLUMN authsql_user_overview.active_sessions IS 'How many sessions are live now.';
COMMENT ON COLUMN authsql_user_overview.failed_attempts IS 'Consecutive failed password attempts, counted before each check and set to 0 by a success.';
COMMENT ON COLUMN authsql_user_overview.locked_until IS 'No password is checked before this time. In the past or NULL: not locked.';
COMMENT ON COLUMN authsql_user_overview.email_verified_at IS 'When the owner proved to read mail at email. NULL: not verified. A changed e-mail sets it to NULL.';
COMMENT ON COLUMN authsql_user_overview.last_login_at IS 'When a session was last created.';
COMMENT ON COLUMN authsql_user_overview.deleted_at IS 'When the account was soft-deleted. NULL: it is live. Ends its sessions.';
COMMENT ON COLUMN authsql_user_overview.created_at IS 'When the row was inserted.';

COMMENT ON COLUMN authsql_pending_otps.subject IS 'Whom the code was sent to: an e-mail in lower case, or any other name that the application uses, such as a user id.';
COMMENT ON COLUMN authsql_pending_otps.purpose IS 'What the code is good for: signin, email-verification, password-reset, password-change or one of the application.';
COMMENT ON COLUMN authsql_pending_otps.user_id IS 'The user whom the code is for, if the caller knew: the code goes when the user goes.';
COMMENT ON COLUMN authsql_pending_otps.attempts IS 'How often a code was tried since this one was issued.';
COMMENT ON COLUMN authsql_pending_otps.max_attempts IS 'At so many attempts the code is dead.';
COMMENT ON COLUMN authsql_pending_otps.created_at IS 'When this code was issued.';
COMMENT ON COLUMN authsql_pending_otps.expires_at IS 'The code is good until then.';
COMMENT ON COLUMN authsql_pending_otps.resend_at IS 'No other code is issued before then.';
COMMENT ON COLUMN authsql_pending_otps.window_count IS 'How many codes were issued in the current window.';
COMMENT ON COLUMN authsql_pending_otps.window_ends_at IS 'When the current window ends and the count starts again.';

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (24, 'purge_runs');
