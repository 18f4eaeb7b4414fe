-- 0018.outbox: mail that is to be sent. The row is written in the transaction that calls for the mail, so that there is
-- no mail without the change and no change without the mail; a sender takes it from there. What it says is encrypted.
-- depends: 0017.rate_limits
-- transactional: false
-- Locks: a metadata lock on the view authsql_expiry_backlog while it is replaced (who reads it waits for an instant).
-- Needs the privilege EVENT. Rollback: drops the queue; mail that was not sent is lost.

-- Indexes: what is due (what was sent or given up has NULL there); what a sender has just taken, which it reads by it;
-- what is to be purged. The check on the state: sent, given up, or still to be sent and with something to send.
CREATE TABLE authsql_outbox (
    id BINARY(16) NOT NULL DEFAULT (
        UNHEX(CONCAT(
            LPAD(HEX(CAST(UNIX_TIMESTAMP(CURRENT_TIMESTAMP(3)) * 1000 AS UNSIGNED)), 12, '0'),
            '7', SUBSTRING(HEX(RANDOM_BYTES(2)), 2),
            ELT(1 + (ORD(RANDOM_BYTES(1)) & 3), '8', '9', 'A', 'B'), SUBSTRING(HEX(RANDOM_BYTES(8)), 2)
        ))
    ) COMMENT 'UUID version 7, also the first part of the Message-ID. Not a secret.',
    recipient VARCHAR(254) COLLATE utf8mb4_bin NOT NULL COMMENT 'Address that the mail goes to.',
    template VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'What the mail is made of: signin, password-reset, new-device or any other template of the application.',
    body MEDIUMBLOB NULL
    COMMENT 'Subject and text, encrypted (AES-256-GCM) for this row and recipient under a key that is not in the database. NULL: wiped, as it was sent or given up.',
    key_name VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
    COMMENT 'Name of the key that body is encrypted under. Not a secret.',
    dedup_hash BINARY(32) NULL
    COMMENT 'SHA-256 of what the application calls this mail, so that it is not queued twice. NULL: it may be.',
    attempts INT NOT NULL DEFAULT 0 COMMENT 'How often a sender took it.',
    next_attempt_at DATETIME(6) NULL DEFAULT (UTC_TIMESTAMP(6))
    COMMENT 'No sender takes it before then: the end of a lease, or of the wait after a failure. NULL: it was sent or given up.',
    lease_id BINARY(16) NULL
    COMMENT 'The lease under which a sender has it. Another one takes it when next_attempt_at has come. NULL: nobody has it.',
    sent_at DATETIME(6) NULL COMMENT 'When the mail server took it. NULL: not yet.',
    failed_at DATETIME(6) NULL COMMENT 'When it was given up. NULL: it was not.',
    last_error VARCHAR(200) COLLATE utf8mb4_bin NULL
    COMMENT 'Why the last attempt failed: kind of error and codes of the mail server.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was queued.',
    expires_at DATETIME(6) NOT NULL COMMENT 'It is of no use from then on, and is not sent.',
    purge_at DATETIME(6) NOT NULL COMMENT 'The row is purged then.',
    CONSTRAINT authsql_outbox_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_outbox_dedup_hash_key UNIQUE (dedup_hash),
    INDEX authsql_outbox_next_attempt_at_idx (next_attempt_at),
    INDEX authsql_outbox_lease_id_idx (lease_id),
    INDEX authsql_outbox_purge_at_idx (purge_at),
    CONSTRAINT authsql_outbox_recipient_check CHECK (CHAR_LENGTH(recipient) >= 3 AND LOCATE('@', recipient) > 1),
    CONSTRAINT authsql_outbox_template_check CHECK (template REGEXP '^[a-z]' AND template NOT REGEXP '[^a-z0-9_-]'),
    CONSTRAINT authsql_outbox_body_check CHECK (LENGTH(body) <= 1048576),
    CONSTRAINT authsql_outbox_key_name_check CHECK (CHAR_LENGTH(key_name) >= 1),
    CONSTRAINT authsql_outbox_attempts_check CHECK (attempts >= 0),
    CONSTRAINT authsql_outbox_purge_at_check CHECK (purge_at >= expires_at),
    CONSTRAINT authsql_outbox_state_check CHECK (
        (sent_at IS NULL OR failed_at IS NULL)
        AND (next_attempt_at IS NULL) = (sent_at IS NOT NULL OR failed_at IS NOT NULL)
        AND (body IS NULL) = (next_attempt_at IS NULL)
        AND (lease_id IS NULL OR next_attempt_at IS NOT NULL)
    )
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Mail to be sent: written in the transaction that calls for it, sent afterwards by a sender, at least once.';

-- Differs from postgres: an event (see 0009.purge). FORCE INDEX: a small table would be scanned, past no lock.
CREATE EVENT authsql_purge_outbox
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 old rows of authsql_outbox.'
DO
DELETE m FROM (
    SELECT c.id
    FROM authsql_outbox AS c
    WHERE c.purge_at <= UTC_TIMESTAMP(6)
    ORDER BY c.purge_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_outbox AS m FORCE INDEX (PRIMARY) ON e.id = m.id;

-- Expired rows that the purge has not removed yet.
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
WHERE m.purge_at <= UTC_TIMESTAMP(6);

-- Mail that was neither sent nor given up. What it says is not shown.
CREATE SQL SECURITY DEFINER VIEW authsql_pending_mail AS
SELECT
    BIN_TO_UUID(m.id) AS mail_id,
    m.recipient,
    m.template,
    CASE
        WHEN m.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        WHEN m.next_attempt_at <= UTC_TIMESTAMP(6) THEN 'due'
        WHEN m.lease_id IS NOT NULL THEN 'leased'
        ELSE 'waiting'
    END AS state,
    m.attempts,
    m.next_attempt_at,
    m.last_error,
    m.created_at,
    m.expires_at
FROM authsql_outbox AS m
WHERE m.next_attempt_at IS NOT NULL;

INSERT INTO authsql_schema_version (version, name) VALUES (18, 'outbox');
