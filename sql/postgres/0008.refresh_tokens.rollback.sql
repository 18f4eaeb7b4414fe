DELETE FROM authsql_schema_version WHERE version = 8;

DROP TABLE authsql_refresh_tokens;
