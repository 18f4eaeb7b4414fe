DELETE FROM authsql_schema_version WHERE version = 10;

DROP VIEW authsql_expiry_backlog;

DROP VIEW authsql_pending_otps;

DROP VIEW authsql_user_overview;

DROP VIEW authsql_active_sessions;
