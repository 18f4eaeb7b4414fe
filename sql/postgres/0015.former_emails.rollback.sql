DELETE FROM authsql_schema_version WHERE version = 15;

DROP FUNCTION authsql_purge_former_emails(integer);

DROP TRIGGER authsql_users_update_former_email ON authsql_users;

DROP FUNCTION authsql_tg_users_former_email();

DROP INDEX authsql_former_emails_expires_at_idx;

DROP INDEX authsql_former_emails_user_id_idx;

DROP TABLE authsql_former_emails;
