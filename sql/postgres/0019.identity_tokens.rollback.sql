DELETE FROM authsql_schema_version WHERE version = 19;

DROP FUNCTION authsql_keeps_way_in(uuid, text, text, text);

DROP VIEW authsql_ways_in;

DROP TRIGGER authsql_identity_tokens_update ON authsql_identity_tokens;

DROP INDEX authsql_identity_tokens_key_name_idx;

DROP TABLE authsql_identity_tokens;
