DELETE FROM authsql_schema_version WHERE version = 9;

DROP EVENT authsql_purge_sessions;

DROP EVENT authsql_purge_otps;
