-- 0008.refresh_tokens: one row for each family of rotating refresh tokens. A family is a session: there is one place to
-- revoke, and one list of devices. Reuse of a token that was rotated away is seen here and ends the session
-- (RFC 9700, section 4.14.2).
-- depends: 0007.sessions
-- transactional: false
-- Locks: none, new table. Rollback: drops every refresh token; clients must sign in again.

CREATE TABLE authsql_refresh_tokens (
    session_id BINARY(16) NOT NULL COMMENT 'The session that the family renews.',
    family_hash BINARY(32) NOT NULL
    COMMENT 'SHA-256 of the family secret, which every token of the family carries: whoever lacks it cannot revoke anything.',
    current_hash BINARY(32) NOT NULL COMMENT 'SHA-256 of the secret of the one token that may be rotated.',
    previous_hash BINARY(32) NULL
    COMMENT 'SHA-256 of the secret of the token before it: good for a repeated answer within the grace window, theft after it.',
    seal BINARY(32) NULL
    COMMENT 'The current secret XOR HMAC-SHA-256 under the previous secret: only who holds the previous token can open it.',
    generation INT NOT NULL DEFAULT 0 COMMENT 'How often the family was rotated.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the family was issued.',
    rotated_at DATETIME(6) NULL COMMENT 'When the family was last rotated. NULL: never yet.',
    expires_at DATETIME(6) NOT NULL
    COMMENT 'The current token is good until then, and never past the session''s absolute end.',
    CONSTRAINT authsql_refresh_tokens_pkey PRIMARY KEY (session_id),
    CONSTRAINT authsql_refresh_tokens_session_id_fkey FOREIGN KEY (session_id)
    REFERENCES authsql_sessions (id) ON DELETE CASCADE,
    CONSTRAINT authsql_refresh_tokens_generation_check CHECK (generation >= 0),
    CONSTRAINT authsql_refresh_tokens_rotated_check CHECK (
        (rotated_at IS NULL) = (generation = 0)
        AND (previous_hash IS NULL) = (generation = 0)
        AND (seal IS NULL) = (generation = 0)
    )
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Families of rotating refresh tokens, one for each session that has any. Purged with its session.';

INSERT INTO authsql_schema_version (version, name) VALUES (8, 'refresh_tokens');
