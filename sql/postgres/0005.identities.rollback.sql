DELETE FROM authsql_schema_version WHERE version = 5;

DROP TRIGGER authsql_identities_update ON authsql_identities;

DROP FUNCTION authsql_tg_touch();

DROP INDEX authsql_identities_user_id_idx;

DROP TABLE authsql_identities;
