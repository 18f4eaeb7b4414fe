-- Mail to be sent. Functions: authsql/outbox.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, they are sent one after
-- the other, and the last one's rows are the answer. FORCE INDEX: where the table is small the server would rather scan it,
-- and wait for rows that another sender has locked.

-- name: enqueue
-- Queue a mail, in the caller's transaction. If one of that dedup_hash is there already, that one stays as it is.
INSERT INTO authsql_outbox (id, recipient, template, body, key_name, dedup_hash, expires_at, purge_at)
VALUES (
    %(id)s,
    %(recipient)s,
    %(template)s,
    %(body)s,
    %(key_name)s,
    %(dedup_hash)s,
    COALESCE(CAST(%(expires_at)s AS DATETIME(6)), UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND),
    COALESCE(CAST(%(expires_at)s AS DATETIME(6)), UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND)
    + INTERVAL %(kept)s MICROSECOND
)
ON DUPLICATE KEY UPDATE attempts = authsql_outbox.attempts;

-- name: enqueue__2
-- Whether it got in. No row: one of that dedup_hash is there already.
SELECT m.id
FROM authsql_outbox AS m
WHERE m.id = %(id)s;

-- name: duplicate
-- The mail of that dedup_hash. FOR SHARE: the caller's transaction may be older than it.
SELECT m.id
FROM authsql_outbox AS m
WHERE m.dedup_hash = %(dedup_hash)s
FOR SHARE;

-- name: drop_expired
-- Give up mail that is of no use any more, and wipe what it says. A sender that is at work on one is left alone until its
-- lease ends.
UPDATE (
    SELECT c.id
    FROM authsql_outbox AS c
    WHERE c.next_attempt_at <= UTC_TIMESTAMP(6) AND c.expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.next_attempt_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_outbox AS m FORCE INDEX (PRIMARY) ON e.id = m.id
SET
    m.failed_at = UTC_TIMESTAMP(6),
    m.last_error = COALESCE(m.last_error, 'expired'),
    m.body = NULL,
    m.next_attempt_at = NULL,
    m.lease_id = NULL;

-- name: lease
-- Take mail that is due, past what another sender takes at the moment. The attempt is counted before it is made. If the
-- sender does not say how it went, it is due again when the lease ends.
UPDATE (
    SELECT c.id
    FROM authsql_outbox AS c
    WHERE c.next_attempt_at <= UTC_TIMESTAMP(6) AND c.expires_at > UTC_TIMESTAMP(6)
    ORDER BY c.next_attempt_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
) AS d
STRAIGHT_JOIN authsql_outbox AS m FORCE INDEX (PRIMARY) ON d.id = m.id
SET
    m.lease_id = %(lease_id)s,
    m.attempts = m.attempts + 1,
    m.next_attempt_at = UTC_TIMESTAMP(6) + INTERVAL %(lease)s MICROSECOND;

-- name: lease__2
-- What was taken. Uses authsql_outbox_lease_id_idx.
SELECT
    m.id,
    m.lease_id,
    m.recipient,
    m.template,
    m.body,
    m.attempts,
    m.created_at,
    m.expires_at,
    m.next_attempt_at AS leased_until
FROM authsql_outbox AS m
WHERE m.lease_id = %(lease_id)s
ORDER BY m.created_at, m.id;

-- name: mark_sent
-- Note that the mail server took it, and wipe what it said. Only under the lease that it was taken by.
UPDATE authsql_outbox AS m
SET m.sent_at = UTC_TIMESTAMP(6), m.last_error = NULL, m.body = NULL, m.next_attempt_at = NULL, m.lease_id = NULL
WHERE m.id = %(id)s AND m.lease_id = %(lease_id)s;

-- name: mark_failed
-- Note that an attempt failed: the next one is later, each time for twice as long; if final, there is none, and what it
-- said is wiped. Only under the lease that it was taken by.
UPDATE authsql_outbox AS m
SET
    m.last_error = %(error)s,
    m.failed_at = IF(%(final)s, UTC_TIMESTAMP(6), NULL),
    m.body = IF(%(final)s, NULL, m.body),
    m.next_attempt_at = IF(
        %(final)s,
        NULL,
        LEAST(
            UTC_TIMESTAMP(6)
            + INTERVAL LEAST(%(retry_base)s * (1 << (LEAST(m.attempts, 20) - 1)), %(retry_max)s) MICROSECOND,
            m.expires_at
        )
    ),
    m.lease_id = NULL
WHERE m.id = %(id)s AND m.lease_id = %(lease_id)s;
