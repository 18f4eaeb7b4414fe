-- 0023.hash_isolation: what it takes to check a password or a code without reading its hash. An application whose rights leave
-- the hashes out (optional/roles.sql) asks these functions, which answer with the rights of who migrated. The same for
-- sign-ups, TOTP factors and recovery codes is with their tables.
-- depends: 0022.passkeys
-- transactional: false
-- Locks: metadata locks on authsql_passwords and authsql_otps, for an instant each: a column that is added without copying, and
-- triggers; with the second, on authsql_signups, which refers to it. Needs the privileges CREATE ROUTINE and CREATE VIEW.
-- Rollback: drops the functions, triggers and views; nothing is lost.

-- The digest is replaced by as many letters A, which every reader of such a hash takes for one. bcrypt's has no sign before it.
CREATE FUNCTION authsql_password_form(wanted_user_id BINARY(16)) RETURNS VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'How to hash a password so that it can be compared with the one of a user: the stored hash, with A for its digest.'
RETURN (
    SELECT
        IF(
            LEFT(p.hash, 2) = '$2',
            CONCAT(LEFT(p.hash, CHAR_LENGTH(p.hash) - 31), REPEAT('A', 31)),
            CONCAT(
                LEFT(p.hash, CHAR_LENGTH(p.hash) - CHAR_LENGTH(SUBSTRING_INDEX(p.hash, '$', -1))),
                REPEAT('A', CHAR_LENGTH(NULLIF(SUBSTRING_INDEX(p.hash, '$', -1), '')))
            )
        )
    FROM authsql_passwords AS p
    WHERE p.user_id = wanted_user_id -- noqa: RF03
);

-- FOR SHARE, here and below: asked while a row is being locked, it has to see what was committed meanwhile, whatever
-- snapshot the caller has.
CREATE FUNCTION authsql_password_matches(
    wanted_user_id BINARY(16), candidate VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin
) RETURNS BOOLEAN
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'Whether this is the stored hash of the password of a user.'
RETURN EXISTS (
    SELECT 1
    FROM authsql_passwords AS p
    WHERE p.user_id = wanted_user_id AND p.hash = candidate -- noqa: RF03
    FOR SHARE
);

CREATE FUNCTION authsql_code_matches(
    wanted_subject VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    wanted_purpose VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin,
    candidate BINARY(32)
) RETURNS BOOLEAN
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'Whether this is the stored hash of the code of a subject and purpose. Says nothing of its expiry and its attempts.'
RETURN EXISTS (
    SELECT 1
    FROM authsql_otps AS o
    WHERE o.subject = wanted_subject AND o.purpose = wanted_purpose AND o.code_hash = candidate -- noqa: RF03
    FOR SHARE
);

-- What the library works with, and an application may have rights on (0013.signups says why).
ALTER TABLE authsql_passwords
ADD COLUMN new_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL
COMMENT 'Written by who may not read the hash, which it becomes. Always NULL once stored.',
ALTER COLUMN hash SET DEFAULT '';

ALTER TABLE authsql_otps
ADD COLUMN new_code_hash BINARY(32) NULL
COMMENT 'Written by who may not read the hash, which it becomes. Always NULL once stored.',
ALTER COLUMN code_hash SET DEFAULT 'none';

-- The hash of a row that is new, from the column beside it.
CREATE TRIGGER authsql_passwords_hash_insert
BEFORE INSERT ON authsql_passwords
FOR EACH ROW
SET NEW.hash = COALESCE(NEW.new_hash, NEW.hash), NEW.new_hash = NULL;

-- Before those that compare the new hash with the old one.
CREATE TRIGGER authsql_passwords_hash_update
BEFORE UPDATE ON authsql_passwords
FOR EACH ROW PRECEDES authsql_passwords_update
SET NEW.hash = COALESCE(NEW.new_hash, NEW.hash), NEW.new_hash = NULL;

-- The hash of a row that is new, from the column beside it. The default is none, and an error. With any such trigger MySQL 9.7
-- refuses an INSERT that gives all of a code's times but no issue_id: it computes purge_at too early.
CREATE TRIGGER authsql_otps_insert_code_hash
BEFORE INSERT ON authsql_otps
FOR EACH ROW
SET
    NEW.code_hash = COALESCE(NEW.new_code_hash, NULLIF(NEW.code_hash, RPAD('none', 32, X'00'))),
    NEW.new_code_hash = NULL;

-- Differs from postgres: there, a code that does not replace the one before it changes no row. Here it is an UPDATE that
-- leaves the row as it is.
CREATE TRIGGER authsql_otps_update_code_hash
BEFORE UPDATE ON authsql_otps
FOR EACH ROW
SET
    NEW.code_hash = IF(NEW.issue_id = OLD.issue_id, OLD.code_hash, COALESCE(NEW.new_code_hash, NEW.code_hash)),
    NEW.new_code_hash = NULL;

-- All of the table but the hash: in its place is the column that it is written to.
CREATE SQL SECURITY DEFINER VIEW authsql_app_passwords AS
SELECT
    user_id,
    new_hash AS hash,
    changed_at,
    rehashed_at,
    must_change_since,
    keep_session_id
FROM authsql_passwords;

-- All of the table but the hash: in its place is the column that it is written to.
CREATE SQL SECURITY DEFINER VIEW authsql_app_otps AS
SELECT
    subject,
    purpose,
    issue_id,
    user_id,
    new_code_hash AS code_hash,
    attempts,
    max_attempts,
    created_at,
    expires_at,
    resend_at,
    spent_at,
    window_count,
    window_ends_at,
    purge_at,
    link_hash
FROM authsql_otps;

INSERT INTO authsql_schema_version (version, name) VALUES (23, 'hash_isolation');
