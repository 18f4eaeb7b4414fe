DELETE FROM authsql_schema_version WHERE version = 14;

DROP FUNCTION authsql_purge_known_devices(integer);

DROP TRIGGER authsql_known_devices_delete_audit ON authsql_known_devices;

DROP TRIGGER authsql_known_devices_update_audit ON authsql_known_devices;

DROP TRIGGER authsql_known_devices_insert_audit ON authsql_known_devices;

DROP TRIGGER authsql_known_devices_update_id ON authsql_known_devices;

DROP FUNCTION authsql_tg_known_devices_audit();

DROP INDEX authsql_known_devices_expires_at_idx;

DROP INDEX authsql_known_devices_user_id_idx;

DROP TABLE authsql_known_devices;
