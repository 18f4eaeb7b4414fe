-- 0020.totp: second factors that show a code of six digits every 30 seconds (TOTP, RFC 6238). A secret has to be read
-- again to check a code, so it is encrypted under a key that is not in the database. Also here: session.elevated, an entry
-- in the audit log.
-- depends: 0019.identity_tokens
-- transactional: false
-- Locks: metadata locks on authsql_users while the foreign keys are made (the new tables are empty), and on authsql_sessions
-- while its trigger is made: statements wait for an instant each.
-- Needs the privilege EVENT. Rollback: drops every TOTP factor; users must enrol their authenticator apps anew.

CREATE TABLE authsql_totp_factors (
    id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'UUID version 7. Not a secret.',
    user_id BINARY(16) NOT NULL COMMENT 'Whose factor it is.',
    name VARCHAR(100) COLLATE utf8mb4_bin NULL COMMENT 'Name of the app or device, for the list that its owner sees.',
    secret VARBINARY(255) NOT NULL DEFAULT ''
    COMMENT 'The secret of 160 bits, encrypted with AES-256-GCM for this row and its user.',
    key_name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'Name of the key that the secret is encrypted under.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the enrolment began.',
    expires_at DATETIME(6) NULL
    COMMENT 'The enrolment may be confirmed until then, and is purged after it. NULL: confirmed.',
    confirmed_at DATETIME(6) NULL COMMENT 'When a first code proved that the app has the secret. NULL: not yet.',
    last_step BIGINT NULL
    COMMENT 'Number of the 30 seconds whose code was last accepted, since 1970: no code of it or of an earlier one is accepted again.',
    last_used_at DATETIME(6) NULL COMMENT 'When a code was last accepted.',
    reencrypt_until DATETIME(6) NULL
    COMMENT 'The secret may be read until then, to be encrypted under another key. NULL: it is not being changed.',
    new_secret VARBINARY(255) NULL
    COMMENT 'Written by who may not read the secret, which it becomes. Always NULL once stored.',
    CONSTRAINT authsql_totp_factors_pkey PRIMARY KEY (id),
    INDEX authsql_totp_factors_user_id_idx (user_id),
    -- For the change of keys: which secrets are not encrypted under the current one.
    INDEX authsql_totp_factors_key_name_idx (key_name),
    -- For the purge. A confirmed factor has no end.
    INDEX authsql_totp_factors_expires_at_idx (expires_at),
    CONSTRAINT authsql_totp_factors_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_totp_factors_name_check CHECK (CHAR_LENGTH(name) >= 1),
    CONSTRAINT authsql_totp_factors_secret_check CHECK (LENGTH(secret) >= 32),
    CONSTRAINT authsql_totp_factors_key_name_check CHECK (CHAR_LENGTH(key_name) >= 1),
    CONSTRAINT authsql_totp_factors_expires_at_check CHECK (expires_at > created_at),
    CONSTRAINT authsql_totp_factors_confirmed_check CHECK (
        (confirmed_at IS NULL) = (expires_at IS NOT NULL)
        AND (confirmed_at IS NULL) = (last_step IS NULL)
        AND (confirmed_at IS NULL) = (last_used_at IS NULL)
    )
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Authenticator apps. One that is not confirmed is an enrolment, and no second factor.';

-- Apart from the factors, so that a code is one attempt however many factors it is compared with.
CREATE TABLE authsql_totp_attempts (
    user_id BINARY(16) NOT NULL COMMENT 'Whose codes they were.',
    failed_attempts INT NOT NULL DEFAULT 0
    COMMENT 'Consecutive failed codes, counted before each check and set to 0 by a success.',
    locked_until DATETIME(6) NULL COMMENT 'No code is checked before this time. In the past or NULL: not locked.',
    CONSTRAINT authsql_totp_attempts_pkey PRIMARY KEY (user_id),
    CONSTRAINT authsql_totp_attempts_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_totp_attempts_failed_attempts_check CHECK (failed_attempts >= 0)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Failed codes of each user who has, or had, a TOTP factor.';

-- Who has a factor has a count of failed codes.
CREATE TRIGGER authsql_totp_factors_insert
AFTER INSERT ON authsql_totp_factors
FOR EACH ROW
INSERT INTO authsql_totp_attempts (user_id) VALUES (NEW.user_id)
ON DUPLICATE KEY UPDATE user_id = NEW.user_id;

-- A secret is given out under conditions: of an enrolment, or after an attempt of its user. So neither is changed by hand; and
-- a secret is replaced only where the log has it that keys are being changed.

-- No factor becomes an enrolment again, and none becomes another user's. A secret changes while reencrypt_until
-- allows it.
CREATE TRIGGER authsql_totp_factors_update
BEFORE UPDATE ON authsql_totp_factors
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(
    NEW.id <> OLD.id
    OR NEW.user_id <> OLD.user_id
    OR (OLD.confirmed_at IS NOT NULL AND NEW.confirmed_at IS NULL)
    OR (
        NEW.new_secret IS NOT NULL
        AND COALESCE(
            OLD.reencrypt_until <= TIMESTAMP '1582-10-15 00:00:00'
            + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND,
            TRUE
        )
    ),
    'a factor stays confirmed, its user''s, and keeps its secret',
    NULL
));

-- No count of failed codes becomes another user's.
CREATE TRIGGER authsql_totp_attempts_update
BEFORE UPDATE ON authsql_totp_attempts
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(
    NEW.user_id <> OLD.user_id,
    'a count of failed codes stays its user''s',
    NULL
));

-- What is recorded, and what goes with its user is not (see 0011.audit).

-- Records totp.enrolled, totp.confirmed.
CREATE TRIGGER authsql_totp_factors_insert_audit
AFTER INSERT ON authsql_totp_factors
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'totp.enrolled',
    NEW.user_id,
    JSON_OBJECT('factor', BIN_TO_UUID(NEW.id))
UNION ALL
SELECT
    'totp.confirmed',
    NEW.user_id,
    JSON_OBJECT('factor', BIN_TO_UUID(NEW.id))
FROM dual
WHERE NEW.confirmed_at IS NOT NULL;

-- Records totp.confirmed, totp.verified, totp.secret_read.
CREATE TRIGGER authsql_totp_factors_update_audit
AFTER UPDATE ON authsql_totp_factors
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    IF(OLD.confirmed_at IS NULL, 'totp.confirmed', 'totp.verified'),
    NEW.user_id,
    JSON_OBJECT('factor', BIN_TO_UUID(NEW.id))
FROM dual
WHERE (OLD.confirmed_at IS NULL AND NEW.confirmed_at IS NOT NULL) OR NEW.last_step > OLD.last_step
UNION ALL
SELECT
    'totp.secret_read',
    NEW.user_id,
    JSON_OBJECT('factor', BIN_TO_UUID(NEW.id))
FROM dual
WHERE NEW.reencrypt_until IS NOT NULL AND NOT (NEW.reencrypt_until <=> OLD.reencrypt_until);

-- Records totp.removed. An enrolment that was never confirmed goes without a word.
CREATE TRIGGER authsql_totp_factors_delete_audit
AFTER DELETE ON authsql_totp_factors
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'totp.removed',
    OLD.user_id,
    JSON_OBJECT('factor', BIN_TO_UUID(OLD.id))
FROM dual
WHERE OLD.confirmed_at IS NOT NULL;

-- Records totp.attempted, totp.locked.
CREATE TRIGGER authsql_totp_attempts_update_audit
AFTER UPDATE ON authsql_totp_attempts
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'totp.attempted',
    NEW.user_id,
    JSON_OBJECT('failures', NEW.failed_attempts)
FROM dual
WHERE NEW.failed_attempts > OLD.failed_attempts
UNION ALL
SELECT
    'totp.locked',
    NEW.user_id,
    JSON_OBJECT('retry_at', CONCAT(REPLACE(NEW.locked_until, ' ', 'T'), 'Z'))
FROM dual
WHERE NOT (NEW.locked_until <=> OLD.locked_until)
    AND NEW.locked_until > TIMESTAMP '1582-10-15 00:00:00'
    + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND;

-- Records session.elevated: its owner has proved anew who they are.
CREATE TRIGGER authsql_sessions_update_elevated
AFTER UPDATE ON authsql_sessions
FOR EACH ROW FOLLOWS authsql_sessions_update_audit
INSERT INTO authsql_audit_log (event, user_id, session_id, detail)
SELECT
    'session.elevated',
    NEW.user_id,
    NEW.id,
    JSON_OBJECT('aal', NEW.aal, 'was', OLD.aal)
FROM dual
WHERE NEW.secret_hash <> OLD.secret_hash OR NEW.aal <> OLD.aal OR NEW.authenticated_at > OLD.authenticated_at;

-- FORCE INDEX: a small table would be scanned, past no lock.
CREATE EVENT authsql_purge_totp_factors
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 enrolments in authsql_totp_factors that were never confirmed.'
DO
DELETE f FROM (
    SELECT c.id
    FROM authsql_totp_factors AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_totp_factors AS f FORCE INDEX (PRIMARY) ON e.id = f.id;

-- What the library works with, and an application may have rights on (0013.signups says why).
CREATE TRIGGER authsql_totp_factors_insert_secret
BEFORE INSERT ON authsql_totp_factors
FOR EACH ROW
SET NEW.secret = COALESCE(NEW.new_secret, NEW.secret), NEW.new_secret = NULL;

-- The secret of a row that changes, from the column beside it.
CREATE TRIGGER authsql_totp_factors_update_secret
BEFORE UPDATE ON authsql_totp_factors
FOR EACH ROW
SET NEW.secret = COALESCE(NEW.new_secret, NEW.secret), NEW.new_secret = NULL;

-- All of the table but the secret: in its place is the column that it is written to.
CREATE SQL SECURITY DEFINER VIEW authsql_app_totp_factors AS
SELECT
    id,
    user_id,
    name,
    new_secret AS secret,
    key_name,
    created_at,
    expires_at,
    confirmed_at,
    last_step,
    last_used_at,
    reencrypt_until
FROM authsql_totp_factors;

-- An application whose rights leave the secrets out (optional/roles.sql) gets one, encrypted, where it is to be checked: while
-- it can be confirmed, and after an attempt was counted; and while it is encrypted under another key, which is recorded. By the
-- log's clock: a time that has passed does not come back by SET timestamp.
CREATE FUNCTION authsql_totp_enrolment_secret(factor_id BINARY(16)) RETURNS VARBINARY(255)
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'The encrypted secret of an enrolment that can still be confirmed.'
RETURN (
    SELECT f.secret
    FROM authsql_totp_factors AS f
    WHERE f.id = factor_id
        AND f.confirmed_at IS NULL
        AND f.expires_at > TIMESTAMP '1582-10-15 00:00:00'
        + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND
);

CREATE FUNCTION authsql_totp_secret(factor_id BINARY(16)) RETURNS VARBINARY(255)
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'The encrypted secret of a factor, while an attempt is counted that has not succeeded.'
RETURN (
    SELECT f.secret
    FROM authsql_totp_factors AS f
    INNER JOIN authsql_totp_attempts AS a ON f.user_id = a.user_id
    WHERE f.id = factor_id AND f.confirmed_at IS NOT NULL AND a.failed_attempts > 0
);

CREATE FUNCTION authsql_totp_outdated_secret(factor_id BINARY(16)) RETURNS VARBINARY(255)
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'The encrypted secret of a factor, while it may be read to be encrypted under another key.'
RETURN (
    SELECT f.secret
    FROM authsql_totp_factors AS f
    WHERE f.id = factor_id
        AND f.reencrypt_until > TIMESTAMP '1582-10-15 00:00:00'
        + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND
        AND f.reencrypt_until - INTERVAL 10 MINUTE <= TIMESTAMP '1582-10-15 00:00:00'
        + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND
);

INSERT INTO authsql_schema_version (version, name) VALUES (20, 'totp');
