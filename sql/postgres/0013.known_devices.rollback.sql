DELETE FROM authsql_schema_version WHERE version = 13;

DROP FUNCTION authsql_purge_known_devices(integer);

DROP INDEX authsql_known_devices_expires_at_idx;

DROP INDEX authsql_known_devices_user_id_idx;

DROP TABLE authsql_known_devices;
