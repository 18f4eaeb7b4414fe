DELETE FROM authsql_schema_version WHERE version = 4;

DROP TABLE authsql_passwords;
