DELETE FROM authsql_schema_version WHERE version = 12;

DROP TABLE authsql_signups;
