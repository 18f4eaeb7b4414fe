-- 0006.otps: one-time codes. The key (subject, purpose) allows one live code: a new one replaces it, and neither the
-- hourly count of codes nor the wait between two of them starts again by that.
-- depends: 0005.identities
-- Locks: none, new table. Rollback: drops every code; whoever waits for one must ask for another.

CREATE TABLE authsql_otps (
    subject text NOT NULL,
    purpose text NOT NULL,
    issue_id uuid NOT NULL DEFAULT authsql_uuid7(),
    user_id uuid,
    code_hash bytea NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 5,
    created_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at timestamptz NOT NULL,
    resend_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    spent_at timestamptz,
    window_count integer NOT NULL DEFAULT 1,
    window_ends_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    purge_at timestamptz NOT NULL GENERATED ALWAYS AS (greatest(expires_at, resend_at, window_ends_at)) STORED,
    CONSTRAINT authsql_otps_pkey PRIMARY KEY (subject, purpose),
    CONSTRAINT authsql_otps_user_id_fkey FOREIGN KEY (user_id)
    REFERENCES authsql_users (id) ON DELETE CASCADE,
    CONSTRAINT authsql_otps_subject_check CHECK (char_length(subject) BETWEEN 1 AND 254),
    CONSTRAINT authsql_otps_purpose_check CHECK (purpose ~ '^[a-z][a-z0-9_-]{0,31}$'),
    CONSTRAINT authsql_otps_code_hash_check CHECK (octet_length(code_hash) = 32),
    CONSTRAINT authsql_otps_attempts_check CHECK (attempts BETWEEN 0 AND max_attempts),
    CONSTRAINT authsql_otps_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 100),
    CONSTRAINT authsql_otps_expires_at_check CHECK (expires_at > created_at),
    CONSTRAINT authsql_otps_window_count_check CHECK (window_count >= 1)
);

CREATE INDEX authsql_otps_user_id_idx ON authsql_otps (user_id);

CREATE INDEX authsql_otps_purge_at_idx ON authsql_otps (purge_at);

COMMENT ON TABLE authsql_otps IS 'One-time codes, one for each subject and purpose. No code can be read out of it.';
COMMENT ON COLUMN authsql_otps.subject IS 'Whom the code was sent to: an e-mail in lower case, or any other name that the application uses, such as a user id.';
COMMENT ON COLUMN authsql_otps.purpose IS 'What the code is good for: signin, email-verification, password-reset, password-change or one of the application.';
COMMENT ON COLUMN authsql_otps.issue_id IS 'Changes with each code. An application may keep it to accept a code only where it was asked for.';
COMMENT ON COLUMN authsql_otps.user_id IS 'The user whom the code is for, if the caller knew: the code goes when the user goes.';
COMMENT ON COLUMN authsql_otps.code_hash IS 'HMAC-SHA-256 of purpose, subject and code under a key that is not in the database.';
COMMENT ON COLUMN authsql_otps.attempts IS 'How often a code was tried since this one was issued.';
COMMENT ON COLUMN authsql_otps.max_attempts IS 'At so many attempts the code is dead.';
COMMENT ON COLUMN authsql_otps.created_at IS 'When this code was issued.';
COMMENT ON COLUMN authsql_otps.expires_at IS 'The code is good until then.';
COMMENT ON COLUMN authsql_otps.resend_at IS 'No other code is issued before then.';
COMMENT ON COLUMN authsql_otps.spent_at IS 'When the code was used. NULL: not yet.';
COMMENT ON COLUMN authsql_otps.window_count IS 'How many codes were issued in the current window.';
COMMENT ON COLUMN authsql_otps.window_ends_at IS 'When the current window ends and the count starts again.';
COMMENT ON COLUMN authsql_otps.purge_at IS 'The row says nothing any more from then on, and is purged.';

INSERT INTO authsql_schema_version (version, name) VALUES (6, 'otps');
