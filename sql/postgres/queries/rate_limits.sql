-- Rate limits. Functions: authsql/rate_limits.py.
-- Spans of time come in as numbers of microseconds here, not as intervals: a day of an interval has 23 or 25 hours where
-- the time zone of the session changes its clocks. "Now" is never before the last hit that was counted: a statement that
-- waited for the row began before it.

-- name: hit
-- Count a hit, unless that would take the key's time further ahead than the limit allows. Of hits made at the same time
-- as many are counted as fit, and no more. No row: others were counted while this one waited, and it was refused.
WITH taken AS (
    INSERT INTO authsql_rate_limits AS r (key_hash, scope, hit_at, reset_at, expires_at)
    VALUES (
        %(key_hash)s,
        %(scope)s,
        statement_timestamp(),
        statement_timestamp() + %(increment)s::bigint * INTERVAL '1 microsecond',
        statement_timestamp() + (%(increment)s::bigint + %(tolerance)s::bigint) * INTERVAL '1 microsecond'
    )
    ON CONFLICT (key_hash) DO UPDATE
        SET
            hit_at = greatest(r.hit_at, excluded.hit_at),
            reset_at = greatest(r.reset_at, excluded.hit_at) + %(increment)s::bigint * INTERVAL '1 microsecond',
            expires_at = CASE
                WHEN r.expires_at >= greatest(r.reset_at, excluded.hit_at) + %(increment)s::bigint * INTERVAL '1 microsecond'
                    THEN r.expires_at
                ELSE greatest(r.hit_at, excluded.hit_at)
                    + (%(increment)s::bigint + %(tolerance)s::bigint) * INTERVAL '1 microsecond'
            END
        WHERE r.reset_at
        <= greatest(r.hit_at, excluded.hit_at) + (%(tolerance)s::bigint - %(increment)s::bigint) * INTERVAL '1 microsecond'
    RETURNING r.hit_at, r.reset_at
)

SELECT
    true AS allowed,
    t.reset_at,
    t.hit_at AS now
FROM taken AS t
UNION ALL
SELECT
    false AS allowed,
    r.reset_at,
    greatest(r.hit_at, statement_timestamp()) AS now
FROM authsql_rate_limits AS r
WHERE r.key_hash = %(key_hash)s
    AND r.reset_at
    > greatest(r.hit_at, statement_timestamp()) + (%(tolerance)s::bigint - %(increment)s::bigint) * INTERVAL '1 microsecond'
    AND NOT EXISTS (SELECT 1 FROM taken);

-- name: peek
-- How far the key's time is ahead. Counts nothing. Aggregates, so that there is a row for a key that was never hit.
SELECT
    greatest(max(r.reset_at), statement_timestamp()) AS reset_at,
    greatest(max(r.hit_at), statement_timestamp()) AS now
FROM authsql_rate_limits AS r
WHERE r.key_hash = %(key_hash)s;

-- name: reset
-- Forget the hits on a key.
DELETE FROM authsql_rate_limits AS r
WHERE r.key_hash = %(key_hash)s;
