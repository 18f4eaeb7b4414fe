-- Rate limits. Functions: authsql/rate_limits.py.
-- Spans of time come in as numbers of microseconds here, not as intervals: a day of an interval has 23 or 25 hours where
-- the time zone of the session changes its clocks.

-- name: hit
-- Count a hit, unless that would take the key's time further ahead than the limit allows. Of hits made at the same time
-- no more are counted than fit. No row: others were counted while this one waited for the row, and it was refused.
WITH taken AS (
    INSERT INTO authsql_rate_limits AS r (key_hash, scope, reset_at, expires_at)
    VALUES (
        %(key_hash)s,
        %(scope)s,
        statement_timestamp() + %(increment)s::bigint * INTERVAL '1 microsecond',
        statement_timestamp() + (%(increment)s::bigint + %(tolerance)s::bigint) * INTERVAL '1 microsecond'
    )
    ON CONFLICT (key_hash) DO UPDATE
        SET
            reset_at = greatest(r.reset_at + %(increment)s::bigint * INTERVAL '1 microsecond', excluded.reset_at),
            expires_at = CASE
                WHEN r.expires_at >= r.reset_at + %(increment)s::bigint * INTERVAL '1 microsecond'
                    AND r.expires_at >= excluded.reset_at
                    THEN r.expires_at
                ELSE excluded.expires_at
            END
        WHERE r.reset_at <= statement_timestamp() + (%(tolerance)s::bigint - %(increment)s::bigint) * INTERVAL '1 microsecond'
    RETURNING r.reset_at
)

SELECT
    true AS allowed,
    t.reset_at,
    statement_timestamp() AS now
FROM taken AS t
UNION ALL
SELECT
    false AS allowed,
    r.reset_at,
    statement_timestamp() AS now
FROM authsql_rate_limits AS r
WHERE r.key_hash = %(key_hash)s
    AND r.reset_at > statement_timestamp() + (%(tolerance)s::bigint - %(increment)s::bigint) * INTERVAL '1 microsecond'
    AND NOT EXISTS (SELECT 1 FROM taken);

-- name: peek
-- How far the key's time is ahead. Counts nothing. An aggregate, so that there is a row for a key that was never hit.
SELECT
    greatest(max(r.reset_at), statement_timestamp()) AS reset_at,
    statement_timestamp() AS now
FROM authsql_rate_limits AS r
WHERE r.key_hash = %(key_hash)s;

-- name: reset
-- Forget the hits on a key.
DELETE FROM authsql_rate_limits AS r
WHERE r.key_hash = %(key_hash)s;
