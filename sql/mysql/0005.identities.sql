-- 0005.identities: accounts at OAuth and OpenID Connect providers, by which a user may sign in. Several for each user.
-- depends: 0004.passwords
-- transactional: false
-- Locks: none, new table. Rollback: drops every link to a provider.

CREATE TABLE authsql_identities (
    provider VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'The provider, for example google or github.',
    subject VARCHAR(255) COLLATE utf8mb4_bin NOT NULL
    COMMENT 'The provider''s own, unchanging id of the account (sub in OpenID Connect).',
    user_id BINARY(16) NOT NULL COMMENT 'The user who signs in by it.',
    email VARCHAR(254) COLLATE utf8mb4_bin NULL
    COMMENT 'E-mail that the provider gave last. For information: no account is found by it.',
    profile JSON NULL COMMENT 'JSON object that the provider gave last, without tokens.',
    last_login_at DATETIME(6) NULL COMMENT 'When the user last signed in by it.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was linked.',
    updated_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the row last changed.',
    CONSTRAINT authsql_identities_pkey PRIMARY KEY (provider, subject),
    INDEX authsql_identities_user_id_idx (user_id),
    CONSTRAINT authsql_identities_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_identities_provider_check CHECK (
        provider REGEXP '^[a-z]' AND provider NOT REGEXP '[^a-z0-9_-]'
    ),
    CONSTRAINT authsql_identities_subject_check CHECK (CHAR_LENGTH(subject) >= 1),
    CONSTRAINT authsql_identities_email_check CHECK (CHAR_LENGTH(email) >= 3),
    CONSTRAINT authsql_identities_profile_check CHECK (JSON_TYPE(profile) = 'OBJECT')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Accounts at OAuth and OpenID Connect providers. The pair of provider and subject is the identity, never the e-mail.';

-- Touches updated_at.
CREATE TRIGGER authsql_identities_update
BEFORE UPDATE ON authsql_identities
FOR EACH ROW
SET NEW.updated_at = UTC_TIMESTAMP(6);

INSERT INTO authsql_schema_version (version, name) VALUES (5, 'identities');
