-- 0021.recovery_codes: what a user writes down to get in without the other factors. Each is good once; a new set replaces
-- the old one.
-- depends: 0020.totp
-- Locks: SHARE ROW EXCLUSIVE on authsql_users while the foreign key is made (writers wait for an instant: the new table is
-- empty).
-- Rollback: drops every recovery code; users must be given new ones.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_recovery_codes (
    user_id uuid NOT NULL,
    number integer NOT NULL,
    code_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    spent_at timestamptz,
    new_code_hash bytea,
    -- No index has the hash: whoever reads rows in the order of one learns of what they cannot read.
    CONSTRAINT authsql_recovery_codes_pkey PRIMARY KEY (user_id, number),
    CONSTRAINT authsql_recovery_codes_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_recovery_codes_number_check CHECK (number BETWEEN 1 AND 100),
    CONSTRAINT authsql_recovery_codes_code_hash_check CHECK (octet_length(code_hash) = 32)
);

COMMENT ON TABLE authsql_recovery_codes IS 'Recovery codes. One that is spent stays until the set is replaced. No code can be read out of it.';
COMMENT ON COLUMN authsql_recovery_codes.user_id IS 'Whose code it is.';
COMMENT ON COLUMN authsql_recovery_codes.number IS 'Its place in the set, from 1.';
COMMENT ON COLUMN authsql_recovery_codes.code_hash IS 'HMAC-SHA-256 of user and code, which has 120 random bits, under a key that is not in the database.';
COMMENT ON COLUMN authsql_recovery_codes.created_at IS 'When the set was made.';
COMMENT ON COLUMN authsql_recovery_codes.spent_at IS 'When the code was used. NULL: not yet.';
COMMENT ON COLUMN authsql_recovery_codes.new_code_hash IS 'Written by who may not read the hash, which it becomes. Always NULL once stored.';

-- An application may have rights on all columns but code_hash: it writes new_code_hash (0013.signups says why).
CREATE FUNCTION authsql_tg_recovery_codes_code_hash() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.code_hash := NEW.new_code_hash;
    NEW.new_code_hash := NULL;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION authsql_tg_recovery_codes_code_hash() IS 'Trigger: the hash comes from the column beside it.';

CREATE TRIGGER authsql_recovery_codes_insert_code_hash
BEFORE INSERT ON authsql_recovery_codes
FOR EACH ROW WHEN (NEW.new_code_hash IS NOT NULL)
EXECUTE FUNCTION authsql_tg_recovery_codes_code_hash();

COMMENT ON TRIGGER authsql_recovery_codes_insert_code_hash ON authsql_recovery_codes IS 'The hash comes from the column beside it.';

CREATE TRIGGER authsql_recovery_codes_update
BEFORE UPDATE ON authsql_recovery_codes
FOR EACH ROW WHEN (
    (OLD.user_id, OLD.number) <> (NEW.user_id, NEW.number)
    OR (OLD.spent_at IS NOT NULL AND NEW.spent_at IS NULL)
    OR NEW.new_code_hash IS NOT NULL
)
EXECUTE FUNCTION authsql_tg_refuse('a recovery code is spent once, and stays what it is');

COMMENT ON TRIGGER authsql_recovery_codes_update ON authsql_recovery_codes IS 'A code is spent once, and stays what it is.';

-- Called by recovery_codes.regenerate. A function, because each of its statements sees what was committed while the lock
-- on the user was waited for: of two sets made at the same time one is left.
CREATE FUNCTION authsql_replace_recovery_codes(owner uuid, hashes json) RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    inserted integer;
BEGIN
    PERFORM 1
    FROM authsql_users AS u
    WHERE u.id = owner AND u.deleted_at IS NULL
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM authsql_recovery_codes AS c WHERE c.user_id = owner;
    INSERT INTO authsql_recovery_codes (user_id, number, new_code_hash)
    SELECT owner, h.number, decode(h.code_hash, 'hex')
    FROM json_array_elements_text(hashes) WITH ORDINALITY AS h (code_hash, number);
    GET DIAGNOSTICS inserted = ROW_COUNT;
    RETURN inserted;
END
$$;

COMMENT ON FUNCTION authsql_replace_recovery_codes(uuid, json) IS
'Replaces the recovery codes of a live account by those whose hashes are in a JSON array, in hexadecimal. Returns how many there are now, or 0 if there is no such account.';

CREATE FUNCTION authsql_tg_recovery_codes_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, user_id) VALUES ('recovery_codes.regenerated', NEW.user_id);
    ELSE
        INSERT INTO authsql_audit_log (event, user_id, detail)
        VALUES ('recovery_code.spent', NEW.user_id, jsonb_build_object('number', NEW.number));
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_recovery_codes_audit() IS 'Trigger: records what happens to recovery codes.';

-- Once for a set.
CREATE TRIGGER authsql_recovery_codes_insert_audit
AFTER INSERT ON authsql_recovery_codes
FOR EACH ROW WHEN (NEW.number = 1)
EXECUTE FUNCTION authsql_tg_recovery_codes_audit();

COMMENT ON TRIGGER authsql_recovery_codes_insert_audit ON authsql_recovery_codes IS 'Records recovery_codes.regenerated.';

CREATE TRIGGER authsql_recovery_codes_update_audit
AFTER UPDATE OF spent_at ON authsql_recovery_codes
FOR EACH ROW WHEN (OLD.spent_at IS NULL AND NEW.spent_at IS NOT NULL)
EXECUTE FUNCTION authsql_tg_recovery_codes_audit();

COMMENT ON TRIGGER authsql_recovery_codes_update_audit ON authsql_recovery_codes IS 'Records recovery_code.spent.';

REVOKE EXECUTE ON FUNCTION authsql_tg_recovery_codes_audit() FROM public;

-- An application whose rights leave the hashes out (optional/roles.sql) finds a code by its number. STABLE: of the set that the
-- statement sees which asks.
CREATE FUNCTION authsql_recovery_code_number(user_id uuid, code_hash bytea) RETURNS integer
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN (SELECT c.number FROM authsql_recovery_codes AS c WHERE c.user_id = $1 AND c.code_hash = $2);

COMMENT ON FUNCTION authsql_recovery_code_number(uuid, bytea) IS
'The number of the recovery code of a user that has this hash, spent or not. NULL: there is none.';

REVOKE EXECUTE ON FUNCTION authsql_recovery_code_number(uuid, bytea) FROM public;

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (21, 'recovery_codes');
