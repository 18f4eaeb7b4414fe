DELETE FROM authsql_schema_version WHERE version = 6;

DROP TABLE authsql_otps;
