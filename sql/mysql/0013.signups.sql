-- 0013.signups: sign-ups that wait for the proof of their e-mail. There is no account yet, and nobody can wait in one for the
-- owner of the address: the proof makes an account of the sign-up that it was sent for, and of no other.
-- depends: 0012.links
-- transactional: false
-- Locks: a metadata lock on authsql_otps while the foreign key is made (statements wait for an instant: the new table is empty).
-- Rollback: drops the sign-ups that wait; who was sent a code must sign up again.

CREATE TABLE authsql_signups (
    subject VARCHAR(254) COLLATE utf8mb4_bin NOT NULL COMMENT 'The e-mail in lower case: the subject of the code.',
    purpose VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'signup'
    COMMENT 'Always signup: the purpose of the code.',
    issue_id BINARY(16) NOT NULL
    COMMENT 'The issue of the code that this sign-up goes with. With a later issue it is void.',
    email VARCHAR(254) COLLATE utf8mb4_bin NOT NULL COMMENT 'The e-mail as it was typed, in Unicode NFC.',
    name VARCHAR(200) COLLATE utf8mb4_bin NULL COMMENT 'Display name of the account to be.',
    hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL
    COMMENT 'Hash of the password of the account to be. NULL: it will have none. Should never be visible to the user.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When somebody signed up.',
    new_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL
    COMMENT 'Written by who may not read the hash, which it becomes. Always NULL once stored.',
    CONSTRAINT authsql_signups_pkey PRIMARY KEY (subject, purpose),
    CONSTRAINT authsql_signups_otp_fkey FOREIGN KEY (subject, purpose)
    REFERENCES authsql_otps (subject, purpose) ON DELETE CASCADE,
    CONSTRAINT authsql_signups_purpose_check CHECK (purpose = 'signup'),
    CONSTRAINT authsql_signups_email_check CHECK (CHAR_LENGTH(email) >= 3 AND LOCATE('@', email) > 1),
    CONSTRAINT authsql_signups_name_check CHECK (CHAR_LENGTH(name) >= 1),
    CONSTRAINT authsql_signups_hash_check CHECK (CHAR_LENGTH(hash) >= 20 AND LEFT(hash, 1) = '$')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Sign-ups that wait for the proof of their e-mail. Purged with their code.';

-- What the library works with, and an application may have rights on (optional/roles.sql). It writes new_hash there, and a
-- trigger moves that to hash, which the view has not: a right on any column of a table lets its owner ask for a checksum or a
-- histogram of the others, and rights on columns do not hold in a join by name.
CREATE TRIGGER authsql_signups_insert_hash
BEFORE INSERT ON authsql_signups
FOR EACH ROW
SET NEW.hash = COALESCE(NEW.new_hash, NEW.hash), NEW.new_hash = NULL;

-- Another sign-up has no hash but its own: NULL is one without a password.
CREATE TRIGGER authsql_signups_update_hash
BEFORE UPDATE ON authsql_signups
FOR EACH ROW
SET
    NEW.hash = IF(
        NEW.issue_id <> OLD.issue_id AND NEW.hash <=> OLD.hash, NEW.new_hash, COALESCE(NEW.new_hash, NEW.hash)
    ),
    NEW.new_hash = NULL;

-- All of the table but the hash: in its place is the column that it is written to.
CREATE SQL SECURITY DEFINER VIEW authsql_app_signups AS
SELECT
    subject,
    purpose,
    issue_id,
    email,
    name,
    new_hash AS hash,
    created_at
FROM authsql_signups;

-- An application whose rights leave the hashes out (optional/roles.sql) cannot move one itself. Differs from postgres: a
-- procedure, which does not delete the sign-up, as that would take a second statement.
CREATE PROCEDURE authsql_store_signup_password (
    IN new_user_id BINARY(16),
    IN wanted_subject VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    IN wanted_purpose VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin
)
MODIFIES SQL DATA
SQL SECURITY DEFINER
COMMENT 'Gives a new account the password that it signed up with, if there is one. With NULL for the account, nothing.'
INSERT INTO authsql_passwords (user_id, hash)
SELECT
    new_user_id, -- noqa: RF03
    w.hash -- noqa: RF03
FROM authsql_signups AS w
WHERE w.subject = wanted_subject -- noqa: RF03
    AND w.purpose = wanted_purpose -- noqa: RF03
    AND new_user_id IS NOT NULL -- noqa: RF03
    AND w.hash IS NOT NULL;

INSERT INTO authsql_schema_version (version, name) VALUES (13, 'signups');
