-- Rate limits. Functions: authsql/rate_limits.py.
-- "Now" is never before the last hit that was counted: a statement that waited for the row began before it.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, they are sent one after
-- the other, and the last one's rows are the answer. %(verdict)s is what the one before left in LAST_INSERT_ID.

-- name: hit
-- Count a hit, unless that would take the key's time further ahead than the limit allows. Of hits made at the same time
-- as many are counted as fit, and no more. Leaves the verdict in LAST_INSERT_ID: 2 refused; 1, or 0 for a new row, counted.
-- Assignments are made from left to right: GREATEST(hit_at, n.hit_at) is the same after the first one as before it, and
-- expires_at is compared with the new reset_at.
INSERT INTO authsql_rate_limits (key_hash, scope, hit_at, reset_at, expires_at)
VALUES (
    %(key_hash)s,
    %(scope)s,
    UTC_TIMESTAMP(6),
    UTC_TIMESTAMP(6) + INTERVAL %(increment)s MICROSECOND,
    UTC_TIMESTAMP(6) + INTERVAL %(increment)s + %(tolerance)s MICROSECOND
) AS n
ON DUPLICATE KEY UPDATE
    hit_at = IF(
        LAST_INSERT_ID(IF(
            authsql_rate_limits.reset_at
            <= GREATEST(authsql_rate_limits.hit_at, n.hit_at) + INTERVAL %(tolerance)s - %(increment)s MICROSECOND,
            1,
            2
        )) = 1,
        GREATEST(authsql_rate_limits.hit_at, n.hit_at),
        authsql_rate_limits.hit_at
    ),
    reset_at = IF(
        authsql_rate_limits.reset_at
        <= GREATEST(authsql_rate_limits.hit_at, n.hit_at) + INTERVAL %(tolerance)s - %(increment)s MICROSECOND,
        GREATEST(authsql_rate_limits.reset_at, n.hit_at) + INTERVAL %(increment)s MICROSECOND,
        authsql_rate_limits.reset_at
    ),
    expires_at = IF(
        authsql_rate_limits.expires_at >= authsql_rate_limits.reset_at,
        authsql_rate_limits.expires_at,
        authsql_rate_limits.hit_at + INTERVAL %(increment)s + %(tolerance)s MICROSECOND
    );

-- name: hit__2
-- Whether it was counted, and how far the key's time is ahead now. Aggregates, so that there is a row in any case.
SELECT
    %(verdict)s <> 2 AS allowed,
    COALESCE(MAX(r.reset_at), UTC_TIMESTAMP(6)) AS reset_at,
    GREATEST(COALESCE(MAX(r.hit_at), UTC_TIMESTAMP(6)), UTC_TIMESTAMP(6)) AS now
FROM authsql_rate_limits AS r
WHERE r.key_hash = %(key_hash)s;

-- name: peek
-- How far the key's time is ahead. Counts nothing. Aggregates, so that there is a row for a key that was never hit.
SELECT
    GREATEST(COALESCE(MAX(r.reset_at), UTC_TIMESTAMP(6)), UTC_TIMESTAMP(6)) AS reset_at,
    GREATEST(COALESCE(MAX(r.hit_at), UTC_TIMESTAMP(6)), UTC_TIMESTAMP(6)) AS now
FROM authsql_rate_limits AS r
WHERE r.key_hash = %(key_hash)s;

-- name: reset
-- Forget the hits on a key.
DELETE FROM authsql_rate_limits
WHERE key_hash = %(key_hash)s;
