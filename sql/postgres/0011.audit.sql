-- 0011.audit: who did what, when and from where, written by triggers, so that an UPDATE typed by hand is recorded too; and
-- how long the log and soft-deleted users are kept, which is a setting in a table.
-- depends: 0010.views
-- Locks: SHARE on authsql_users while the index on deleted_at is made (writers wait for one scan of the table), then ACCESS
-- EXCLUSIVE for a column without default, SHARE ROW EXCLUSIVE on the eight audited tables while their triggers are made, and
-- ACCESS EXCLUSIVE on the view authsql_expiry_backlog while it is replaced: an instant, but all are held to the end.
-- Rollback: drops the log with all its entries, and the settings; soft-deleted users are no longer purged.

-- Functions look names up in this schema, and in temporary ones last, whatever their caller's search_path is: neither a temporary
-- table nor a schema that is named as the owner or the caller ("$user") stands in for the log. SET search_path FROM CURRENT takes
-- it along. The path that was there is kept, and set back at the end: a transaction may hold other migrations.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

-- The functions of the migrations before, which took the path of whoever applied them.
ALTER FUNCTION authsql_uuid7() SET search_path FROM CURRENT;

ALTER FUNCTION authsql_tg_users_update() SET search_path FROM CURRENT;

ALTER FUNCTION authsql_tg_users_default_roles() SET search_path FROM CURRENT;

ALTER FUNCTION authsql_tg_touch() SET search_path FROM CURRENT;

ALTER FUNCTION authsql_end_surplus_sessions(uuid, integer, uuid) SET search_path FROM CURRENT;

ALTER FUNCTION authsql_tg_users_soft_delete() SET search_path FROM CURRENT;

ALTER FUNCTION authsql_tg_passwords_update() SET search_path FROM CURRENT;

ALTER FUNCTION authsql_purge_otps(integer) SET search_path FROM CURRENT;

ALTER FUNCTION authsql_purge_sessions(integer) SET search_path FROM CURRENT;

ALTER FUNCTION authsql_purge(integer) SET search_path FROM CURRENT;

CREATE TABLE authsql_retention (
    table_name text NOT NULL,
    keep_days integer NOT NULL,
    CONSTRAINT authsql_retention_pkey PRIMARY KEY (table_name),
    CONSTRAINT authsql_retention_table_name_check CHECK (char_length(table_name) BETWEEN 1 AND 64),
    CONSTRAINT authsql_retention_keep_days_check CHECK (keep_days BETWEEN 1 AND 36500)
);

COMMENT ON TABLE authsql_retention IS 'How long rows are kept that have no end of their own. The purge goes by it: change it by UPDATE.';
COMMENT ON COLUMN authsql_retention.table_name IS 'Whose rows. A table that is not here keeps its rows for ever.';
COMMENT ON COLUMN authsql_retention.keep_days IS 'Days, of 24 hours: of authsql_audit_log since the event, of authsql_users since the soft deletion.';

INSERT INTO authsql_retention (table_name, keep_days) VALUES
('authsql_audit_log', 365),
('authsql_users', 30);

-- No foreign key: the log outlives the user. No unique key but the number: an entry waits for nobody.
CREATE TABLE authsql_audit_log (
    number bigint GENERATED ALWAYS AS IDENTITY,
    -- Not the statement's: one may last, and do many things.
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    event text NOT NULL,
    user_id uuid,
    actor_id uuid DEFAULT nullif(current_setting('authsql.actor_id', true), '')::uuid,
    session_id uuid DEFAULT nullif(current_setting('authsql.session_id', true), '')::uuid,
    ip inet DEFAULT nullif(current_setting('authsql.ip', true), '')::inet,
    user_agent text DEFAULT left(nullif(current_setting('authsql.user_agent', true), ''), 512),
    db_user text NOT NULL DEFAULT session_user,
    detail jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT authsql_audit_log_pkey PRIMARY KEY (number),
    CONSTRAINT authsql_audit_log_event_check CHECK (
        char_length(event) <= 64 AND event ~ '^[a-z][a-z0-9_-]*([.][a-z][a-z0-9_-]*)+$'
    ),
    CONSTRAINT authsql_audit_log_user_agent_check CHECK (char_length(user_agent) <= 512),
    CONSTRAINT authsql_audit_log_db_user_check CHECK (char_length(db_user) <= 288),
    CONSTRAINT authsql_audit_log_detail_check CHECK (jsonb_typeof(detail) = 'object')
);

CREATE INDEX authsql_audit_log_user_id_idx ON authsql_audit_log (user_id, number);

CREATE INDEX authsql_audit_log_event_idx ON authsql_audit_log (event, number);

-- For the erasure of a user. Most entries of most applications have no actor.
CREATE INDEX authsql_audit_log_actor_id_idx ON authsql_audit_log (actor_id, number) WHERE actor_id IS NOT NULL;

-- For the purge.
CREATE INDEX authsql_audit_log_occurred_at_idx ON authsql_audit_log (occurred_at);

COMMENT ON TABLE authsql_audit_log IS 'What happened to accounts. Triggers write it; it takes inserts only. It holds no secret, no code and no e-mail.';
COMMENT ON SEQUENCE authsql_audit_log_number_seq IS 'Numbers of the entries of authsql_audit_log.';
COMMENT ON COLUMN authsql_audit_log.number IS 'Rises with each entry, with gaps. An entry of a longer transaction may show up after a higher one.';
COMMENT ON COLUMN authsql_audit_log.occurred_at IS 'When it happened, by the clock of the database.';
COMMENT ON COLUMN authsql_audit_log.event IS 'What happened, as subject.verb. What begins with app. is of the application.';
COMMENT ON COLUMN authsql_audit_log.user_id IS 'The user whom it concerns; may be gone by now. NULL: nobody, or not known.';
COMMENT ON COLUMN authsql_audit_log.actor_id IS 'The user who did it, as the application said (see audit.set_context). NULL: it did not say.';
COMMENT ON COLUMN authsql_audit_log.session_id IS 'The session that it is about, or else the one that it was done in, as the application said.';
COMMENT ON COLUMN authsql_audit_log.ip IS 'Address of the new session, or else where the request came from, as the application said.';
COMMENT ON COLUMN authsql_audit_log.user_agent IS 'User-Agent header, from the same place as ip.';
COMMENT ON COLUMN authsql_audit_log.db_user IS 'Who was logged in to the database.';
COMMENT ON COLUMN authsql_audit_log.detail IS 'JSON object: what else there is to say, by event.';

-- Inserts only.

CREATE FUNCTION authsql_tg_audit_log_refuse() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    RAISE EXCEPTION 'the audit log takes inserts only' USING
        ERRCODE = 'restrict_violation',
        HINT = 'An UPDATE may empty ip, user_agent and detail. Entries go by the purge, when authsql_retention lets them.';
END
$$;

COMMENT ON FUNCTION authsql_tg_audit_log_refuse() IS 'Trigger: the audit log takes inserts only.';

-- Once for a statement: a purge deletes thousands of rows.
CREATE FUNCTION authsql_tg_audit_log_delete() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    IF EXISTS (
        SELECT 1
        FROM gone AS g
        WHERE NOT EXISTS (
            SELECT 1
            FROM authsql_retention AS r
            WHERE r.table_name = 'authsql_audit_log'
                AND g.occurred_at <= statement_timestamp() - r.keep_days * interval '24 hours'
        )
    ) THEN
        RAISE EXCEPTION 'the audit log takes inserts only' USING
            ERRCODE = 'restrict_violation',
            HINT = 'Entries go by the purge, when authsql_retention lets them.';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_audit_log_delete() IS 'Trigger: an entry is deleted when it is older than authsql_retention says, and not before.';

CREATE TRIGGER authsql_audit_log_update
BEFORE UPDATE ON authsql_audit_log
FOR EACH ROW WHEN (
    (OLD.number, OLD.occurred_at, OLD.event, OLD.user_id, OLD.actor_id, OLD.session_id, OLD.db_user)
    IS DISTINCT FROM (NEW.number, NEW.occurred_at, NEW.event, NEW.user_id, NEW.actor_id, NEW.session_id, NEW.db_user)
    OR (NEW.ip IS NOT NULL AND OLD.ip IS DISTINCT FROM NEW.ip)
    OR (NEW.user_agent IS NOT NULL AND OLD.user_agent IS DISTINCT FROM NEW.user_agent)
    OR (NEW.detail <> '{}' AND OLD.detail::text <> NEW.detail::text)
)
EXECUTE FUNCTION authsql_tg_audit_log_refuse();

COMMENT ON TRIGGER authsql_audit_log_update ON authsql_audit_log IS 'Only a redaction: ip, user_agent and detail may be emptied.';

CREATE TRIGGER authsql_audit_log_delete
AFTER DELETE ON authsql_audit_log
REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION authsql_tg_audit_log_delete();

COMMENT ON TRIGGER authsql_audit_log_delete ON authsql_audit_log IS 'Only entries that are older than authsql_retention says.';

-- Differs from mysql, where a TRUNCATE fires no trigger.
CREATE TRIGGER authsql_audit_log_truncate
BEFORE TRUNCATE ON authsql_audit_log
FOR EACH STATEMENT EXECUTE FUNCTION authsql_tg_audit_log_refuse();

COMMENT ON TRIGGER authsql_audit_log_truncate ON authsql_audit_log IS 'Never.';

-- What an application may write itself: it cannot give another event, time or actor. The check is the view's.
CREATE VIEW authsql_app_events WITH (check_option = 'cascaded') AS
SELECT
    a.event,
    a.user_id,
    a.detail
FROM authsql_audit_log AS a
WHERE left(a.event, 4) = 'app.';

COMMENT ON VIEW authsql_app_events IS 'Events of the application (app.*). Insert into it: who, when and from where are filled in.';
COMMENT ON COLUMN authsql_app_events.event IS 'What happened, as app.verb.';
COMMENT ON COLUMN authsql_app_events.user_id IS 'The user whom it concerns; may be gone by now. NULL: nobody, or not known.';
COMMENT ON COLUMN authsql_app_events.detail IS 'JSON object: what else there is to say, by event.';

-- For the purge. Before the column: its lock stops readers too, and is held from there to the end.
CREATE INDEX authsql_users_deleted_at_idx ON authsql_users (deleted_at) WHERE deleted_at IS NOT NULL;

-- What the log goes by: an account whose count of failures is cleared may have been unlocked, or given a new password.
ALTER TABLE authsql_users ADD COLUMN password_verified_at timestamptz;

COMMENT ON COLUMN authsql_users.password_verified_at IS 'When a password was last checked and found right.';

-- What is recorded. The functions run with their owner's rights, so that nobody who writes to the tables needs a right on
-- the log; and nobody else may make a trigger of them. The triggers' WHEN and OF keep a sign-in's note, a session's touch
-- and a refresh token's rotation free of charge.

CREATE FUNCTION authsql_tg_users_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, user_id)
        SELECT 'user.created', NEW.id
        UNION ALL
        SELECT 'email.verified', NEW.id
        WHERE NEW.email_verified_at IS NOT NULL;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO authsql_audit_log (event, user_id) VALUES ('user.deleted', OLD.id);
    ELSE
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'email.changed', NEW.id, '{}'::jsonb
        WHERE NEW.email <> OLD.email
        UNION ALL
        SELECT 'email.verified', NEW.id, '{}'::jsonb
        WHERE NEW.email_verified_at IS NOT NULL AND (OLD.email_verified_at IS NULL OR lower(NEW.email) <> lower(OLD.email))
        UNION ALL
        -- Another address is not verified: that is email.changed.
        SELECT 'email.unverified', NEW.id, '{}'::jsonb
        WHERE OLD.email_verified_at IS NOT NULL
            AND NEW.email_verified_at IS NULL
            AND lower(NEW.email) = lower(OLD.email)
        UNION ALL
        SELECT 'password.attempted', NEW.id, jsonb_build_object('failures', NEW.failed_attempts)
        WHERE NEW.failed_attempts > OLD.failed_attempts
        UNION ALL
        SELECT 'password.verified', NEW.id, '{}'::jsonb
        WHERE coalesce(NEW.password_verified_at > OLD.password_verified_at, NEW.password_verified_at IS NOT NULL)
        UNION ALL
        SELECT
            'account.locked',
            NEW.id,
            jsonb_build_object('retry_at', to_char(NEW.locked_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        WHERE NEW.locked_until > statement_timestamp() AND NEW.locked_until IS DISTINCT FROM OLD.locked_until
        UNION ALL
        -- A right password clears the count, too: that is password.verified, and no second entry.
        SELECT 'account.unlocked', NEW.id, '{}'::jsonb
        WHERE NEW.password_verified_at IS NOT DISTINCT FROM OLD.password_verified_at
            AND (
                NEW.failed_attempts < OLD.failed_attempts
                OR (
                    OLD.locked_until > statement_timestamp()
                    AND (NEW.locked_until IS NULL OR NEW.locked_until <= statement_timestamp())
                )
            )
        UNION ALL
        SELECT 'user.soft_deleted', NEW.id, '{}'::jsonb
        WHERE OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL
        UNION ALL
        SELECT 'user.reactivated', NEW.id, '{}'::jsonb
        WHERE OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL
        UNION ALL
        SELECT
            'user.reactivation_moved',
            NEW.id,
            jsonb_build_object(
                'reactivatable_at', to_char(NEW.reactivatable_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            )
        WHERE OLD.deleted_at = NEW.deleted_at AND NEW.reactivatable_at IS DISTINCT FROM OLD.reactivatable_at;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_users_audit() IS 'Trigger: records what happens to accounts.';

-- By name before authsql_users_insert_default_roles, so that the user is created before it is granted a role.
CREATE TRIGGER authsql_users_insert_audit
AFTER INSERT ON authsql_users
FOR EACH ROW EXECUTE FUNCTION authsql_tg_users_audit();

COMMENT ON TRIGGER authsql_users_insert_audit ON authsql_users IS 'Records user.created, email.verified.';

CREATE TRIGGER authsql_users_update_audit
AFTER UPDATE OF email, email_verified_at, failed_attempts, locked_until, password_verified_at, deleted_at, reactivatable_at
ON authsql_users
FOR EACH ROW WHEN (
    (
        OLD.email, OLD.email_verified_at, OLD.failed_attempts, OLD.locked_until, OLD.password_verified_at, OLD.deleted_at,
        OLD.reactivatable_at
    )
    IS DISTINCT FROM (
        NEW.email, NEW.email_verified_at, NEW.failed_attempts, NEW.locked_until, NEW.password_verified_at, NEW.deleted_at,
        NEW.reactivatable_at
    )
)
EXECUTE FUNCTION authsql_tg_users_audit();

COMMENT ON TRIGGER authsql_users_update_audit ON authsql_users IS 'Records email.changed, email.verified, email.unverified, password.attempted, password.verified, account.locked, account.unlocked, user.soft_deleted, user.reactivated, user.reactivation_moved.';

-- What no entry would make good: one account in the place of another.
CREATE FUNCTION authsql_tg_refuse() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = tg_argv[0], ERRCODE = 'restrict_violation';
END
$$;

COMMENT ON FUNCTION authsql_tg_refuse() IS 'Trigger: refuses, with the message that it was given.';

CREATE TRIGGER authsql_users_update_id
BEFORE UPDATE OF id ON authsql_users
FOR EACH ROW WHEN (OLD.id <> NEW.id)
EXECUTE FUNCTION authsql_tg_refuse('a user keeps their id');

COMMENT ON TRIGGER authsql_users_update_id ON authsql_users IS 'A user keeps their id.';

CREATE TRIGGER authsql_users_delete_audit
AFTER DELETE ON authsql_users
FOR EACH ROW EXECUTE FUNCTION authsql_tg_users_audit();

COMMENT ON TRIGGER authsql_users_delete_audit ON authsql_users IS 'Records user.deleted.';

-- In MySQL, what a foreign key deletes or renames fires no trigger. Here it does: what goes with its user or its role is
-- not recorded, so that both logs are the same. So in the functions below: does what it belonged to still exist?

CREATE FUNCTION authsql_tg_passwords_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, user_id)
        SELECT 'password.set', NEW.user_id
        UNION ALL
        SELECT 'password.change_required', NEW.user_id
        WHERE NEW.must_change_since IS NOT NULL;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO authsql_audit_log (event, user_id)
        SELECT 'password.removed', u.id
        FROM authsql_users AS u
        WHERE u.id = OLD.user_id;
    ELSE
        INSERT INTO authsql_audit_log (event, user_id)
        SELECT 'password.changed', NEW.user_id
        WHERE NEW.hash <> OLD.hash
            AND NEW.rehashed_at IS NOT DISTINCT FROM OLD.rehashed_at
            AND NEW.user_id = OLD.user_id
        UNION ALL
        SELECT 'password.rehashed', NEW.user_id
        WHERE NEW.hash <> OLD.hash
            AND NEW.rehashed_at IS DISTINCT FROM OLD.rehashed_at
            AND NEW.user_id = OLD.user_id
        UNION ALL
        SELECT 'password.removed', OLD.user_id
        WHERE NEW.user_id <> OLD.user_id
        UNION ALL
        SELECT 'password.set', NEW.user_id
        WHERE NEW.user_id <> OLD.user_id
        UNION ALL
        SELECT 'password.change_required', NEW.user_id
        WHERE OLD.must_change_since IS NULL AND NEW.must_change_since IS NOT NULL
        UNION ALL
        -- Another password is a change.
        SELECT 'password.change_waived', NEW.user_id
        WHERE OLD.must_change_since IS NOT NULL
            AND NEW.must_change_since IS NULL
            AND (NEW.hash = OLD.hash OR NEW.rehashed_at IS DISTINCT FROM OLD.rehashed_at);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_passwords_audit() IS 'Trigger: records what happens to passwords.';

CREATE TRIGGER authsql_passwords_insert_audit
AFTER INSERT ON authsql_passwords
FOR EACH ROW EXECUTE FUNCTION authsql_tg_passwords_audit();

COMMENT ON TRIGGER authsql_passwords_insert_audit ON authsql_passwords IS 'Records password.set, password.change_required.';

CREATE TRIGGER authsql_passwords_update_audit
AFTER UPDATE ON authsql_passwords
FOR EACH ROW WHEN (
    OLD.hash <> NEW.hash
    OR OLD.user_id <> NEW.user_id
    OR (OLD.must_change_since IS NULL) <> (NEW.must_change_since IS NULL)
)
EXECUTE FUNCTION authsql_tg_passwords_audit();

COMMENT ON TRIGGER authsql_passwords_update_audit ON authsql_passwords IS 'Records password.changed, password.rehashed, password.change_required, password.change_waived.';

CREATE TRIGGER authsql_passwords_delete_audit
AFTER DELETE ON authsql_passwords
FOR EACH ROW EXECUTE FUNCTION authsql_tg_passwords_audit();

COMMENT ON TRIGGER authsql_passwords_delete_audit ON authsql_passwords IS 'Records password.removed.';

CREATE FUNCTION authsql_tg_identities_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'identity.unlinked', u.id, jsonb_build_object('provider', OLD.provider)
        FROM authsql_users AS u
        WHERE u.id = OLD.user_id;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'identity.linked', NEW.user_id, jsonb_build_object('provider', NEW.provider)
        UNION ALL
        SELECT 'identity.signed_in', NEW.user_id, jsonb_build_object('provider', NEW.provider)
        WHERE NEW.last_login_at IS NOT NULL;
    ELSE
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'identity.unlinked', OLD.user_id, jsonb_build_object('provider', OLD.provider)
        WHERE (OLD.provider, OLD.subject, OLD.user_id) IS DISTINCT FROM (NEW.provider, NEW.subject, NEW.user_id)
        UNION ALL
        SELECT 'identity.linked', NEW.user_id, jsonb_build_object('provider', NEW.provider)
        WHERE (OLD.provider, OLD.subject, OLD.user_id) IS DISTINCT FROM (NEW.provider, NEW.subject, NEW.user_id)
        UNION ALL
        SELECT 'identity.signed_in', NEW.user_id, jsonb_build_object('provider', NEW.provider)
        WHERE coalesce(NEW.last_login_at > OLD.last_login_at, NEW.last_login_at IS NOT NULL);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_identities_audit() IS 'Trigger: records what happens to identities.';

CREATE TRIGGER authsql_identities_insert_audit
AFTER INSERT ON authsql_identities
FOR EACH ROW EXECUTE FUNCTION authsql_tg_identities_audit();

COMMENT ON TRIGGER authsql_identities_insert_audit ON authsql_identities IS 'Records identity.linked, identity.signed_in.';

CREATE TRIGGER authsql_identities_update_audit
AFTER UPDATE OF provider, subject, user_id, last_login_at ON authsql_identities
FOR EACH ROW WHEN (
    (OLD.provider, OLD.subject, OLD.user_id, OLD.last_login_at)
    IS DISTINCT FROM (NEW.provider, NEW.subject, NEW.user_id, NEW.last_login_at)
)
EXECUTE FUNCTION authsql_tg_identities_audit();

COMMENT ON TRIGGER authsql_identities_update_audit ON authsql_identities IS 'Records identity.signed_in, and identity.unlinked and identity.linked of one that is made another.';

CREATE TRIGGER authsql_identities_delete_audit
AFTER DELETE ON authsql_identities
FOR EACH ROW EXECUTE FUNCTION authsql_tg_identities_audit();

COMMENT ON TRIGGER authsql_identities_delete_audit ON authsql_identities IS 'Records identity.unlinked.';

-- The subject of a code may be an e-mail address, and is left out.
CREATE FUNCTION authsql_tg_otps_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.issue_id <> OLD.issue_id THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        VALUES ('code.issued', NEW.user_id, jsonb_build_object('purpose', NEW.purpose));
    ELSE
        INSERT INTO authsql_audit_log (event, user_id, detail)
        VALUES (
            CASE WHEN NEW.spent_at IS NULL THEN 'code.failed' ELSE 'code.verified' END,
            NEW.user_id,
            jsonb_build_object('purpose', NEW.purpose)
        );
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_otps_audit() IS 'Trigger: records what happens to one-time codes.';

CREATE TRIGGER authsql_otps_insert_audit
AFTER INSERT ON authsql_otps
FOR EACH ROW EXECUTE FUNCTION authsql_tg_otps_audit();

COMMENT ON TRIGGER authsql_otps_insert_audit ON authsql_otps IS 'Records code.issued.';

CREATE TRIGGER authsql_otps_update_audit
AFTER UPDATE OF issue_id, attempts, spent_at ON authsql_otps
FOR EACH ROW WHEN (
    NEW.issue_id <> OLD.issue_id
    OR NEW.attempts > OLD.attempts
    OR (NEW.spent_at IS NOT NULL AND OLD.spent_at IS NULL)
)
EXECUTE FUNCTION authsql_tg_otps_audit();

COMMENT ON TRIGGER authsql_otps_update_audit ON authsql_otps IS 'Records code.issued, code.failed, code.verified.';

CREATE FUNCTION authsql_tg_sessions_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, user_id, session_id, ip, user_agent, detail)
        VALUES (
            'session.created',
            NEW.user_id,
            NEW.id,
            coalesce(NEW.ip, nullif(current_setting('authsql.ip', true), '')::inet),
            coalesce(NEW.user_agent, left(nullif(current_setting('authsql.user_agent', true), ''), 512)),
            jsonb_build_object('aal', NEW.aal)
        );
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO authsql_audit_log (event, user_id, session_id, detail)
        SELECT 'session.revoked', u.id, OLD.id, jsonb_build_object('reason', 'row_deleted')
        FROM authsql_users AS u
        WHERE u.id = OLD.user_id;
    ELSE
        INSERT INTO authsql_audit_log (event, user_id, session_id, detail)
        SELECT 'session.revoked', NEW.user_id, NEW.id, jsonb_build_object('reason', NEW.revoke_reason)
        WHERE OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
        UNION ALL
        SELECT
            'session.prolonged',
            NEW.user_id,
            NEW.id,
            jsonb_build_object(
                'absolute_expires_at',
                to_char(NEW.absolute_expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            )
        WHERE NEW.absolute_expires_at > OLD.absolute_expires_at;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_sessions_audit() IS 'Trigger: records what happens to sessions.';

-- What no entry would make good: a session that was ended lives again, or is somebody else's, or another one.
CREATE FUNCTION authsql_tg_sessions_refuse() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    RAISE EXCEPTION 'a session stays ended, and its user''s' USING
        ERRCODE = 'restrict_violation',
        HINT = 'Whoever is to be signed in signs in anew.';
END
$$;

COMMENT ON FUNCTION authsql_tg_sessions_refuse() IS 'Trigger: no session that was ended lives again, and none becomes another user''s, or another one.';

CREATE TRIGGER authsql_sessions_update
BEFORE UPDATE OF id, revoked_at, user_id ON authsql_sessions
FOR EACH ROW WHEN (
    (OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS NULL) OR OLD.user_id <> NEW.user_id OR OLD.id <> NEW.id
)
EXECUTE FUNCTION authsql_tg_sessions_refuse();

COMMENT ON TRIGGER authsql_sessions_update ON authsql_sessions IS 'No session that was ended lives again, and none becomes another user''s, or another one.';

CREATE TRIGGER authsql_sessions_insert_audit
AFTER INSERT ON authsql_sessions
FOR EACH ROW EXECUTE FUNCTION authsql_tg_sessions_audit();

COMMENT ON TRIGGER authsql_sessions_insert_audit ON authsql_sessions IS 'Records session.created.';

CREATE TRIGGER authsql_sessions_update_audit
AFTER UPDATE OF revoked_at, absolute_expires_at ON authsql_sessions
FOR EACH ROW WHEN (
    (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) OR NEW.absolute_expires_at > OLD.absolute_expires_at
)
EXECUTE FUNCTION authsql_tg_sessions_audit();

COMMENT ON TRIGGER authsql_sessions_update_audit ON authsql_sessions IS 'Records session.revoked, session.prolonged.';

-- The purge deletes ended ones only.
CREATE TRIGGER authsql_sessions_delete_audit
AFTER DELETE ON authsql_sessions
FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND OLD.expires_at > statement_timestamp())
EXECUTE FUNCTION authsql_tg_sessions_audit();

COMMENT ON TRIGGER authsql_sessions_delete_audit ON authsql_sessions IS 'Records session.revoked, of a live session whose row is deleted.';

CREATE FUNCTION authsql_tg_roles_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO authsql_audit_log (event, detail)
        VALUES ('role.created', jsonb_build_object('role', NEW.role, 'is_default', NEW.is_default));
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO authsql_audit_log (event, detail)
        VALUES ('role.deleted', jsonb_build_object('role', OLD.role));
    ELSE
        INSERT INTO authsql_audit_log (event, detail)
        VALUES ('role.changed', jsonb_build_object('role', NEW.role, 'was', OLD.role, 'is_default', NEW.is_default));
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_roles_audit() IS 'Trigger: records what happens to roles.';

CREATE TRIGGER authsql_roles_insert_audit
AFTER INSERT ON authsql_roles
FOR EACH ROW EXECUTE FUNCTION authsql_tg_roles_audit();

COMMENT ON TRIGGER authsql_roles_insert_audit ON authsql_roles IS 'Records role.created.';

CREATE TRIGGER authsql_roles_update_audit
AFTER UPDATE OF role, is_default ON authsql_roles
FOR EACH ROW WHEN (OLD.role <> NEW.role OR OLD.is_default <> NEW.is_default)
EXECUTE FUNCTION authsql_tg_roles_audit();

COMMENT ON TRIGGER authsql_roles_update_audit ON authsql_roles IS 'Records role.changed: renamed, or made a default or no default.';

CREATE TRIGGER authsql_roles_delete_audit
AFTER DELETE ON authsql_roles
FOR EACH ROW EXECUTE FUNCTION authsql_tg_roles_audit();

COMMENT ON TRIGGER authsql_roles_delete_audit ON authsql_roles IS 'Records role.deleted.';

CREATE FUNCTION authsql_tg_user_roles_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        SELECT 'role.revoked', u.id, jsonb_build_object('role', r.role)
        FROM authsql_users AS u
        CROSS JOIN authsql_roles AS r
        WHERE u.id = OLD.user_id AND r.role = OLD.role;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO authsql_audit_log (event, user_id, detail)
        VALUES ('role.granted', NEW.user_id, jsonb_build_object('role', NEW.role));
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_user_roles_audit() IS 'Trigger: records which roles are granted and revoked.';

CREATE TRIGGER authsql_user_roles_insert_audit
AFTER INSERT ON authsql_user_roles
FOR EACH ROW EXECUTE FUNCTION authsql_tg_user_roles_audit();

COMMENT ON TRIGGER authsql_user_roles_insert_audit ON authsql_user_roles IS 'Records role.granted.';

CREATE TRIGGER authsql_user_roles_update_audit
AFTER UPDATE OF user_id, role ON authsql_user_roles
FOR EACH ROW WHEN (OLD.user_id <> NEW.user_id OR OLD.role <> NEW.role)
EXECUTE FUNCTION authsql_tg_user_roles_audit();

COMMENT ON TRIGGER authsql_user_roles_update_audit ON authsql_user_roles IS 'Records role.revoked and role.granted, of a grant that is made another.';

CREATE TRIGGER authsql_user_roles_delete_audit
AFTER DELETE ON authsql_user_roles
FOR EACH ROW EXECUTE FUNCTION authsql_tg_user_roles_audit();

COMMENT ON TRIGGER authsql_user_roles_delete_audit ON authsql_user_roles IS 'Records role.revoked.';

CREATE FUNCTION authsql_tg_role_permissions_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        INSERT INTO authsql_audit_log (event, detail)
        SELECT 'permission.revoked', jsonb_build_object('role', r.role, 'permission', OLD.permission)
        FROM authsql_roles AS r
        WHERE r.role = OLD.role;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO authsql_audit_log (event, detail)
        VALUES ('permission.granted', jsonb_build_object('role', NEW.role, 'permission', NEW.permission));
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_role_permissions_audit() IS 'Trigger: records which permissions are granted and revoked.';

CREATE TRIGGER authsql_role_permissions_insert_audit
AFTER INSERT ON authsql_role_permissions
FOR EACH ROW EXECUTE FUNCTION authsql_tg_role_permissions_audit();

COMMENT ON TRIGGER authsql_role_permissions_insert_audit ON authsql_role_permissions IS 'Records permission.granted.';

CREATE TRIGGER authsql_role_permissions_update_audit
AFTER UPDATE OF role, permission ON authsql_role_permissions
FOR EACH ROW WHEN (OLD.role <> NEW.role OR OLD.permission <> NEW.permission)
EXECUTE FUNCTION authsql_tg_role_permissions_audit();

COMMENT ON TRIGGER authsql_role_permissions_update_audit ON authsql_role_permissions IS 'Records permission.revoked and permission.granted, of one that is made another.';

CREATE TRIGGER authsql_role_permissions_delete_audit
AFTER DELETE ON authsql_role_permissions
FOR EACH ROW EXECUTE FUNCTION authsql_tg_role_permissions_audit();

COMMENT ON TRIGGER authsql_role_permissions_delete_audit ON authsql_role_permissions IS 'Records permission.revoked.';

CREATE FUNCTION authsql_tg_retention_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.table_name = OLD.table_name THEN
        INSERT INTO authsql_audit_log (event, detail)
        VALUES (
            'retention.changed',
            jsonb_build_object('table_name', NEW.table_name, 'keep_days', NEW.keep_days, 'was', OLD.keep_days)
        );
        RETURN NULL;
    END IF;
    IF TG_OP IN ('DELETE', 'UPDATE') THEN
        INSERT INTO authsql_audit_log (event, detail)
        VALUES (
            'retention.changed',
            jsonb_build_object('table_name', OLD.table_name, 'keep_days', NULL, 'was', OLD.keep_days)
        );
    END IF;
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        INSERT INTO authsql_audit_log (event, detail)
        VALUES (
            'retention.changed',
            jsonb_build_object('table_name', NEW.table_name, 'keep_days', NEW.keep_days, 'was', NULL)
        );
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_retention_audit() IS 'Trigger: records how long things are to be kept.';

CREATE TRIGGER authsql_retention_insert_audit
AFTER INSERT ON authsql_retention
FOR EACH ROW EXECUTE FUNCTION authsql_tg_retention_audit();

COMMENT ON TRIGGER authsql_retention_insert_audit ON authsql_retention IS 'Records retention.changed, from for ever.';

CREATE TRIGGER authsql_retention_update_audit
AFTER UPDATE ON authsql_retention
FOR EACH ROW EXECUTE FUNCTION authsql_tg_retention_audit();

COMMENT ON TRIGGER authsql_retention_update_audit ON authsql_retention IS 'Records retention.changed.';

CREATE TRIGGER authsql_retention_delete_audit
AFTER DELETE ON authsql_retention
FOR EACH ROW EXECUTE FUNCTION authsql_tg_retention_audit();

COMMENT ON TRIGGER authsql_retention_delete_audit ON authsql_retention IS 'Records retention.changed, to for ever.';

REVOKE EXECUTE ON FUNCTION
authsql_tg_users_audit(),
authsql_tg_passwords_audit(),
authsql_tg_identities_audit(),
authsql_tg_otps_audit(),
authsql_tg_sessions_audit(),
authsql_tg_roles_audit(),
authsql_tg_user_roles_audit(),
authsql_tg_role_permissions_audit(),
authsql_tg_retention_audit()
FROM public;

-- The purge runs with its caller's rights.

CREATE FUNCTION authsql_purge_audit_log(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_audit_log AS a
    WHERE a.number IN (
        SELECT c.number
        FROM authsql_audit_log AS c
        WHERE c.occurred_at <= statement_timestamp() - (
            SELECT r.keep_days * interval '24 hours'
            FROM authsql_retention AS r
            WHERE r.table_name = 'authsql_audit_log'
        )
        ORDER BY c.occurred_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_audit_log(integer) IS
'Deletes at most batch entries of authsql_audit_log that are older than authsql_retention says, and returns how many.';

CREATE FUNCTION authsql_purge_users(batch integer DEFAULT 1000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_users AS u
    WHERE u.id IN (
        SELECT c.id
        FROM authsql_users AS c
        WHERE c.deleted_at <= statement_timestamp() - (
            SELECT r.keep_days * interval '24 hours'
            FROM authsql_retention AS r
            WHERE r.table_name = 'authsql_users'
        )
        ORDER BY c.deleted_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_users(integer) IS
'Deletes at most batch users who were soft-deleted longer ago than authsql_retention says, with all that belongs to them, and returns how many users.';

CREATE OR REPLACE FUNCTION authsql_purge(batch integer DEFAULT 10000, OUT table_name text, OUT deleted bigint)
RETURNS SETOF record
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
SELECT 'authsql_otps', authsql_purge_otps(batch)
UNION ALL
SELECT 'authsql_sessions', authsql_purge_sessions(batch)
UNION ALL
SELECT 'authsql_users', authsql_purge_users(greatest(batch / 10, 1))
UNION ALL
SELECT 'authsql_audit_log', authsql_purge_audit_log(batch)
$$;

COMMENT ON FUNCTION authsql_purge(integer) IS
'Deletes at most batch expired rows of each table, of users a tenth, as much goes with each. Call it again while any count is that high.';

-- Called by privacy.erase. A function, because each of its statements sees what the one before wrote, the entry of the deletion
-- too; with its caller's rights, as the purge.
CREATE FUNCTION authsql_erase_user(owner uuid) RETURNS boolean
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    DELETE FROM authsql_users AS u
    WHERE u.id = owner;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE authsql_audit_log AS a
    SET ip = NULL, user_agent = NULL, detail = '{}'
    WHERE a.user_id = owner AND (a.ip IS NOT NULL OR a.user_agent IS NOT NULL OR a.detail <> '{}');
    -- Where it acted on others, the detail is of what was done to them.
    UPDATE authsql_audit_log AS a
    SET ip = NULL, user_agent = NULL
    WHERE a.actor_id = owner AND (a.ip IS NOT NULL OR a.user_agent IS NOT NULL);
    RETURN true;
END
$$;

COMMENT ON FUNCTION authsql_erase_user(uuid) IS
'Deletes a user with all that belongs to it, and empties what the audit log says of their addresses and devices. False: there was none.';

-- For whoever looks in.

CREATE OR REPLACE VIEW authsql_expiry_backlog AS
SELECT
    'authsql_otps' AS table_name,
    count(*) AS expired_rows,
    min(o.purge_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(o.purge_at)), 0)::bigint AS lag_seconds
FROM authsql_otps AS o
WHERE o.purge_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_sessions' AS table_name,
    count(*) AS expired_rows,
    min(s.absolute_expires_at) AS oldest_expired_at,
    coalesce(extract(EPOCH FROM statement_timestamp() - min(s.absolute_expires_at)), 0)::bigint AS lag_seconds
FROM authsql_sessions AS s
WHERE s.absolute_expires_at <= statement_timestamp()
UNION ALL
SELECT
    'authsql_users' AS table_name,
    count(*) AS expired_rows,
    min(u.deleted_at) + max(r.keep_days) * interval '24 hours' AS oldest_expired_at,
    coalesce(
        extract(EPOCH FROM statement_timestamp() - min(u.deleted_at) - max(r.keep_days) * interval '24 hours'), 0
    )::bigint AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_users AS u ON u.deleted_at <= statement_timestamp() - r.keep_days * interval '24 hours'
WHERE r.table_name = 'authsql_users'
UNION ALL
SELECT
    'authsql_audit_log' AS table_name,
    count(*) AS expired_rows,
    min(a.occurred_at) + max(r.keep_days) * interval '24 hours' AS oldest_expired_at,
    coalesce(
        extract(EPOCH FROM statement_timestamp() - min(a.occurred_at) - max(r.keep_days) * interval '24 hours'), 0
    )::bigint AS lag_seconds
FROM authsql_retention AS r
INNER JOIN authsql_audit_log AS a ON a.occurred_at <= statement_timestamp() - r.keep_days * interval '24 hours'
WHERE r.table_name = 'authsql_audit_log';

CREATE VIEW authsql_audit_trail AS
SELECT
    a.number,
    a.occurred_at,
    a.event,
    a.user_id,
    u.email,
    a.actor_id,
    w.email AS actor_email,
    a.session_id,
    a.ip,
    a.user_agent,
    a.db_user,
    a.detail
FROM authsql_audit_log AS a
LEFT JOIN authsql_users AS u ON a.user_id = u.id
LEFT JOIN authsql_users AS w ON a.actor_id = w.id;

COMMENT ON VIEW authsql_audit_trail IS 'The audit log, with the e-mails of whom it concerns and of who did it, as far as they are still there.';
COMMENT ON COLUMN authsql_audit_trail.number IS 'Rises with each entry, with gaps. An entry of a longer transaction may show up after a higher one.';
COMMENT ON COLUMN authsql_audit_trail.occurred_at IS 'When it happened, by the clock of the database.';
COMMENT ON COLUMN authsql_audit_trail.event IS 'What happened, as subject.verb. What begins with app. is of the application.';
COMMENT ON COLUMN authsql_audit_trail.user_id IS 'The user whom it concerns; may be gone by now. NULL: nobody, or not known.';
COMMENT ON COLUMN authsql_audit_trail.email IS 'E-mail of user_id. NULL: nobody, or the account is gone.';
COMMENT ON COLUMN authsql_audit_trail.actor_id IS 'The user who did it, as the application said (see audit.set_context). NULL: it did not say.';
COMMENT ON COLUMN authsql_audit_trail.actor_email IS 'E-mail of actor_id. NULL: nobody, or the account is gone.';
COMMENT ON COLUMN authsql_audit_trail.session_id IS 'The session that it is about, or else the one that it was done in, as the application said.';
COMMENT ON COLUMN authsql_audit_trail.ip IS 'Address of the new session, or else where the request came from, as the application said.';
COMMENT ON COLUMN authsql_audit_trail.user_agent IS 'User-Agent header, from the same place as ip.';
COMMENT ON COLUMN authsql_audit_trail.db_user IS 'Who was logged in to the database.';
COMMENT ON COLUMN authsql_audit_trail.detail IS 'JSON object: what else there is to say, by event.';

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (11, 'audit');
