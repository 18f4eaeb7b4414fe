DELETE FROM authsql_schema_version WHERE version = 6;

DROP INDEX authsql_otps_purge_at_idx;

DROP INDEX authsql_otps_user_id_idx;

DROP TABLE authsql_otps;
