DELETE FROM authsql_schema_version WHERE version = 14;

DROP EVENT authsql_purge_known_devices;

DROP TRIGGER authsql_known_devices_delete_audit;

DROP TRIGGER authsql_known_devices_update_audit;

DROP TRIGGER authsql_known_devices_insert_audit;

DROP TRIGGER authsql_known_devices_update_id;

DROP TABLE authsql_known_devices;
