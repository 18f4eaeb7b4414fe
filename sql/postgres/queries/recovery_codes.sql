-- Recovery codes. Functions: authsql/recovery_codes.py.

-- name: regenerate
-- Replace a live account's codes by new ones, whose hashes come as a JSON array of hexadecimal texts.
SELECT authsql_replace_recovery_codes(%(user_id)s, %(hashes)s::json) AS inserted;

-- name: verify
-- Spend a code, in one statement: of callers with the same code at the same time one changes the row. No row: it is none
-- of this user's codes, or there is no such live account.
WITH spent AS (
    UPDATE authsql_recovery_codes AS c
    SET spent_at = statement_timestamp()
    FROM authsql_users AS u
    WHERE c.user_id = %(user_id)s
        AND c.number = authsql_recovery_code_number(%(user_id)s, %(code_hash)s)
        AND c.spent_at IS NULL
        AND u.id = c.user_id
        AND u.deleted_at IS NULL
    RETURNING c.user_id, c.number
)

SELECT
    'verified' AS state,
    (
        SELECT count(*)
        FROM authsql_recovery_codes AS c
        WHERE c.user_id = s.user_id AND c.spent_at IS NULL AND c.number <> s.number
    ) AS remaining
FROM spent AS s
UNION ALL
SELECT
    'spent' AS state,
    0 AS remaining
FROM authsql_recovery_codes AS c
INNER JOIN authsql_users AS u ON c.user_id = u.id AND u.deleted_at IS NULL
WHERE c.user_id = %(user_id)s
    AND c.number = authsql_recovery_code_number(%(user_id)s, %(code_hash)s)
    AND NOT EXISTS (SELECT 1 FROM spent);

-- name: remaining
-- How many codes of a user can still be used.
SELECT count(*) AS remaining
FROM authsql_recovery_codes AS c
WHERE c.user_id = %(user_id)s AND c.spent_at IS NULL;
