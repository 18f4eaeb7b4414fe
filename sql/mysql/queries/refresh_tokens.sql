-- Refresh tokens. Functions: authsql/refresh_tokens.py. How the rotation works: docs/decisions/0003-refresh-rotation.md.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed, and
-- %(verdict)s what it left in LAST_INSERT_ID.

-- name: issue
-- Start the family of a live session, in place of the one it may have.
INSERT INTO authsql_refresh_tokens (session_id, family_hash, current_hash, expires_at)
SELECT
    n.session_id,
    n.family_hash,
    n.current_hash,
    n.expires_at
FROM (
    SELECT
        s.id AS session_id,
        %(family_hash)s AS family_hash,
        %(current_hash)s AS current_hash,
        LEAST(UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND, s.absolute_expires_at) AS expires_at
    FROM authsql_sessions AS s
    WHERE s.id = %(session_id)s AND s.revoked_at IS NULL AND s.expires_at > UTC_TIMESTAMP(6)
) AS n
ON DUPLICATE KEY UPDATE
    family_hash = n.family_hash,
    current_hash = n.current_hash,
    previous_hash = NULL,
    seal = NULL,
    generation = 0,
    created_at = UTC_TIMESTAMP(6),
    rotated_at = NULL,
    expires_at = n.expires_at;

-- name: issue__2
-- The family as it stands, if it was started just now.
SELECT
    r.session_id,
    r.expires_at
FROM authsql_refresh_tokens AS r
WHERE r.session_id = %(session_id)s AND r.family_hash = %(family_hash)s;

-- name: rotate
-- Replace the current token by the next, if it is the current one and its session is live: of callers who present it at
-- the same time one finds it so. The session counts as used.
UPDATE authsql_refresh_tokens AS r
INNER JOIN authsql_sessions AS s ON r.session_id = s.id
SET
    r.previous_hash = %(presented_hash)s,
    r.current_hash = %(next_hash)s,
    r.seal = %(seal)s,
    r.generation = r.generation + 1,
    r.rotated_at = UTC_TIMESTAMP(6),
    r.expires_at = LEAST(UTC_TIMESTAMP(6) + INTERVAL %(lifetime)s MICROSECOND, s.absolute_expires_at),
    s.last_seen_at = UTC_TIMESTAMP(6),
    s.expires_at = LEAST(UTC_TIMESTAMP(6) + INTERVAL %(idle)s MICROSECOND, s.absolute_expires_at)
WHERE r.session_id = %(session_id)s
    AND r.family_hash = %(family_hash)s
    AND r.current_hash = %(presented_hash)s
    AND r.expires_at > UTC_TIMESTAMP(6)
    AND s.revoked_at IS NULL
    AND s.expires_at > UTC_TIMESTAMP(6);

-- name: rotate__2
-- The family as it stands, if it was rotated just now. Not by the hash of the next token: a repeated request may have been
-- answered and its answer rotated in between.
SELECT
    s.id AS session_id,
    s.user_id,
    s.aal,
    s.authenticated_at,
    r.generation,
    r.expires_at
FROM authsql_refresh_tokens AS r
INNER JOIN authsql_sessions AS s ON r.session_id = s.id
WHERE r.session_id = %(session_id)s AND r.family_hash = %(family_hash)s AND %(rows)s > 0 AND s.revoked_at IS NULL;

-- name: state
-- What a token that could not be rotated is: the family is found by its session and its own secret. The seal and the
-- current hash are handed out only where they answer a repeated request.
SELECT
    s.id AS session_id,
    s.user_id,
    s.aal,
    s.authenticated_at,
    r.generation,
    r.expires_at,
    CASE
        WHEN s.revoked_at IS NOT NULL THEN 'revoked'
        WHEN s.expires_at <= UTC_TIMESTAMP(6) OR r.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        WHEN r.current_hash = %(presented_hash)s THEN 'current'
        WHEN r.previous_hash = %(presented_hash)s
            AND r.rotated_at > UTC_TIMESTAMP(6) - INTERVAL %(grace)s MICROSECOND
            THEN 'repeated'
        ELSE 'reused'
    END AS state,
    IF(r.previous_hash = %(presented_hash)s, r.seal, NULL) AS seal,
    IF(r.previous_hash = %(presented_hash)s, r.current_hash, NULL) AS current_hash
FROM authsql_refresh_tokens AS r
INNER JOIN authsql_sessions AS s ON r.session_id = s.id
WHERE r.session_id = %(session_id)s AND r.family_hash = %(family_hash)s;

-- name: revoke_reused
-- Theft: a token of the family came that is neither the current one nor a repeated request. Ends the session.
UPDATE authsql_sessions AS s
INNER JOIN authsql_refresh_tokens AS r ON s.id = r.session_id
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = 'refresh_token_reuse'
WHERE s.id = %(session_id)s
    AND s.revoked_at IS NULL
    AND r.family_hash = %(family_hash)s
    AND r.current_hash <> %(presented_hash)s
    AND (
        NOT (r.previous_hash <=> %(presented_hash)s)
        OR r.rotated_at <= UTC_TIMESTAMP(6) - INTERVAL %(grace)s MICROSECOND
    );
