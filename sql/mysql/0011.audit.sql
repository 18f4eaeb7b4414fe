-- 0011.audit: who did what, when and from where, written by triggers, so that an UPDATE typed by hand is recorded too; and
-- how long the log and soft-deleted users are kept, which is a setting in a table.
-- depends: 0010.views
-- transactional: false
-- Locks: metadata locks on authsql_users, for an instant to add a column without default, and for an instant at either end of
-- making its index (in place, writers go on, as long as one scan of the table takes); on the eight audited tables while their
-- triggers are made, and on the view authsql_expiry_backlog while it is replaced: an instant each. Needs the privileges ALTER,
-- INDEX and EVENT.
-- Rollback: drops the log with all its entries, and the settings; soft-deleted users are no longer purged.

CREATE TABLE authsql_retention (
    table_name VARCHAR(64) COLLATE utf8mb4_bin NOT NULL
    COMMENT 'Whose rows. A table that is not here keeps its rows for ever.',
    keep_days INT NOT NULL
    COMMENT 'Days, of 24 hours: of authsql_audit_log since the event, of authsql_users since the soft deletion.',
    CONSTRAINT authsql_retention_pkey PRIMARY KEY (table_name),
    CONSTRAINT authsql_retention_table_name_check CHECK (CHAR_LENGTH(table_name) >= 1),
    CONSTRAINT authsql_retention_keep_days_check CHECK (keep_days BETWEEN 1 AND 36500)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'How long rows are kept that have no end of their own. The purge goes by it: change it by UPDATE.';

INSERT INTO authsql_retention (table_name, keep_days) VALUES
('authsql_audit_log', 365),
('authsql_users', 30);

-- No foreign key: the log outlives the user. No unique key but the number: an entry waits for nobody.
-- Differs from postgres, where nobody moves the clock: SET timestamp, which takes no privilege, moves UTC_TIMESTAMP, and with the
-- option sysdate-is-now SYSDATE too. It does not move the time in a UUID: tenths of microseconds since 1582, in UTC. So here,
-- and where a trigger decides by the time whether something is told of or refused. A trigger gives the time: a default would be
-- worked out with the character set of the caller's connection, and SET NAMES would move it. The default stands for now.
CREATE TABLE authsql_audit_log (
    number BIGINT NOT NULL AUTO_INCREMENT
    COMMENT 'Rises with each entry, with gaps. An entry of a longer transaction may show up after a higher one.',
    occurred_at DATETIME(6) NOT NULL DEFAULT '1000-01-01 00:00:00'
    COMMENT 'When it happened, by the clock of the database.',
    event VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'What happened, as subject.verb. What begins with app. is of the application.',
    user_id BINARY(16) NULL
    COMMENT 'The user whom it concerns; may be gone by now. NULL: nobody, or not known.',
    actor_id BINARY(16) NULL
    COMMENT 'The user who did it, as the application said (see audit.set_context). NULL: it did not say.',
    session_id BINARY(16) NULL
    COMMENT 'The session that it is about, or else the one that it was done in, as the application said.',
    ip VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NULL
    COMMENT 'Address of the new session, or else where the request came from, as the application said.',
    user_agent VARCHAR(512) COLLATE utf8mb4_bin NULL COMMENT 'User-Agent header, from the same place as ip.',
    db_user VARCHAR(288) COLLATE utf8mb4_bin NOT NULL DEFAULT (USER()) COMMENT 'Who was logged in to the database.',
    detail JSON NOT NULL DEFAULT (JSON_OBJECT()) COMMENT 'JSON object: what else there is to say, by event.',
    CONSTRAINT authsql_audit_log_pkey PRIMARY KEY (number),
    INDEX authsql_audit_log_user_id_idx (user_id, number),
    INDEX authsql_audit_log_event_idx (event, number),
    -- For the erasure of a user.
    INDEX authsql_audit_log_actor_id_idx (actor_id, number),
    -- For the purge.
    INDEX authsql_audit_log_occurred_at_idx (occurred_at),
    -- Two simple patterns: in MySQL, $ would let a line feed at the end pass.
    CONSTRAINT authsql_audit_log_event_check CHECK (
        event REGEXP '^[a-z][a-z0-9_-]*([.][a-z][a-z0-9_-]*)+$' AND event NOT REGEXP '[^a-z0-9_.-]'
    ),
    CONSTRAINT authsql_audit_log_ip_check CHECK (IS_IPV4(ip) OR IS_IPV6(ip)),
    CONSTRAINT authsql_audit_log_detail_check CHECK (JSON_TYPE(detail) = 'OBJECT')
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'What happened to accounts. Triggers write it; it takes inserts only. It holds no secret, no code and no e-mail.';

-- When it happened, and what the application said about who and from where. Ids as BINARY(16) or as text.
-- Differs from postgres: a trigger, because the default of a column knows no user variable.
CREATE TRIGGER authsql_audit_log_insert
BEFORE INSERT ON authsql_audit_log
FOR EACH ROW
SET
    NEW.occurred_at = IF(
        NEW.occurred_at = TIMESTAMP '1000-01-01 00:00:00',
        TIMESTAMP '1582-10-15 00:00:00'
        + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND,
        NEW.occurred_at
    ),
    NEW.actor_id = COALESCE(
        NEW.actor_id,
        UUID_TO_BIN(IF(
            LENGTH(@authsql_actor_id) = 16,
            BIN_TO_UUID(CAST(@authsql_actor_id AS BINARY(16))),
            CONVERT(@authsql_actor_id USING utf8mb4)
        ))
    ),
    NEW.session_id = COALESCE(
        NEW.session_id,
        UUID_TO_BIN(IF(
            LENGTH(@authsql_session_id) = 16,
            BIN_TO_UUID(CAST(@authsql_session_id AS BINARY(16))),
            CONVERT(@authsql_session_id USING utf8mb4)
        ))
    ),
    NEW.ip = COALESCE(NEW.ip, @authsql_ip),
    NEW.user_agent = COALESCE(NEW.user_agent, LEFT(@authsql_user_agent, 512));

-- What is refused. Differs from postgres: SIGNAL under a condition takes more than one statement. UUID_TO_BIN refuses what is
-- no UUID, under any sql_mode and with IGNORE too, and says what it was given: that is the message.

-- SET insert_id, which takes no privilege, chooses the number of the next entry: the highest one would be the last of all. So
-- does auto_increment_offset.
CREATE TRIGGER authsql_audit_log_insert_number
BEFORE INSERT ON authsql_audit_log
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(
    @@session.insert_id = 0
    AND @@session.auto_increment_increment = @@global.auto_increment_increment
    AND @@session.auto_increment_offset = @@global.auto_increment_offset,
    NULL,
    'the audit log numbers its entries itself'
));

-- The same: SET insert_id = 0 shows in the number alone, and that is known when the row is there.
CREATE TRIGGER authsql_audit_log_insert_zero
AFTER INSERT ON authsql_audit_log
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(NEW.number > 0, NULL, 'the audit log numbers its entries itself'));

-- Only a redaction: ip, user_agent and detail may be emptied. By their bytes: blanks at the end make no difference to =.
CREATE TRIGGER authsql_audit_log_update
BEFORE UPDATE ON authsql_audit_log
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(
    NEW.number = OLD.number
    AND NEW.occurred_at = OLD.occurred_at
    AND NEW.event = OLD.event
    AND NEW.user_id <=> OLD.user_id
    AND NEW.actor_id <=> OLD.actor_id
    AND NEW.session_id <=> OLD.session_id
    AND NEW.db_user = OLD.db_user
    AND (NEW.ip IS NULL OR CAST(NEW.ip AS BINARY) <=> CAST(OLD.ip AS BINARY))
    AND (NEW.user_agent IS NULL OR CAST(NEW.user_agent AS BINARY) <=> CAST(OLD.user_agent AS BINARY))
    AND (NEW.detail = CAST('{}' AS JSON) OR CAST(NEW.detail AS CHAR) = CAST(OLD.detail AS CHAR)),
    NULL,
    'the audit log takes inserts only'
));

-- Only entries that are older than authsql_retention says. A UUID's time runs ahead where they are made by the million, and
-- SYSDATE does not: the earlier of the two counts.
CREATE TRIGGER authsql_audit_log_delete
BEFORE DELETE ON authsql_audit_log
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(
    EXISTS (
        SELECT 1
        FROM authsql_retention AS r
        WHERE r.table_name = 'authsql_audit_log'
            AND OLD.occurred_at + INTERVAL r.keep_days DAY <= LEAST(
                TIMESTAMP '1582-10-15 00:00:00'
                + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND,
                CONVERT_TZ(SYSDATE(6), @@session.time_zone, '+00:00')
            )
    ),
    NULL,
    'the audit log takes inserts only'
));

-- What an application may write itself: it cannot give another event, time or actor. The check is the view's, which works
-- with the rights of the account that migrated.
CREATE SQL SECURITY DEFINER VIEW authsql_app_events AS
SELECT
    a.event,
    a.user_id,
    a.detail
FROM authsql_audit_log AS a
WHERE LEFT(a.event, 4) = 'app.'
WITH CHECK OPTION;

-- password_verified_at is what the log goes by: an account whose count of failures is cleared may have been unlocked, or
-- given a new password. The index is for the purge. Two statements: one for both would copy the table.
CREATE INDEX authsql_users_deleted_at_idx ON authsql_users (deleted_at);

ALTER TABLE authsql_users
ADD COLUMN password_verified_at DATETIME(6) NULL COMMENT 'When a password was last checked and found right.';

-- What is recorded. A trigger has the rights of the account that migrated, so that nobody who writes to the tables needs a
-- right on the log. Differs from postgres: one statement for each trigger, which inserts what happened, or nothing.

-- Before the default roles, so that the user is created before it is granted a role.
CREATE TRIGGER authsql_users_insert_audit
AFTER INSERT ON authsql_users
FOR EACH ROW PRECEDES authsql_users_insert_default_roles
INSERT INTO authsql_audit_log (event, user_id)
SELECT
    'user.created',
    NEW.id
UNION ALL
SELECT
    'email.verified',
    NEW.id
FROM dual
WHERE NEW.email_verified_at IS NOT NULL;

-- A right password clears the count of failures, too: that is password.verified, and not account.unlocked. Another address is
-- not verified: that is email.changed, and not email.unverified.
CREATE TRIGGER authsql_users_update_audit
AFTER UPDATE ON authsql_users
FOR EACH ROW PRECEDES authsql_users_update_soft_delete
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'email.changed',
    NEW.id,
    JSON_OBJECT()
FROM dual
WHERE CAST(NEW.email AS BINARY) <> CAST(OLD.email AS BINARY)
UNION ALL
SELECT
    'email.verified',
    NEW.id,
    JSON_OBJECT()
FROM dual
WHERE NEW.email_verified_at IS NOT NULL AND (OLD.email_verified_at IS NULL OR LOWER(NEW.email) <> LOWER(OLD.email))
UNION ALL
SELECT
    'email.unverified',
    NEW.id,
    JSON_OBJECT()
FROM dual
WHERE OLD.email_verified_at IS NOT NULL AND NEW.email_verified_at IS NULL AND LOWER(NEW.email) = LOWER(OLD.email)
UNION ALL
SELECT
    'password.attempted',
    NEW.id,
    JSON_OBJECT('failures', NEW.failed_attempts)
FROM dual
WHERE NEW.failed_attempts > OLD.failed_attempts
UNION ALL
SELECT
    'password.verified',
    NEW.id,
    JSON_OBJECT()
FROM dual
WHERE COALESCE(NEW.password_verified_at > OLD.password_verified_at, NEW.password_verified_at IS NOT NULL)
UNION ALL
SELECT
    'account.locked',
    NEW.id,
    JSON_OBJECT('retry_at', CONCAT(REPLACE(NEW.locked_until, ' ', 'T'), 'Z'))
FROM dual
WHERE NOT (NEW.locked_until <=> OLD.locked_until)
    AND NEW.locked_until > TIMESTAMP '1582-10-15 00:00:00'
    + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND
UNION ALL
SELECT
    'account.unlocked',
    NEW.id,
    JSON_OBJECT()
FROM dual
WHERE NEW.password_verified_at <=> OLD.password_verified_at
    AND (
        NEW.failed_attempts < OLD.failed_attempts
        OR (
            NOT (NEW.locked_until <=> OLD.locked_until)
            AND OLD.locked_until > TIMESTAMP '1582-10-15 00:00:00'
            + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND
            AND (
                NEW.locked_until IS NULL
                OR NEW.locked_until <= TIMESTAMP '1582-10-15 00:00:00'
                + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND
            )
        )
    )
UNION ALL
SELECT
    'user.soft_deleted',
    NEW.id,
    JSON_OBJECT()
FROM dual
WHERE OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL
UNION ALL
SELECT
    'user.reactivated',
    NEW.id,
    JSON_OBJECT()
FROM dual
WHERE OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL
UNION ALL
SELECT
    'user.reactivation_moved',
    NEW.id,
    JSON_OBJECT('reactivatable_at', CONCAT(REPLACE(NEW.reactivatable_at, ' ', 'T'), 'Z'))
FROM dual
WHERE OLD.deleted_at = NEW.deleted_at AND NOT (NEW.reactivatable_at <=> OLD.reactivatable_at);

-- What no entry would make good: one account in the place of another.
CREATE TRIGGER authsql_users_update_id
BEFORE UPDATE ON authsql_users
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(NEW.id <> OLD.id, 'a user keeps their id', NULL));

-- Records user.deleted.
CREATE TRIGGER authsql_users_delete_audit
AFTER DELETE ON authsql_users
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id) VALUES ('user.deleted', OLD.id);

-- What a foreign key deletes or renames fires no trigger: what goes with its user or its role is not recorded.
-- Differs from postgres, where it does, and the functions look whether that still exists.

-- Records password.set, password.change_required.
CREATE TRIGGER authsql_passwords_insert_audit
AFTER INSERT ON authsql_passwords
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id)
SELECT
    'password.set',
    NEW.user_id
UNION ALL
SELECT
    'password.change_required',
    NEW.user_id
FROM dual
WHERE NEW.must_change_since IS NOT NULL;

-- Records password.changed, password.rehashed, password.change_required, password.change_waived: another password is a change.
CREATE TRIGGER authsql_passwords_update_audit
AFTER UPDATE ON authsql_passwords
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id)
SELECT
    IF(NEW.rehashed_at <=> OLD.rehashed_at, 'password.changed', 'password.rehashed'),
    NEW.user_id
FROM dual
WHERE NEW.hash <> OLD.hash AND NEW.user_id = OLD.user_id
UNION ALL
SELECT
    'password.removed',
    OLD.user_id
FROM dual
WHERE NEW.user_id <> OLD.user_id
UNION ALL
SELECT
    'password.set',
    NEW.user_id
FROM dual
WHERE NEW.user_id <> OLD.user_id
UNION ALL
SELECT
    'password.change_required',
    NEW.user_id
FROM dual
WHERE OLD.must_change_since IS NULL AND NEW.must_change_since IS NOT NULL
UNION ALL
SELECT
    'password.change_waived',
    NEW.user_id
FROM dual
WHERE OLD.must_change_since IS NOT NULL
    AND NEW.must_change_since IS NULL
    AND (NEW.hash = OLD.hash OR NOT (NEW.rehashed_at <=> OLD.rehashed_at));

-- Records password.removed.
CREATE TRIGGER authsql_passwords_delete_audit
AFTER DELETE ON authsql_passwords
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id) VALUES ('password.removed', OLD.user_id);

-- Records identity.linked, identity.signed_in.
CREATE TRIGGER authsql_identities_insert_audit
AFTER INSERT ON authsql_identities
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'identity.linked',
    NEW.user_id,
    JSON_OBJECT('provider', NEW.provider)
UNION ALL
SELECT
    'identity.signed_in',
    NEW.user_id,
    JSON_OBJECT('provider', NEW.provider)
FROM dual
WHERE NEW.last_login_at IS NOT NULL;

-- Records identity.signed_in, and identity.unlinked and identity.linked of one that is made another.
CREATE TRIGGER authsql_identities_update_audit
AFTER UPDATE ON authsql_identities
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'identity.unlinked',
    OLD.user_id,
    JSON_OBJECT('provider', OLD.provider)
FROM dual
WHERE NEW.provider <> OLD.provider OR NEW.subject <> OLD.subject OR NEW.user_id <> OLD.user_id
UNION ALL
SELECT
    'identity.linked',
    NEW.user_id,
    JSON_OBJECT('provider', NEW.provider)
FROM dual
WHERE NEW.provider <> OLD.provider OR NEW.subject <> OLD.subject OR NEW.user_id <> OLD.user_id
UNION ALL
SELECT
    'identity.signed_in',
    NEW.user_id,
    JSON_OBJECT('provider', NEW.provider)
FROM dual
WHERE COALESCE(NEW.last_login_at > OLD.last_login_at, NEW.last_login_at IS NOT NULL);

-- Records identity.unlinked.
CREATE TRIGGER authsql_identities_delete_audit
AFTER DELETE ON authsql_identities
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
VALUES ('identity.unlinked', OLD.user_id, JSON_OBJECT('provider', OLD.provider));

-- The subject of a code may be an e-mail address, and is left out.
CREATE TRIGGER authsql_otps_insert_audit
AFTER INSERT ON authsql_otps
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
VALUES ('code.issued', NEW.user_id, JSON_OBJECT('purpose', NEW.purpose));

-- Records code.issued, code.failed, code.verified.
CREATE TRIGGER authsql_otps_update_audit
AFTER UPDATE ON authsql_otps
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    CASE
        WHEN NEW.issue_id <> OLD.issue_id THEN 'code.issued'
        WHEN NEW.spent_at IS NULL THEN 'code.failed'
        ELSE 'code.verified'
    END,
    NEW.user_id,
    JSON_OBJECT('purpose', NEW.purpose)
FROM dual
WHERE NEW.issue_id <> OLD.issue_id
    OR NEW.attempts > OLD.attempts
    OR (NEW.spent_at IS NOT NULL AND OLD.spent_at IS NULL);

-- What no entry would make good: a session that was ended lives again, or is somebody else's, or another one.
CREATE TRIGGER authsql_sessions_update
BEFORE UPDATE ON authsql_sessions
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(
    (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL) OR NEW.user_id <> OLD.user_id OR NEW.id <> OLD.id,
    'a session stays ended, and its user''s',
    NULL
));

-- Records session.created.
CREATE TRIGGER authsql_sessions_insert_audit
AFTER INSERT ON authsql_sessions
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, session_id, ip, user_agent, detail)
VALUES ('session.created', NEW.user_id, NEW.id, NEW.ip, NEW.user_agent, JSON_OBJECT('aal', NEW.aal));

-- Records session.revoked, session.prolonged.
CREATE TRIGGER authsql_sessions_update_audit
AFTER UPDATE ON authsql_sessions
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, session_id, detail)
SELECT
    'session.revoked',
    NEW.user_id,
    NEW.id,
    JSON_OBJECT('reason', NEW.revoke_reason)
FROM dual
WHERE OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
UNION ALL
SELECT
    'session.prolonged',
    NEW.user_id,
    NEW.id,
    JSON_OBJECT('absolute_expires_at', CONCAT(REPLACE(NEW.absolute_expires_at, ' ', 'T'), 'Z'))
FROM dual
WHERE NEW.absolute_expires_at > OLD.absolute_expires_at;

-- A live session whose row is deleted. The purge deletes ended ones only.
CREATE TRIGGER authsql_sessions_delete_audit
AFTER DELETE ON authsql_sessions
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, session_id, detail)
SELECT
    'session.revoked',
    OLD.user_id,
    OLD.id,
    JSON_OBJECT('reason', 'row_deleted')
FROM dual
WHERE OLD.revoked_at IS NULL
    AND OLD.expires_at > TIMESTAMP '1582-10-15 00:00:00'
    + INTERVAL CAST(CONV(SUBSTRING(HEX(UUID_TO_BIN(UUID(), 1)), 2, 15), 16, 10) AS UNSIGNED) DIV 10 MICROSECOND;

-- Records role.created.
CREATE TRIGGER authsql_roles_insert_audit
AFTER INSERT ON authsql_roles
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
VALUES ('role.created', JSON_OBJECT('role', NEW.role, 'is_default', NEW.is_default IS TRUE));

-- Renamed, or made a default or no default.
CREATE TRIGGER authsql_roles_update_audit
AFTER UPDATE ON authsql_roles
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
SELECT
    'role.changed',
    JSON_OBJECT('role', NEW.role, 'was', OLD.role, 'is_default', NEW.is_default IS TRUE)
FROM dual
WHERE NEW.role <> OLD.role OR NEW.is_default <> OLD.is_default;

-- Records role.deleted.
CREATE TRIGGER authsql_roles_delete_audit
AFTER DELETE ON authsql_roles
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
VALUES ('role.deleted', JSON_OBJECT('role', OLD.role));

-- Records role.granted.
CREATE TRIGGER authsql_user_roles_insert_audit
AFTER INSERT ON authsql_user_roles
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
VALUES ('role.granted', NEW.user_id, JSON_OBJECT('role', NEW.role));

-- Records role.revoked and role.granted, of a grant that is made another.
CREATE TRIGGER authsql_user_roles_update_audit
AFTER UPDATE ON authsql_user_roles
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'role.revoked',
    OLD.user_id,
    JSON_OBJECT('role', OLD.role)
FROM dual
WHERE NEW.user_id <> OLD.user_id OR NEW.role <> OLD.role
UNION ALL
SELECT
    'role.granted',
    NEW.user_id,
    JSON_OBJECT('role', NEW.role)
FROM dual
WHERE NEW.user_id <> OLD.user_id OR NEW.role <> OLD.role;

-- Records role.revoked.
CREATE TRIGGER authsql_user_roles_delete_audit
AFTER DELETE ON authsql_user_roles
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
VALUES ('role.revoked', OLD.user_id, JSON_OBJECT('role', OLD.role));

-- Records permission.granted.
CREATE TRIGGER authsql_role_permissions_insert_audit
AFTER INSERT ON authsql_role_permissions
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
VALUES ('permission.granted', JSON_OBJECT('role', NEW.role, 'permission', NEW.permission));

-- Records permission.revoked and permission.granted, of one that is made another.
CREATE TRIGGER authsql_role_permissions_update_audit
AFTER UPDATE ON authsql_role_permissions
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
SELECT
    'permission.revoked',
    JSON_OBJECT('role', OLD.role, 'permission', OLD.permission)
FROM dual
WHERE NEW.role <> OLD.role OR NEW.permission <> OLD.permission
UNION ALL
SELECT
    'permission.granted',
    JSON_OBJECT('role', NEW.role, 'permission', NEW.permission)
FROM dual
WHERE NEW.role <> OLD.role OR NEW.permission <> OLD.permission;

-- Records permission.revoked.
CREATE TRIGGER authsql_role_permissions_delete_audit
AFTER DELETE ON authsql_role_permissions
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
VALUES ('permission.revoked', JSON_OBJECT('role', OLD.role, 'permission', OLD.permission));

-- From for ever.
CREATE TRIGGER authsql_retention_insert_audit
AFTER INSERT ON authsql_retention
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
VALUES (
    'retention.changed',
    JSON_OBJECT('table_name', NEW.table_name, 'keep_days', NEW.keep_days, 'was', NULL)
);

-- Records retention.changed, of both tables where the row is made another table's.
CREATE TRIGGER authsql_retention_update_audit
AFTER UPDATE ON authsql_retention
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
SELECT
    'retention.changed',
    JSON_OBJECT('table_name', NEW.table_name, 'keep_days', NEW.keep_days, 'was', OLD.keep_days)
FROM dual
WHERE NEW.table_name = OLD.table_name
UNION ALL
SELECT
    'retention.changed',
    JSON_OBJECT('table_name', OLD.table_name, 'keep_days', NULL, 'was', OLD.keep_days)
FROM dual
WHERE NEW.table_name <> OLD.table_name
UNION ALL
SELECT
    'retention.changed',
    JSON_OBJECT('table_name', NEW.table_name, 'keep_days', NEW.keep_days, 'was', NULL)
FROM dual
WHERE NEW.table_name <> OLD.table_name;

-- To for ever.
CREATE TRIGGER authsql_retention_delete_audit
AFTER DELETE ON authsql_retention
FOR EACH ROW
INSERT INTO authsql_audit_log (event, detail)
VALUES (
    'retention.changed',
    JSON_OBJECT('table_name', OLD.table_name, 'keep_days', NULL, 'was', OLD.keep_days)
);

-- The purge, as in 0009.

CREATE EVENT authsql_purge_audit_log
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 entries of authsql_audit_log that are older than authsql_retention says.'
DO
DELETE a FROM (
    SELECT c.number
    FROM authsql_audit_log AS c
    WHERE c.occurred_at <= UTC_TIMESTAMP(6) - INTERVAL (
        SELECT r.keep_days
        FROM authsql_retention AS r
        WHERE r.table_name = 'authsql_audit_log'
    ) DAY
    ORDER BY c.occurred_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_audit_log AS a ON e.number = a.number;

CREATE EVENT authsql_purge_users
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 1000 users who were soft-deleted longer ago than authsql_retention says, and all that belongs to them.'
DO
DELETE u FROM (
    SELECT c.id
    FROM authsql_users AS c
    WHERE c.deleted_at <= UTC_TIMESTAMP(6) - INTERVAL (
        SELECT r.keep_days
        FROM authsql_retention AS r
        WHERE r.table_name = 'authsql_users'
    ) DAY
    ORDER BY c.deleted_at
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_users AS u ON e.id = u.id;

-- For whoever looks in: expired rows that the purge has not removed yet.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW authsql_expiry_backlog AS
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
WHERE r.table_name = 'authsql_audit_log';

-- The audit log, with the e-mails of whom it concerns and of who did it, as far as they are still there.
CREATE SQL SECURITY DEFINER VIEW authsql_audit_trail AS
SELECT
    a.number,
    a.occurred_at,
    a.event,
    BIN_TO_UUID(a.user_id) AS user_id,
    u.email,
    BIN_TO_UUID(a.actor_id) AS actor_id,
    w.email AS actor_email,
    BIN_TO_UUID(a.session_id) AS session_id,
    a.ip,
    a.user_agent,
    a.db_user,
    a.detail
FROM authsql_audit_log AS a
LEFT JOIN authsql_users AS u ON a.user_id = u.id
LEFT JOIN authsql_users AS w ON a.actor_id = w.id;

INSERT INTO authsql_schema_version (version, name) VALUES (11, 'audit');
