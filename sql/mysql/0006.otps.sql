-- 0006.otps: one-time codes. The key (subject, purpose) allows one live code: a new one replaces it, and neither the
-- hourly count of codes nor the wait between two of them starts again by that.
-- depends: 0005.identities
-- transactional: false
-- Locks: none, new table. Rollback: drops every code; whoever waits for one must ask for another.

CREATE TABLE authsql_otps (
    subject VARCHAR(254) COLLATE utf8mb4_bin NOT NULL
    COMMENT 'Whom the code was sent to: an e-mail in lower case, or any other name that the application uses, such as a user id.',
    purpose VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'What the code is good for: signin, email-verification, password-reset, password-change or one of the application.',
    issue_id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'Changes with each code. An application may keep it to accept a code only where it was asked for.',
    user_id BINARY(16) NULL
    COMMENT 'The user whom the code is for, if the caller knew: the code goes when the user goes.',
    code_hash BINARY(32) NOT NULL
    COMMENT 'HMAC-SHA-256 of purpose, subject and code under a key that is not in the database.',
    attempts INT NOT NULL DEFAULT 0 COMMENT 'How often a code was tried since this one was issued.',
    max_attempts INT NOT NULL DEFAULT 5 COMMENT 'At so many attempts the code is dead.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When this code was issued.',
    expires_at DATETIME(6) NOT NULL COMMENT 'The code is good until then.',
    resend_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'No other code is issued before then.',
    spent_at DATETIME(6) NULL COMMENT 'When the code was used. NULL: not yet.',
    window_count INT NOT NULL DEFAULT 1 COMMENT 'How many codes were issued in the current window.',
    window_ends_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
    COMMENT 'When the current window ends and the count starts again.',
    purge_at DATETIME(6) GENERATED ALWAYS AS (GREATEST(expires_at, resend_at, window_ends_at)) STORED NOT NULL
    COMMENT 'The row says nothing any more from then on, and is purged.',
    CONSTRAINT authsql_otps_pkey PRIMARY KEY (subject, purpose),
    INDEX authsql_otps_user_id_idx (user_id),
    INDEX authsql_otps_purge_at_idx (purge_at),
    CONSTRAINT authsql_otps_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_otps_subject_check CHECK (CHAR_LENGTH(subject) >= 1),
    CONSTRAINT authsql_otps_purpose_check CHECK (purpose REGEXP '^[a-z]' AND purpose NOT REGEXP '[^a-z0-9_-]'),
    CONSTRAINT authsql_otps_attempts_check CHECK (attempts BETWEEN 0 AND max_attempts),
    CONSTRAINT authsql_otps_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 100),
    CONSTRAINT authsql_otps_expires_at_check CHECK (expires_at > created_at),
    CONSTRAINT authsql_otps_window_count_check CHECK (window_count >= 1)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'One-time codes, one for each subject and purpose. No code can be read out of it.';

INSERT INTO authsql_schema_version (version, name) VALUES (6, 'otps');
