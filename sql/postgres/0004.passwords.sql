-- 0004.passwords: password hashes, apart from the users so that rights on them can be narrower.
-- depends: 0003.roles
-- Locks: none, new table. Rollback: drops every password hash; users must reset their passwords.

CREATE TABLE authsql_passwords (
    user_id uuid NOT NULL,
    hash text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    rehashed_at timestamptz,
    must_change_since timestamptz,
    keep_session_id uuid,
    CONSTRAINT authsql_passwords_pkey PRIMARY KEY (user_id),
    CONSTRAINT authsql_passwords_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_passwords_hash_check CHECK (char_length(hash) BETWEEN 20 AND 255 AND left(hash, 1) = '$')
);

COMMENT ON TABLE authsql_passwords IS 'Password hashes. A user without a row has no password.';
COMMENT ON COLUMN authsql_passwords.user_id IS 'The user whose password it is.';
COMMENT ON COLUMN authsql_passwords.hash IS 'PHC string, for example $argon2id$v=19$m=65536,t=3,p=4$salt$hash. Should never be visible to the user.';
COMMENT ON COLUMN authsql_passwords.changed_at IS 'When the password last changed. A new hash of the same password does not count.';
COMMENT ON COLUMN authsql_passwords.rehashed_at IS 'When the same password was last hashed anew with stronger parameters. An UPDATE that moves it with the hash is not a changed password.';
COMMENT ON COLUMN authsql_passwords.must_change_since IS 'Since when the user has to change the password before anything else. NULL: need not.';
COMMENT ON COLUMN authsql_passwords.keep_session_id IS 'In an UPDATE of the hash: the session to spare when the others are revoked. Always NULL once stored.';

INSERT INTO authsql_schema_version (version, name) VALUES (4, 'passwords');
