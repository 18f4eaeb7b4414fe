-- 0022.passkeys: public keys of WebAuthn authenticators, and the challenges of their ceremonies. Nothing in either table
-- opens anything. Also here: the backlog of challenges, and of enrolments of the migration totp.
-- depends: 0021.recovery_codes
-- transactional: false
-- Locks: metadata locks on authsql_users while the foreign keys are made (the new tables are empty), and on the views
-- authsql_expiry_backlog and authsql_ways_in while they are replaced: statements wait for an instant each.
-- Needs the privilege EVENT. Rollback: drops every passkey; users must register theirs anew.

CREATE TABLE authsql_passkeys (
    id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'UUID version 7. Not a secret.',
    user_id BINARY(16) NOT NULL
    COMMENT 'Whose passkey it is. Its 16 bytes are the user handle that the authenticator stores.',
    name VARCHAR(100) COLLATE utf8mb4_bin NULL COMMENT 'Name of the passkey, for the list that its owner sees.',
    credential VARBINARY(1023) NOT NULL
    COMMENT 'The credential ID that the authenticator chose, up to 1023 bytes. Not a secret.',
    public_key VARBINARY(4096) NOT NULL COMMENT 'The credential''s public key, as COSE_Key (RFC 9052) in CBOR.',
    sign_count BIGINT NOT NULL DEFAULT 0
    COMMENT 'The authenticator''s signature counter as last seen. 0: it counts nothing, as most passkeys do.',
    transports JSON NOT NULL
    COMMENT 'How the authenticator can be reached, a JSON array of usb, nfc, ble, smart-card, hybrid, internal.',
    aaguid VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'Model of the authenticator, by its vendor''s word and unproved. Zeros: it was not told.',
    backup_eligible BOOLEAN NOT NULL
    COMMENT 'Whether the private key may be copied to other devices. Never changes.',
    backed_up BOOLEAN NOT NULL COMMENT 'Whether the private key was backed up when it was last used.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the passkey was registered.',
    last_used_at DATETIME(6) NULL COMMENT 'When it last signed a challenge. NULL: not since it was registered.',
    user_verified_at DATETIME(6) NULL
    COMMENT 'When the authenticator last checked a PIN or a biometric. NULL: never yet.',
    cloned_at DATETIME(6) NULL
    COMMENT 'When it last signed with a counter that did not go up: there may be a copy of the private key. NULL: never.',
    CONSTRAINT authsql_passkeys_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_passkeys_credential_key UNIQUE (credential),
    INDEX authsql_passkeys_user_id_idx (user_id),
    CONSTRAINT authsql_passkeys_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_passkeys_name_check CHECK (CHAR_LENGTH(name) >= 1),
    CONSTRAINT authsql_passkeys_credential_check CHECK (LENGTH(credential) >= 1),
    CONSTRAINT authsql_passkeys_public_key_check CHECK (LENGTH(public_key) >= 1),
    CONSTRAINT authsql_passkeys_sign_count_check CHECK (sign_count BETWEEN 0 AND 4294967295),
    CONSTRAINT authsql_passkeys_transports_check CHECK (JSON_TYPE(transports) = 'ARRAY'),
    CONSTRAINT authsql_passkeys_aaguid_check CHECK (CHAR_LENGTH(aaguid) = 36),
    CONSTRAINT authsql_passkeys_backed_up_check CHECK (backup_eligible OR NOT backed_up)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Passkeys: one row for each credential that a user has registered.';

CREATE TABLE authsql_passkey_challenges (
    id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'UUID version 7. Not a secret: kept by the application between the two halves of the ceremony.',
    purpose VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'What it is for: registration or authentication.',
    user_id BINARY(16) NULL
    COMMENT 'Whose ceremony it is. NULL: whoever signs in by a passkey that names its user.',
    challenge_hash BINARY(32) NOT NULL COMMENT 'SHA-256 of the challenge, 32 random bytes.',
    user_verification VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'What was asked of the authenticator: required, preferred or discouraged. Without it, what is required is refused.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the ceremony was begun.',
    expires_at DATETIME(6) NOT NULL COMMENT 'The challenge is good until then, and is purged after it.',
    spent_at DATETIME(6) NULL COMMENT 'When an answer came, right or wrong. NULL: not yet.',
    CONSTRAINT authsql_passkey_challenges_pkey PRIMARY KEY (id),
    INDEX authsql_passkey_challenges_user_id_idx (user_id),
    INDEX authsql_passkey_challenges_expires_at_idx (expires_at),
    CONSTRAINT authsql_passkey_challenges_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_passkey_challenges_purpose_check CHECK (
        purpose = 'authentication' OR (purpose = 'registration' AND user_id IS NOT NULL)
    ),
    CONSTRAINT authsql_passkey_challenges_user_verification_check CHECK (
        user_verification IN ('required', 'preferred', 'discouraged')
    ),
    CONSTRAINT authsql_passkey_challenges_expires_at_check CHECK (expires_at > created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Ceremonies that were begun: what an authenticator is to sign. Each is good for one try.';

-- What no entry would make good: another's key in the place of a user's, or another user in the place of its owner.
CREATE TRIGGER authsql_passkeys_update
BEFORE UPDATE ON authsql_passkeys
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(
    NEW.id = OLD.id
    AND NEW.user_id = OLD.user_id
    AND NEW.credential = OLD.credential
    AND NEW.public_key = OLD.public_key
    AND NEW.backup_eligible = OLD.backup_eligible,
    NULL,
    'a passkey stays as it was registered'
));

-- Records passkey.added.
CREATE TRIGGER authsql_passkeys_insert_audit
AFTER INSERT ON authsql_passkeys
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
VALUES ('passkey.added', NEW.user_id, JSON_OBJECT('passkey', BIN_TO_UUID(NEW.id)));

-- Records passkey.verified, passkey.cloned.
CREATE TRIGGER authsql_passkeys_update_audit
AFTER UPDATE ON authsql_passkeys
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    IF(NEW.cloned_at IS NULL OR NEW.cloned_at <=> OLD.cloned_at, 'passkey.verified', 'passkey.cloned'),
    NEW.user_id,
    JSON_OBJECT('passkey', BIN_TO_UUID(NEW.id))
FROM dual
WHERE NOT (NEW.last_used_at <=> OLD.last_used_at AND (NEW.cloned_at IS NULL OR NEW.cloned_at <=> OLD.cloned_at));

-- Records passkey.removed.
CREATE TRIGGER authsql_passkeys_delete_audit
AFTER DELETE ON authsql_passkeys
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
VALUES ('passkey.removed', OLD.user_id, JSON_OBJECT('passkey', BIN_TO_UUID(OLD.id)));

-- FORCE INDEX: a small table would be scanned, past no lock.
CREATE EVENT authsql_purge_passkey_challenges
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 expired rows of authsql_passkey_challenges.'
DO
DELETE h FROM (
    SELECT c.id
    FROM authsql_passkey_challenges AS c
    WHERE c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.expires_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_passkey_challenges AS h FORCE INDEX (PRIMARY) ON e.id = h.id;

-- Expired rows that the purge has not removed yet.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW authsql_expiry_backlog AS
SELECT
    'authsql_otps' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(o.purge_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(o.purge_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_otps AS o
WHERE o.purge_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_sessions' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(s.absolute_expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(s.absolute_expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_sessions AS s
WHERE s.absolute_expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_users' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(u.deleted_at) + INTERVAL MAX(r.keep_days) DAY AS oldest_expired_at,
    COALESCE(
        TIMESTAMPDIFF(SECOND, MIN(u.deleted_at) + INTERVAL MAX(r.keep_days) DAY, UTC_TIMESTAMP(6)), 0
    ) AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_users AS u ON u.deleted_at <= UTC_TIMESTAMP(6) - INTERVAL r.keep_days DAY
WHERE r.table_name = 'authsql_users'
UNION ALL
SELECT
    'authsql_audit_log' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(a.occurred_at) + INTERVAL MAX(r.keep_days) DAY AS oldest_expired_at,
    COALESCE(
        TIMESTAMPDIFF(SECOND, MIN(a.occurred_at) + INTERVAL MAX(r.keep_days) DAY, UTC_TIMESTAMP(6)), 0
    ) AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_audit_log AS a ON a.occurred_at <= UTC_TIMESTAMP(6) - INTERVAL r.keep_days DAY
WHERE r.table_name = 'authsql_audit_log'
UNION ALL
SELECT
    'authsql_known_devices' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(d.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(d.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_known_devices AS d
WHERE d.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_former_emails' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(f.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(f.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_former_emails AS f
WHERE f.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_rate_limits' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(r.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(r.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_rate_limits AS r
WHERE r.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_outbox' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(m.purge_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(m.purge_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_outbox AS m
WHERE m.purge_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_totp_factors' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(t.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(t.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_totp_factors AS t
WHERE t.expires_at <= UTC_TIMESTAMP(6)
UNION ALL
SELECT
    'authsql_passkey_challenges' AS table_name,
    COUNT(*) AS expired_rows,
    MIN(c.expires_at) AS oldest_expired_at,
    COALESCE(TIMESTAMPDIFF(SECOND, MIN(c.expires_at), UTC_TIMESTAMP(6)), 0) AS lag_seconds
FROM authsql_passkey_challenges AS c
WHERE c.expires_at <= UTC_TIMESTAMP(6);

-- One row for each way by which an account can be entered without mail: its password, its identities, its passkeys.
-- A passkey is a way to sign in: what removes another one may leave it as the last. Its id tells it from its like.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW authsql_ways_in AS
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
FROM authsql_identities AS i
UNION ALL
SELECT
    k.user_id,
    'passkey' AS kind,
    NULL AS provider,
    CONVERT(BIN_TO_UUID(k.id) USING utf8mb4) COLLATE utf8mb4_bin AS subject
FROM authsql_passkeys AS k;

INSERT INTO authsql_schema_version (version, name) VALUES (22, 'passkeys');
