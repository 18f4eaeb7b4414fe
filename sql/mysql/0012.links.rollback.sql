DELETE FROM authsql_schema_version WHERE version = 12;

ALTER TABLE authsql_otps DROP INDEX authsql_otps_issue_id_key;

ALTER TABLE authsql_otps DROP COLUMN link_hash;
