-- Second factors, of all kinds. Functions: authsql/factors.py.

-- name: of_user
-- How many second factors of each kind a user has.
SELECT
    (
        SELECT COUNT(*)
        FROM authsql_app_totp_factors AS f
        WHERE f.user_id = %(user_id)s AND f.confirmed_at IS NOT NULL
    ) AS totp,
    (
        SELECT COUNT(*)
        FROM authsql_passkeys AS p
        WHERE p.user_id = %(user_id)s
    ) AS passkeys,
    (
        SELECT COUNT(*)
        FROM authsql_app_recovery_codes AS c
        WHERE c.user_id = %(user_id)s AND c.spent_at IS NULL
    ) AS recovery_codes;
