DELETE FROM authsql_schema_version WHERE version = 13;

DROP FUNCTION authsql_store_signup_password(uuid, text, text);

DROP TRIGGER authsql_signups_update_hash ON authsql_signups;

DROP TRIGGER authsql_signups_insert_hash ON authsql_signups;

DROP FUNCTION authsql_tg_signups_hash();

DROP TABLE authsql_signups;
