-- 0021.recovery_codes: what a user writes down to get in without the other factors. Each is good once; a new set replaces
-- the old one.
-- depends: 0020.totp
-- transactional: false
-- Locks: a metadata lock on authsql_users while the foreign key is made (statements wait for an instant: the new table is empty).
-- Rollback: drops every recovery code; users must be given new ones.

-- Differs from postgres: no authsql_replace_recovery_codes. recovery_codes.regenerate sends its statements one after the
-- other, in a transaction.
CREATE TABLE authsql_recovery_codes (
    user_id BINARY(16) NOT NULL COMMENT 'Whose code it is.',
    number INT NOT NULL COMMENT 'Its place in the set, from 1.',
    code_hash BINARY(32) NOT NULL DEFAULT 'none'
    COMMENT 'HMAC-SHA-256 of user and code, which has 120 random bits, under a key that is not in the database.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the set was made.',
    spent_at DATETIME(6) NULL COMMENT 'When the code was used. NULL: not yet.',
    new_code_hash BINARY(32) NULL
    COMMENT 'Written by who may not read the hash, which it becomes. Always NULL once stored.',
    -- No index has the hash: whoever reads rows in the order of one learns of what they cannot read.
    CONSTRAINT authsql_recovery_codes_pkey PRIMARY KEY (user_id, number),
    CONSTRAINT authsql_recovery_codes_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_recovery_codes_number_check CHECK (number BETWEEN 1 AND 100)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
COMMENT = 'Recovery codes. One that is spent stays until the set is replaced. No code can be read out of it.';

-- Records recovery_codes.regenerated, once for a set.
CREATE TRIGGER authsql_recovery_codes_insert_audit
AFTER INSERT ON authsql_recovery_codes
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id)
SELECT
    'recovery_codes.regenerated',
    NEW.user_id
FROM dual
WHERE NEW.number = 1;

-- Records recovery_code.spent.
CREATE TRIGGER authsql_recovery_codes_update_audit
AFTER UPDATE ON authsql_recovery_codes
FOR EACH ROW
INSERT INTO authsql_audit_log (event, user_id, detail)
SELECT
    'recovery_code.spent',
    NEW.user_id,
    JSON_OBJECT('number', NEW.number)
FROM dual
WHERE OLD.spent_at IS NULL AND NEW.spent_at IS NOT NULL;

-- What the library works with, and an application may have rights on (0013.signups says why).
CREATE TRIGGER authsql_recovery_codes_insert_code_hash
BEFORE INSERT ON authsql_recovery_codes
FOR EACH ROW
SET
    NEW.code_hash = COALESCE(NEW.new_code_hash, NULLIF(NEW.code_hash, RPAD('none', 32, X'00'))),
    NEW.new_code_hash = NULL;

-- A code is spent once, and stays what it is.
CREATE TRIGGER authsql_recovery_codes_update
BEFORE UPDATE ON authsql_recovery_codes
FOR EACH ROW
SET @authsql_refused = UUID_TO_BIN(IF(
    NEW.user_id <> OLD.user_id
    OR NEW.number <> OLD.number
    OR (OLD.spent_at IS NOT NULL AND NEW.spent_at IS NULL)
    OR NEW.new_code_hash IS NOT NULL,
    'a recovery code is spent once, and stays what it is',
    NULL
));

-- All of the table but the hash: in its place is the column that it is written to.
CREATE SQL SECURITY DEFINER VIEW authsql_app_recovery_codes AS
SELECT
    user_id,
    number,
    new_code_hash AS code_hash,
    created_at,
    spent_at
FROM authsql_recovery_codes;

-- An application whose rights leave the hashes out (optional/roles.sql) finds a code by its number.
CREATE FUNCTION authsql_recovery_code_number(wanted_user_id BINARY(16), wanted_hash BINARY(32)) RETURNS INT
READS SQL DATA
SQL SECURITY DEFINER
COMMENT 'The number of the recovery code of a user that has this hash, spent or not. NULL: there is none.'
RETURN (
    SELECT c.number
    FROM authsql_recovery_codes AS c
    WHERE c.user_id = wanted_user_id AND c.code_hash = wanted_hash -- noqa: RF03
);

-- Differs from postgres: an UPDATE that goes by the number would take the code of that number in a set that was made
-- meanwhile, for it sees rows as they are after it waited.
CREATE PROCEDURE authsql_spend_recovery_code (IN wanted_user_id BINARY(16), IN wanted_hash BINARY(32))
MODIFIES SQL DATA
SQL SECURITY DEFINER
COMMENT 'Spends the recovery code of a live user that has this hash, unless it is spent. Changes one row, or none.'
UPDATE authsql_recovery_codes AS c
INNER JOIN authsql_users AS u ON c.user_id = u.id
SET c.spent_at = UTC_TIMESTAMP(6)
WHERE c.user_id = wanted_user_id AND c.code_hash = wanted_hash AND c.spent_at IS NULL AND u.deleted_at IS NULL;

INSERT INTO authsql_schema_version (version, name) VALUES (21, 'recovery_codes');
