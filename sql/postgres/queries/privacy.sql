-- All that is held on a user, and its end. Functions: users.export and users.erase, in authsql/users.py.

-- name: export
-- One JSON document of all that is held on a user, without secrets: no hash, no encrypted value. What is kept under an address
-- is theirs unless another account has the address now; a sign-up that waits, under their own address only. The outbox is read
-- without an index: it holds the mail of the last days.
WITH addresses AS (
    SELECT
        lower(u.email) AS address,
        TRUE AS is_current
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s
        AND NOT EXISTS (SELECT 1 FROM authsql_users AS w WHERE w.email_key = lower(u.email) AND w.id <> u.id)
    UNION ALL
    SELECT
        lower(f.email) AS address,
        FALSE AS is_current
    FROM authsql_former_emails AS f
    WHERE f.user_id = %(user_id)s
        AND NOT EXISTS (SELECT 1 FROM authsql_users AS w WHERE w.email_key = lower(f.email) AND w.id <> f.user_id)
)

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
                    u.password_verified_at,
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
        'identity_tokens',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.created_at), '[]')
            FROM (
                SELECT
                    t.provider,
                    t.subject,
                    t.scopes,
                    t.expires_at,
                    t.created_at,
                    t.updated_at
                FROM authsql_identity_tokens AS t
                WHERE EXISTS (
                        SELECT 1
                        FROM authsql_identities AS i
                        WHERE i.provider = t.provider AND i.subject = t.subject AND i.user_id = %(user_id)s
                    )
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
                    n.failed_attempts,
                    n.locked_until
                FROM authsql_totp_attempts AS n
                WHERE n.user_id = %(user_id)s
            ) AS x
        ),
        'recovery_codes',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.number), '[]')
            FROM (
                SELECT
                    c.number,
                    c.created_at,
                    c.spent_at
                FROM authsql_recovery_codes AS c
                WHERE c.user_id = %(user_id)s
            ) AS x
        ),
        'passkeys',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
            FROM (
                SELECT
                    k.id,
                    k.name,
                    k.transports,
                    k.aaguid,
                    k.backup_eligible,
                    k.backed_up,
                    k.created_at,
                    k.last_used_at,
                    k.user_verified_at,
                    k.cloned_at
                FROM authsql_passkeys AS k
                WHERE k.user_id = %(user_id)s
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
        'refresh_tokens',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.session_id), '[]')
            FROM (
                SELECT
                    t.session_id,
                    t.generation,
                    t.created_at,
                    t.rotated_at,
                    t.expires_at
                FROM authsql_refresh_tokens AS t
                INNER JOIN authsql_sessions AS s ON t.session_id = s.id
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
                UNION ALL
                SELECT
                    o.subject,
                    o.purpose,
                    o.attempts,
                    o.created_at,
                    o.expires_at,
                    o.spent_at
                FROM authsql_otps AS o
                WHERE o.user_id IS NULL
                    AND (
                        o.subject IN (SELECT e.address FROM addresses AS e WHERE e.is_current)
                        OR o.subject = (%(user_id)s::uuid)::text
                    )
            ) AS x
        ),
        'signups',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.created_at), '[]')
            FROM (
                SELECT
                    p.email,
                    p.name,
                    p.created_at
                FROM authsql_signups AS p
                INNER JOIN addresses AS e ON p.subject = e.address
                WHERE e.is_current
            ) AS x
        ),
        'mails',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.id), '[]')
            FROM (
                SELECT
                    m.id,
                    m.recipient,
                    m.template,
                    m.attempts,
                    m.next_attempt_at,
                    m.sent_at,
                    m.failed_at,
                    m.last_error,
                    m.created_at,
                    m.expires_at,
                    m.purge_at
                FROM authsql_outbox AS m
                WHERE lower(m.recipient) IN (SELECT e.address FROM addresses AS e)
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
        ),
        -- What they did to others, or to nobody. To whom, and the rest, is not theirs.
        'acts',
        (
            SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.number), '[]')
            FROM (
                SELECT
                    a.number,
                    a.occurred_at,
                    a.event,
                    host(a.ip) AS ip,
                    a.user_agent
                FROM authsql_audit_log AS a
                WHERE a.actor_id = %(user_id)s AND a.user_id IS DISTINCT FROM %(user_id)s
            ) AS x
        )
    ) AS document
FROM authsql_users AS w
WHERE w.id = %(user_id)s;

-- name: erase
-- Delete an account for good, soft-deleted or not, and all that belongs to it; the codes, sign-ups and mail that are kept under
-- an address that it has or had, unless another account has that now; and what the audit log says of its address and devices.
-- That something happened, and when, stays in the log under an id that leads nowhere. The last of it is a function's work,
-- because the deletion leaves an entry, too, and this statement would not see it.
WITH account AS (
    SELECT
        u.id,
        u.email
    FROM authsql_users AS u
    WHERE u.id = %(user_id)s
    FOR UPDATE
),

addresses AS (
    SELECT n.address
    FROM (
        SELECT lower(a.email) AS address
        FROM account AS a
        UNION DISTINCT
        SELECT lower(f.email) AS address
        FROM authsql_former_emails AS f
        INNER JOIN account AS a ON f.user_id = a.id
    ) AS n
    WHERE NOT EXISTS (SELECT 1 FROM authsql_users AS u WHERE u.email_key = n.address AND u.id <> %(user_id)s)
),

-- A sign-up goes with its code.
codes AS (
    DELETE FROM authsql_otps AS o
    WHERE o.user_id IS NULL
        AND (
            o.subject IN (SELECT n.address FROM addresses AS n)
            OR o.subject IN (SELECT a.id::text FROM account AS a)
        )
),

-- Without an index: the outbox holds the mail of the last days, and is read once.
mails AS (
    DELETE FROM authsql_outbox AS m
    WHERE lower(m.recipient) IN (SELECT n.address FROM addresses AS n)
)

SELECT a.id
FROM account AS a
WHERE authsql_erase_user(a.id);
