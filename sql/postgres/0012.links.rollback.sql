DELETE FROM authsql_schema_version WHERE version = 12;

ALTER TABLE authsql_otps DROP CONSTRAINT authsql_otps_issue_id_key;

ALTER TABLE authsql_otps DROP CONSTRAINT authsql_otps_link_hash_check;

ALTER TABLE authsql_otps DROP COLUMN link_hash;
