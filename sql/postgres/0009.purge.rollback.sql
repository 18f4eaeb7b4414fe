DELETE FROM authsql_schema_version WHERE version = 9;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')
        AND has_schema_privilege('cron', 'USAGE')
    THEN
        PERFORM cron.unschedule(j.jobname)
        FROM cron.job AS j
        WHERE j.jobname = 'authsql_purge_' || current_schema() AND j.database = current_database();
    END IF;
END
$$;

DROP FUNCTION authsql_purge(integer);

DROP FUNCTION authsql_purge_sessions(integer);

DROP FUNCTION authsql_purge_otps(integer);
