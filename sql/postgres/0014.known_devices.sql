-- 0014.known_devices: devices on which a user has signed in before, each with a token of its own and with a count of its own:
-- whoever guesses passwords elsewhere locks the account for everybody but them (OWASP: device cookies). A device may also
-- be trusted for a time, which an application may take for the second factor.
-- depends: 0013.signups
-- Locks: SHARE ROW EXCLUSIVE on authsql_users while the foreign key is made (writers wait for an instant: the new table is
-- empty).
-- Rollback: drops every known device.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_known_devices (
    id uuid NOT NULL DEFAULT authsql_uuid7(),
    user_id uuid NOT NULL,
    secret_hash bytea NOT NULL,
    name text,
    failed_attempts integer NOT NULL DEFAULT 0,
    trusted_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    last_used_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT authsql_known_devices_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_known_devices_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_known_devices_secret_hash_check CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT authsql_known_devices_name_check CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT authsql_known_devices_failed_attempts_check CHECK (failed_attempts >= 0),
    CONSTRAINT authsql_known_devices_expires_at_check CHECK (expires_at > created_at),
    CONSTRAINT authsql_known_devices_trusted_until_check CHECK (trusted_until <= expires_at)
)
-- Room on each page for the new version of a row: no column that changes with a sign-in is indexed (HOT).
WITH (fillfactor = 90);

CREATE INDEX authsql_known_devices_user_id_idx ON authsql_known_devices (user_id);

CREATE INDEX authsql_known_devices_expires_at_idx ON authsql_known_devices (expires_at);

COMMENT ON TABLE authsql_known_devices IS 'Devices on which a user has signed in before. A failed attempt from one of them counts on it, not on the account.';
COMMENT ON COLUMN authsql_known_devices.id IS 'UUID version 7, also the first part of the token. Not a secret.';
COMMENT ON COLUMN authsql_known_devices.user_id IS 'Who signed in on it.';
COMMENT ON COLUMN authsql_known_devices.secret_hash IS 'SHA-256 of the token''s secret, 32 random bytes.';
COMMENT ON COLUMN authsql_known_devices.name IS 'Name of the device, for the list that its owner sees.';
COMMENT ON COLUMN authsql_known_devices.failed_attempts IS 'Consecutive failed password attempts from it, counted before each check and set to 0 by a success. Too many: it is a device like any other.';
COMMENT ON COLUMN authsql_known_devices.trusted_until IS 'Until then an application may take it for the second factor. NULL: never.';
COMMENT ON COLUMN authsql_known_devices.created_at IS 'When it became known.';
COMMENT ON COLUMN authsql_known_devices.last_used_at IS 'When its user last signed in on it.';
COMMENT ON COLUMN authsql_known_devices.expires_at IS 'It is known until then, and purged after it.';

-- What goes with its user, and what was known no longer anyway, is not recorded.

CREATE FUNCTION authsql_tg_known_devices_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        VALUES ('device.remembered', NEW.user_id, jsonb_build_object('device', NEW.id));
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT
            'password.attempted',
            NEW.user_id,
            jsonb_build_object('failures', NEW.failed_attempts, 'device', NEW.id)
        WHERE NEW.failed_attempts > OLD.failed_attempts
        UNION ALL
        SELECT 'device.changed', NEW.user_id, jsonb_build_object('device', NEW.id)
        WHERE NEW.secret_hash <> OLD.secret_hash AND NEW.user_id = OLD.user_id
        UNION ALL
        SELECT 'device.trusted', NEW.user_id, jsonb_build_object('device', NEW.id)
        WHERE coalesce(NEW.trusted_until > OLD.trusted_until, NEW.trusted_until IS NOT NULL)
        UNION ALL
        SELECT 'device.forgotten', OLD.user_id, jsonb_build_object('device', OLD.id)
        WHERE NEW.user_id <> OLD.user_id
        UNION ALL
        SELECT 'device.remembered', NEW.user_id, jsonb_build_object('device', NEW.id)
        WHERE NEW.user_id <> OLD.user_id;
    ELSE
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'device.forgotten', u.id, jsonb_build_object('device', OLD.id)
        FROM authsql_users AS u
        WHERE u.id = OLD.user_id AND OLD.expires_at > statement_timestamp();
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_known_devices_audit() IS 'Trigger: records what happens to known devices.';

CREATE TRIGGER authsql_known_devices_update_id
BEFORE UPDATE OF id ON authsql_known_devices
FOR EACH ROW WHEN (OLD.id <> NEW.id)
EXECUTE FUNCTION authsql_tg_refuse('a device keeps its id');

COMMENT ON TRIGGER authsql_known_devices_update_id ON authsql_known_devices IS 'A device keeps its id.';

CREATE TRIGGER authsql_known_devices_insert_audit
AFTER INSERT ON authsql_known_devices
FOR EACH ROW EXECUTE FUNCTION authsql_tg_known_devices_audit();

COMMENT ON TRIGGER authsql_known_devices_insert_audit ON authsql_known_devices IS 'Records device.remembered.';

CREATE TRIGGER authsql_known_devices_update_audit
AFTER UPDATE OF user_id, secret_hash, failed_attempts, trusted_until ON authsql_known_devices
FOR EACH ROW WHEN (
    NEW.failed_attempts > OLD.failed_attempts
    OR NEW.secret_hash <> OLD.secret_hash
    OR NEW.user_id <> OLD.user_id
    OR (NEW.trusted_until IS NOT NULL AND NEW.trusted_until IS DISTINCT FROM OLD.trusted_until)
)
EXECUTE FUNCTION authsql_tg_known_devices_audit();

COMMENT ON TRIGGER authsql_known_devices_update_audit ON authsql_known_devices IS 'Records password.attempted from a known device, device.changed, device.trusted, and device.forgotten and device.remembered of one that is made another user''s.';

CREATE TRIGGER authsql_known_devices_delete_audit
AFTER DELETE ON authsql_known_devices
FOR EACH ROW EXECUTE FUNCTION authsql_tg_known_devices_audit();

COMMENT ON TRIGGER authsql_known_devices_delete_audit ON authsql_known_devices IS 'Records device.forgotten.';

REVOKE EXECUTE ON FUNCTION authsql_tg_known_devices_audit() FROM public;

CREATE FUNCTION authsql_purge_known_devices(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_known_devices AS d
    WHERE d.id IN (
        SELECT c.id
        FROM authsql_known_devices AS c
        WHERE c.expires_at <= statement_timestamp()
        ORDER BY c.expires_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_known_devices(integer) IS
'Deletes at most batch expired rows of authsql_known_devices and returns how many.';

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (14, 'known_devices');
