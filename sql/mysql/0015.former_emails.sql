-- 0015.former_emails: the address that an account had before, kept for a notice to it and for whoever has to undo a change
-- that its owner did not make. Written by a trigger: a hand-typed UPDATE is kept, too.
-- depends: 0014.known_devices
-- transactional: false
-- Locks: a metadata lock on authsql_users while its trigger is made (statements wait for an instant). Needs the privilege EVENT.
-- Rollback: drops the former addresses.

CREATE TABLE authsql_former_emails (
    id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'UUID version 7. Not a secret.',
    user_id BINARY(16) NOT NULL COMMENT 'The user who had it.',
    email VARCHAR(254) COLLATE utf8mb4_bin NOT NULL COMMENT 'The address, as it stood in authsql_users.',
    was_verified BOOLEAN NOT NULL
    COMMENT 'Whether its owner had proved to read mail there: then it is worth a notice.',
    changed_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When another address took its place.',
    expires_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6) + INTERVAL 90 DAY) COMMENT 'It is purged after that.',
    CONSTRAINT authsql_former_emails_pkey PRIMARY KEY (id),
    INDEX authsql_former_emails_user_id_idx (user_id),
    INDEX authsql_former_emails_expires_at_idx (expires_at),
    CONSTRAINT authsql_former_emails_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_former_emails_email_check CHECK (CHAR_LENGTH(email) >= 3)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'E-mails that accounts had before. No account is found by them.';

-- Keeps the e-mail that an account had before.
CREATE TRIGGER authsql_users_update_former_email
AFTER UPDATE ON authsql_users
FOR EACH ROW
INSERT INTO authsql_former_emails (user_id, email, was_verified)
SELECT
    OLD.id,
    OLD.email,
    OLD.email_verified_at IS NOT NULL
WHERE OLD.email <> NEW.email;

CREATE EVENT authsql_purge_former_emails
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 expired rows of authsql_former_emails.'
DO
DELETE f FROM (
    SELECT c.id
    FROM authsql_former_emails AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_former_emails AS f ON e.id = f.id;

INSERT INTO authsql_schema_version (version, name) VALUES (15, 'former_emails');
