-- 0002.users: one row for each account: who it is, whether its e-mail is verified, whether it is locked or deleted.
-- What proves an identity (passwords, identities, otps) stands in tables of its own, so that rights can be narrower.
-- depends: 0001.schema_version
-- transactional: false
-- Locks: none, new table. Rollback: drops every account.

-- The default of id is UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds first, so that new rows land side
-- by side in the clustered index. Python makes the ids; this is for a hand-written INSERT.
CREATE TABLE authsql_users (
    id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'UUID version 7. Not a secret.',
    email VARCHAR(254) COLLATE utf8mb4_bin NOT NULL COMMENT 'E-mail address as its owner typed it, in Unicode NFC.',
    email_key VARCHAR(254) COLLATE utf8mb4_bin GENERATED ALWAYS AS (IF(deleted_at IS NULL, LOWER(email), NULL)) STORED
    COMMENT 'What makes the e-mail unique whatever its case: lower(email) while the account is not deleted, then NULL.',
    name VARCHAR(200) COLLATE utf8mb4_bin NULL COMMENT 'Display name.',
    avatar JSON NULL COMMENT 'JSON object of the application, for example {"url": ..., "size": ...}.',
    email_verified_at DATETIME(6) NULL
    COMMENT 'When the owner proved to read mail at email. NULL: not verified. A changed e-mail sets it to NULL.',
    last_login_at DATETIME(6) NULL COMMENT 'When a session was last created.',
    failed_attempts INT NOT NULL DEFAULT 0
    COMMENT 'Consecutive failed password attempts, counted before each check and set to 0 by a success.',
    locked_until DATETIME(6) NULL COMMENT 'No password is checked before this time. In the past or NULL: not locked.',
    deleted_at DATETIME(6) NULL COMMENT 'When the account was soft-deleted. NULL: it is live. Ends its sessions.',
    reactivatable_at DATETIME(6) NULL
    COMMENT 'A soft-deleted account may be reactivated from this time on. NULL: never.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the row was inserted.',
    updated_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the row last changed.',
    CONSTRAINT authsql_users_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_users_email_key UNIQUE (email_key),
    CONSTRAINT authsql_users_email_check CHECK (CHAR_LENGTH(email) >= 3 AND LOCATE('@', email) > 1),
    CONSTRAINT authsql_users_name_check CHECK (CHAR_LENGTH(name) >= 1),
    CONSTRAINT authsql_users_avatar_check CHECK (JSON_TYPE(avatar) = 'OBJECT'),
    CONSTRAINT authsql_users_failed_attempts_check CHECK (failed_attempts >= 0),
    CONSTRAINT authsql_users_reactivatable_at_check CHECK (
        reactivatable_at IS NULL OR (deleted_at IS NOT NULL AND reactivatable_at >= deleted_at)
    )
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Accounts. A row that is soft-deleted (deleted_at) frees its e-mail for a new account.';

-- Touches updated_at; a changed e-mail loses its verification. A proof holds for the address it was given for; an UPDATE
-- that sets a proof together with the new address is taken at its word.
CREATE TRIGGER authsql_users_update
BEFORE UPDATE ON authsql_users
FOR EACH ROW
SET
    NEW.updated_at = UTC_TIMESTAMP(6),
    NEW.email_verified_at = IF(
        LOWER(NEW.email) <> LOWER(OLD.email) AND NEW.email_verified_at <=> OLD.email_verified_at,
        NULL,
        NEW.email_verified_at
    );

INSERT INTO authsql_schema_version (version, name) VALUES (2, 'users');
