-- 0020.totp: second factors that show a code of six digits every 30 seconds (TOTP, RFC 6238). A secret has to be read
-- again to check a code, so it is encrypted under a key that is not in the database. Also here: session.elevated, an entry
-- in the audit log.
-- depends: 0019.identity_tokens
-- Locks: SHARE ROW EXCLUSIVE on authsql_users while the foreign keys are made (the new tables are empty), and on authsql_sessions
-- while its trigger is made: writers wait for an instant.
-- Rollback: drops every TOTP factor; users must enrol their authenticator apps anew.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_totp_factors (
    id uuid NOT NULL DEFAULT authsql_uuid7(),
    user_id uuid NOT NULL,
    name text,
    secret bytea NOT NULL,
    key_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at timestamptz,
    confirmed_at timestamptz,
    last_step bigint,
    last_used_at timestamptz,
    reencrypt_until timestamptz,
    new_secret bytea,
    CONSTRAINT authsql_totp_factors_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_totp_factors_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_totp_factors_name_check CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT authsql_totp_factors_secret_check CHECK (octet_length(secret) BETWEEN 32 AND 255),
    CONSTRAINT authsql_totp_factors_key_name_check CHECK (char_length(key_name) BETWEEN 1 AND 32),
    CONSTRAINT authsql_totp_factors_expires_at_check CHECK (expires_at > created_at),
    CONSTRAINT authsql_totp_factors_confirmed_check CHECK (
        (confirmed_at IS NULL) = (expires_at IS NOT NULL)
        AND (confirmed_at IS NULL) = (last_step IS NULL)
        AND (confirmed_at IS NULL) = (last_used_at IS NULL)
    )
)
-- Room on each page for the new version of a row: spending a code then writes no index (HOT).
WITH (fillfactor = 85);

CREATE INDEX authsql_totp_factors_user_id_idx ON authsql_totp_factors (user_id);

-- For the change of keys: which secrets are not encrypted under the current one.
CREATE INDEX authsql_totp_factors_key_name_idx ON authsql_totp_factors (key_name);

-- For the purge. A confirmed factor has no end.
CREATE INDEX authsql_totp_factors_expires_at_idx ON authsql_totp_factors (expires_at);

COMMENT ON TABLE authsql_totp_factors IS 'Authenticator apps. One that is not confirmed is an enrolment, and no second factor.';
COMMENT ON COLUMN authsql_totp_factors.id IS 'UUID version 7. Not a secret.';
COMMENT ON COLUMN authsql_totp_factors.user_id IS 'Whose factor it is.';
COMMENT ON COLUMN authsql_totp_factors.name IS 'Name of the app or device, for the list that its owner sees.';
COMMENT ON COLUMN authsql_totp_factors.secret IS 'The secret of 160 bits, encrypted with AES-256-GCM for this row and its user.';
COMMENT ON COLUMN authsql_totp_factors.key_name IS 'Name of the key that the secret is encrypted under.';
COMMENT ON COLUMN authsql_totp_factors.created_at IS 'When the enrolment began.';
COMMENT ON COLUMN authsql_totp_factors.expires_at IS 'The enrolment may be confirmed until then, and is purged after it. NULL: confirmed.';
COMMENT ON COLUMN authsql_totp_factors.confirmed_at IS 'When a first code proved that the app has the secret. NULL: not yet.';
COMMENT ON COLUMN authsql_totp_factors.last_step IS 'Number of the 30 seconds whose code was last accepted, since 1970: no code of it or of an earlier one is accepted again.';
COMMENT ON COLUMN authsql_totp_factors.last_used_at IS 'When a code was last accepted.';
COMMENT ON COLUMN authsql_totp_factors.reencrypt_until IS 'The secret may be read until then, to be encrypted under another key. NULL: it is not being changed.';
COMMENT ON COLUMN authsql_totp_factors.new_secret IS 'Written by who may not read the secret, which it becomes. Always NULL once stored.';

-- Apart from the factors, so that a code is one attempt however many factors it is compared with.
CREATE TABLE authsql_totp_attempts (
    user_id uuid NOT NULL,
    failed_attempts integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    CONSTRAINT authsql_totp_attempts_pkey PRIMARY KEY (user_id),
    CONSTRAINT authsql_totp_attempts_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_totp_attempts_failed_attempts_check CHECK (failed_attempts >= 0)
)
WITH (fillfactor = 85);

COMMENT ON TABLE authsql_totp_attempts IS 'Failed codes of each user who has, or had, a TOTP factor.';
COMMENT ON COLUMN authsql_totp_attempts.user_id IS 'Whose codes they were.';
COMMENT ON COLUMN authsql_totp_attempts.failed_attempts IS 'Consecutive failed codes, counted before each check and set to 0 by a success.';
COMMENT ON COLUMN authsql_totp_attempts.locked_until IS 'No code is checked before this time. In the past or NULL: not locked.';

-- A secret is given out under conditions: of an enrolment, or after an attempt of its user. So neither is changed by hand; and
-- a secret is replaced only where the log has it that keys are being changed.
CREATE TRIGGER authsql_totp_factors_update
BEFORE UPDATE OF id, user_id, confirmed_at, new_secret ON authsql_totp_factors
FOR EACH ROW WHEN (
    OLD.id <> NEW.id
    OR OLD.user_id <> NEW.user_id
    OR (OLD.confirmed_at IS NOT NULL AND NEW.confirmed_at IS NULL)
    OR (NEW.new_secret IS NOT NULL AND coalesce(OLD.reencrypt_until <= statement_timestamp(), true))
)
EXECUTE FUNCTION authsql_tg_refuse('a factor stays confirmed, its user''s, and keeps its secret');

COMMENT ON TRIGGER authsql_totp_factors_update ON authsql_totp_factors IS 'No factor becomes an enrolment again, and none becomes another user''s. A secret changes while reencrypt_until allows it.';

CREATE TRIGGER authsql_totp_attempts_update
BEFORE UPDATE OF user_id ON authsql_totp_attempts
FOR EACH ROW WHEN (OLD.user_id <> NEW.user_id)
EXECUTE FUNCTION authsql_tg_refuse('a count of failed codes stays its user''s');

COMMENT ON TRIGGER authsql_totp_attempts_update ON authsql_totp_attempts IS 'No count of failed codes becomes another user''s.';

-- An application may have rights on all columns but secret: it writes new_secret (0013.signups says why).
CREATE FUNCTION authsql_tg_totp_factors_secret() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.secret := NEW.new_secret;
    NEW.new_secret := NULL;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION authsql_tg_totp_factors_secret() IS 'Trigger: the secret comes from the column beside it.';

CREATE TRIGGER authsql_totp_factors_insert_secret
BEFORE INSERT ON authsql_totp_factors
FOR EACH ROW WHEN (NEW.new_secret IS NOT NULL)
EXECUTE FUNCTION authsql_tg_totp_factors_secret();

COMMENT ON TRIGGER authsql_totp_factors_insert_secret ON authsql_totp_factors IS 'The secret comes from the column beside it.';

CREATE TRIGGER authsql_totp_factors_update_secret
BEFORE UPDATE OF new_secret ON authsql_totp_factors
FOR EACH ROW WHEN (NEW.new_secret IS NOT NULL)
EXECUTE FUNCTION authsql_tg_totp_factors_secret();

COMMENT ON TRIGGER authsql_totp_factors_update_secret ON authsql_totp_factors IS 'The secret comes from the column beside it.';

-- What is recorded, and what goes with its user is not (see 0011.audit).

-- With the owner's rights: nobody else makes a count, which an attempt has to be in.
CREATE FUNCTION authsql_tg_totp_factors_insert() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO authsql_totp_attempts (user_id) VALUES (NEW.user_id) ON CONFLICT (user_id) DO NOTHING;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_totp_factors_insert() IS 'Trigger: who has a factor has a count of failed codes.';

CREATE TRIGGER authsql_totp_factors_insert
AFTER INSERT ON authsql_totp_factors
FOR EACH ROW EXECUTE FUNCTION authsql_tg_totp_factors_insert();

COMMENT ON TRIGGER authsql_totp_factors_insert ON authsql_totp_factors IS 'Who has a factor has a count of failed codes.';

CREATE FUNCTION authsql_tg_totp_factors_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'totp.enrolled', NEW.user_id, jsonb_build_object('factor', NEW.id)
        UNION ALL
        SELECT 'totp.confirmed', NEW.user_id, jsonb_build_object('factor', NEW.id)
        WHERE NEW.confirmed_at IS NOT NULL;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT
            CASE WHEN OLD.confirmed_at IS NULL THEN 'totp.confirmed' ELSE 'totp.verified' END,
            NEW.user_id,
            jsonb_build_object('factor', NEW.id)
        WHERE (OLD.confirmed_at IS NULL AND NEW.confirmed_at IS NOT NULL) OR NEW.last_step > OLD.last_step
        UNION ALL
        SELECT 'totp.secret_read', NEW.user_id, jsonb_build_object('factor', NEW.id)
        WHERE NEW.reencrypt_until IS NOT NULL AND NEW.reencrypt_until IS DISTINCT FROM OLD.reencrypt_until;
    ELSE
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'totp.removed', u.id, jsonb_build_object('factor', OLD.id)
        FROM authsql_users AS u
        WHERE u.id = OLD.user_id;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_totp_factors_audit() IS 'Trigger: records what happens to TOTP factors.';

CREATE TRIGGER authsql_totp_factors_insert_audit
AFTER INSERT ON authsql_totp_factors
FOR EACH ROW EXECUTE FUNCTION authsql_tg_totp_factors_audit();

COMMENT ON TRIGGER authsql_totp_factors_insert_audit ON authsql_totp_factors IS 'Records totp.enrolled, totp.confirmed.';

CREATE TRIGGER authsql_totp_factors_update_audit
AFTER UPDATE OF confirmed_at, last_step, reencrypt_until ON authsql_totp_factors
FOR EACH ROW WHEN (
    (OLD.confirmed_at IS NULL AND NEW.confirmed_at IS NOT NULL)
    OR NEW.last_step > OLD.last_step
    OR (NEW.reencrypt_until IS NOT NULL AND NEW.reencrypt_until IS DISTINCT FROM OLD.reencrypt_until)
)
EXECUTE FUNCTION authsql_tg_totp_factors_audit();

COMMENT ON TRIGGER authsql_totp_factors_update_audit ON authsql_totp_factors IS
'Records totp.confirmed, totp.verified, totp.secret_read.';

-- An enrolment that was never confirmed goes without a word.
CREATE TRIGGER authsql_totp_factors_delete_audit
AFTER DELETE ON authsql_totp_factors
FOR EACH ROW WHEN (OLD.confirmed_at IS NOT NULL)
EXECUTE FUNCTION authsql_tg_totp_factors_audit();

COMMENT ON TRIGGER authsql_totp_factors_delete_audit ON authsql_totp_factors IS 'Records totp.removed.';

CREATE FUNCTION authsql_tg_totp_attempts_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO authsql_audit_log (event, user_id, detail)
    SELECT 'totp.attempted', NEW.user_id, jsonb_build_object('failures', NEW.failed_attempts)
    WHERE NEW.failed_attempts > OLD.failed_attempts
    UNION ALL
    SELECT
        'totp.locked',
        NEW.user_id,
        jsonb_build_object('retry_at', to_char(NEW.locked_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    WHERE NEW.locked_until > statement_timestamp() AND NEW.locked_until IS DISTINCT FROM OLD.locked_until;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_totp_attempts_audit() IS 'Trigger: records attempts on TOTP factors, and what locks them.';

CREATE TRIGGER authsql_totp_attempts_update_audit
AFTER UPDATE OF failed_attempts, locked_until ON authsql_totp_attempts
FOR EACH ROW WHEN (
    NEW.failed_attempts > OLD.failed_attempts OR NEW.locked_until IS DISTINCT FROM OLD.locked_until
)
EXECUTE FUNCTION authsql_tg_totp_attempts_audit();

COMMENT ON TRIGGER authsql_totp_attempts_update_audit ON authsql_totp_attempts IS 'Records totp.attempted, totp.locked.';

CREATE FUNCTION authsql_tg_sessions_elevated() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO authsql_audit_log (event, user_id, session_id, detail)
    VALUES ('session.elevated', NEW.user_id, NEW.id, jsonb_build_object('aal', NEW.aal, 'was', OLD.aal));
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_sessions_elevated() IS 'Trigger: records that the owner of a session has proved anew who they are.';

CREATE TRIGGER authsql_sessions_update_elevated
AFTER UPDATE OF secret_hash, aal, authenticated_at ON authsql_sessions
FOR EACH ROW WHEN (
    OLD.secret_hash <> NEW.secret_hash OR OLD.aal <> NEW.aal OR NEW.authenticated_at > OLD.authenticated_at
)
EXECUTE FUNCTION authsql_tg_sessions_elevated();

COMMENT ON TRIGGER authsql_sessions_update_elevated ON authsql_sessions IS 'Records session.elevated.';

REVOKE EXECUTE ON FUNCTION
authsql_tg_totp_factors_insert(),
authsql_tg_totp_factors_audit(),
authsql_tg_totp_attempts_audit(),
authsql_tg_sessions_elevated()
FROM public;

CREATE FUNCTION authsql_purge_totp_factors(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_totp_factors AS f
    WHERE f.id IN (
        SELECT c.id
        FROM authsql_totp_factors AS c
        WHERE c.expires_at <= statement_timestamp()
        ORDER BY c.expires_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_totp_factors(integer) IS
'Deletes at most batch enrolments in authsql_totp_factors that were never confirmed, and returns how many.';

-- An application whose rights leave the secrets out (optional/roles.sql) gets one, encrypted, where it is to be checked: while
-- it can be confirmed, and after an attempt was counted; and while it is encrypted under another key, which is recorded.
-- VOLATILE: what it depends on is done by the statement that asks.
CREATE FUNCTION authsql_totp_enrolment_secret(factor_id uuid) RETURNS bytea
LANGUAGE sql VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT f.secret
    FROM authsql_totp_factors AS f
    WHERE f.id = $1 AND f.confirmed_at IS NULL AND f.expires_at > statement_timestamp()
);

COMMENT ON FUNCTION authsql_totp_enrolment_secret(uuid) IS 'The encrypted secret of an enrolment that can still be confirmed.';

CREATE FUNCTION authsql_totp_secret(factor_id uuid) RETURNS bytea
LANGUAGE sql VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT f.secret
    FROM authsql_totp_factors AS f
    INNER JOIN authsql_totp_attempts AS a ON f.user_id = a.user_id
    WHERE f.id = $1 AND f.confirmed_at IS NOT NULL AND a.failed_attempts > 0
);

COMMENT ON FUNCTION authsql_totp_secret(uuid) IS
'The encrypted secret of a factor, while an attempt is counted that has not succeeded.';

CREATE FUNCTION authsql_totp_outdated_secret(factor_id uuid) RETURNS bytea
LANGUAGE sql VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT f.secret
    FROM authsql_totp_factors AS f
    WHERE f.id = $1
        AND f.reencrypt_until > statement_timestamp()
        AND f.reencrypt_until <= statement_timestamp() + interval '10 minutes'
);

COMMENT ON FUNCTION authsql_totp_outdated_secret(uuid) IS
'The encrypted secret of a factor, while it may be read to be encrypted under another key.';

REVOKE EXECUTE ON FUNCTION
authsql_totp_enrolment_secret(uuid),
authsql_totp_secret(uuid),
authsql_totp_outdated_secret(uuid)
FROM public;

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (20, 'totp');
