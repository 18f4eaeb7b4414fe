-- 0009.purge: removes what has expired. Lookups judge expiry themselves: a stopped purge costs disk, never security.
-- The server's event scheduler runs it each minute, if it is on (event_scheduler = ON, the default); `authsql purge`
-- does the same work where it is off.
-- depends: 0008.refresh_tokens
-- transactional: false
-- Locks: none. Needs the privilege EVENT. Rollback: drops the events.

-- Differs from postgres: events, one for each table, because the body of an event is one statement here (see
-- CONVENTIONS.md). SKIP LOCKED: a row that somebody works with is left for the next run, and nobody waits; STRAIGHT_JOIN, so that
-- the DELETE reads, and locks, those rows only that were chosen.
CREATE EVENT authsql_purge_otps
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 expired rows of authsql_otps.'
DO
DELETE o FROM (
    SELECT
        c.subject,
        c.purpose
    FROM authsql_otps AS c
    WHERE c.purge_at <= UTC_TIMESTAMP(6)
    ORDER BY c.purge_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_otps AS o ON e.subject = o.subject AND e.purpose = o.purpose;

-- Refresh tokens go with their session: a revoked one is evidence of reuse for as long as it could have lived.
CREATE EVENT authsql_purge_sessions
ON SCHEDULE EVERY 1 MINUTE
ON COMPLETION PRESERVE
COMMENT 'Deletes at most 10000 expired rows of authsql_sessions, and their refresh tokens.'
DO
DELETE s FROM (
    SELECT c.id
    FROM authsql_sessions AS c
    WHERE c.absolute_expires_at <= UTC_TIMESTAMP(6)
    ORDER BY c.absolute_expires_at
    LIMIT 10000
    FOR UPDATE SKIP LOCKED
) AS e
STRAIGHT_JOIN authsql_sessions AS s ON e.id = s.id;

INSERT INTO authsql_schema_version (version, name) VALUES (9, 'purge');
