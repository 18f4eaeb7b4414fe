-- The role that owns authsql's tables and functions: it migrates, and does nothing else. For whoever does not want a superuser,
-- or the application itself, to own them. optional/roles.sql makes the other two.
--
-- Who runs it: a role that may create roles and owns the schema, before the first migration, with the search_path that names
-- the schema. Running it again changes nothing.
--
--     psql -1 -v ON_ERROR_STOP=1 -f sql/postgres/optional/owner.sql app
--     psql -c 'GRANT authsql_owner TO migrator' -c 'ALTER ROLE migrator SET role = authsql_owner' app
--
-- The login migrator then makes everything in the name of authsql_owner:
--
--     authsql migrate --database postgresql://migrator:password@localhost/app
--
-- The functions that check a password run with its rights: no application may be a member of it.

DO $$
BEGIN
    CREATE ROLE authsql_owner NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

DO $$
BEGIN
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO authsql_owner', current_schema());
END
$$;
