DELETE FROM authsql_schema_version WHERE version = 1;

DROP TABLE authsql_schema_version;

DROP FUNCTION authsql_uuid7();
