-- 0022.passkeys: public keys of WebAuthn authenticators, and the challenges of their ceremonies. Nothing in either table
-- opens anything. Also here: the purge of challenges, and of enrolments of the migration totp.
-- depends: 0021.recovery_codes
-- Locks: SHARE ROW EXCLUSIVE on authsql_users while the foreign keys are made (the new tables are empty), ACCESS EXCLUSIVE on the
-- views authsql_expiry_backlog and authsql_ways_in while they are replaced: writers, and who reads the views, wait for an
-- instant.
-- Rollback: drops every passkey; users must register theirs anew.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_passkeys (
    id uuid NOT NULL DEFAULT authsql_uuid7(),
    user_id uuid NOT NULL,
    name text,
    credential bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL DEFAULT 0,
    transports jsonb NOT NULL,
    aaguid text NOT NULL,
    backup_eligible boolean NOT NULL,
    backed_up boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    last_used_at timestamptz,
    user_verified_at timestamptz,
    cloned_at timestamptz,
    CONSTRAINT authsql_passkeys_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_passkeys_credential_key UNIQUE (credential),
    CONSTRAINT authsql_passkeys_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_passkeys_name_check CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT authsql_passkeys_credential_check CHECK (octet_length(credential) BETWEEN 1 AND 1023),
    CONSTRAINT authsql_passkeys_public_key_check CHECK (octet_length(public_key) BETWEEN 1 AND 4096),
    CONSTRAINT authsql_passkeys_sign_count_check CHECK (sign_count BETWEEN 0 AND 4294967295),
    CONSTRAINT authsql_passkeys_transports_check CHECK (jsonb_typeof(transports) = 'array'),
    CONSTRAINT authsql_passkeys_aaguid_check CHECK (char_length(aaguid) BETWEEN 36 AND 36),
    CONSTRAINT authsql_passkeys_backed_up_check CHECK (backup_eligible OR NOT backed_up)
)
-- Room on each page for the new version of a row: a sign-in then writes no index (HOT).
WITH (fillfactor = 85);

CREATE INDEX authsql_passkeys_user_id_idx ON authsql_passkeys (user_id);

COMMENT ON TABLE authsql_passkeys IS 'Passkeys: one row for each credential that a user has registered.';
COMMENT ON COLUMN authsql_passkeys.id IS 'UUID version 7. Not a secret.';
COMMENT ON COLUMN authsql_passkeys.user_id IS 'Whose passkey it is. Its 16 bytes are the user handle that the authenticator stores.';
COMMENT ON COLUMN authsql_passkeys.name IS 'Name of the passkey, for the list that its owner sees.';
COMMENT ON COLUMN authsql_passkeys.credential IS 'The credential ID that the authenticator chose, up to 1023 bytes. Not a secret.';
COMMENT ON COLUMN authsql_passkeys.public_key IS 'The credential''s public key, as COSE_Key (RFC 9052) in CBOR.';
COMMENT ON COLUMN authsql_passkeys.sign_count IS 'The authenticator''s signature counter as last seen. 0: it counts nothing, as most passkeys do.';
COMMENT ON COLUMN authsql_passkeys.transports IS 'How the authenticator can be reached, a JSON array of usb, nfc, ble, smart-card, hybrid, internal.';
COMMENT ON COLUMN authsql_passkeys.aaguid IS 'Model of the authenticator, by its vendor''s word and unproved. Zeros: it was not told.';
COMMENT ON COLUMN authsql_passkeys.backup_eligible IS 'Whether the private key may be copied to other devices. Never changes.';
COMMENT ON COLUMN authsql_passkeys.backed_up IS 'Whether the private key was backed up when it was last used.';
COMMENT ON COLUMN authsql_passkeys.created_at IS 'When the passkey was registered.';
COMMENT ON COLUMN authsql_passkeys.last_used_at IS 'When it last signed a challenge. NULL: not since it was registered.';
COMMENT ON COLUMN authsql_passkeys.user_verified_at IS 'When the authenticator last checked a PIN or a biometric. NULL: never yet.';
COMMENT ON COLUMN authsql_passkeys.cloned_at IS 'When it last signed with a counter that did not go up: there may be a copy of the private key. NULL: never.';

CREATE TABLE authsql_passkey_challenges (
    id uuid NOT NULL DEFAULT authsql_uuid7(),
    purpose text NOT NULL,
    user_id uuid,
    challenge_hash bytea NOT NULL,
    user_verification text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    CONSTRAINT authsql_passkey_challenges_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_passkey_challenges_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_passkey_challenges_purpose_check CHECK (
        char_length(purpose) <= 16
        AND (purpose = 'authentication' OR (purpose = 'registration' AND user_id IS NOT NULL))
    ),
    CONSTRAINT authsql_passkey_challenges_challenge_hash_check CHECK (octet_length(challenge_hash) = 32),
    CONSTRAINT authsql_passkey_challenges_user_verification_check CHECK (
        char_length(user_verification) <= 16
        AND user_verification IN ('required', 'preferred', 'discouraged')
    ),
    CONSTRAINT authsql_passkey_challenges_expires_at_check CHECK (expires_at > created_at)
);

CREATE INDEX authsql_passkey_challenges_user_id_idx ON authsql_passkey_challenges (user_id);

CREATE INDEX authsql_passkey_challenges_expires_at_idx ON authsql_passkey_challenges (expires_at);

COMMENT ON TABLE authsql_passkey_challenges IS 'Ceremonies that were begun: what an authenticator is to sign. Each is good for one try.';
COMMENT ON COLUMN authsql_passkey_challenges.id IS 'UUID version 7. Not a secret: kept by the application between the two halves of the ceremony.';
COMMENT ON COLUMN authsql_passkey_challenges.purpose IS 'What it is for: registration or authentication.';
COMMENT ON COLUMN authsql_passkey_challenges.user_id IS 'Whose ceremony it is. NULL: whoever signs in by a passkey that names its user.';
COMMENT ON COLUMN authsql_passkey_challenges.challenge_hash IS 'SHA-256 of the challenge, 32 random bytes.';
COMMENT ON COLUMN authsql_passkey_challenges.user_verification IS 'What was asked of the authenticator: required, preferred or discouraged. Without it, what is required is refused.';
COMMENT ON COLUMN authsql_passkey_challenges.created_at IS 'When the ceremony was begun.';
COMMENT ON COLUMN authsql_passkey_challenges.expires_at IS 'The challenge is good until then, and is purged after it.';
COMMENT ON COLUMN authsql_passkey_challenges.spent_at IS 'When an answer came, right or wrong. NULL: not yet.';

CREATE FUNCTION authsql_tg_passkeys_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        VALUES ('passkey.added', NEW.user_id, jsonb_build_object('passkey', NEW.id));
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        VALUES (
            CASE
                WHEN NEW.cloned_at IS NOT NULL AND NEW.cloned_at IS DISTINCT FROM OLD.cloned_at THEN 'passkey.cloned'
                ELSE 'passkey.verified'
            END,
            NEW.user_id,
            jsonb_build_object('passkey', NEW.id)
        );
    ELSE
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'passkey.removed', u.id, jsonb_build_object('passkey', OLD.id)
        FROM authsql_users AS u
        WHERE u.id = OLD.user_id;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_passkeys_audit() IS 'Trigger: records what happens to passkeys.';

CREATE TRIGGER authsql_passkeys_insert_audit
AFTER INSERT ON authsql_passkeys
FOR EACH ROW EXECUTE FUNCTION authsql_tg_passkeys_audit();

COMMENT ON TRIGGER authsql_passkeys_insert_audit ON authsql_passkeys IS 'Records passkey.added.';

CREATE TRIGGER authsql_passkeys_update_audit
AFTER UPDATE OF last_used_at, cloned_at ON authsql_passkeys
FOR EACH ROW WHEN (
    NEW.last_used_at IS DISTINCT FROM OLD.last_used_at
    OR (NEW.cloned_at IS NOT NULL AND NEW.cloned_at IS DISTINCT FROM OLD.cloned_at)
)
EXECUTE FUNCTION authsql_tg_passkeys_audit();

COMMENT ON TRIGGER authsql_passkeys_update_audit ON authsql_passkeys IS 'Records passkey.verified, passkey.cloned.';

CREATE TRIGGER authsql_passkeys_delete_audit
AFTER DELETE ON authsql_passkeys
FOR EACH ROW EXECUTE FUNCTION authsql_tg_passkeys_audit();

COMMENT ON TRIGGER authsql_passkeys_delete_audit ON authsql_passkeys IS 'Records passkey.removed.';

REVOKE EXECUTE ON FUNCTION authsql_tg_passkeys_audit() FROM public;

-- What no entry would make good: another's key in the place of a user's, or another user in the place of its owner.
CREATE FUNCTION authsql_tg_passkeys_refuse() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    RAISE EXCEPTION 'a passkey stays as it was registered' USING
        ERRCODE = 'restrict_violation',
        HINT = 'Whoever has another authenticator registers it.';
END
$$;

COMMENT ON FUNCTION authsql_tg_passkeys_refuse() IS 'Trigger: a passkey keeps its credential, its key and its user.';

CREATE TRIGGER authsql_passkeys_update
BEFORE UPDATE OF id, user_id, credential, public_key, backup_eligible ON authsql_passkeys
FOR EACH ROW WHEN (
    (OLD.id, OLD.user_id, OLD.credential, OLD.public_key, OLD.backup_eligible)
    IS DISTINCT FROM (NEW.id, NEW.user_id, NEW.credential, NEW.public_key, NEW.backup_eligible)
)
EXECUTE FUNCTION authsql_tg_passkeys_refuse();

COMMENT ON TRIGGER authsql_passkeys_update ON authsql_passkeys IS 'A passkey keeps its credential, its key and its user.';

-- Called by accounts.sign_in and accounts.reset_password under a lock on the user's row. A function, because each of its
-- statements sees what was committed while the lock was waited for. Here, because a passkey is the last of what it takes.
CREATE FUNCTION authsql_take_over(owner uuid, password_hash text, is_unproved boolean, but_subject text, but_purpose text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF is_unproved THEN
        DELETE FROM authsql_identities AS i WHERE i.user_id = owner;
        DELETE FROM authsql_totp_factors AS f WHERE f.user_id = owner;
        DELETE FROM authsql_recovery_codes AS r WHERE r.user_id = owner;
        DELETE FROM authsql_passkeys AS k WHERE k.user_id = owner;
    END IF;
    DELETE FROM authsql_known_devices AS d WHERE d.user_id = owner;
    IF password_hash IS NULL THEN
        DELETE FROM authsql_passwords AS p WHERE p.user_id = owner;
    ELSE
        -- The trigger on it ends the sessions that a password before this one opened.
        INSERT INTO authsql_passwords (user_id, new_hash)
        VALUES (owner, password_hash)
        ON CONFLICT (user_id) DO UPDATE SET new_hash = password_hash, must_change_since = NULL;
    END IF;
    UPDATE authsql_sessions AS s
    SET
        revoked_at = statement_timestamp(),
        revoke_reason = CASE WHEN password_hash IS NULL THEN 'account_claimed' ELSE 'password_change' END
    WHERE s.user_id = owner AND s.revoked_at IS NULL;
    -- Codes that wait, such as one for a new e-mail, were asked for by whoever had the account until now.
    UPDATE authsql_otps AS o
    SET expires_at = greatest(statement_timestamp(), o.created_at + interval '1 microsecond')
    WHERE o.user_id = owner
        AND o.spent_at IS NULL
        AND o.expires_at > statement_timestamp()
        AND NOT (o.subject = but_subject AND o.purpose = but_purpose);
    RETURN true;
END
$$;

COMMENT ON FUNCTION authsql_take_over(uuid, text, boolean, text, text) IS
'Takes from an account what its former holder had: devices, sessions, codes, the password (or sets another one) and, if its e-mail was unproved, identities and second factors. Always true.';

CREATE FUNCTION authsql_purge_passkey_challenges(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_passkey_challenges AS h
    WHERE h.id IN (
        SELECT c.id
        FROM authsql_passkey_challenges AS c
        WHERE c.expires_at <= statement_timestamp()
        ORDER BY c.expires_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_passkey_challenges(integer) IS
'Deletes at most batch expired rows of authsql_passkey_challenges and returns how many.';

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
UNION ALL
SELECT 'authsql_totp_factors', authsql_purge_totp_factors(batch)
UNION ALL
SELECT 'authsql_passkey_challenges', authsql_purge_passkey_challenges(batch)
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
WHERE m.purge_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_totp_factors' AS table_name,
    count(*) AS expired_rows,
    min(t.expires_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(t.expires_at)), 0)::bigint AS lag_seconds
FROM authsql_totp_factors AS t
WHERE t.expires_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_passkey_challenges' AS table_name,
    count(*) AS expired_rows,
    min(c.expires_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(c.expires_at)), 0)::bigint AS lag_seconds
FROM authsql_passkey_challenges AS c
WHERE c.expires_at <= statement_timestamp();

COMMENT ON COLUMN authsql_expiry_backlog.table_name IS 'Which table.';
COMMENT ON COLUMN authsql_expiry_backlog.expired_rows IS 'How many of its rows the purge would delete now.';
COMMENT ON COLUMN authsql_expiry_backlog.oldest_expired_at IS 'Since when the oldest of them could have been deleted. NULL: there is none.';
COMMENT ON COLUMN authsql_expiry_backlog.lag_seconds IS 'For how many seconds that one has been waiting. 0: there is none.';

-- A passkey is a way to sign in: what removes another one may leave it as the last. Its id tells it from its like.
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
FROM authsql_identities AS i
UNION ALL
SELECT
    k.user_id,
    'passkey' AS kind,
    NULL::text AS provider,
    k.id::text AS subject
FROM authsql_passkeys AS k;

COMMENT ON VIEW authsql_ways_in IS 'One row for each way by which an account can be entered without mail: its password, its identities, its passkeys.';

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (22, 'passkeys');
