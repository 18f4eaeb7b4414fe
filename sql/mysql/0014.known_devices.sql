-- 0014.known_devices: devices on which a user has signed in before, each with a token of its own and with a count of its own:
-- whoever guesses passwords elsewhere locks the account for everybody but them (OWASP: device cookies). A device may also
-- be trusted for a time, which an application may take for the second factor.
-- depends: 0013.signups
-- transactional: false
-- Locks: a metadata lock on authsql_users while the foreign key is made (statements wait for an instant: the new table is empty).
-- Needs the privilege EVENT. Rollback: drops every known device.

CREATE TABLE authsql_known_devices (
    id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'UUID version 7, also the first part of the token. Not a secret.',
    user_id BINARY(16) NOT NULL COMMENT 'Who signed in on it.',
    secret_hash BINARY(32) NOT NULL COMMENT 'SHA-256 of the token''s secret, 32 random bytes.',
    name VARCHAR(100) COLLATE utf8mb4_bin NULL COMMENT 'Name of the device, for the list that its owner sees.',
    failed_attempts INT NOT NULL DEFAULT 0
    COMMENT 'Consecutive failed password attempts from it, counted before each check and set to 0 by a success. Too many: it is a device like any other.',
    trusted_until DATETIME(6) NULL
    COMMENT 'Until then an application may take it for the second factor. NULL: never.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it became known.',
    last_used_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When its user last signed in on it.',
    expires_at DATETIME(6) NOT NULL COMMENT 'It is known until then, and purged after it.',
    CONSTRAINT authsql_known_devices_pkey PRIMARY KEY (id),
    INDEX authsql_known_devices_user_id_idx (user_id),
    INDEX authsql_known_devices_expires_at_idx (expires_at),
    CONSTRAINT authsql_known_devices_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_known_devices_name_check CHECK (CHAR_LENGTH(name) >= 1),
    CONSTRAINT authsql_known_devices_failed_attempts_check CHECK (failed_attempts >= 0),
    CONSTRAINT authsql_known_devices_expires_at_check CHECK (expires_at > created_at),
    CONSTRAINT authsql_known_devices_trusted_until_check CHECK (trusted_until <= expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Devices on which a user has signed in before. A failed attempt from one of them counts on it, not on the account.';

-- A device keeps its id.
CREATE TRIGGER authsql_known_devices_update_id
BEFORE UPDATE ON authsql_known_devices
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(NEW.id <> OLD.id, 'a device keeps its id', NULL));

-- Records device.remembered.
CREATE TRIGGER authsql_known_devices_insert_audit
AFTER INSERT ON authsql_known_devices
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
VALUES ('device.remembered', NEW.user_id, JSON_OBJECT('device', BIN_TO_UUID(NEW.id)));

-- Records password.attempted from a known device, device.changed, device.trusted, and device.forgotten and device.remembered of
-- one that is made another user's.
CREATE TRIGGER authsql_known_devices_update_audit
AFTER UPDATE ON authsql_known_devices
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'password.attempted',
    NEW.user_id,
    JSON_OBJECT('failures', NEW.failed_attempts, 'device', BIN_TO_UUID(NEW.id))
FROM dual
WHERE NEW.failed_attempts > OLD.failed_attempts
UNION ALL
SELECT
    'device.changed',
    NEW.user_id,
    JSON_OBJECT('device', BIN_TO_UUID(NEW.id))
FROM dual
WHERE NEW.secret_hash <> OLD.secret_hash AND NEW.user_id = OLD.user_id
UNION ALL
SELECT
    'device.trusted',
    NEW.user_id,
    JSON_OBJECT('device', BIN_TO_UUID(NEW.id))
FROM dual
WHERE COALESCE(NEW.trusted_until > OLD.trusted_until, NEW.trusted_until IS NOT NULL)
UNION ALL
SELECT
    'device.forgotten',
    OLD.user_id,
    JSON_OBJECT('device', BIN_TO_UUID(OLD.id))
FROM dual
WHERE NEW.user_id <> OLD.user_id
UNION ALL
SELECT
    'device.remembered',
    NEW.user_id,
    JSON_OBJECT('device', BIN_TO_UUID(NEW.id))
FROM dual
WHERE NEW.user_id <> OLD.user_id;

-- Records device.forgotten, but not of one that was known no longer anyway.
CREATE TRIGGER authsql_known_devices_delete_audit
AFTER DELETE ON authsql_known_devices
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'device.forgotten',
    OLD.user_id,
    JSON_OBJECT('device', BIN_TO_UUID(OLD.id))
FROM dual
WHERE OLD.expires_at > TIMESTAMP '1582-10-15 00:00:00'
    + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND;

CREATE EVENT authsql_purge_known_devices
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 expired rows of authsql_known_devices.'
DO
DELETE d FROM (
    SELECT c.id
    FROM authsql_known_devices AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_known_devices AS d ON e.id = d.id;

INSERT INTO authsql_schema_version (version, name) VALUES (14, 'known_devices');
