-- 0008.refresh_tokens: one row for each family of rotating refresh tokens. A family is a session: there is one place to
-- revoke, and one list of devices. Reuse of a token that was rotated away is seen here and ends the session
-- (RFC 9700, section 4.14.2).
-- depends: 0007.sessions
-- Locks: none, new table. Rollback: drops every refresh token; clients must sign in again.

CREATE TABLE authsql_refresh_tokens (
    session_id uuid NOT NULL,
    family_hash bytea NOT NULL,
    current_hash bytea NOT NULL,
    previous_hash bytea,
    seal bytea,
    generation integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    rotated_at timestamptz,
    expires_at timestamptz NOT NULL,
    CONSTRAINT authsql_refresh_tokens_pkey PRIMARY KEY (session_id),
    CONSTRAINT authsql_refresh_tokens_session_id_fkey FOREIGN KEY (session_id)
    REFERENCES authsql_sessions (id) ON DELETE CASCADE,
    CONSTRAINT authsql_refresh_tokens_family_hash_check CHECK (octet_length(family_hash) = 32),
    CONSTRAINT authsql_refresh_tokens_current_hash_check CHECK (octet_length(current_hash) = 32),
    CONSTRAINT authsql_refresh_tokens_previous_hash_check CHECK (octet_length(previous_hash) = 32),
    CONSTRAINT authsql_refresh_tokens_seal_check CHECK (octet_length(seal) = 32),
    CONSTRAINT authsql_refresh_tokens_generation_check CHECK (generation >= 0),
    CONSTRAINT authsql_refresh_tokens_rotated_check CHECK (
        (rotated_at IS NULL) = (generation = 0)
        AND (previous_hash IS NULL) = (generation = 0)
        AND (seal IS NULL) = (generation = 0)
    )
)
-- No index but the key, and room on the page: a rotation writes no index (HOT).
WITH (fillfactor = 85);

COMMENT ON TABLE authsql_refresh_tokens IS 'Families of rotating refresh tokens, one for each session that has any. Purged with its session.';
COMMENT ON COLUMN authsql_refresh_tokens.session_id IS 'The session that the family renews.';
COMMENT ON COLUMN authsql_refresh_tokens.family_hash IS 'SHA-256 of the family secret, which every token of the family carries: whoever lacks it cannot revoke anything.';
COMMENT ON COLUMN authsql_refresh_tokens.current_hash IS 'SHA-256 of the secret of the one token that may be rotated.';
COMMENT ON COLUMN authsql_refresh_tokens.previous_hash IS 'SHA-256 of the secret of the token before it: good for a repeated answer within the grace window, theft after it.';
COMMENT ON COLUMN authsql_refresh_tokens.seal IS 'The current secret XOR HMAC-SHA-256 under the previous secret: only who holds the previous token can open it.';
COMMENT ON COLUMN authsql_refresh_tokens.generation IS 'How often the family was rotated.';
COMMENT ON COLUMN authsql_refresh_tokens.created_at IS 'When the family was issued.';
COMMENT ON COLUMN authsql_refresh_tokens.rotated_at IS 'When the family was last rotated. NULL: never yet.';
COMMENT ON COLUMN authsql_refresh_tokens.expires_at IS 'The current token is good until then, and never past the session''s absolute end.';

INSERT INTO authsql_schema_version (version, name) VALUES (8, 'refresh_tokens');
