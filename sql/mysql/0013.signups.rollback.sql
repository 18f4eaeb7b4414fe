DELETE FROM authsql_schema_version WHERE version = 13;

DROP TABLE authsql_signups;
