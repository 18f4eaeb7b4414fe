-- 0019.identity_tokens: what an OAuth provider gave for calls in a user's name, encrypted, for applications that keep it.
-- And the ways by which an account can be entered, in one place: what removes one of them must not remove the last.
-- depends: 0018.outbox
-- transactional: false
-- Locks: a metadata lock on authsql_identities while the new table refers to it (statements wait for an instant).
-- Rollback: drops every stored provider token; users must consent again at the provider.

CREATE TABLE authsql_identity_tokens (
    provider VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'The provider of the identity that they were given for.',
    subject VARCHAR(255) COLLATE utf8mb4_bin NOT NULL COMMENT 'The provider''s own id of the account.',
    access_token VARBINARY(16100) NOT NULL
    COMMENT 'Access token, by AES-256-GCM, bound to this table, column and row.',
    refresh_token VARBINARY(16100) NULL
    COMMENT 'Refresh token, encrypted in the same way. NULL: the provider gave none.',
    id_token VARBINARY(16100) NULL COMMENT 'ID token, encrypted in the same way. NULL: not kept.',
    key_name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL
    COMMENT 'Name of the key that they are encrypted under. NULL: under more than one.',
    scopes VARCHAR(2000) CHARACTER SET ascii COLLATE ascii_bin NULL
    COMMENT 'What the access token is good for, as the provider says it: words separated by spaces.',
    expires_at DATETIME(6) NULL
    COMMENT 'When the access token expires, as the provider said. NULL: it did not say.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When tokens were first stored.',
    updated_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the row last changed.',
    CONSTRAINT authsql_identity_tokens_pkey PRIMARY KEY (provider, subject),
    INDEX authsql_identity_tokens_key_name_idx (key_name),
    CONSTRAINT authsql_identity_tokens_identity_fkey FOREIGN KEY (provider, subject)
    REFERENCES authsql_identities (provider, subject) ON DELETE CASCADE,
    -- The first byte tells an encrypted value from one in clear.
    CONSTRAINT authsql_identity_tokens_access_token_check CHECK (
        LENGTH(access_token) >= 31 AND HEX(LEFT(access_token, 1)) = '01'
    ),
    CONSTRAINT authsql_identity_tokens_refresh_token_check CHECK (
        LENGTH(refresh_token) >= 31 AND HEX(LEFT(refresh_token, 1)) = '01'
    ),
    CONSTRAINT authsql_identity_tokens_id_token_check CHECK (
        LENGTH(id_token) >= 31 AND HEX(LEFT(id_token, 1)) = '01'
    ),
    CONSTRAINT authsql_identity_tokens_key_name_check CHECK (
        key_name REGEXP '^[A-Za-z0-9._-]' AND key_name NOT REGEXP '[^A-Za-z0-9._-]'
    ),
    CONSTRAINT authsql_identity_tokens_scopes_check CHECK (CHAR_LENGTH(scopes) >= 1)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Tokens of OAuth providers, encrypted under keys that are not in the database. Only where an application stores any.';

-- Touches updated_at.
CREATE TRIGGER authsql_identity_tokens_update
BEFORE UPDATE ON authsql_identity_tokens
FOR EACH ROW
SET NEW.updated_at = UTC_TIMESTAMP(6);

-- One row for each way by which an account can be entered without mail: its password, its identities.
-- What removes a way to sign in asks this view, with the account's row locked, whether another one stays. A new kind of way
-- is a new branch here, and nowhere else. provider and subject name one among several of its kind. The id is not shown as
-- text, as in other views: statements look it up.
CREATE SQL SECURITY INVOKER VIEW authsql_ways_in AS
SELECT
    p.user_id,
    'password' AS kind,
    NULL AS provider,
    NULL AS subject
FROM authsql_passwords AS p
UNION ALL
SELECT
    i.user_id,
    'identity' AS kind,
    i.provider,
    i.subject
FROM authsql_identities AS i;

-- Differs from postgres: no function authsql_keeps_way_in, because a DELETE reads what is committed here.
INSERT INTO authsql_schema_version (version, name) VALUES (19, 'identity_tokens');
