DELETE FROM authsql_schema_version WHERE version = 22;

-- Names are looked up in this schema, and in temporary ones last. Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE OR REPLACE VIEW authsql_ways_in AS
SELECT
    p.user_id,
    'password' AS kind,
    NULL::text AS provider,
    NULL::text AS subject
FROM authsql_passwords AS p
UNION ALL
SELECT
    i.user_id,
    'identity' AS kind,
    i.provider,
    i.subject
FROM authsql_identities AS i;

COMMENT ON VIEW authsql_ways_in IS 'One row for each way by which an account can be entered without mail: its password, its identities.';

COMMENT ON COLUMN authsql_expiry_backlog.lag_seconds IS NULL;
COMMENT ON COLUMN authsql_expiry_backlog.oldest_expired_at IS NULL;
COMMENT ON COLUMN authsql_expiry_backlog.expired_rows IS NULL;
COMMENT ON COLUMN authsql_expiry_backlog.table_name IS NULL;

CREATE OR REPLACE VIEW authsql_expiry_backlog AS
SELECT
    'authsql_otps' AS table_name,
    count(*) AS expired_rows,
    min(o.purge_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(o.purge_at)), 0)::bigint AS lag_seconds
FROM authsql_otps AS o
WHERE o.purge_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_sessions' AS table_name,
    count(*) AS expired_rows,
    min(s.absolute_expires_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(s.absolute_expires_at)), 0)::bigint AS lag_seconds
FROM authsql_sessions AS s
WHERE s.absolute_expires_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_users' AS table_name,
    count(*) AS expired_rows,
    min(u.deleted_at) + max(r.keep_days) * interval '24 hours' AS oldest_expired_at,
    coalesce(
        extract(EPOCH FROM statement_timestamp() - min(u.deleted_at) - max(r.keep_days) * interval '24 hours'), 0
    )::bigint AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_users AS u ON u.deleted_at <= statement_timestamp() - r.keep_days * interval '24 hours'
WHERE r.table_name = 'authsql_users'
UNION ALL
SELECT
    'authsql_audit_log' AS table_name,
    count(*) AS expired_rows,
    min(a.occurred_at) + max(r.keep_days) * interval '24 hours' AS oldest_expired_at,
    coalesce(
        extract(EPOCH FROM statement_timestamp() - min(a.occurred_at) - max(r.keep_days) * interval '24 hours'), 0
    )::bigint AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_audit_log AS a ON a.occurred_at <= statement_timestamp() - r.keep_days * interval '24 hours'
WHERE r.table_name = 'authsql_audit_log'
UNION ALL
SELECT
    'authsql_known_devices' AS table_name,
    count(*) AS expired_rows,
    min(d.expires_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(d.expires_at)), 0)::bigint AS lag_seconds
FROM authsql_known_devices AS d
WHERE d.expires_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_former_emails' AS table_name,
    count(*) AS expired_rows,
    min(f.expires_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(f.expires_at)), 0)::bigint AS lag_seconds
FROM authsql_former_emails AS f
WHERE f.expires_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_rate_limits' AS table_name,
    count(*) AS expired_rows,
    min(r.expires_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(r.expires_at)), 0)::bigint AS lag_seconds
FROM authsql_rate_limits AS r
WHERE r.expires_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_outbox' AS table_name,
    count(*) AS expired_rows,
    min(m.purge_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(m.purge_at)), 0)::bigint AS lag_seconds
FROM authsql_outbox AS m
WHERE m.purge_at <= statement_timestamp();

CREATE OR REPLACE FUNCTION authsql_purge(batch integer DEFAULT 10000, OUT table_name text, OUT deleted bigint)
RETURNS SETOF record
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
SELECT 'authsql_otps', authsql_purge_otps(batch)
UNION ALL
SELECT 'authsql_sessions', authsql_purge_sessions(batch)
UNION ALL
SELECT 'authsql_users', authsql_purge_users(greatest(batch / 10, 1))
UNION ALL
SELECT 'authsql_audit_log', authsql_purge_audit_log(batch)
UNION ALL
SELECT 'authsql_known_devices', authsql_purge_known_devices(batch)
UNION ALL
SELECT 'authsql_former_emails', authsql_purge_former_emails(batch)
UNION ALL
SELECT 'authsql_rate_limits', authsql_purge_rate_limits(batch)
UNION ALL
SELECT 'authsql_outbox', authsql_purge_outbox(batch)
$$;

DROP FUNCTION authsql_purge_passkey_challenges(integer);

DROP FUNCTION authsql_take_over(uuid, text, boolean, text, text);

DROP TRIGGER authsql_passkeys_update ON authsql_passkeys;

DROP FUNCTION authsql_tg_passkeys_refuse();

DROP TRIGGER authsql_passkeys_delete_audit ON authsql_passkeys;

DROP TRIGGER authsql_passkeys_update_audit ON authsql_passkeys;

DROP TRIGGER authsql_passkeys_insert_audit ON authsql_passkeys;

DROP FUNCTION authsql_tg_passkeys_audit();

DROP INDEX authsql_passkey_challenges_expires_at_idx;

DROP INDEX authsql_passkey_challenges_user_id_idx;

DROP TABLE authsql_passkey_challenges;

DROP INDEX authsql_passkeys_user_id_idx;

DROP TABLE authsql_passkeys;

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;
