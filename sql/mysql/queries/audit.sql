-- The audit log. Functions: authsql/audit.py.

-- name: set_context
-- Who acts and from where, for the entries that follow, until the end of the connection. Differs from postgres, whose
-- settings can be those of a transaction.
SET @authsql_actor_id = %(actor_id)s, @authsql_session_id = %(session_id)s,
@authsql_ip = %(ip)s, @authsql_user_agent = %(user_agent)s;

-- name: list
-- Entries, the newest first. Uses authsql_audit_log_pkey.
SELECT
    a.number,
    a.occurred_at,
    a.event,
    a.user_id,
    a.actor_id,
    a.session_id,
    a.ip,
    a.user_agent,
    a.db_user,
    a.detail
FROM authsql_audit_log AS a
WHERE a.number < %(before)s
ORDER BY a.number DESC
LIMIT %(limit)s;

-- name: list_of_user
-- Those that concern a user, of one event or of any. Uses authsql_audit_log_user_id_idx.
SELECT
    a.number,
    a.occurred_at,
    a.event,
    a.user_id,
    a.actor_id,
    a.session_id,
    a.ip,
    a.user_agent,
    a.db_user,
    a.detail
FROM authsql_audit_log AS a
WHERE a.user_id = %(user_id)s AND a.number < %(before)s AND (%(event)s IS NULL OR a.event = %(event)s)
ORDER BY a.number DESC
LIMIT %(limit)s;

-- name: list_of_event
-- Those of one event. Uses authsql_audit_log_event_idx.
SELECT
    a.number,
    a.occurred_at,
    a.event,
    a.user_id,
    a.actor_id,
    a.session_id,
    a.ip,
    a.user_agent,
    a.db_user,
    a.detail
FROM authsql_audit_log AS a
WHERE a.event = %(event)s AND a.number < %(before)s
ORDER BY a.number DESC
LIMIT %(limit)s;

-- name: record
-- Add an event of the application. The view lets in no other, and fills in the rest.
INSERT INTO authsql_app_events (event, user_id, detail)
VALUES (%(event)s, %(user_id)s, %(detail)s);
