-- What the driver asks of its connection (authsql/_mysql.py).
-- Differs from postgres: psycopg knows it.

-- name: autocommit
-- Whether each statement is a transaction of its own.
SELECT @@SESSION.autocommit AS is_on;
