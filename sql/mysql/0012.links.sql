-- 0012.links: a one-time code may have a link beside it: a secret of 256 bits that spends the same row. A link is found by
-- the issue_id that it carries.
-- depends: 0011.audit
-- transactional: false
-- Locks: metadata locks on authsql_otps, an instant each; between them its unique index is built in place while others read and
-- write, as long as one scan of it takes; the table holds the codes of the last hour or so.
-- Rollback: drops the links that were sent; their codes stay good.

ALTER TABLE authsql_otps
ADD COLUMN link_hash BINARY(32) NULL
COMMENT 'SHA-256 of the secret in the link that was sent with the code. NULL: there is no link.';

ALTER TABLE authsql_otps ADD CONSTRAINT authsql_otps_issue_id_key UNIQUE (issue_id);

INSERT INTO authsql_schema_version (version, name) VALUES (12, 'links');
