-- Housekeeping. Functions: authsql/maintenance.py.

-- name: purgeable
-- What there is to purge, where only some subjects may be installed: a statement that failed would end the caller's
-- transaction. And purge_runs, if there is a place to note that it was purged.
SELECT substr(p.proname, length('authsql_purge_') + 1) AS name
FROM pg_proc AS p
WHERE starts_with(p.proname, 'authsql_purge_') AND pg_function_is_visible(p.oid)
UNION ALL
SELECT 'purge_runs' AS name
FROM pg_proc AS p
WHERE p.proname = 'authsql_note_purge' AND pg_function_is_visible(p.oid);

-- name: purge_otps
-- Delete at most batch expired codes, past rows that somebody works with.
SELECT authsql_purge_otps(%(batch)s) AS deleted;

-- name: purge_passkey_challenges
-- Delete at most batch challenges that have expired.
SELECT authsql_purge_passkey_challenges(%(batch)s) AS deleted;

-- name: purge_sessions
-- Delete at most batch sessions whose absolute end has passed, with their refresh tokens.
SELECT authsql_purge_sessions(%(batch)s) AS deleted;

-- name: purge_known_devices
-- Delete at most batch devices that are known no longer.
SELECT authsql_purge_known_devices(%(batch)s) AS deleted;

-- name: purge_former_emails
-- Delete at most batch former e-mails whose time is over.
SELECT authsql_purge_former_emails(%(batch)s) AS deleted;

-- name: purge_rate_limits
-- Delete at most batch rate limits that are all free again.
SELECT authsql_purge_rate_limits(%(batch)s) AS deleted;

-- name: purge_outbox
-- Delete at most batch mails that need not be remembered any more.
SELECT authsql_purge_outbox(%(batch)s) AS deleted;

-- name: purge_totp_factors
-- Delete at most batch enrolments that were never confirmed.
SELECT authsql_purge_totp_factors(%(batch)s) AS deleted;

-- name: purge_users
-- Delete at most batch users who were soft-deleted longer ago than authsql_retention says, and all that belongs to them.
SELECT authsql_purge_users(%(batch)s) AS deleted;

-- name: purge_audit_log
-- Delete at most batch entries of the audit log that are older than authsql_retention says.
SELECT authsql_purge_audit_log(%(batch)s) AS deleted;

-- name: note_runs
-- Note when each table was purged, and how many rows that deleted: a JSON object of both. Past rows that are locked.
SELECT authsql_note_purge(j.key, j.value::bigint)
FROM jsonb_each_text(%(deleted)s::jsonb) AS j;

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
