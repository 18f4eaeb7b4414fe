DELETE FROM authsql_schema_version WHERE version = 13;

DROP EVENT authsql_purge_known_devices;

DROP TABLE authsql_known_devices;
