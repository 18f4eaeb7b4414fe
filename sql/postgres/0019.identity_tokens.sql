-- 0019.identity_tokens: what an OAuth provider gave for calls in a user's name, encrypted, for applications that keep it.
-- And the ways by which an account can be entered, in one place: what removes one of them must not remove the last.
-- depends: 0018.outbox
-- Locks: SHARE ROW EXCLUSIVE on authsql_identities while the new table refers to it (writers wait for an instant).
-- Rollback: drops every stored provider token; users must consent again at the provider.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_identity_tokens (
    provider text NOT NULL,
    subject text NOT NULL,
    access_token bytea NOT NULL,
    refresh_token bytea,
    id_token bytea,
    key_name text,
    scopes text,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT authsql_identity_tokens_pkey PRIMARY KEY (provider, subject),
    CONSTRAINT authsql_identity_tokens_identity_fkey FOREIGN KEY (provider, subject)
    REFERENCES authsql_identities (provider, subject) ON DELETE CASCADE,
    -- The limits of the columns in MySQL. The first byte tells an encrypted value from one in clear.
    CONSTRAINT authsql_identity_tokens_provider_check CHECK (char_length(provider) <= 32),
    CONSTRAINT authsql_identity_tokens_subject_check CHECK (char_length(subject) <= 255),
    CONSTRAINT authsql_identity_tokens_access_token_check CHECK (
        octet_length(access_token) BETWEEN 31 AND 16100 AND get_byte(access_token, 0) = 1
    ),
    CONSTRAINT authsql_identity_tokens_refresh_token_check CHECK (
        octet_length(refresh_token) BETWEEN 31 AND 16100 AND get_byte(refresh_token, 0) = 1
    ),
    CONSTRAINT authsql_identity_tokens_id_token_check CHECK (
        octet_length(id_token) BETWEEN 31 AND 16100 AND get_byte(id_token, 0) = 1
    ),
    CONSTRAINT authsql_identity_tokens_key_name_check CHECK (
        char_length(key_name) <= 32 AND key_name ~ '^[A-Za-z0-9._-]+$'
    ),
    CONSTRAINT authsql_identity_tokens_scopes_check CHECK (char_length(scopes) BETWEEN 1 AND 2000)
);

CREATE INDEX authsql_identity_tokens_key_name_idx ON authsql_identity_tokens (key_name);

COMMENT ON TABLE authsql_identity_tokens IS 'Tokens of OAuth providers, encrypted under keys that are not in the database. Only where an application stores any.';
COMMENT ON COLUMN authsql_identity_tokens.provider IS 'The provider of the identity that they were given for.';
COMMENT ON COLUMN authsql_identity_tokens.subject IS 'The provider''s own id of the account.';
COMMENT ON COLUMN authsql_identity_tokens.access_token IS 'Access token, by AES-256-GCM, bound to this table, column and row.';
COMMENT ON COLUMN authsql_identity_tokens.refresh_token IS 'Refresh token, encrypted in the same way. NULL: the provider gave none.';
COMMENT ON COLUMN authsql_identity_tokens.id_token IS 'ID token, encrypted in the same way. NULL: not kept.';
COMMENT ON COLUMN authsql_identity_tokens.key_name IS 'Name of the key that they are encrypted under. NULL: under more than one.';
COMMENT ON COLUMN authsql_identity_tokens.scopes IS 'What the access token is good for, as the provider says it: words separated by spaces.';
COMMENT ON COLUMN authsql_identity_tokens.expires_at IS 'When the access token expires, as the provider said. NULL: it did not say.';
COMMENT ON COLUMN authsql_identity_tokens.created_at IS 'When tokens were first stored.';
COMMENT ON COLUMN authsql_identity_tokens.updated_at IS 'When the row last changed.';

CREATE TRIGGER authsql_identity_tokens_update
BEFORE UPDATE ON authsql_identity_tokens
FOR EACH ROW EXECUTE FUNCTION authsql_tg_touch();

COMMENT ON TRIGGER authsql_identity_tokens_update ON authsql_identity_tokens IS 'Touches updated_at.';

-- What removes a way to sign in asks this view, with the account's row locked, whether another one stays. A new kind of way
-- is a new branch here, and nowhere else. provider and subject name one among several of its kind.
CREATE VIEW authsql_ways_in AS
SELECT
    p.user_id,
    'password' AS kind,
    NULL::text AS provider,
    NULL::text AS subject
FROM authsql_passwords AS p
UNION ALL
SELECT
    i.user_id,
    'identity' AS kind,
    i.provider,
    i.subject
FROM authsql_identities AS i;

COMMENT ON VIEW authsql_ways_in IS 'One row for each way by which an account can be entered without mail: its password, its identities.';
COMMENT ON COLUMN authsql_ways_in.user_id IS 'Whose account it opens.';
COMMENT ON COLUMN authsql_ways_in.kind IS 'What it is, for example password or identity.';
COMMENT ON COLUMN authsql_ways_in.provider IS 'Of an identity: the provider. NULL: it is of another kind.';
COMMENT ON COLUMN authsql_ways_in.subject IS 'What tells it from others of its kind: of an identity, the provider''s own id of the account. NULL: there is but one.';

-- Called under a lock on the user's row. A function, because each of its statements sees what was committed while the lock
-- was waited for; a plain statement would go by a snapshot from before the wait.
-- Differs from mysql: there a statement that changes rows reads what is committed.
CREATE FUNCTION authsql_keeps_way_in(owner uuid, but_kind text, but_provider text, but_subject text) RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1
        FROM authsql_ways_in AS w
        WHERE w.user_id = owner
            AND NOT (
                w.kind = but_kind
                AND (but_provider IS NULL OR w.provider = but_provider)
                AND (but_subject IS NULL OR w.subject = but_subject)
            )
    );
END
$$;

COMMENT ON FUNCTION authsql_keeps_way_in(uuid, text, text, text) IS
'Whether an account has a way in besides the ones of this kind, provider and subject; NULL stands for any.';

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (19, 'identity_tokens');
