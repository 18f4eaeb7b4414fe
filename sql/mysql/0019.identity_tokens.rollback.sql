DELETE FROM authsql_schema_version WHERE version = 19;

DROP VIEW authsql_ways_in;

DROP TRIGGER authsql_identity_tokens_update;

DROP TABLE authsql_identity_tokens;
