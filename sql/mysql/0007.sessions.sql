-- 0007.sessions: one row for each sign-in on a device. A session is found by its id, and its token's hash is compared
-- in the same predicate. Also here: what ends sessions whoever does it (a changed password, a deleted account).
-- depends: 0006.otps
-- transactional: false
-- Locks: metadata locks on authsql_users and authsql_passwords while their triggers are made.
-- Rollback: drops every session; users must sign in again.

-- Neither of the columns that change while a session lives (last_seen_at, expires_at) is indexed: a touch writes no
-- index. The purge goes by the end that never changes.
CREATE TABLE authsql_sessions (
    id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'UUID version 7, also the first part of the token. Not a secret.',
    user_id BINARY(16) NOT NULL COMMENT 'Who signed in.',
    secret_hash BINARY(32) NOT NULL COMMENT 'SHA-256 of the token''s secret, 32 random bytes.',
    ip VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'Address the sign-in came from.',
    user_agent VARCHAR(512) COLLATE utf8mb4_bin NULL
    COMMENT 'User-Agent header of the sign-in, cut at 512 characters.',
    device VARCHAR(100) COLLATE utf8mb4_bin NULL COMMENT 'Name of the device, for the list that its owner sees.',
    aal SMALLINT NOT NULL DEFAULT 1
    COMMENT 'Authentication assurance level of the sign-in (NIST SP 800-63B): 1, 2 or 3.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the session was created.',
    authenticated_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
    COMMENT 'When the user last proved who they are in this session.',
    last_seen_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6))
    COMMENT 'When the session was last used; moves at most once a minute.',
    expires_at DATETIME(6) NOT NULL COMMENT 'Idle end: moves on with use, never past absolute_expires_at.',
    absolute_expires_at DATETIME(6) NOT NULL COMMENT 'Absolute end: never moves. The row is purged after it.',
    revoked_at DATETIME(6) NULL COMMENT 'When the session was ended before its time. NULL: it was not.',
    revoke_reason VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL
    COMMENT 'Why: sign_out, revoked, session_cap, password_change, user_deleted, refresh_token_reuse or one of the application.',
    CONSTRAINT authsql_sessions_pkey PRIMARY KEY (id),
    INDEX authsql_sessions_user_id_idx (user_id),
    INDEX authsql_sessions_absolute_expires_at_idx (absolute_expires_at),
    CONSTRAINT authsql_sessions_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_sessions_ip_check CHECK (IS_IPV4(ip) OR IS_IPV6(ip)),
    CONSTRAINT authsql_sessions_device_check CHECK (CHAR_LENGTH(device) >= 1),
    CONSTRAINT authsql_sessions_aal_check CHECK (aal BETWEEN 1 AND 3),
    CONSTRAINT authsql_sessions_expires_at_check CHECK (
        expires_at > created_at AND expires_at <= absolute_expires_at
    ),
    CONSTRAINT authsql_sessions_revoke_reason_check CHECK (
        revoke_reason IS NULL
        OR (revoked_at IS NOT NULL AND revoke_reason REGEXP '^[a-z]' AND revoke_reason NOT REGEXP '[^a-z0-9_-]')
    )
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Sign-ins. A session is live while it is not revoked and neither of its two ends has passed.';

-- A soft-deleted user has no sessions. The condition stands where the key is looked up, so that any other UPDATE of a
-- user neither reads nor locks a session.
CREATE TRIGGER authsql_users_update_soft_delete
AFTER UPDATE ON authsql_users
FOR EACH ROW
UPDATE authsql_sessions AS s
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = 'user_deleted'
WHERE s.user_id = IF(OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL, NEW.id, NULL)
    AND s.revoked_at IS NULL;

-- A changed password ends all sessions but keep_session_id...
CREATE TRIGGER authsql_passwords_update
BEFORE UPDATE ON authsql_passwords
FOR EACH ROW
UPDATE authsql_sessions AS s
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = 'password_change'
WHERE s.user_id = IF(NEW.hash <> OLD.hash AND NEW.rehashed_at <=> OLD.rehashed_at, NEW.user_id, NULL)
    AND s.revoked_at IS NULL
    AND NOT (s.id <=> NEW.keep_session_id);

-- ... and dates itself.
-- Differs from postgres: a second trigger, because the body of a trigger is one statement here (see CONVENTIONS.md).
CREATE TRIGGER authsql_passwords_update_2
BEFORE UPDATE ON authsql_passwords
FOR EACH ROW FOLLOWS authsql_passwords_update
SET
    NEW.changed_at = IF(
        NEW.hash <> OLD.hash AND NEW.rehashed_at <=> OLD.rehashed_at, UTC_TIMESTAMP(6), NEW.changed_at
    ),
    NEW.keep_session_id = NULL;

INSERT INTO authsql_schema_version (version, name) VALUES (7, 'sessions');
