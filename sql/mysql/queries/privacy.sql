-- All that is held on a user, and its end. Functions: users.export and users.erase, in authsql/users.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, in one transaction, and the last one's rows are the answer.

-- name: export
-- One JSON document of all that is held on a user, without secrets: no hash, no encrypted value. What is kept under an address
-- is theirs unless another account has the address now; a sign-up that waits, under their own address only. The outbox is read
-- without an index: it holds the mail of the last days.
WITH addresses AS (
    SELECT
        LOWER(u.email) AS address,
        TRUE AS is_current
    FROM authsql_users AS u
    LEFT JOIN authsql_users AS w ON w.email_key = LOWER(u.email) AND u.id <> w.id
    WHERE u.id = %(user_id)s AND w.id IS NULL
    UNION ALL
    SELECT
        LOWER(f.email) AS address,
        FALSE AS is_current
    FROM authsql_former_emails AS f
    LEFT JOIN authsql_users AS w ON w.email_key = LOWER(f.email) AND f.user_id <> w.id
    WHERE f.user_id = %(user_id)s AND w.id IS NULL
)

SELECT
    JSON_OBJECT(
        'user',
        (
            SELECT
                JSON_OBJECT(
                    'id', BIN_TO_UUID(u.id),
                    'email', u.email,
                    'name', u.name,
                    'avatar', u.avatar,
                    'email_verified_at', u.email_verified_at,
                    'last_login_at', u.last_login_at,
                    'password_verified_at', u.password_verified_at,
                    'failed_attempts', u.failed_attempts,
                    'locked_until', u.locked_until,
                    'deleted_at', u.deleted_at,
                    'reactivatable_at', u.reactivatable_at,
                    'created_at', u.created_at,
                    'updated_at', u.updated_at
                )
            FROM authsql_users AS u
            WHERE u.id = %(user_id)s
        ),
        'password',
        (
            SELECT
                JSON_OBJECT(
                    'changed_at', p.changed_at,
                    'rehashed_at', p.rehashed_at,
                    'must_change_since', p.must_change_since
                )
            FROM authsql_app_passwords AS p
            WHERE p.user_id = %(user_id)s
        ),
        'roles',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'role', r.role,
                        'granted_at', r.granted_at
                    )), JSON_ARRAY()
                )
            FROM authsql_user_roles AS r
            WHERE r.user_id = %(user_id)s
        ),
        'identities',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'provider', i.provider,
                        'subject', i.subject,
                        'email', i.email,
                        'profile', i.profile,
                        'last_login_at', i.last_login_at,
                        'created_at', i.created_at,
                        'updated_at', i.updated_at
                    )), JSON_ARRAY()
                )
            FROM authsql_identities AS i
            WHERE i.user_id = %(user_id)s
        ),
        'identity_tokens',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'provider', t.provider,
                        'subject', t.subject,
                        'scopes', t.scopes,
                        'expires_at', t.expires_at,
                        'created_at', t.created_at,
                        'updated_at', t.updated_at
                    )), JSON_ARRAY()
                )
            FROM authsql_identity_tokens AS t
            WHERE EXISTS (
                    SELECT 1
                    FROM authsql_identities AS i
                    WHERE i.provider = t.provider AND i.subject = t.subject AND i.user_id = %(user_id)s
                )
        ),
        'totp_factors',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'id', BIN_TO_UUID(f.id),
                        'name', f.name,
                        'created_at', f.created_at,
                        'expires_at', f.expires_at,
                        'confirmed_at', f.confirmed_at,
                        'last_used_at', f.last_used_at
                    )), JSON_ARRAY()
                )
            FROM authsql_app_totp_factors AS f
            WHERE f.user_id = %(user_id)s
        ),
        'totp_attempts',
        (
            SELECT
                JSON_OBJECT(
                    'failed_attempts', n.failed_attempts,
                    'locked_until', n.locked_until
                )
            FROM authsql_totp_attempts AS n
            WHERE n.user_id = %(user_id)s
        ),
        'recovery_codes',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'number', c.number,
                        'created_at', c.created_at,
                        'spent_at', c.spent_at
                    )), JSON_ARRAY()
                )
            FROM authsql_app_recovery_codes AS c
            WHERE c.user_id = %(user_id)s
        ),
        'passkeys',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'id', BIN_TO_UUID(k.id),
                        'name', k.name,
                        'transports', k.transports,
                        'aaguid', k.aaguid,
                        'backup_eligible', IF(k.backup_eligible, CAST('true' AS JSON), CAST('false' AS JSON)),
                        'backed_up', IF(k.backed_up, CAST('true' AS JSON), CAST('false' AS JSON)),
                        'created_at', k.created_at,
                        'last_used_at', k.last_used_at,
                        'user_verified_at', k.user_verified_at,
                        'cloned_at', k.cloned_at
                    )), JSON_ARRAY()
                )
            FROM authsql_passkeys AS k
            WHERE k.user_id = %(user_id)s
        ),
        'sessions',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'id', BIN_TO_UUID(s.id),
                        'ip', s.ip,
                        'user_agent', s.user_agent,
                        'device', s.device,
                        'aal', s.aal,
                        'created_at', s.created_at,
                        'authenticated_at', s.authenticated_at,
                        'last_seen_at', s.last_seen_at,
                        'expires_at', s.expires_at,
                        'absolute_expires_at', s.absolute_expires_at,
                        'revoked_at', s.revoked_at,
                        'revoke_reason', s.revoke_reason
                    )), JSON_ARRAY()
                )
            FROM authsql_sessions AS s
            WHERE s.user_id = %(user_id)s
        ),
        'refresh_tokens',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'session_id', BIN_TO_UUID(t.session_id),
                        'generation', t.generation,
                        'created_at', t.created_at,
                        'rotated_at', t.rotated_at,
                        'expires_at', t.expires_at
                    )), JSON_ARRAY()
                )
            FROM authsql_refresh_tokens AS t
            INNER JOIN authsql_sessions AS s ON t.session_id = s.id
            WHERE s.user_id = %(user_id)s
        ),
        'known_devices',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'id', BIN_TO_UUID(d.id),
                        'name', d.name,
                        'failed_attempts', d.failed_attempts,
                        'trusted_until', d.trusted_until,
                        'created_at', d.created_at,
                        'last_used_at', d.last_used_at,
                        'expires_at', d.expires_at
                    )), JSON_ARRAY()
                )
            FROM authsql_known_devices AS d
            WHERE d.user_id = %(user_id)s
        ),
        'former_emails',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'email', f.email,
                        'was_verified', IF(f.was_verified, CAST('true' AS JSON), CAST('false' AS JSON)),
                        'changed_at', f.changed_at,
                        'expires_at', f.expires_at
                    )), JSON_ARRAY()
                )
            FROM authsql_former_emails AS f
            WHERE f.user_id = %(user_id)s
        ),
        'codes',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'subject', o.subject,
                        'purpose', o.purpose,
                        'attempts', o.attempts,
                        'created_at', o.created_at,
                        'expires_at', o.expires_at,
                        'spent_at', o.spent_at
                    )), JSON_ARRAY()
                )
            FROM (
                SELECT
                    c.subject,
                    c.purpose,
                    c.attempts,
                    c.created_at,
                    c.expires_at,
                    c.spent_at
                FROM authsql_app_otps AS c
                WHERE c.user_id = %(user_id)s
                UNION ALL
                SELECT
                    c.subject,
                    c.purpose,
                    c.attempts,
                    c.created_at,
                    c.expires_at,
                    c.spent_at
                FROM authsql_app_otps AS c
                INNER JOIN (
                    SELECT e.address AS subject
                    FROM addresses AS e
                    WHERE e.is_current
                    UNION ALL
                    SELECT CONVERT(BIN_TO_UUID(%(user_id)s) USING utf8mb4) COLLATE utf8mb4_bin AS subject
                ) AS n ON c.subject = n.subject
                WHERE c.user_id IS NULL
            ) AS o
        ),
        'signups',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'email', p.email,
                        'name', p.name,
                        'created_at', p.created_at
                    )), JSON_ARRAY()
                )
            FROM authsql_app_signups AS p
            INNER JOIN addresses AS e ON p.subject = e.address
            WHERE e.is_current
        ),
        'mails',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'id', BIN_TO_UUID(m.id),
                        'recipient', m.recipient,
                        'template', m.template,
                        'attempts', m.attempts,
                        'next_attempt_at', m.next_attempt_at,
                        'sent_at', m.sent_at,
                        'failed_at', m.failed_at,
                        'last_error', m.last_error,
                        'created_at', m.created_at,
                        'expires_at', m.expires_at,
                        'purge_at', m.purge_at
                    )), JSON_ARRAY()
                )
            FROM authsql_outbox AS m
            WHERE LOWER(m.recipient) IN (SELECT e.address FROM addresses AS e)
        ),
        'audit_log',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'number', a.number,
                        'occurred_at', a.occurred_at,
                        'event', a.event,
                        'actor_id', BIN_TO_UUID(a.actor_id),
                        'session_id', BIN_TO_UUID(a.session_id),
                        'ip', a.ip,
                        'user_agent', a.user_agent,
                        'detail', a.detail
                    )), JSON_ARRAY()
                )
            FROM authsql_audit_log AS a
            WHERE a.user_id = %(user_id)s
        ),
        -- What they did to others, or to nobody. To whom, and the rest, is not theirs.
        'acts',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'number', a.number,
                        'occurred_at', a.occurred_at,
                        'event', a.event,
                        'ip', a.ip,
                        'user_agent', a.user_agent
                    )), JSON_ARRAY()
                )
            FROM authsql_audit_log AS a
            WHERE a.actor_id = %(user_id)s AND NOT (a.user_id <=> %(user_id)s)
        )
    ) AS document
FROM authsql_users AS w
WHERE w.id = %(user_id)s;

-- name: erase
-- Lock the account, soft-deleted or not.
SELECT u.id
FROM authsql_users AS u
WHERE u.id = %(user_id)s
FOR UPDATE;

-- name: erase__2
-- The codes that were sent to an address that it has or had, and the sign-ups with them, unless another account has that
-- address now. A hint, and IF where IS NULL alone would go by the index on user_id: not all codes without a user are to be
-- locked.
DELETE /*+ JOIN_PREFIX(n) */ o
FROM (
    SELECT LOWER(u.email) AS subject
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s
    UNION DISTINCT
    SELECT LOWER(f.email) AS subject
    FROM authsql_former_emails AS f
    WHERE f.user_id = %(user_id)s
    UNION DISTINCT
    SELECT CONVERT(BIN_TO_UUID(%(user_id)s) USING utf8mb4) COLLATE utf8mb4_bin AS subject
) AS n
INNER JOIN authsql_app_otps AS o ON n.subject = o.subject
LEFT JOIN authsql_users AS w ON n.subject = w.email_key AND w.id <> %(user_id)s
WHERE IF(o.user_id IS NULL, TRUE, FALSE) AND w.id IS NULL AND %(rows_1)s > 0;

-- name: erase__3
-- The mail that waits for such an address, or was sent to it. Without an index: the outbox holds the mail of the last days, and
-- is read once.
DELETE m
FROM authsql_outbox AS m
INNER JOIN (
    SELECT LOWER(u.email) AS address
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s
    UNION DISTINCT
    SELECT LOWER(f.email) AS address
    FROM authsql_former_emails AS f
    WHERE f.user_id = %(user_id)s
) AS n ON LOWER(m.recipient) = n.address
LEFT JOIN authsql_users AS w ON n.address = w.email_key AND w.id <> %(user_id)s
WHERE w.id IS NULL AND %(rows_1)s > 0;

-- name: erase__4
-- Delete the account for good, and all that belongs to it.
DELETE FROM authsql_users
WHERE id = %(user_id)s;

-- name: erase__5
-- Empty what the audit log says of its address and devices, the entry of the deletion too. That something happened, and when,
-- stays in the log under an id that leads nowhere.
UPDATE authsql_audit_log AS a
SET a.ip = NULL, a.user_agent = NULL, a.detail = JSON_OBJECT()
WHERE a.user_id = %(user_id)s AND %(rows_1)s > 0;

-- name: erase__6
-- The same where it acted on others. The detail is of what was done to them.
UPDATE authsql_audit_log AS a
SET a.ip = NULL, a.user_agent = NULL
WHERE a.actor_id = %(user_id)s AND %(rows_1)s > 0;

-- name: erase__7
-- Whether there was such an account.
SELECT w.erased
FROM (SELECT 1 AS erased) AS w
WHERE %(rows_1)s > 0;
