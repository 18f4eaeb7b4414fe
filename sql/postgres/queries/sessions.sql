-- Sessions. Functions: authsql/sessions.py.

-- name: create
-- Open a session for a live account and note the sign-in. No row: there is no such live account.
WITH owner AS (
    UPDATE authsql_users AS u
    SET last_login_at = statement_timestamp()
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    RETURNING u.id
)

INSERT INTO authsql_sessions AS s (
    id, user_id, secret_hash, ip, user_agent, device, aal, expires_at, absolute_expires_at
)
SELECT
    %(id)s,
    o.id,
    %(secret_hash)s,
    %(ip)s::inet,
    %(user_agent)s,
    %(device)s,
    %(aal)s,
    statement_timestamp() + least(%(idle)s::interval, %(absolute)s::interval),
    statement_timestamp() + %(absolute)s::interval
FROM owner AS o
RETURNING
    s.id,
    s.user_id,
    host(s.ip) AS ip,
    s.user_agent,
    s.device,
    s.aal,
    s.created_at,
    s.authenticated_at,
    s.last_seen_at,
    s.expires_at,
    s.absolute_expires_at;

-- name: create_capped
-- The same, and end the account's least recently used sessions so that cap of them stay. The UPDATE of the account is
-- the lock that lets one sign-in after the other count.
WITH owner AS (
    UPDATE authsql_users AS u
    SET last_login_at = statement_timestamp()
    WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
    RETURNING u.id
)

INSERT INTO authsql_sessions AS s (
    id, user_id, secret_hash, ip, user_agent, device, aal, expires_at, absolute_expires_at
)
SELECT
    %(id)s,
    o.id,
    %(secret_hash)s,
    %(ip)s::inet,
    %(user_agent)s,
    %(device)s,
    %(aal)s,
    statement_timestamp() + least(%(idle)s::interval, %(absolute)s::interval),
    statement_timestamp() + %(absolute)s::interval
FROM owner AS o
RETURNING
    s.id,
    s.user_id,
    host(s.ip) AS ip,
    s.user_agent,
    s.device,
    s.aal,
    s.created_at,
    s.authenticated_at,
    s.last_seen_at,
    s.expires_at,
    s.absolute_expires_at,
    authsql_end_surplus_sessions(s.user_id, %(cap)s, s.id) AS ended;

-- name: validate
-- The session with this id and secret, and whether it is live. Reads only, by the primary key; the times are those that
-- it will have once a touch that is due was written.
SELECT
    s.id,
    s.user_id,
    host(s.ip) AS ip,
    s.user_agent,
    s.device,
    s.aal,
    s.created_at,
    s.authenticated_at,
    CASE
        WHEN s.last_seen_at <= statement_timestamp() - %(touch_after)s::interval THEN statement_timestamp()
        ELSE s.last_seen_at
    END AS last_seen_at,
    CASE
        WHEN s.last_seen_at <= statement_timestamp() - %(touch_after)s::interval
            THEN least(statement_timestamp() + %(idle)s::interval, s.absolute_expires_at)
        ELSE s.expires_at
    END AS expires_at,
    s.absolute_expires_at,
    s.revoke_reason,
    CASE
        WHEN s.revoked_at IS NOT NULL THEN 'revoked'
        WHEN s.expires_at <= statement_timestamp() THEN 'expired'
        ELSE 'live'
    END AS state,
    s.last_seen_at <= statement_timestamp() - %(touch_after)s::interval AS touch_due
FROM authsql_sessions AS s
WHERE s.id = %(id)s AND s.secret_hash = %(secret_hash)s;

-- name: validate_with_roles
-- The same, and what its user may do now. A permission that two roles have is there twice.
SELECT
    s.id,
    s.user_id,
    host(s.ip) AS ip,
    s.user_agent,
    s.device,
    s.aal,
    s.created_at,
    s.authenticated_at,
    CASE
        WHEN s.last_seen_at <= statement_timestamp() - %(touch_after)s::interval THEN statement_timestamp()
        ELSE s.last_seen_at
    END AS last_seen_at,
    CASE
        WHEN s.last_seen_at <= statement_timestamp() - %(touch_after)s::interval
            THEN least(statement_timestamp() + %(idle)s::interval, s.absolute_expires_at)
        ELSE s.expires_at
    END AS expires_at,
    s.absolute_expires_at,
    s.revoke_reason,
    CASE
        WHEN s.revoked_at IS NOT NULL THEN 'revoked'
        WHEN s.expires_at <= statement_timestamp() THEN 'expired'
        ELSE 'live'
    END AS state,
    s.last_seen_at <= statement_timestamp() - %(touch_after)s::interval AS touch_due,
    (
        SELECT coalesce(jsonb_agg(g.role), '[]'::jsonb)
        FROM authsql_user_roles AS g
        INNER JOIN authsql_users AS u ON g.user_id = u.id
        WHERE g.user_id = s.user_id AND u.deleted_at IS NULL
    ) AS roles,
    (
        SELECT coalesce(jsonb_agg(p.permission), '[]'::jsonb)
        FROM authsql_user_roles AS g
        INNER JOIN authsql_users AS u ON g.user_id = u.id
        INNER JOIN authsql_role_permissions AS p ON g.role = p.role
        WHERE g.user_id = s.user_id AND u.deleted_at IS NULL
    ) AS permissions
FROM authsql_sessions AS s
WHERE s.id = %(id)s AND s.secret_hash = %(secret_hash)s;

-- name: is_live
-- Whether the session of this id is live, for who learned the id from an access token. Proves nothing about who asks.
SELECT 1 AS live
FROM authsql_sessions AS s
WHERE s.id = %(id)s AND s.revoked_at IS NULL AND s.expires_at > statement_timestamp();

-- name: touch
-- Note that a live session is in use, unless another request just did.
UPDATE authsql_sessions AS s
SET
    last_seen_at = statement_timestamp(),
    expires_at = least(statement_timestamp() + %(idle)s::interval, s.absolute_expires_at)
WHERE s.id = %(id)s
    AND s.revoked_at IS NULL
    AND s.expires_at > statement_timestamp()
    AND s.last_seen_at <= statement_timestamp() - %(touch_after)s::interval;

-- name: elevate
-- Give a live session another secret, another time of proof and a level that is not lower, and end its refresh tokens: of
-- callers with the same token at the same time one finds its secret. No row: the session is not live, its level is
-- higher, or there is none with this secret. The family is locked before the session, as by a rotation.
WITH family AS (
    SELECT r.session_id
    FROM authsql_refresh_tokens AS r
    WHERE r.session_id = %(id)s
    FOR NO KEY UPDATE
),

elevated AS (
    UPDATE authsql_sessions AS s
    SET
        secret_hash = %(next_hash)s,
        aal = %(aal)s,
        authenticated_at = statement_timestamp(),
        last_seen_at = statement_timestamp(),
        expires_at = least(statement_timestamp() + %(idle)s::interval, s.absolute_expires_at)
    WHERE (SELECT count(*) FROM family) >= 0
        AND s.id = %(id)s
        AND s.secret_hash = %(secret_hash)s
        AND s.revoked_at IS NULL
        AND s.expires_at > statement_timestamp()
        AND s.aal <= %(aal)s
    RETURNING
        s.id,
        s.user_id,
        s.ip,
        s.user_agent,
        s.device,
        s.aal,
        s.created_at,
        s.authenticated_at,
        s.last_seen_at,
        s.expires_at,
        s.absolute_expires_at
),

-- Nobody has a secret of the new family: its tokens are unknown from then on.
ended AS (
    UPDATE authsql_refresh_tokens AS r
    SET family_hash = %(family_hash)s, expires_at = statement_timestamp()
    FROM elevated AS e
    WHERE r.session_id = e.id
)

SELECT
    e.id,
    e.user_id,
    host(e.ip) AS ip,
    e.user_agent,
    e.device,
    e.aal,
    e.created_at,
    e.authenticated_at,
    e.last_seen_at,
    e.expires_at,
    e.absolute_expires_at
FROM elevated AS e;

-- name: list
-- The live sessions of a user, the last used first. Uses authsql_sessions_user_id_idx.
SELECT
    s.id,
    s.user_id,
    host(s.ip) AS ip,
    s.user_agent,
    s.device,
    s.aal,
    s.created_at,
    s.authenticated_at,
    s.last_seen_at,
    s.expires_at,
    s.absolute_expires_at
FROM authsql_sessions AS s
WHERE s.user_id = %(user_id)s AND s.revoked_at IS NULL AND s.expires_at > statement_timestamp()
ORDER BY s.last_seen_at DESC, s.id DESC;

-- name: revoke
-- End one session; with user_id only if it is that user's.
UPDATE authsql_sessions AS s
SET revoked_at = statement_timestamp(), revoke_reason = %(reason)s
WHERE s.id = %(id)s
    AND s.revoked_at IS NULL
    AND (%(user_id)s::uuid IS NULL OR s.user_id = %(user_id)s::uuid);

-- name: revoke_others
-- End all sessions of a user but one.
UPDATE authsql_sessions AS s
SET revoked_at = statement_timestamp(), revoke_reason = %(reason)s
WHERE s.user_id = %(user_id)s AND s.revoked_at IS NULL AND s.id <> %(keep)s;

-- name: revoke_all
-- End all sessions of a user.
UPDATE authsql_sessions AS s
SET revoked_at = statement_timestamp(), revoke_reason = %(reason)s
WHERE s.user_id = %(user_id)s AND s.revoked_at IS NULL;
