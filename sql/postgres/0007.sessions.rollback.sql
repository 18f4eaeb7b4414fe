DELETE FROM authsql_schema_version WHERE version = 7;

DROP TRIGGER authsql_passwords_update ON authsql_passwords;

DROP FUNCTION authsql_tg_passwords_update();

DROP TRIGGER authsql_users_update_soft_delete ON authsql_users;

DROP FUNCTION authsql_tg_users_soft_delete();

DROP FUNCTION authsql_end_surplus_sessions(uuid, integer, uuid);

DROP INDEX authsql_sessions_absolute_expires_at_idx;

DROP INDEX authsql_sessions_user_id_idx;

DROP TABLE authsql_sessions;
