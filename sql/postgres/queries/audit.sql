-- The audit log. Functions: authsql/audit.py.

-- name: set_context
-- Who acts and from where, for the entries that follow: until the end of the transaction if one is open, which the driver
-- says, else of the connection. Differs from mysql, whose variables know no transaction.
SELECT
    set_config('authsql.actor_id', coalesce(%(actor_id)s::uuid::text, ''), %(in_transaction)s) AS actor,
    set_config('authsql.session_id', coalesce(%(session_id)s::uuid::text, ''), %(in_transaction)s) AS session,
    set_config('authsql.ip', coalesce(%(ip)s::text, ''), %(in_transaction)s) AS ip,
    set_config('authsql.user_agent', coalesce(%(user_agent)s::text, ''), %(in_transaction)s) AS user_agent;

-- name: list
-- Entries, the newest first. Uses authsql_audit_log_pkey.
SELECT
    a.number,
    a.occurred_at,
    a.event,
    a.user_id,
    a.actor_id,
    a.session_id,
    host(a.ip) AS ip,
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
    host(a.ip) AS ip,
    a.user_agent,
    a.db_user,
    a.detail
FROM authsql_audit_log AS a
WHERE a.user_id = %(user_id)s AND a.number < %(before)s AND (%(event)s::text IS NULL OR a.event = %(event)s::text)
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
    host(a.ip) AS ip,
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
VALUES (%(event)s, %(user_id)s, %(detail)s::jsonb);
