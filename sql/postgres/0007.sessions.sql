-- 0007.sessions: one row for each sign-in on a device. A session is found by its id, and its token's hash is compared
-- in the same predicate. Also here: what ends sessions whoever does it (a changed password, a deleted account).
-- depends: 0006.otps
-- Locks: SHARE ROW EXCLUSIVE on authsql_users and authsql_passwords while their triggers are made.
-- Rollback: drops every session; users must sign in again.

CREATE TABLE authsql_sessions (
    id uuid NOT NULL DEFAULT authsql_uuid7(),
    user_id uuid NOT NULL,
    secret_hash bytea NOT NULL,
    ip inet,
    user_agent text,
    device text,
    aal smallint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    authenticated_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at timestamptz NOT NULL,
    absolute_expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoke_reason text,
    CONSTRAINT authsql_sessions_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_sessions_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_sessions_secret_hash_check CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT authsql_sessions_user_agent_check CHECK (char_length(user_agent) <= 512),
    CONSTRAINT authsql_sessions_device_check CHECK (char_length(device) BETWEEN 1 AND 100),
    CONSTRAINT authsql_sessions_aal_check CHECK (aal BETWEEN 1 AND 3),
    CONSTRAINT authsql_sessions_expires_at_check CHECK (
        expires_at > created_at AND expires_at <= absolute_expires_at
    ),
    CONSTRAINT authsql_sessions_revoke_reason_check CHECK (
        revoke_reason IS NULL OR (revoked_at IS NOT NULL AND revoke_reason ~ '^[a-z][a-z0-9_-]{0,31}$')
    )
)
-- Room on each page for the new version of a row: neither of the columns that change while a session lives
-- (last_seen_at, expires_at) is indexed, so that a touch stays on its page and writes no index (HOT).
WITH (fillfactor = 85);

CREATE INDEX authsql_sessions_user_id_idx ON authsql_sessions (user_id);

-- For the purge. On the end that never changes, for the reason above.
CREATE INDEX authsql_sessions_absolute_expires_at_idx ON authsql_sessions (absolute_expires_at);

COMMENT ON TABLE authsql_sessions IS 'Sign-ins. A session is live while it is not revoked and neither of its two ends has passed.';
COMMENT ON COLUMN authsql_sessions.id IS 'UUID version 7, also the first part of the token. Not a secret.';
COMMENT ON COLUMN authsql_sessions.user_id IS 'Who signed in.';
COMMENT ON COLUMN authsql_sessions.secret_hash IS 'SHA-256 of the token''s secret, 32 random bytes.';
COMMENT ON COLUMN authsql_sessions.ip IS 'Address the sign-in came from.';
COMMENT ON COLUMN authsql_sessions.user_agent IS 'User-Agent header of the sign-in, cut at 512 characters.';
COMMENT ON COLUMN authsql_sessions.device IS 'Name of the device, for the list that its owner sees.';
COMMENT ON COLUMN authsql_sessions.aal IS 'Authentication assurance level of the sign-in (NIST SP 800-63B): 1, 2 or 3.';
COMMENT ON COLUMN authsql_sessions.created_at IS 'When the session was created.';
COMMENT ON COLUMN authsql_sessions.authenticated_at IS 'When the user last proved who they are in this session.';
COMMENT ON COLUMN authsql_sessions.last_seen_at IS 'When the session was last used; moves at most once a minute.';
COMMENT ON COLUMN authsql_sessions.expires_at IS 'Idle end: moves on with use, never past absolute_expires_at.';
COMMENT ON COLUMN authsql_sessions.absolute_expires_at IS 'Absolute end: never moves. The row is purged after it.';
COMMENT ON COLUMN authsql_sessions.revoked_at IS 'When the session was ended before its time. NULL: it was not.';
COMMENT ON COLUMN authsql_sessions.revoke_reason IS 'Why: sign_out, revoked, session_cap, password_change, user_deleted, refresh_token_reuse or one of the application.';

-- Called by sessions.create under a lock on the user's row. A function, because each of its statements sees what was
-- committed while the lock was waited for; a plain statement would count by a snapshot from before the wait.
CREATE FUNCTION authsql_end_surplus_sessions(owner uuid, cap integer, newest uuid) RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    ended integer;
BEGIN
    UPDATE authsql_sessions AS s
    SET revoked_at = statement_timestamp(), revoke_reason = 'session_cap'
    WHERE s.id IN (
        SELECT c.id
        FROM authsql_sessions AS c
        WHERE c.user_id = owner
            AND c.id <> newest
            AND c.revoked_at IS NULL
            AND c.expires_at > statement_timestamp()
        ORDER BY c.last_seen_at DESC, c.id DESC
        OFFSET cap - 1
    );
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END
$$;

COMMENT ON FUNCTION authsql_end_surplus_sessions(uuid, integer, uuid) IS
'Revokes a user''s least recently used sessions so that, with the newest, cap of them stay live. Returns how many it ended.';

CREATE FUNCTION authsql_tg_users_soft_delete() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE authsql_sessions AS s
    SET revoked_at = statement_timestamp(), revoke_reason = 'user_deleted'
    WHERE s.user_id = NEW.id AND s.revoked_at IS NULL;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_users_soft_delete() IS 'Trigger: a soft-deleted user has no sessions.';

CREATE TRIGGER authsql_users_update_soft_delete
AFTER UPDATE OF deleted_at ON authsql_users
FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
EXECUTE FUNCTION authsql_tg_users_soft_delete();

COMMENT ON TRIGGER authsql_users_update_soft_delete ON authsql_users IS 'A soft-deleted user has no sessions.';

CREATE FUNCTION authsql_tg_passwords_update() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF NEW.hash <> OLD.hash AND NEW.rehashed_at IS NOT DISTINCT FROM OLD.rehashed_at THEN
        NEW.changed_at := statement_timestamp();
        UPDATE authsql_sessions AS s
        SET revoked_at = statement_timestamp(), revoke_reason = 'password_change'
        WHERE s.user_id = NEW.user_id
            AND s.revoked_at IS NULL
            AND s.id IS DISTINCT FROM NEW.keep_session_id;
    END IF;
    NEW.keep_session_id := NULL;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION authsql_tg_passwords_update() IS 'Trigger: a changed password dates itself and ends all sessions but keep_session_id.';

CREATE TRIGGER authsql_passwords_update
BEFORE UPDATE ON authsql_passwords
FOR EACH ROW EXECUTE FUNCTION authsql_tg_passwords_update();

COMMENT ON TRIGGER authsql_passwords_update ON authsql_passwords IS 'A changed password dates itself and ends all sessions but keep_session_id.';

INSERT INTO authsql_schema_version (version, name) VALUES (7, 'sessions');
