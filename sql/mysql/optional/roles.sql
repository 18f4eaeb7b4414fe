-- Two roles with the rights that they need, and no others:
--
--     authsql_app      every function of the Python layer. It can read no hash of a password or a code, and no secret of a TOTP
--                      factor: where one is to be checked, or encrypted anew, it asks a function that runs with the rights of
--                      who migrated.
--     authsql_reader   the views that show no secret: for an operator, a monitor, `authsql inspect`.
--
-- Who runs it: an account that may create roles and grant rights on the database; after the migrations, and again after an
-- upgrade. Running it again changes nothing. Where not all migrations are applied: `authsql optional roles --only SUBJECT`.
--
--     mysql --default-character-set=utf8mb4 app < sql/mysql/optional/roles.sql
--     mysql -e "GRANT authsql_app TO app_login; SET DEFAULT ROLE authsql_app TO app_login"
--
-- Differs from postgres: rights on columns do not keep a column from being read here (0013.signups says how), so the
-- application has them on views without it.
-- What an application with these rights can still do, if it is made to: sql/README.md, "Least privilege".

CREATE ROLE IF NOT EXISTS authsql_app;

CREATE ROLE IF NOT EXISTS authsql_reader;

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

-- Roles and permissions.
GRANT SELECT, INSERT, DELETE ON authsql_roles TO authsql_app;

GRANT SELECT, INSERT, DELETE ON authsql_user_roles TO authsql_app;

GRANT SELECT, INSERT, DELETE ON authsql_role_permissions TO authsql_app;

-- Of the tables with hashes and secrets views, through which one can store them and not read them.
GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_app_passwords TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_app_otps TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_app_signups TO authsql_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON authsql_app_totp_factors TO authsql_app;

GRANT SELECT, UPDATE ON authsql_totp_attempts TO authsql_app;

GRANT SELECT, INSERT, DELETE ON authsql_app_recovery_codes TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_password_form TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_password_matches TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_code_matches TO authsql_app;

GRANT EXECUTE ON PROCEDURE authsql_store_signup_password TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_totp_enrolment_secret TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_totp_secret TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_totp_outdated_secret TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_recovery_code_number TO authsql_app;

GRANT EXECUTE ON PROCEDURE authsql_spend_recovery_code TO authsql_app;

-- For views and statements of the application's own (docs/howto/row-level-security.md).
GRANT EXECUTE ON FUNCTION authsql_has_role TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_has_permission TO authsql_app;

GRANT EXECUTE ON FUNCTION authsql_current_user_id TO authsql_app;

-- What is shown to the user, and what the purge takes. The log lets go of nothing that is younger than authsql_retention says,
-- which an application cannot change.
GRANT SELECT, UPDATE, DELETE ON authsql_former_emails TO authsql_app;

GRANT SELECT, UPDATE (ip, user_agent, detail), DELETE ON authsql_audit_log TO authsql_app;

GRANT SELECT ON authsql_retention TO authsql_app;

GRANT SELECT, UPDATE (last_run_at, deleted_rows) ON authsql_purge_runs TO authsql_app;

GRANT SELECT ON authsql_purge_overview TO authsql_app;

GRANT SELECT ON authsql_ways_in TO authsql_app;

-- The application's own entries in the log.
GRANT INSERT ON authsql_app_events TO authsql_app;

-- The reader: the views, which have the rights of who migrated, and no table that they show.
GRANT SELECT ON authsql_schema_version TO authsql_reader;

GRANT SELECT ON authsql_active_sessions TO authsql_reader;

GRANT SELECT ON authsql_user_overview TO authsql_reader;

GRANT SELECT ON authsql_user_permissions TO authsql_reader;

GRANT SELECT ON authsql_pending_otps TO authsql_reader;

GRANT SELECT ON authsql_pending_mail TO authsql_reader;

GRANT SELECT ON authsql_expiry_backlog TO authsql_reader;

GRANT SELECT ON authsql_purge_overview TO authsql_reader;

GRANT SELECT ON authsql_audit_trail TO authsql_reader;
