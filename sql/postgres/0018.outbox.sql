-- 0018.outbox: mail that is to be sent. The row is written in the transaction that calls for the mail, so that there is
-- no mail without the change and no change without the mail; a sender takes it from there. What it says is encrypted.
-- depends: 0017.rate_limits
-- Locks: ACCESS EXCLUSIVE on the view authsql_expiry_backlog while it is replaced (who reads it waits for an instant), nothing
-- else.
-- Rollback: drops the queue; mail that was not sent is lost.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_outbox (
    id uuid NOT NULL DEFAULT authsql_uuid7(),
    recipient text NOT NULL,
    template text NOT NULL,
    body bytea,
    key_name text NOT NULL,
    dedup_hash bytea,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT statement_timestamp(),
    lease_id uuid,
    sent_at timestamptz,
    failed_at timestamptz,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at timestamptz NOT NULL,
    purge_at timestamptz NOT NULL,
    CONSTRAINT authsql_outbox_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_outbox_dedup_hash_key UNIQUE (dedup_hash),
    CONSTRAINT authsql_outbox_recipient_check CHECK (char_length(recipient) BETWEEN 3 AND 254 AND position('@' IN recipient) > 1),
    CONSTRAINT authsql_outbox_template_check CHECK (template ~ '^[a-z][a-z0-9_-]{0,31}$'),
    CONSTRAINT authsql_outbox_body_check CHECK (octet_length(body) <= 1048576),
    CONSTRAINT authsql_outbox_key_name_check CHECK (char_length(key_name) BETWEEN 1 AND 32),
    CONSTRAINT authsql_outbox_dedup_hash_check CHECK (octet_length(dedup_hash) = 32),
    CONSTRAINT authsql_outbox_attempts_check CHECK (attempts >= 0),
    CONSTRAINT authsql_outbox_last_error_check CHECK (char_length(last_error) <= 200),
    CONSTRAINT authsql_outbox_purge_at_check CHECK (purge_at >= expires_at),
    -- Sent, given up, or still to be sent and with something to send: one of the three.
    CONSTRAINT authsql_outbox_state_check CHECK (
        (sent_at IS NULL OR failed_at IS NULL)
        AND (next_attempt_at IS NULL) = (sent_at IS NOT NULL OR failed_at IS NOT NULL)
        AND (body IS NULL) = (next_attempt_at IS NULL)
        AND (lease_id IS NULL OR next_attempt_at IS NOT NULL)
    )
);

-- What is due. What was sent or given up has NULL there.
CREATE INDEX authsql_outbox_next_attempt_at_idx ON authsql_outbox (next_attempt_at);

-- What a sender has. In MySQL a sender reads by it what it has just taken.
CREATE INDEX authsql_outbox_lease_id_idx ON authsql_outbox (lease_id);

CREATE INDEX authsql_outbox_purge_at_idx ON authsql_outbox (purge_at);

COMMENT ON TABLE authsql_outbox IS 'Mail to be sent: written in the transaction that calls for it, sent afterwards by a sender, at least once.';
COMMENT ON COLUMN authsql_outbox.id IS 'UUID version 7, also the first part of the Message-ID. Not a secret.';
COMMENT ON COLUMN authsql_outbox.recipient IS 'Address that the mail goes to.';
COMMENT ON COLUMN authsql_outbox.template IS 'What the mail is made of: signin, password-reset, new-device or any other template of the application.';
COMMENT ON COLUMN authsql_outbox.body IS 'Subject and text, encrypted (AES-256-GCM) for this row and recipient under a key that is not in the database. NULL: wiped, as it was sent or given up.';
COMMENT ON COLUMN authsql_outbox.key_name IS 'Name of the key that body is encrypted under. Not a secret.';
COMMENT ON COLUMN authsql_outbox.dedup_hash IS 'SHA-256 of what the application calls this mail, so that it is not queued twice. NULL: it may be.';
COMMENT ON COLUMN authsql_outbox.attempts IS 'How often a sender took it.';
COMMENT ON COLUMN authsql_outbox.next_attempt_at IS 'No sender takes it before then: the end of a lease, or of the wait after a failure. NULL: it was sent or given up.';
COMMENT ON COLUMN authsql_outbox.lease_id IS 'The lease under which a sender has it. Another one takes it when next_attempt_at has come. NULL: nobody has it.';
COMMENT ON COLUMN authsql_outbox.sent_at IS 'When the mail server took it. NULL: not yet.';
COMMENT ON COLUMN authsql_outbox.failed_at IS 'When it was given up. NULL: it was not.';
COMMENT ON COLUMN authsql_outbox.last_error IS 'Why the last attempt failed: kind of error and codes of the mail server.';
COMMENT ON COLUMN authsql_outbox.created_at IS 'When it was queued.';
COMMENT ON COLUMN authsql_outbox.expires_at IS 'It is of no use from then on, and is not sent.';
COMMENT ON COLUMN authsql_outbox.purge_at IS 'The row is purged then.';

-- Differs from mysql: functions, not events (see 0009.purge).
CREATE FUNCTION authsql_purge_outbox(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_outbox AS m
    WHERE m.id IN (
        SELECT c.id
        FROM authsql_outbox AS c
        WHERE c.purge_at <= statement_timestamp()
        ORDER BY c.purge_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_outbox(integer) IS 'Deletes at most batch old rows of authsql_outbox and returns how many.';

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

CREATE VIEW authsql_pending_mail AS
SELECT
    m.id AS mail_id,
    m.recipient,
    m.template,
    CASE
        WHEN m.expires_at <= statement_timestamp() THEN 'expired'
        WHEN m.next_attempt_at <= statement_timestamp() THEN 'due'
        WHEN m.lease_id IS NOT NULL THEN 'leased'
        ELSE 'waiting'
    END AS state,
    m.attempts,
    m.next_attempt_at,
    m.last_error,
    m.created_at,
    m.expires_at
FROM authsql_outbox AS m
WHERE m.next_attempt_at IS NOT NULL;

COMMENT ON VIEW authsql_pending_mail IS 'Mail that was neither sent nor given up. What it says is not shown.';
COMMENT ON COLUMN authsql_pending_mail.mail_id IS 'UUID version 7, also the first part of the Message-ID. Not a secret.';
COMMENT ON COLUMN authsql_pending_mail.recipient IS 'Address that the mail goes to.';
COMMENT ON COLUMN authsql_pending_mail.template IS 'What the mail is made of: signin, password-reset, new-device or any other template of the application.';
COMMENT ON COLUMN authsql_pending_mail.state IS 'The first that applies: expired, due, leased (a sender has it), waiting.';
COMMENT ON COLUMN authsql_pending_mail.attempts IS 'How often a sender took it.';
COMMENT ON COLUMN authsql_pending_mail.next_attempt_at IS 'No sender takes it before then: the end of a lease, or of the wait after a failure.';
COMMENT ON COLUMN authsql_pending_mail.last_error IS 'Why the last attempt failed: kind of error and codes of the mail server.';
COMMENT ON COLUMN authsql_pending_mail.created_at IS 'When it was queued.';
COMMENT ON COLUMN authsql_pending_mail.expires_at IS 'It is of no use from then on, and is not sent.';

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (18, 'outbox');
