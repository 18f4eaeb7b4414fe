-- 0012.links: a one-time code may have a link beside it: a secret of 256 bits that spends the same row. A link is found by
-- the issue_id that it carries.
-- depends: 0011.audit
-- Locks: ACCESS EXCLUSIVE on authsql_otps while it is read once to build a unique index; the table holds the codes of the
-- last hour or so. Rollback: drops the links that were sent; their codes stay good.

ALTER TABLE authsql_otps ADD COLUMN link_hash bytea;

-- squawk-ignore constraint-missing-not-valid
ALTER TABLE authsql_otps ADD CONSTRAINT authsql_otps_link_hash_check CHECK (octet_length(link_hash) = 32);

-- squawk-ignore disallowed-unique-constraint, constraint-missing-not-valid
ALTER TABLE authsql_otps ADD CONSTRAINT authsql_otps_issue_id_key UNIQUE (issue_id);

COMMENT ON COLUMN authsql_otps.link_hash IS 'SHA-256 of the secret in the link that was sent with the code. NULL: there is no link.';

INSERT INTO authsql_schema_version (version, name) VALUES (12, 'links');
