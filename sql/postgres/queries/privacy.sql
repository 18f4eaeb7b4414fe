-- All that is held on a user, and its end. Functions: users.export and users.erase, in authsql/users.py.

-- name: export
-- One JSON document of all that is held on a user, without secrets: no hash, no encrypted value.
SELECT
    jsonb_build_object(
        'user',
        (
            SELECT to_jsonb(x)
            FROM (
                SELECT
                    u.id,
                    u.email,
                    u.name,
                    u.avatar,
                    u.email_verified_at,
                    u.last_login_at,
                    u.failed_attempts,
                    u.locked_until,
                    u.deleted_at,
                    u.reactivatable_at,
                    u.created_at,
                    u.updated_at
                FROM authsql_users AS u
                WHERE u.id = %(user_id)s
            ) AS x
        ),
        'password',
        (
            SELECT to_jsonb(x)
            FROM (
                SELECT
                    p.changed_at,
                    p.rehashed_at,
                    p.must_change_since
                FROM authsql_passwords AS p
                WHERE p.user_id = %(user_id)s
            ) AS x
        ),
        'roles',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.role), '[]')
            FROM (
                SELECT
                    r.role,
                    r.granted_at
                FROM authsql_user_roles AS r
                WHERE r.user_id = %(user_id)s
            ) AS x
        ),
        'identities',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.created_at), '[]')
            FROM (
                SELECT
                    i.provider,
                    i.subject,
                    i.email,
                    i.profile,
                    i.last_login_at,
                    i.created_at,
                    i.updated_at
                FROM authsql_identities AS i
                WHERE i.user_id = %(user_id)s
            ) AS x
        ),
        'sessions',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
            FROM (
                SELECT
                    s.id,
                    host(s.ip) AS ip,
                    s.user_agent,
                    s.device,
                    s.aal,
                    s.created_at,
                    s.authenticated_at,
                    s.last_seen_at,
                    s.expires_at,
                    s.absolute_expires_at,
                    s.revoked_at,
                    s.revoke_reason
                FROM authsql_sessions AS s
                WHERE s.user_id = %(user_id)s
            ) AS x
        ),
        'known_devices',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
            FROM (
                SELECT
                    d.id,
                    d.name,
                    d.failed_attempts,
                    d.trusted_until,
                    d.created_at,
                    d.last_used_at,
                    d.expires_at
                FROM authsql_known_devices AS d
                WHERE d.user_id = %(user_id)s
            ) AS x
        ),
        'former_emails',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.changed_at), '[]')
            FROM (
                SELECT
                    f.email,
                    f.was_verified,
                    f.changed_at,
                    f.expires_at
                FROM authsql_former_emails AS f
                WHERE f.user_id = %(user_id)s
            ) AS x
        ),
        'codes',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.created_at), '[]')
            FROM (
                SELECT
                    o.subject,
                    o.purpose,
                    o.attempts,
                    o.created_at,
                    o.expires_at,
                    o.spent_at
                FROM authsql_otps AS o
                WHERE o.user_id = %(user_id)s
            ) AS x
        ),
        'totp_factors',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
            FROM (
                SELECT
                    f.id,
                    f.name,
                    f.created_at,
                    f.expires_at,
                    f.confirmed_at,
                    f.last_used_at
                FROM authsql_totp_factors AS f
                WHERE f.user_id = %(user_id)s
            ) AS x
        ),
        'totp_attempts',
        (
            SELECT to_jsonb(x)
            FROM (
                SELECT
                    t.failed_attempts,
                    t.locked_until
                FROM authsql_totp_attempts AS t
                WHERE t.user_id = %(user_id)s
            ) AS x
        ),
        'recovery_codes',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.number), '[]')
            FROM (
                SELECT
                    k.number,
                    k.created_at,
                    k.spent_at
                FROM authsql_recovery_codes AS k
                WHERE k.user_id = %(user_id)s
            ) AS x
        ),
        'passkeys',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
            FROM (
                SELECT
                    y.id,
                    y.name,
                    encode(y.credential, 'hex') AS credential,
                    y.sign_count,
                    y.transports,
                    y.aaguid,
                    y.backup_eligible,
                    y.backed_up,
                    y.created_at,
                    y.last_used_at,
                    y.user_verified_at,
                    y.cloned_at
                FROM authsql_passkeys AS y
                WHERE y.user_id = %(user_id)s
            ) AS x
        ),
        'passkey_challenges',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
            FROM (
                SELECT
                    h.id,
                    h.purpose,
                    h.user_verification,
                    h.created_at,
                    h.expires_at,
                    h.spent_at
                FROM authsql_passkey_challenges AS h
                WHERE h.user_id = %(user_id)s
            ) AS x
        ),
        'audit_log',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.number), '[]')
            FROM (
                SELECT
                    a.number,
                    a.occurred_at,
                    a.event,
                    a.actor_id,
                    a.session_id,
                    host(a.ip) AS ip,
                    a.user_agent,
                    a.detail
                FROM authsql_audit_log AS a
                WHERE a.user_id = %(user_id)s
            ) AS x
        )
    ) AS document
FROM authsql_users AS w
WHERE w.id = %(user_id)s;

-- name: erase
-- Delete an account for good, soft-deleted or not, and all that belongs to it; the codes that were sent to its e-mail, unless
-- another account has it now; and what the audit log says of its address and devices. That something happened, and when,
-- stays in the log under an id that leads nowhere.
WITH gone AS (
    DELETE FROM authsql_users AS u
    WHERE u.id = %(user_id)s
    RETURNING u.id, u.email
),

codes AS (
    DELETE FROM authsql_otps AS o
    USING gone AS g
    WHERE o.subject IN (lower(g.email), g.id::text)
        AND o.user_id IS NULL
        AND NOT EXISTS (SELECT 1 FROM authsql_users AS u WHERE u.email_key = lower(g.email) AND u.id <> g.id)
),

entries AS (
    UPDATE authsql_audit_log AS a
    SET ip = NULL, user_agent = NULL, detail = '{}'
    FROM gone AS g
    WHERE a.user_id = g.id AND (a.ip IS NOT NULL OR a.user_agent IS NOT NULL OR a.detail <> '{}')
)

SELECT g.id
FROM gone AS g;
