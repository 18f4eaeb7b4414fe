-- Sessions. Functions: authsql/sessions.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed, and
-- %(verdict)s what it left in LAST_INSERT_ID.

-- name: create
-- Note the sign-in of a live account. Differs from postgres: not in one transaction with what follows, which would cost two
-- round trips; what a crash in between leaves is a sign-in noted without its session.
UPDATE authsql_users AS u
SET u.last_login_at = UTC_TIMESTAMP(6)
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL;

-- name: create__2
-- Open the session, if there is such a live account. FOR SHARE: READ COMMITTED would not see that it is being deleted.
INSERT INTO authsql_sessions (id, user_id, secret_hash, ip, user_agent, device, aal, expires_at, absolute_expires_at)
SELECT
    %(id)s,
    u.id,
    %(secret_hash)s,
    %(ip)s,
    %(user_agent)s,
    %(device)s,
    %(aal)s,
    UTC_TIMESTAMP(6) + INTERVAL LEAST(%(idle)s, %(absolute)s) MICROSECOND,
    UTC_TIMESTAMP(6) + INTERVAL %(absolute)s MICROSECOND
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR SHARE;

-- name: create__3
-- The session as it stands.
SELECT
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
FROM authsql_sessions AS s
WHERE s.id = %(id)s;

-- name: create_capped
-- Note the sign-in of a live account. In one transaction with what follows: the lock on the account lets one sign-in
-- after the other count.
UPDATE authsql_users AS u
SET u.last_login_at = UTC_TIMESTAMP(6)
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL;

-- name: create_capped__2
-- Open the session, if there is such a live account. FOR SHARE: READ COMMITTED would not see that it is being deleted.
INSERT INTO authsql_sessions (id, user_id, secret_hash, ip, user_agent, device, aal, expires_at, absolute_expires_at)
SELECT
    %(id)s,
    u.id,
    %(secret_hash)s,
    %(ip)s,
    %(user_agent)s,
    %(device)s,
    %(aal)s,
    UTC_TIMESTAMP(6) + INTERVAL LEAST(%(idle)s, %(absolute)s) MICROSECOND,
    UTC_TIMESTAMP(6) + INTERVAL %(absolute)s MICROSECOND
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR SHARE;

-- name: create_capped__3
-- End the account's least recently used sessions so that, with the new one, cap of them stay.
UPDATE authsql_sessions AS s
INNER JOIN (
    SELECT c.id
    FROM authsql_sessions AS c
    WHERE c.user_id = %(user_id)s
        AND c.id <> %(id)s
        AND c.revoked_at IS NULL
        AND c.expires_at > UTC_TIMESTAMP(6)
    ORDER BY c.last_seen_at DESC, c.id DESC
    LIMIT 1000000 OFFSET %(others)s
    FOR UPDATE
) AS surplus ON s.id = surplus.id
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = 'session_cap';

-- name: create_capped__4
-- The session as it stands, and how many were ended for it.
SELECT
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
    s.absolute_expires_at,
    %(rows)s AS ended
FROM authsql_sessions AS s
WHERE s.id = %(id)s;

-- name: validate
-- The session with this id and secret, and whether it is live. Reads only, by the primary key; the times are those that
-- it will have once a touch that is due was written.
SELECT
    s.id,
    s.user_id,
    s.ip,
    s.user_agent,
    s.device,
    s.aal,
    s.created_at,
    s.authenticated_at,
    IF(
        s.last_seen_at <= UTC_TIMESTAMP(6) - INTERVAL %(touch_after)s MICROSECOND, UTC_TIMESTAMP(6), s.last_seen_at
    ) AS last_seen_at,
    IF(
        s.last_seen_at <= UTC_TIMESTAMP(6) - INTERVAL %(touch_after)s MICROSECOND,
        LEAST(UTC_TIMESTAMP(6) + INTERVAL %(idle)s MICROSECOND, s.absolute_expires_at),
        s.expires_at
    ) AS expires_at,
    s.absolute_expires_at,
    s.revoke_reason,
    CASE
        WHEN s.revoked_at IS NOT NULL THEN 'revoked'
        WHEN s.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        ELSE 'live'
    END AS state,
    s.last_seen_at <= UTC_TIMESTAMP(6) - INTERVAL %(touch_after)s MICROSECOND AS touch_due
FROM authsql_sessions AS s
WHERE s.id = %(id)s AND s.secret_hash = %(secret_hash)s;

-- name: validate_with_roles
-- The same, and what its user may do now. A permission that two roles have is there twice.
SELECT
    s.id,
    s.user_id,
    s.ip,
    s.user_agent,
    s.device,
    s.aal,
    s.created_at,
    s.authenticated_at,
    IF(
        s.last_seen_at <= UTC_TIMESTAMP(6) - INTERVAL %(touch_after)s MICROSECOND, UTC_TIMESTAMP(6), s.last_seen_at
    ) AS last_seen_at,
    IF(
        s.last_seen_at <= UTC_TIMESTAMP(6) - INTERVAL %(touch_after)s MICROSECOND,
        LEAST(UTC_TIMESTAMP(6) + INTERVAL %(idle)s MICROSECOND, s.absolute_expires_at),
        s.expires_at
    ) AS expires_at,
    s.absolute_expires_at,
    s.revoke_reason,
    CASE
        WHEN s.revoked_at IS NOT NULL THEN 'revoked'
        WHEN s.expires_at <= UTC_TIMESTAMP(6) THEN 'expired'
        ELSE 'live'
    END AS state,
    s.last_seen_at <= UTC_TIMESTAMP(6) - INTERVAL %(touch_after)s MICROSECOND AS touch_due,
    (
        SELECT COALESCE(JSON_ARRAYAGG(g.role), JSON_ARRAY())
        FROM authsql_user_roles AS g
        INNER JOIN authsql_users AS u ON g.user_id = u.id
        WHERE g.user_id = s.user_id AND u.deleted_at IS NULL
    ) AS roles,
    (
        SELECT COALESCE(JSON_ARRAYAGG(p.permission), JSON_ARRAY())
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
WHERE s.id = %(id)s AND s.revoked_at IS NULL AND s.expires_at > UTC_TIMESTAMP(6);

-- name: touch
-- Note that a live session is in use, unless another request just did.
UPDATE authsql_sessions AS s
SET
    s.expires_at = LEAST(UTC_TIMESTAMP(6) + INTERVAL %(idle)s MICROSECOND, s.absolute_expires_at),
    s.last_seen_at = UTC_TIMESTAMP(6)
WHERE s.id = %(id)s
    AND s.revoked_at IS NULL
    AND s.expires_at > UTC_TIMESTAMP(6)
    AND s.last_seen_at <= UTC_TIMESTAMP(6) - INTERVAL %(touch_after)s MICROSECOND;

-- name: elevate
-- Give a live session another secret, another time of proof and a level that is not lower, and end its refresh tokens: of
-- callers with the same token at the same time one finds its secret. Nobody has a secret of the new family: its tokens
-- are unknown from then on.
UPDATE authsql_sessions AS s
LEFT JOIN authsql_refresh_tokens AS r ON s.id = r.session_id
SET
    s.secret_hash = %(next_hash)s,
    s.aal = %(aal)s,
    s.authenticated_at = UTC_TIMESTAMP(6),
    s.last_seen_at = UTC_TIMESTAMP(6),
    s.expires_at = LEAST(UTC_TIMESTAMP(6) + INTERVAL %(idle)s MICROSECOND, s.absolute_expires_at),
    r.family_hash = %(family_hash)s,
    r.expires_at = UTC_TIMESTAMP(6)
WHERE s.id = %(id)s
    AND s.secret_hash = %(secret_hash)s
    AND s.revoked_at IS NULL
    AND s.expires_at > UTC_TIMESTAMP(6)
    AND s.aal <= %(aal)s;

-- name: elevate__2
-- The session as it stands, if it has the new secret. No row: it is not live, its level is higher, or there is none.
SELECT
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
FROM authsql_sessions AS s
WHERE s.id = %(id)s AND s.secret_hash = %(next_hash)s;

-- name: list
-- The live sessions of a user, the last used first. Uses authsql_sessions_user_id_idx.
SELECT
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
FROM authsql_sessions AS s
WHERE s.user_id = %(user_id)s AND s.revoked_at IS NULL AND s.expires_at > UTC_TIMESTAMP(6)
ORDER BY s.last_seen_at DESC, s.id DESC;

-- name: revoke
-- End one session; with user_id only if it is that user's.
UPDATE authsql_sessions AS s
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = %(reason)s
WHERE s.id = %(id)s AND s.revoked_at IS NULL AND (%(user_id)s IS NULL OR s.user_id = %(user_id)s);

-- name: revoke_others
-- End all sessions of a user but one.
UPDATE authsql_sessions AS s
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = %(reason)s
WHERE s.user_id = %(user_id)s AND s.revoked_at IS NULL AND s.id <> %(keep)s;

-- name: revoke_all
-- End all sessions of a user.
UPDATE authsql_sessions AS s
SET s.revoked_at = UTC_TIMESTAMP(6), s.revoke_reason = %(reason)s
WHERE s.user_id = %(user_id)s AND s.revoked_at IS NULL;
