-- Schedules the purge with pg_cron, each minute. Migration 0009 does the same if pg_cron is installed before it runs;
-- this file is for a pg_cron that came later. Running it again changes nothing.
--
-- Who runs it: a superuser, or whoever has USAGE on the schema cron and EXECUTE on its functions. pg_cron runs the job as
-- that role, so the role also needs DELETE and SELECT (and for SKIP LOCKED, UPDATE) on the tables that are purged, and SELECT on
-- authsql_retention. For its runs to be noted, SELECT and UPDATE on authsql_purge_runs; without, it purges all the same.
-- pg_cron connects as that role to cron.host; where that asks for a password, set cron.use_background_workers = on.
-- Where: in the database that cron.database_name names, which is the one that has to hold the tables, with the search_path
-- that finds them:
--
--     psql -1 -v ON_ERROR_STOP=1 -f sql/postgres/optional/pg_cron.sql app
--     PGOPTIONS='-c search_path=auth' psql -1 -v ON_ERROR_STOP=1 -f sql/postgres/optional/pg_cron.sql app
--
-- What it needs in postgresql.conf: shared_preload_libraries = 'pg_cron', cron.database_name = 'app'.
--
-- The job, and its runs:
--
--     SELECT * FROM cron.job WHERE jobname LIKE 'authsql_purge_%';
--     SELECT start_time, status, return_message FROM cron.job_run_details ORDER BY start_time DESC LIMIT 10;
--     SELECT * FROM authsql_purge_overview;
--
-- To end it (in schema public):
--
--     SELECT cron.unschedule('authsql_purge_public');

CREATE EXTENSION IF NOT EXISTS pg_cron;

SELECT cron.schedule(
    'authsql_purge_' || current_schema(),
    '* * * * *',
    'SELECT ' || quote_ident(current_schema()) || '.authsql_purge()'
);
