-- The role that owns authsql's tables: it migrates, and does nothing else. For whoever does not want an administrator, or the
-- application itself, to own them. optional/roles.sql makes the other two.
-- Differs from postgres: MySQL knows owners only as the definers of triggers, functions, procedures and events, and a definer is
-- an account. So the role is given to an account, which is kept: what it defined runs with its rights.
--
-- Who runs it: an account that may create roles and grant rights on the database, before the first migration. Running it
-- again changes nothing.
--
--     mysql --default-character-set=utf8mb4 app < sql/mysql/optional/owner.sql
--     mysql -e "CREATE USER migrator IDENTIFIED BY '...'; GRANT authsql_owner TO migrator"
--     mysql -e "SET DEFAULT ROLE authsql_owner TO migrator"
--
-- Where the server writes a binary log, see "Error 1419" in sql/README.md.

CREATE ROLE IF NOT EXISTS authsql_owner;

GRANT
SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, TRIGGER, EVENT,
CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE
ON * TO authsql_owner;
