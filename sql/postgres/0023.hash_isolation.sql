-- 0023.hash_isolation: what it takes to check a password or a code without reading its hash. An application whose rights leave
-- the hashes out (optional/roles.sql) asks these functions, which answer with the rights of who migrated. The same for
-- sign-ups, TOTP factors and recovery codes is with their tables.
-- depends: 0022.passkeys
-- Locks: none. Rollback: drops the functions; nothing is lost.

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

INSERT INTO authsql_schema_version (version, name) VALUES (23, 'hash_isolation');
