-- 0002.users: one row for each account: who it is, whether its e-mail is verified, whether it is locked or deleted.
-- What proves an identity (passwords, identities, otps) stands in tables of its own, so that rights can be narrower.
-- depends: 0001.schema_version
-- Locks: none, new table. Rollback: drops every account.

CREATE TABLE authsql_users (
    id uuid NOT NULL DEFAULT authsql_uuid7(),
    email text NOT NULL,
    email_key text GENERATED ALWAYS AS (CASE WHEN deleted_at IS NULL THEN lower(email) END) STORED,
    name text,
    avatar jsonb,
    email_verified_at timestamptz,
    last_login_at timestamptz,
    failed_attempts integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    deleted_at timestamptz,
    reactivatable_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT authsql_users_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_users_email_key UNIQUE (email_key),
    CONSTRAINT authsql_users_email_check CHECK (char_length(email) BETWEEN 3 AND 254 AND position('@' IN email) > 1),
    CONSTRAINT authsql_users_name_check CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT authsql_users_avatar_check CHECK (jsonb_typeof(avatar) = 'object'),
    CONSTRAINT authsql_users_failed_attempts_check CHECK (failed_attempts >= 0),
    CONSTRAINT authsql_users_reactivatable_at_check CHECK (
        reactivatable_at IS NULL OR (deleted_at IS NOT NULL AND reactivatable_at >= deleted_at)
    )
)
-- Room on each page for the new version of a row: counting an attempt or a sign-in then writes no index (HOT).
WITH (fillfactor = 90);

COMMENT ON TABLE authsql_users IS 'Accounts. A row that is soft-deleted (deleted_at) frees its e-mail for a new account.';
COMMENT ON COLUMN authsql_users.id IS 'UUID version 7. Not a secret.';
COMMENT ON COLUMN authsql_users.email IS 'E-mail address as its owner typed it, in Unicode NFC.';
COMMENT ON COLUMN authsql_users.email_key IS 'What makes the e-mail unique whatever its case: lower(email) while the account is not deleted, then NULL.';
COMMENT ON COLUMN authsql_users.name IS 'Display name.';
COMMENT ON COLUMN authsql_users.avatar IS 'JSON object of the application, for example {"url": ..., "size": ...}.';
COMMENT ON COLUMN authsql_users.email_verified_at IS 'When the owner proved to read mail at email. NULL: not verified. A changed e-mail sets it to NULL.';
COMMENT ON COLUMN authsql_users.last_login_at IS 'When a session was last created.';
COMMENT ON COLUMN authsql_users.failed_attempts IS 'Consecutive failed password attempts, counted before each check and set to 0 by a success.';
COMMENT ON COLUMN authsql_users.locked_until IS 'No password is checked before this time. In the past or NULL: not locked.';
COMMENT ON COLUMN authsql_users.deleted_at IS 'When the account was soft-deleted. NULL: it is live. Ends its sessions.';
COMMENT ON COLUMN authsql_users.reactivatable_at IS 'A soft-deleted account may be reactivated from this time on. NULL: never.';
COMMENT ON COLUMN authsql_users.created_at IS 'When the row was inserted.';
COMMENT ON COLUMN authsql_users.updated_at IS 'When the row last changed.';

CREATE FUNCTION authsql_tg_users_update() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.updated_at := statement_timestamp();
    -- A proof holds for the address it was given for. An UPDATE that sets a proof together with the new address is
    -- taken at its word.
    IF lower(NEW.email) <> lower(OLD.email) AND NEW.email_verified_at IS NOT DISTINCT FROM OLD.email_verified_at THEN
        NEW.email_verified_at := NULL;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION authsql_tg_users_update() IS 'Trigger: touches updated_at; a changed e-mail loses its verification.';

CREATE TRIGGER authsql_users_update
BEFORE UPDATE ON authsql_users
FOR EACH ROW EXECUTE FUNCTION authsql_tg_users_update();

COMMENT ON TRIGGER authsql_users_update ON authsql_users IS 'Touches updated_at; a changed e-mail loses its verification.';

INSERT INTO authsql_schema_version (version, name) VALUES (2, 'users');
