-- 0013.signups: sign-ups that wait for the proof of their e-mail. There is no account yet, and nobody can wait in one for the
-- owner of the address: the proof makes an account of the sign-up that it was sent for, and of no other.
-- depends: 0012.links
-- Locks: SHARE ROW EXCLUSIVE on authsql_otps while the foreign key is made (writers wait for an instant: the new table is empty).
-- Rollback: drops the sign-ups that wait; who was sent a code must sign up again.

CREATE TABLE authsql_signups (
    subject text NOT NULL,
    purpose text NOT NULL DEFAULT 'signup',
    issue_id uuid NOT NULL,
    email text NOT NULL,
    name text,
    hash text,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    new_hash text,
    CONSTRAINT authsql_signups_pkey PRIMARY KEY (subject, purpose),
    CONSTRAINT authsql_signups_otp_fkey FOREIGN KEY (subject, purpose)
    REFERENCES authsql_otps (subject, purpose) ON DELETE CASCADE,
    CONSTRAINT authsql_signups_purpose_check CHECK (purpose = 'signup'),
    CONSTRAINT authsql_signups_email_check CHECK (char_length(email) BETWEEN 3 AND 254 AND position('@' IN email) > 1),
    CONSTRAINT authsql_signups_name_check CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT authsql_signups_hash_check CHECK (char_length(hash) BETWEEN 20 AND 255 AND left(hash, 1) = '$')
);

COMMENT ON TABLE authsql_signups IS 'Sign-ups that wait for the proof of their e-mail. Purged with their code.';
COMMENT ON COLUMN authsql_signups.subject IS 'The e-mail in lower case: the subject of the code.';
COMMENT ON COLUMN authsql_signups.purpose IS 'Always signup: the purpose of the code.';
COMMENT ON COLUMN authsql_signups.issue_id IS 'The issue of the code that this sign-up goes with. With a later issue it is void.';
COMMENT ON COLUMN authsql_signups.email IS 'The e-mail as it was typed, in Unicode NFC.';
COMMENT ON COLUMN authsql_signups.name IS 'Display name of the account to be.';
COMMENT ON COLUMN authsql_signups.hash IS 'Hash of the password of the account to be. NULL: it will have none. Should never be visible to the user.';
COMMENT ON COLUMN authsql_signups.created_at IS 'When somebody signed up.';
COMMENT ON COLUMN authsql_signups.new_hash IS 'Written by who may not read the hash, which it becomes. Always NULL once stored.';

-- An application may have rights on all columns but hash (optional/roles.sql). It writes new_hash, and a trigger moves that: a
-- statement that names hash to write it, and fails, would be told the row with it. Another sign-up has no hash but its own:
-- NULL is one without a password.
CREATE FUNCTION authsql_tg_signups_hash() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.issue_id <> OLD.issue_id AND NEW.hash IS NOT DISTINCT FROM OLD.hash THEN
        NEW.hash := NEW.new_hash;
    ELSE
        NEW.hash := coalesce(NEW.new_hash, NEW.hash);
    END IF;
    NEW.new_hash := NULL;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION authsql_tg_signups_hash() IS 'Trigger: the hash comes from the column beside it.';

CREATE TRIGGER authsql_signups_insert_hash
BEFORE INSERT ON authsql_signups
FOR EACH ROW EXECUTE FUNCTION authsql_tg_signups_hash();

COMMENT ON TRIGGER authsql_signups_insert_hash ON authsql_signups IS 'The hash comes from the column beside it.';

CREATE TRIGGER authsql_signups_update_hash
BEFORE UPDATE ON authsql_signups
FOR EACH ROW EXECUTE FUNCTION authsql_tg_signups_hash();

COMMENT ON TRIGGER authsql_signups_update_hash ON authsql_signups IS 'The hash comes from the column beside it.';

-- An application whose rights leave the hashes out (optional/roles.sql) cannot move one itself. In the statement that makes the
-- account, and VOLATILE, because it has to see that account. It must not fail: the error would show the row to the caller.
CREATE FUNCTION authsql_store_signup_password(user_id uuid, subject text, purpose text) RETURNS boolean
LANGUAGE sql VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH signup AS (
        DELETE FROM authsql_signups AS w
        WHERE w.subject = $2 AND w.purpose = $3
        RETURNING w.hash
    )

    INSERT INTO authsql_passwords (user_id, hash)
    SELECT
        $1 AS user_id,
        s.hash
    FROM signup AS s
    WHERE s.hash IS NOT NULL AND $1 IS NOT NULL;
    SELECT true;
END;

COMMENT ON FUNCTION authsql_store_signup_password(uuid, text, text) IS
'Gives a new account the password that it signed up with, if there is one, and deletes the sign-up. With NULL for the account, only that. Always true.';

REVOKE EXECUTE ON FUNCTION authsql_store_signup_password(uuid, text, text) FROM public;

INSERT INTO authsql_schema_version (version, name) VALUES (13, 'signups');
