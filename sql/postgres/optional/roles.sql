-- Two roles with the rights that they need, and no others:
--
--     authsql_app      every function of the Python layer. It can read no hash of a password or a code, and no secret of a TOTP
--                      factor: where one is to be checked, or encrypted anew, it asks a function that runs with the rights of
--                      the owner.
--     authsql_reader   the views that show no secret: for an operator, a monitor, `authsql inspect`.
--
-- Who runs it: the owner of the tables, if it may create roles, or else a superuser; after the migrations, and again after an
-- upgrade, with the search_path that names the schema. Running it again changes nothing. Where not all migrations are applied:
-- `authsql optional roles --only SUBJECT`.
--
--     psql -1 -v ON_ERROR_STOP=1 -f sql/postgres/optional/roles.sql app
--     psql -c 'GRANT authsql_app TO app_login' -c 'GRANT authsql_reader TO monitor' app
--
-- What an application with these rights can still do, if it is made to: sql/README.md, "Least privilege".

-- Whoever may create in the schema has code of theirs run with the rights of the owner, by a function or an operator that fits
-- better than the server's own. From PostgreSQL 15 on, nobody may by default; a schema from before keeps the right.
DO $$
BEGIN
    IF has_schema_privilege('public', current_schema(), 'CREATE') THEN
        RAISE EXCEPTION 'everybody may create in schema %, so that hashes are not safe there', current_schema() USING
            HINT = format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, or give authsql a schema of its own.', current_schema());
    END IF;
END
$$;

DO $$
BEGIN
    CREATE ROLE authsql_app NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

DO $$
BEGIN
    CREATE ROLE authsql_reader NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO authsql_app, authsql_reader', current_schema());
END
$$;

-- The application: what holds no secret that could be tried out offline. A session's secret and a refresh token's have 256 random
-- bits, and nobody finds them by their hash.
GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_users TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_sessions TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_identities TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_identity_tokens TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_known_devices TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_passkeys TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_passkey_challenges TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_rate_limits TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_outbox TO authsql_app;

GRANT SELECT, INSERT, UPDATE ON authsql_refresh_tokens TO authsql_app;

-- Roles and permissions. INSERT on authsql_user_roles is for the trigger that grants the default roles, too.
GRANT SELECT, INSERT, DELETE ON authsql_roles TO authsql_app;

GRANT SELECT, INSERT, DELETE ON authsql_user_roles TO authsql_app;

GRANT SELECT, INSERT, DELETE ON authsql_role_permissions TO authsql_app;

-- Without the hashes and the secrets, neither to be read nor to be named in a statement that writes: where a row is refused,
-- PostgreSQL shows of the one that is stored what the statement names. What is to be stored goes into the column beside it.
GRANT
SELECT (user_id, changed_at, rehashed_at, must_change_since, keep_session_id),
INSERT (user_id, changed_at, rehashed_at, must_change_since, keep_session_id, new_hash),
UPDATE (user_id, changed_at, rehashed_at, must_change_since, keep_session_id, new_hash),
DELETE
ON authsql_passwords TO authsql_app;

GRANT
SELECT (
    subject, purpose, issue_id, user_id, link_hash, attempts, max_attempts, created_at, expires_at, resend_at,
    spent_at, window_count, window_ends_at, purge_at
),
INSERT (
    subject, purpose, issue_id, user_id, link_hash, attempts, max_attempts, created_at, expires_at, resend_at,
    spent_at, window_count, window_ends_at, new_code_hash
),
UPDATE (
    subject, purpose, issue_id, user_id, link_hash, attempts, max_attempts, created_at, expires_at, resend_at,
    spent_at, window_count, window_ends_at, new_code_hash
),
DELETE
ON authsql_otps TO authsql_app;

GRANT
SELECT (subject, purpose, issue_id, email, name, created_at),
INSERT (subject, purpose, issue_id, email, name, created_at, new_hash),
UPDATE (subject, purpose, issue_id, email, name, created_at, new_hash)
ON authsql_signups TO authsql_app;

GRANT
SELECT (
    id, user_id, name, key_name, created_at, expires_at, confirmed_at, last_step, last_used_at, reencrypt_until
),
INSERT (
    id, user_id, name, key_name, created_at, expires_at, confirmed_at, last_step, last_used_at, reencrypt_until,
    new_secret
),
UPDATE (
    id, user_id, name, key_name, created_at, expires_at, confirmed_at, last_step, last_used_at, reencrypt_until,
    new_secret
),
DELETE
ON authsql_totp_factors TO authsql_app;

GRANT SELECT, UPDATE ON authsql_totp_attempts TO authsql_app;

GRANT
SELECT (user_id, number, created_at, spent_at),
INSERT (user_id, number, created_at, spent_at, new_code_hash),
UPDATE (spent_at),
DELETE
ON authsql_recovery_codes TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_password_form(uuid) TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_password_matches(uuid, text) TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_code_matches(text, text, bytea) TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_store_signup_password(uuid, text, text) TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_totp_enrolment_secret(uuid) TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_totp_secret(uuid) TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_totp_outdated_secret(uuid) TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_recovery_code_number(uuid, bytea) TO authsql_app;

-- What the triggers of the caller write, and what the purge takes. The log lets go of nothing that is younger than
-- authsql_retention says, which an application cannot change.
GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_former_emails TO authsql_app;

GRANT SELECT, UPDATE (ip, user_agent, detail), DELETE ON authsql_audit_log TO authsql_app;

GRANT SELECT ON authsql_retention TO authsql_app;

GRANT SELECT ON authsql_purge_overview TO authsql_app;

GRANT SELECT ON authsql_ways_in TO authsql_app;

GRANT SELECT, UPDATE (last_run_at, deleted_rows) ON authsql_purge_runs TO authsql_app;

-- The application's own entries in the log.
GRANT INSERT ON authsql_app_events TO authsql_app;

-- The reader.
GRANT SELECT ON authsql_schema_version TO authsql_reader;

GRANT SELECT ON authsql_active_sessions TO authsql_reader;

GRANT SELECT ON authsql_user_overview TO authsql_reader;

GRANT SELECT ON authsql_user_permissions TO authsql_reader;

GRANT SELECT ON authsql_pending_otps TO authsql_reader;

GRANT SELECT ON authsql_pending_mail TO authsql_reader;

GRANT SELECT ON authsql_expiry_backlog TO authsql_reader;

GRANT SELECT ON authsql_purge_overview TO authsql_reader;

GRANT SELECT ON authsql_audit_trail TO authsql_reader;
