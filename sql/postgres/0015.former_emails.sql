-- 0015.former_emails: the address that an account had before, kept for a notice to it and for whoever has to undo a change
-- that its owner did not make. Written by a trigger: a hand-typed UPDATE is kept, too.
-- depends: 0014.known_devices
-- Locks: SHARE ROW EXCLUSIVE on authsql_users while its trigger is made (writers wait for an instant).
-- Rollback: drops the former addresses.

-- Names are looked up in this schema, and in temporary ones last (see 0011.audit). Set back below.
DO $$
BEGIN
    PERFORM set_config('authsql.path_before', current_setting('search_path'), true);
    PERFORM set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true);
END
$$;

CREATE TABLE authsql_former_emails (
    id uuid NOT NULL DEFAULT authsql_uuid7(),
    user_id uuid NOT NULL,
    email text NOT NULL,
    was_verified boolean NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at timestamptz NOT NULL DEFAULT statement_timestamp() + interval '90 days',
    CONSTRAINT authsql_former_emails_pkey PRIMARY KEY (id),
    CONSTRAINT authsql_former_emails_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_former_emails_email_check CHECK (char_length(email) BETWEEN 3 AND 254)
);

CREATE INDEX authsql_former_emails_user_id_idx ON authsql_former_emails (user_id);

CREATE INDEX authsql_former_emails_expires_at_idx ON authsql_former_emails (expires_at);

COMMENT ON TABLE authsql_former_emails IS 'E-mails that accounts had before. No account is found by them.';
COMMENT ON COLUMN authsql_former_emails.id IS 'UUID version 7. Not a secret.';
COMMENT ON COLUMN authsql_former_emails.user_id IS 'The user who had it.';
COMMENT ON COLUMN authsql_former_emails.email IS 'The address, as it stood in authsql_users.';
COMMENT ON COLUMN authsql_former_emails.was_verified IS 'Whether its owner had proved to read mail there: then it is worth a notice.';
COMMENT ON COLUMN authsql_former_emails.changed_at IS 'When another address took its place.';
COMMENT ON COLUMN authsql_former_emails.expires_at IS 'It is purged after that.';

CREATE FUNCTION authsql_tg_users_former_email() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO authsql_former_emails (user_id, email, was_verified)
    VALUES (OLD.id, OLD.email, OLD.email_verified_at IS NOT NULL);
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION authsql_tg_users_former_email() IS 'Trigger: keeps the e-mail that an account had before.';

CREATE TRIGGER authsql_users_update_former_email
AFTER UPDATE OF email ON authsql_users
FOR EACH ROW WHEN (OLD.email <> NEW.email)
EXECUTE FUNCTION authsql_tg_users_former_email();

COMMENT ON TRIGGER authsql_users_update_former_email ON authsql_users IS 'Keeps the e-mail that an account had before.';

CREATE FUNCTION authsql_purge_former_emails(batch integer DEFAULT 10000) RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM authsql_former_emails AS f
    WHERE f.id IN (
        SELECT c.id
        FROM authsql_former_emails AS c
        WHERE c.expires_at <= statement_timestamp()
        ORDER BY c.expires_at
        LIMIT batch
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

COMMENT ON FUNCTION authsql_purge_former_emails(integer) IS
'Deletes at most batch expired rows of authsql_former_emails and returns how many.';

DO $$
BEGIN
    PERFORM set_config('search_path', current_setting('authsql.path_before'), true);
END
$$;

INSERT INTO authsql_schema_version (version, name) VALUES (15, 'former_emails');
