-- Mail to be sent. Functions: authsql/outbox.py.

-- name: enqueue
-- Queue a mail, in the caller's transaction. No row: one of that dedup_hash is there already.
INSERT INTO authsql_outbox AS m (id, recipient, template, body, key_name, dedup_hash, expires_at, purge_at)
VALUES (
    %(id)s,
    %(recipient)s,
    %(template)s,
    %(body)s,
    %(key_name)s,
    %(dedup_hash)s,
    coalesce(%(expires_at)s::timestamptz, statement_timestamp() + %(lifetime)s::interval),
    coalesce(%(expires_at)s::timestamptz, statement_timestamp() + %(lifetime)s::interval) + %(kept)s::interval
)
ON CONFLICT (dedup_hash) DO NOTHING
RETURNING m.id;

-- name: duplicate
-- The mail of that dedup_hash.
SELECT m.id
FROM authsql_outbox AS m
WHERE m.dedup_hash = %(dedup_hash)s;

-- name: drop_expired
-- Give up mail that is of no use any more, and wipe what it says. A sender that is at work on one is left alone until its
-- lease ends.
WITH expired AS MATERIALIZED (
    SELECT c.id
    FROM authsql_outbox AS c
    WHERE c.next_attempt_at <= statement_timestamp() AND c.expires_at <= statement_timestamp()
    ORDER BY c.next_attempt_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
)

UPDATE authsql_outbox AS m
SET
    failed_at = statement_timestamp(),
    last_error = coalesce(m.last_error, 'expired'),
    body = NULL,
    next_attempt_at = NULL,
    lease_id = NULL
FROM expired AS e
WHERE m.id = e.id;

-- name: lease
-- Take mail that is due, past what another sender takes at the moment. The attempt is counted before it is made. If the
-- sender does not say how it went, it is due again when the lease ends. MATERIALIZED: chosen once, so that LIMIT holds.
WITH due AS MATERIALIZED (
    SELECT c.id
    FROM authsql_outbox AS c
    WHERE c.next_attempt_at <= statement_timestamp() AND c.expires_at > statement_timestamp()
    ORDER BY c.next_attempt_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
),

leased AS (
    UPDATE authsql_outbox AS m
    SET
        lease_id = %(lease_id)s,
        attempts = m.attempts + 1,
        next_attempt_at = statement_timestamp() + %(lease)s::interval
    FROM due AS d
    WHERE m.id = d.id
    RETURNING
        m.id,
        m.lease_id,
        m.recipient,
        m.template,
        m.body,
        m.attempts,
        m.created_at,
        m.expires_at,
        m.next_attempt_at
)

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
FROM leased AS m
ORDER BY m.created_at, m.id;

-- name: mark_sent
-- Note that the mail server took it, and wipe what it said. Only under the lease that it was taken by.
UPDATE authsql_outbox AS m
SET sent_at = statement_timestamp(), last_error = NULL, body = NULL, next_attempt_at = NULL, lease_id = NULL
WHERE m.id = %(id)s AND m.lease_id = %(lease_id)s;

-- name: mark_failed
-- Note that an attempt failed: the next one is later, each time for twice as long; if final, there is none, and what it
-- said is wiped. Only under the lease that it was taken by.
UPDATE authsql_outbox AS m
SET
    last_error = %(error)s,
    failed_at = CASE WHEN %(final)s::boolean THEN statement_timestamp() END,
    body = CASE WHEN NOT %(final)s::boolean THEN m.body END,
    next_attempt_at = CASE
        WHEN NOT %(final)s::boolean
            THEN least(
                    statement_timestamp()
                    + least(%(retry_base)s::interval * power(2, least(m.attempts, 20) - 1), %(retry_max)s::interval),
                    m.expires_at
                )
    END,
    lease_id = NULL
WHERE m.id = %(id)s AND m.lease_id = %(lease_id)s;
