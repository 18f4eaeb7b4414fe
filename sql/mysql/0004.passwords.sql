-- 0004.passwords: password hashes, apart from the users so that rights on them can be narrower.
-- depends: 0003.roles
-- transactional: false
-- Locks: none, new table. Rollback: drops every password hash; users must reset their passwords.

CREATE TABLE authsql_passwords (
    user_id BINARY(16) NOT NULL COMMENT 'The user whose password it is.',
    hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'PHC string, for example $argon2id$v=19$m=65536,t=3,p=4$salt$hash. Should never be visible to the user.',
    changed_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
    COMMENT 'When the password last changed. A new hash of the same password does not count.',
    rehashed_at DATETIME(6) NULL
    COMMENT 'When the same password was last hashed anew with stronger parameters. An UPDATE that moves it with the hash is not a changed password.',
    must_change_since DATETIME(6) NULL
    COMMENT 'Since when the user has to change the password before anything else. NULL: need not.',
    keep_session_id BINARY(16) NULL
    COMMENT 'In an UPDATE of the hash: the session to spare when the others are revoked. Always NULL once stored.',
    CONSTRAINT authsql_passwords_pkey PRIMARY KEY (user_id),
    CONSTRAINT authsql_passwords_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_passwords_hash_check CHECK (CHAR_LENGTH(hash) >= 20 AND LEFT(hash, 1) = '$')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Password hashes. A user without a row has no password.';

INSERT INTO authsql_schema_version (version, name) VALUES (4, 'passwords');
