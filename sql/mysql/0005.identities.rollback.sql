DELETE FROM authsql_schema_version WHERE version = 5;

DROP TRIGGER authsql_identities_update;

DROP TABLE authsql_identities;
