-- 0005.identities: accounts at OAuth and OpenID Connect providers, by which a user may sign in. Several for each user.
-- depends: 0004.passwords
-- Locks: none, new table. Rollback: drops every link to a provider.

CREATE TABLE authsql_identities (
    provider text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL,
    email text,
    profile jsonb,
    last_login_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT authsql_identities_pkey PRIMARY KEY (provider, subject),
    CONSTRAINT authsql_identities_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_identities_provider_check CHECK (provider ~ '^[a-z][a-z0-9_-]{0,31}$'),
    CONSTRAINT authsql_identities_subject_check CHECK (char_length(subject) BETWEEN 1 AND 255),
    CONSTRAINT authsql_identities_email_check CHECK (char_length(email) BETWEEN 3 AND 254),
    CONSTRAINT authsql_identities_profile_check CHECK (jsonb_typeof(profile) = 'object')
);

CREATE INDEX authsql_identities_user_id_idx ON authsql_identities (user_id);

COMMENT ON TABLE authsql_identities IS 'Accounts at OAuth and OpenID Connect providers. The pair of provider and subject is the identity, never the e-mail.';
COMMENT ON COLUMN authsql_identities.provider IS 'The provider, for example google or github.';
COMMENT ON COLUMN authsql_identities.subject IS 'The provider''s own, unchanging id of the account (sub in OpenID Connect).';
COMMENT ON COLUMN authsql_identities.user_id IS 'The user who signs in by it.';
COMMENT ON COLUMN authsql_identities.email IS 'E-mail that the provider gave last. For information: no account is found by it.';
COMMENT ON COLUMN authsql_identities.profile IS 'JSON object that the provider gave last, without tokens.';
COMMENT ON COLUMN authsql_identities.last_login_at IS 'When the user last signed in by it.';
COMMENT ON COLUMN authsql_identities.created_at IS 'When it was linked.';
COMMENT ON COLUMN authsql_identities.updated_at IS 'When the row last changed.';

CREATE FUNCTION authsql_tg_touch() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    NEW.updated_at := statement_timestamp();
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION authsql_tg_touch() IS 'Trigger: touches updated_at.';

CREATE TRIGGER authsql_identities_update
BEFORE UPDATE ON authsql_identities
FOR EACH ROW EXECUTE FUNCTION authsql_tg_touch();

COMMENT ON TRIGGER authsql_identities_update ON authsql_identities IS 'Touches updated_at.';

INSERT INTO authsql_schema_version (version, name) VALUES (5, 'identities');
