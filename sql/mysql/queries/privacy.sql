-- All that is held on a user, and its end. Functions: users.export and users.erase, in authsql/users.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, in one transaction, and the last one's rows are the answer.

-- name: export
-- One JSON document of all that is held on a user, without secrets: no hash, no encrypted value.
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
            FROM authsql_passwords AS p
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
            FROM authsql_otps AS o
            WHERE o.user_id = %(user_id)s
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
            FROM authsql_totp_factors AS f
            WHERE f.user_id = %(user_id)s
        ),
        'totp_attempts',
        (
            SELECT
                JSON_OBJECT(
                    'failed_attempts', t.failed_attempts,
                    'locked_until', t.locked_until
                )
            FROM authsql_totp_attempts AS t
            WHERE t.user_id = %(user_id)s
        ),
        'recovery_codes',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'number', k.number,
                        'created_at', k.created_at,
                        'spent_at', k.spent_at
                    )), JSON_ARRAY()
                )
            FROM authsql_recovery_codes AS k
            WHERE k.user_id = %(user_id)s
        ),
        'passkeys',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'id', BIN_TO_UUID(y.id),
                        'name', y.name,
                        'credential', LOWER(HEX(y.credential)),
                        'sign_count', y.sign_count,
                        'transports', y.transports,
                        'aaguid', y.aaguid,
                        'backup_eligible', IF(y.backup_eligible, CAST('true' AS JSON), CAST('false' AS JSON)),
                        'backed_up', IF(y.backed_up, CAST('true' AS JSON), CAST('false' AS JSON)),
                        'created_at', y.created_at,
                        'last_used_at', y.last_used_at,
                        'user_verified_at', y.user_verified_at,
                        'cloned_at', y.cloned_at
                    )), JSON_ARRAY()
                )
            FROM authsql_passkeys AS y
            WHERE y.user_id = %(user_id)s
        ),
        'passkey_challenges',
        (
            SELECT
                COALESCE(
                    JSON_ARRAYAGG(JSON_OBJECT(
                        'id', BIN_TO_UUID(h.id),
                        'purpose', h.purpose,
                        'user_verification', h.user_verification,
                        'created_at', h.created_at,
                        'expires_at', h.expires_at,
                        'spent_at', h.spent_at
                    )), JSON_ARRAY()
                )
            FROM authsql_passkey_challenges AS h
            WHERE h.user_id = %(user_id)s
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
        )
    ) AS document
FROM authsql_users AS w
WHERE w.id = %(user_id)s;

-- name: erase
-- The codes that were sent to its e-mail, unless another account has it now.
DELETE o
FROM authsql_otps AS o
INNER JOIN authsql_users AS u ON o.subject IN (LOWER(u.email), CONVERT(BIN_TO_UUID(u.id) USING utf8mb4) COLLATE utf8mb4_bin)
LEFT JOIN authsql_users AS w ON w.email_key = LOWER(u.email) AND u.id <> w.id
WHERE u.id = %(user_id)s AND o.user_id IS NULL AND w.id IS NULL;

-- name: erase__2
-- Empty what the audit log says of its address and devices. That something happened, and when, stays in the log under an id
-- that leads nowhere.
UPDATE authsql_audit_log AS a
SET a.ip = NULL, a.user_agent = NULL, a.detail = JSON_OBJECT()
WHERE a.user_id = %(user_id)s;

-- name: erase__3
-- Delete an account for good, soft-deleted or not, and all that belongs to it.
DELETE FROM authsql_users
WHERE id = %(user_id)s;

-- name: erase__4
-- Whether there was such an account.
SELECT w.erased
FROM (SELECT 1 AS erased) AS w
WHERE %(rows)s > 0;
