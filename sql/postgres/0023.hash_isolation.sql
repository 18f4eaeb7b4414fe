-- 0023.hash_isolation: what it takes to check a password or a code without reading its hash. An application whose rights leave
-- the hashes out (optional/roles.sql) asks these functions, which answer with the rights of who migrated. The same for
-- sign-ups, TOTP factors and recovery codes is with their tables.
-- depends: 0022.passkeys
-- Locks: ACCESS EXCLUSIVE on authsql_passwords and authsql_otps for an instant, while each gets a column and triggers.
-- Rollback: drops the functions; nothing is lost.

-- The bodies are not texts: their names were looked up when the function was made, so that no search_path of a caller, and
-- none of these functions' own, can put another table or operator in their place.

-- The digest is replaced by as many letters A, which every reader of such a hash takes for one. bcrypt's has no sign before it.
CREATE FUNCTION authsql_password_form(user_id uuid) RETURNS text
LANGUAGE sql STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT
        CASE
            WHEN left(p.hash, 2) = '$2' THEN left(p.hash, -31) || repeat('A', 31)
            ELSE
                left(p.hash, -char_length(substring(p.hash FROM '[^$]+$')))
                || repeat('A', char_length(substring(p.hash FROM '[^$]+$')))
        END
    FROM authsql_passwords AS p
    WHERE p.user_id = $1
);

COMMENT ON FUNCTION authsql_password_form(uuid) IS
'How to hash a password so that it can be compared with the one of a user: the stored hash, with letters A for its digest. NULL: no password.';

-- VOLATILE, here and below: asked while a row is being locked, it has to see what was committed meanwhile.
CREATE FUNCTION authsql_password_matches(user_id uuid, candidate text) RETURNS boolean
LANGUAGE sql VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT 1 FROM authsql_passwords AS p WHERE p.user_id = $1 AND p.hash = $2);

COMMENT ON FUNCTION authsql_password_matches(uuid, text) IS 'Whether this is the stored hash of the password of a user.';

CREATE FUNCTION authsql_code_matches(subject text, purpose text, candidate bytea) RETURNS boolean
LANGUAGE sql VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN EXISTS (
    SELECT 1 FROM authsql_otps AS o WHERE o.subject = $1 AND o.purpose = $2 AND o.code_hash = $3
);

COMMENT ON FUNCTION authsql_code_matches(text, text, bytea) IS
'Whether this is the stored hash of the code of a subject and purpose. Says nothing of its expiry and its attempts.';

REVOKE EXECUTE ON FUNCTION
authsql_password_form(uuid),
authsql_password_matches(uuid, text),
authsql_code_matches(text, text, bytea)
FROM public;

-- An application may have rights on all columns but the hash: it writes the column beside it (0013.signups says why).

ALTER TABLE authsql_passwords
ADD COLUMN new_hash text;

ALTER TABLE authsql_otps
ADD COLUMN new_code_hash bytea;

COMMENT ON COLUMN authsql_passwords.new_hash IS 'Written by who may not read the hash, which it becomes. Always NULL once stored.';
COMMENT ON COLUMN authsql_otps.new_code_hash IS 'Written by who may not read the hash, which it becomes. Always NULL once stored.';

-- Triggers fire in the order of their names: this one before authsql_passwords_update, which compares the hash with the old one.
CREATE FUNCTION authsql_tg_passwords_hash() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.hash := NEW.new_hash;
    NEW.new_hash := NULL;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION authsql_tg_passwords_hash() IS 'Trigger: the hash comes from the column beside it.';

CREATE TRIGGER authsql_passwords_hash_insert
BEFORE INSERT ON authsql_passwords
FOR EACH ROW WHEN (NEW.new_hash IS NOT NULL)
EXECUTE FUNCTION authsql_tg_passwords_hash();

COMMENT ON TRIGGER authsql_passwords_hash_insert ON authsql_passwords IS 'The hash comes from the column beside it.';

CREATE TRIGGER authsql_passwords_hash_update
BEFORE UPDATE OF new_hash ON authsql_passwords
FOR EACH ROW WHEN (NEW.new_hash IS NOT NULL)
EXECUTE FUNCTION authsql_tg_passwords_hash();

COMMENT ON TRIGGER authsql_passwords_hash_update ON authsql_passwords IS 'The hash comes from the column beside it.';

CREATE FUNCTION authsql_tg_otps_code_hash() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.code_hash := NEW.new_code_hash;
    NEW.new_code_hash := NULL;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION authsql_tg_otps_code_hash() IS 'Trigger: the hash comes from the column beside it.';

CREATE TRIGGER authsql_otps_insert_code_hash
BEFORE INSERT ON authsql_otps
FOR EACH ROW WHEN (NEW.new_code_hash IS NOT NULL)
EXECUTE FUNCTION authsql_tg_otps_code_hash();

COMMENT ON TRIGGER authsql_otps_insert_code_hash ON authsql_otps IS 'The hash comes from the column beside it.';

CREATE TRIGGER authsql_otps_update_code_hash
BEFORE UPDATE OF new_code_hash ON authsql_otps
FOR EACH ROW WHEN (NEW.new_code_hash IS NOT NULL)
EXECUTE FUNCTION authsql_tg_otps_code_hash();

COMMENT ON TRIGGER authsql_otps_update_code_hash ON authsql_otps IS 'The hash comes from the column beside it.';

INSERT INTO authsql_schema_version (version, name) VALUES (23, 'hash_isolation');
