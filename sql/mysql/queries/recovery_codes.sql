-- Recovery codes. Functions: authsql/recovery_codes.py.
-- Differs from postgres in this: MySQL has no RETURNING. Where a statement is followed by NAME__2, NAME__3, they are sent
-- one after the other, and the last one's rows are the answer. %(rows)s is how many rows the one before changed, and
-- %(verdict)s what it left in LAST_INSERT_ID.

-- name: regenerate
-- Lock a live account. In one transaction with what follows: of two sets made at the same time one is left.
SELECT u.id
FROM authsql_users AS u
WHERE u.id = %(user_id)s AND u.deleted_at IS NULL
FOR UPDATE;

-- name: regenerate__2
-- Delete its codes.
DELETE c FROM authsql_app_recovery_codes AS c
WHERE c.user_id = %(user_id)s AND %(rows)s > 0;

-- name: regenerate__3
-- Store the new ones, whose hashes come as a JSON array of hexadecimal texts.
INSERT INTO authsql_app_recovery_codes (user_id, number, code_hash)
SELECT
    %(user_id)s,
    h.number,
    UNHEX(h.text)
FROM JSON_TABLE(CAST(%(hashes)s AS JSON), '$[*]' COLUMNS (number FOR ORDINALITY, text CHAR(64) PATH '$')) AS h
WHERE %(rows_1)s > 0;

-- name: verify
-- Spend a code, in one statement: of callers with the same code at the same time one changes the row.
CALL authsql_spend_recovery_code(%(user_id)s, %(code_hash)s);

-- name: verify__2
-- Whether it was spent by that, or before. No row: it is none of this user's codes, or there is no such live account.
SELECT
    IF(%(rows)s > 0, 'verified', 'spent') AS state,
    (
        SELECT COUNT(*)
        FROM authsql_app_recovery_codes AS r
        WHERE r.user_id = %(user_id)s AND r.spent_at IS NULL
    ) AS remaining
FROM authsql_app_recovery_codes AS c
INNER JOIN authsql_users AS u ON c.user_id = u.id AND u.deleted_at IS NULL
WHERE c.user_id = %(user_id)s AND c.number = authsql_recovery_code_number(%(user_id)s, %(code_hash)s);

-- name: remaining
-- How many codes of a user can still be used.
SELECT COUNT(*) AS remaining
FROM authsql_app_recovery_codes AS c
WHERE c.user_id = %(user_id)s AND c.spent_at IS NULL;
