-- Refresh tokens. Functions: authsql/refresh_tokens.py. How the rotation works: docs/decisions/0003-refresh-rotation.md.

-- name: issue
-- Start the family of a live session, in place of the one it may have. No row: there is no such live session.
INSERT INTO authsql_refresh_tokens AS r (session_id, family_hash, current_hash, expires_at)
SELECT
    s.id,
    %(family_hash)s,
    %(current_hash)s,
    least(statement_timestamp() + %(lifetime)s::interval, s.absolute_expires_at)
FROM authsql_sessions AS s
WHERE s.id = %(session_id)s AND s.revoked_at IS NULL AND s.expires_at > statement_timestamp()
ON CONFLICT (session_id) DO UPDATE
    SET
        family_hash = excluded.family_hash,
        current_hash = excluded.current_hash,
        previous_hash = NULL,
        seal = NULL,
        generation = 0,
        created_at = statement_timestamp(),
        rotated_at = NULL,
        expires_at = excluded.expires_at
RETURNING r.session_id, r.expires_at;

-- name: rotate
-- Replace the current token by the next, if it is the current one and its session is live: of callers who present it at
-- the same time one finds it so. The session counts as used.
WITH rotated AS (
    UPDATE authsql_refresh_tokens AS r
    SET
        previous_hash = %(presented_hash)s,
        current_hash = %(next_hash)s,
        seal = %(seal)s,
        generation = r.generation + 1,
        rotated_at = statement_timestamp(),
        expires_at = least(statement_timestamp() + %(lifetime)s::interval, s.absolute_expires_at)
    FROM authsql_sessions AS s
    WHERE r.session_id = %(session_id)s
        AND r.family_hash = %(family_hash)s
        AND r.current_hash = %(presented_hash)s
        AND r.expires_at > statement_timestamp()
        AND s.id = r.session_id
        AND s.revoked_at IS NULL
        AND s.expires_at > statement_timestamp()
    RETURNING r.session_id, r.generation, r.expires_at
)

UPDATE authsql_sessions AS s
SET
    last_seen_at = statement_timestamp(),
    expires_at = least(statement_timestamp() + %(idle)s::interval, s.absolute_expires_at)
FROM rotated AS r
WHERE s.id = r.session_id AND s.revoked_at IS NULL
RETURNING
    s.id AS session_id,
    s.user_id,
    s.aal,
    s.authenticated_at,
    r.generation,
    r.expires_at;

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
        WHEN s.expires_at <= statement_timestamp() OR r.expires_at <= statement_timestamp() THEN 'expired'
        WHEN r.current_hash = %(presented_hash)s THEN 'current'
        WHEN r.previous_hash = %(presented_hash)s AND r.rotated_at > statement_timestamp() - %(grace)s::interval
            THEN 'repeated'
        ELSE 'reused'
    END AS state,
    CASE WHEN r.previous_hash = %(presented_hash)s THEN r.seal END AS seal,
    CASE WHEN r.previous_hash = %(presented_hash)s THEN r.current_hash END AS current_hash
FROM authsql_refresh_tokens AS r
INNER JOIN authsql_sessions AS s ON r.session_id = s.id
WHERE r.session_id = %(session_id)s AND r.family_hash = %(family_hash)s;

-- name: revoke_reused
-- Theft: a token of the family came that is neither the current one nor a repeated request. Ends the session.
UPDATE authsql_sessions AS s
SET revoked_at = statement_timestamp(), revoke_reason = 'refresh_token_reuse'
FROM authsql_refresh_tokens AS r
WHERE s.id = %(session_id)s
    AND s.revoked_at IS NULL
    AND r.session_id = s.id
    AND r.family_hash = %(family_hash)s
    AND r.current_hash <> %(presented_hash)s
    AND (
        r.previous_hash IS DISTINCT FROM %(presented_hash)s
        OR r.rotated_at <= statement_timestamp() - %(grace)s::interval
    );
