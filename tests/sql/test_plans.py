"""The hot statements find their rows by an index, on tables that are worth one."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from authsql._statements import statements
from tests.servers import SyncConnection, rows

ROWS = 4000
# A row of each table, which the statements below are asked for.
ID = "00000000-0000-7000-8000-000000000007"
RAW_ID = ID.replace("-", "")
HASH = "00" * 32
# For those that ask for a row in another state.
OTHER_ID = "00000000-0000-7000-8001-000000000007"
OTHERS = {"totp.confirm", "totp.pending", "passkeys.spend_registration"}
OTHER_HASH = "ff" * 32
SEALED = "01" * 40
CHANGED_AT = "2026-01-02 03:04:05"
# How many users have all the sessions.
OWNERS = 40
# How many roles there are, and how many permissions each of them has.
ROLES = 60

# The log is full of what is common by then.
RARE = "INSERT INTO authsql_audit_log (event) VALUES ('account.locked')"

FILL_POSTGRES = [
    (
        "INSERT INTO authsql_users (email_verified_at, id, email)"
        " SELECT statement_timestamp(), ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,"
        " 'user' || n || '@example.org'"
        f" FROM generate_series(1, {ROWS}) AS n"
    ),
    (
        "INSERT INTO authsql_passwords (user_id, hash, changed_at)"
        f" SELECT id, '$argon2id$' || repeat('x', 60), '{CHANGED_AT}' FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_sessions (id, user_id, secret_hash, expires_at, absolute_expires_at)"
        " SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,"
        f" ('00000000-0000-7000-8000-' || lpad(to_hex((n - 1) % {OWNERS} + 1), 12, '0'))::uuid,"
        f" decode('{HASH}', 'hex'),"
        " statement_timestamp() + INTERVAL '7 days', statement_timestamp() + INTERVAL '30 days'"
        f" FROM generate_series(1, {ROWS}) AS n"
    ),
    (
        "INSERT INTO authsql_refresh_tokens (session_id, family_hash, current_hash, expires_at)"
        " SELECT id, secret_hash, secret_hash, expires_at FROM authsql_sessions"
    ),
    (
        "INSERT INTO authsql_otps (subject, purpose, issue_id, code_hash, link_hash, expires_at)"
        f" SELECT email, 'signin', id, sha256(email::bytea), decode('{HASH}', 'hex'),"
        " statement_timestamp() + INTERVAL '5 minutes'"
        " FROM authsql_users"
    ),
    # Every user has the role user, by the trigger.
    f"INSERT INTO authsql_roles (role) SELECT 'role' || n FROM generate_series(1, {ROLES}) AS n",
    (
        "INSERT INTO authsql_role_permissions (role, permission)"
        f" SELECT r.role, 'permission' || n FROM authsql_roles AS r, generate_series(1, {ROLES}) AS n"
    ),
    (
        "INSERT INTO authsql_known_devices (id, user_id, secret_hash, trusted_until, expires_at)"
        " SELECT id, user_id, secret_hash, expires_at, absolute_expires_at FROM authsql_sessions"
    ),
    (
        "INSERT INTO authsql_former_emails (user_id, email, was_verified)"
        " SELECT id, email, FALSE FROM authsql_users"
    ),
    RARE,
    (
        "INSERT INTO authsql_identities (provider, subject, user_id, email)"
        " SELECT 'google', email, id, email FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_identity_tokens (provider, subject, access_token, key_name)"
        f" SELECT provider, subject, decode('{SEALED}', 'hex'),"
        " CASE WHEN subject LIKE 'user77%' THEN '2025' ELSE '2026' END FROM authsql_identities"
    ),
    (
        "INSERT INTO authsql_totp_factors"
        " (id, user_id, secret, key_name, confirmed_at, last_step, last_used_at)"
        f" SELECT id, id, decode('{HASH}', 'hex'), CASE WHEN email LIKE 'user7%' THEN '2025' ELSE '2026' END,"
        " created_at, 7, created_at FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_totp_factors (id, user_id, secret, key_name, expires_at)"
        f" SELECT replace(id::text, '-8000-', '-8001-')::uuid, id, decode('{HASH}', 'hex'), '2026',"
        " statement_timestamp() + INTERVAL '5 minutes' FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_recovery_codes (user_id, number, code_hash)"
        f" SELECT id, 1, decode('{HASH}', 'hex') FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_passkeys"
        " (id, user_id, credential, public_key, transports, aaguid, backup_eligible, backed_up)"
        f" SELECT id, ('{ID[:-1]}' || replace(right(id::text, 1), '0', '1'))::uuid,"
        f" CASE WHEN id = '{ID}' THEN decode('{HASH}', 'hex') ELSE sha256(email::bytea) END,"
        f" 'x', '[]', '{ID}', false, false FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_passkey_challenges"
        " (id, purpose, user_id, challenge_hash, user_verification, expires_at)"
        f" SELECT replace(id::text, '-8000-', n.part)::uuid, n.purpose, '{ID}',"
        f" decode('{HASH}', 'hex'), 'preferred', statement_timestamp() + INTERVAL '5 minutes'"
        " FROM authsql_users,"
        " (VALUES ('-8000-', 'authentication'), ('-8001-', 'registration')) AS n (part, purpose)"
    ),
    (
        "INSERT INTO authsql_rate_limits (key_hash, scope, hit_at, reset_at, expires_at)"
        f" SELECT CASE id WHEN '{ID}' THEN decode('{HASH}', 'hex') ELSE sha256(email::bytea) END, 'signin',"
        " statement_timestamp(), statement_timestamp() + INTERVAL '1 minute',"
        " statement_timestamp() + INTERVAL '5 minutes' FROM authsql_users"
    ),
    # A part of it is due, the rest was sent.
    (
        "INSERT INTO authsql_outbox (id, recipient, template, key_name, dedup_hash, body, next_attempt_at,"
        " sent_at, expires_at, purge_at, lease_id)"
        f" SELECT id, email, 'signin', 'k', CASE id WHEN '{ID}' THEN decode('{HASH}', 'hex') ELSE"
        " sha256(email::bytea) END, CASE WHEN due THEN email::bytea END,"
        " CASE WHEN due THEN statement_timestamp() END, CASE WHEN NOT due THEN statement_timestamp() END,"
        " statement_timestamp() + INTERVAL '1 day', statement_timestamp() + INTERVAL '8 days',"
        f" CASE WHEN due THEN '{ID}'::uuid END"
        " FROM (SELECT id, email, right(id::text, 1) = '7' AS due FROM authsql_users) AS u"
    ),
    "ANALYZE",
]
FILL_MYSQL = [
    f"SET SESSION cte_max_recursion_depth = {ROWS + 1}",
    (
        "INSERT INTO authsql_users (email_verified_at, id, email)"
        f" WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS})"
        " SELECT UTC_TIMESTAMP(6), UNHEX(CONCAT('00000000000070008000', LPAD(HEX(n), 12, '0'))),"
        " CONCAT('user', n, '@example.org') FROM s"
    ),
    (
        "INSERT INTO authsql_passwords (user_id, hash, changed_at)"
        f" SELECT id, CONCAT('$argon2id$', REPEAT('x', 60)), '{CHANGED_AT}' FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_sessions (id, user_id, secret_hash, expires_at, absolute_expires_at)"
        f" WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS})"
        " SELECT UNHEX(CONCAT('00000000000070008000', LPAD(HEX(n), 12, '0'))),"
        f" UNHEX(CONCAT('00000000000070008000', LPAD(HEX((n - 1) % {OWNERS} + 1), 12, '0'))),"
        f" UNHEX('{HASH}'),"
        " UTC_TIMESTAMP(6) + INTERVAL 7 DAY, UTC_TIMESTAMP(6) + INTERVAL 30 DAY FROM s"
    ),
    (
        "INSERT INTO authsql_refresh_tokens (session_id, family_hash, current_hash, expires_at)"
        " SELECT id, secret_hash, secret_hash, expires_at FROM authsql_sessions"
    ),
    (
        "INSERT INTO authsql_otps (subject, purpose, issue_id, code_hash, link_hash, expires_at)"
        f" SELECT email, 'signin', id, UNHEX(SHA2(email, 256)), UNHEX('{HASH}'),"
        " UTC_TIMESTAMP(6) + INTERVAL 5 MINUTE FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_known_devices (id, user_id, secret_hash, trusted_until, expires_at)"
        " SELECT id, user_id, secret_hash, expires_at, absolute_expires_at FROM authsql_sessions"
    ),
    (
        "INSERT INTO authsql_former_emails (user_id, email, was_verified)"
        " SELECT id, email, FALSE FROM authsql_users"
    ),
    (
        "ANALYZE TABLE authsql_users, authsql_passwords, authsql_sessions, authsql_refresh_tokens,"
        " authsql_otps, authsql_known_devices, authsql_former_emails"
    ),
    (
        "INSERT INTO authsql_roles (role)"
        f" WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < {ROLES})"
        " SELECT CONCAT('role', n) FROM s"
    ),
    (
        "INSERT INTO authsql_role_permissions (role, permission)"
        f" WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < {ROLES})"
        " SELECT r.role, CONCAT('permission', n) FROM authsql_roles AS r, s"
    ),
    (
        "INSERT INTO authsql_totp_factors"
        " (id, user_id, secret, key_name, confirmed_at, last_step, last_used_at)"
        f" SELECT id, id, UNHEX('{HASH}'), IF(email LIKE 'user7%', '2025', '2026'),"
        " created_at, 7, created_at FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_totp_factors (id, user_id, secret, key_name, expires_at)"
        " SELECT UNHEX(REPLACE(HEX(id), '70008000', '70008001')), id,"
        f" UNHEX('{HASH}'), '2026', UTC_TIMESTAMP(6) + INTERVAL 5 MINUTE FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_recovery_codes (user_id, number, code_hash)"
        f" SELECT id, 1, UNHEX('{HASH}') FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_passkeys"
        " (id, user_id, credential, public_key, transports, aaguid, backup_eligible, backed_up)"
        f" SELECT id, UNHEX(CONCAT('{ID.replace('-', '')[:-1]}', REPLACE(RIGHT(HEX(id), 1), '0', '1'))),"
        f" IF(email = 'user7@example.org', UNHEX('{HASH}'), UNHEX(SHA2(email, 256))),"
        f" 'x', '[]', '{ID}', FALSE, FALSE FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_passkey_challenges"
        " (id, purpose, user_id, challenge_hash, user_verification, expires_at)"
        " SELECT UNHEX(REPLACE(HEX(id), '70008000', n.part)), n.purpose,"
        f" UNHEX('{ID.replace('-', '')}'), UNHEX('{HASH}'), 'preferred', UTC_TIMESTAMP(6) + INTERVAL 5 MINUTE"
        " FROM authsql_users, (SELECT '70008000' AS part, 'authentication' AS purpose"
        " UNION ALL SELECT '70008001', 'registration') AS n"
    ),
    (
        "INSERT INTO authsql_rate_limits (key_hash, scope, hit_at, reset_at, expires_at)"
        f" SELECT IF(id = UNHEX('{RAW_ID}'), UNHEX('{HASH}'), UNHEX(SHA2(email, 256))), 'signin',"
        " UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL 1 MINUTE, UTC_TIMESTAMP(6) + INTERVAL 5 MINUTE"
        " FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_outbox (id, recipient, template, key_name, dedup_hash, body, next_attempt_at,"
        " sent_at, expires_at, purge_at, lease_id)"
        " SELECT id, email, 'signin', 'k',"
        f" IF(id = UNHEX('{RAW_ID}'), UNHEX('{HASH}'), UNHEX(SHA2(email, 256))),"
        " IF(due, 'x', NULL), IF(due, UTC_TIMESTAMP(6), NULL), IF(due, NULL, UTC_TIMESTAMP(6)),"
        " UTC_TIMESTAMP(6) + INTERVAL 1 DAY, UTC_TIMESTAMP(6) + INTERVAL 8 DAY,"
        f" IF(due, UNHEX('{RAW_ID}'), NULL)"
        " FROM (SELECT id, email, RIGHT(HEX(id), 1) = '7' AS due FROM authsql_users) AS u"
    ),
    "ANALYZE TABLE authsql_rate_limits, authsql_outbox",
    (
        "ANALYZE TABLE authsql_users, authsql_passwords, authsql_sessions, authsql_refresh_tokens,"
        " authsql_otps, authsql_roles, authsql_user_roles, authsql_role_permissions"
    ),
    RARE,
    (
        "ANALYZE TABLE authsql_users, authsql_passwords, authsql_sessions, authsql_refresh_tokens,"
        " authsql_otps, authsql_audit_log"
    ),
    (
        "INSERT INTO authsql_identities (provider, subject, user_id, email)"
        " SELECT 'google', email, id, email FROM authsql_users"
    ),
    (
        "INSERT INTO authsql_identity_tokens (provider, subject, access_token, key_name)"
        f" SELECT provider, subject, UNHEX('{SEALED}'),"
        " IF(subject LIKE 'user77%', '2025', '2026') FROM authsql_identities"
    ),
    "ANALYZE TABLE authsql_identities, authsql_identity_tokens",
    (
        "ANALYZE TABLE authsql_totp_factors, authsql_totp_attempts, authsql_recovery_codes, authsql_passkeys,"
        " authsql_passkey_challenges"
    ),
]


# A statement, and for each table that it looks a row up in the index that it does so by.
HOT = {
    "sessions.validate": {"authsql_sessions": "authsql_sessions_pkey"},
    "sessions.validate_with_roles": {
        "authsql_sessions": "authsql_sessions_pkey",
        "authsql_users": "authsql_users_pkey",
        "authsql_user_roles": "authsql_user_roles_pkey",
        "authsql_role_permissions": "authsql_role_permissions_pkey",
    },
    "sessions.touch": {"authsql_sessions": "authsql_sessions_pkey"},
    "sessions.elevate": {
        "authsql_sessions": "authsql_sessions_pkey",
        "authsql_refresh_tokens": "authsql_refresh_tokens_pkey",
    },
    "sessions.elevate__2": {"authsql_sessions": "authsql_sessions_pkey"},
    "sessions.list": {"authsql_sessions": "authsql_sessions_user_id_idx"},
    "sessions.revoke": {"authsql_sessions": "authsql_sessions_pkey"},
    "sessions.revoke_all": {"authsql_sessions": "authsql_sessions_user_id_idx"},
    "roles.revoke": {"authsql_user_roles": "authsql_user_roles_pkey"},
    "roles.disallow": {"authsql_role_permissions": "authsql_role_permissions_pkey"},
    "roles.of_user": {
        "authsql_users": "authsql_users_pkey",
        "authsql_user_roles": "authsql_user_roles_pkey",
    },
    "roles.permissions_of": {
        "authsql_users": "authsql_users_pkey",
        "authsql_user_roles": "authsql_user_roles_pkey",
        "authsql_role_permissions": "authsql_role_permissions_pkey",
    },
    "roles.has_role": {
        "authsql_users": "authsql_users_pkey",
        "authsql_user_roles": "authsql_user_roles_pkey",
    },
    "roles.has_permission": {
        "authsql_users": "authsql_users_pkey",
        "authsql_user_roles": "authsql_user_roles_pkey",
        "authsql_role_permissions": "authsql_role_permissions_pkey",
    },
    "users.get": {"authsql_users": "authsql_users_pkey"},
    "users.get_by_email": {"authsql_users": "authsql_users_email_key"},
    "passwords.attempt": {"authsql_users": "authsql_users_email_key"},
    "passwords.attempt__2": {
        "authsql_users": "authsql_users_email_key",
        "authsql_passwords": "authsql_passwords_pkey",
    },
    "passwords.attempt_by_id": {"authsql_users": "authsql_users_pkey"},
    "passwords.succeed": {
        "authsql_users": "authsql_users_pkey",
        "authsql_passwords": "authsql_passwords_pkey",
    },
    "passwords.import_hash": {"authsql_users": "authsql_users_pkey"},
    "refresh_tokens.rotate": {
        "authsql_refresh_tokens": "authsql_refresh_tokens_pkey",
        "authsql_sessions": "authsql_sessions_pkey",
    },
    "refresh_tokens.rotate__2": {
        "authsql_refresh_tokens": "authsql_refresh_tokens_pkey",
        "authsql_sessions": "authsql_sessions_pkey",
    },
    "refresh_tokens.state": {
        "authsql_refresh_tokens": "authsql_refresh_tokens_pkey",
        "authsql_sessions": "authsql_sessions_pkey",
    },
    "refresh_tokens.revoke_reused": {
        "authsql_refresh_tokens": "authsql_refresh_tokens_pkey",
        "authsql_sessions": "authsql_sessions_pkey",
    },
    "identities.sign_in": {
        "authsql_identities": "authsql_identities_pkey",
        "authsql_users": "authsql_users_pkey",
    },
    "identities.sign_in__2": {"authsql_identities": "authsql_identities_pkey"},
    "identities.link_verified": {"authsql_users": "authsql_users_email_key"},
    "identities.link": {"authsql_users": "authsql_users_pkey"},
    "identities.link__3": {
        "authsql_identities": "authsql_identities_pkey",
        "authsql_users": "authsql_users_pkey",
    },
    "identities.unlink": {"authsql_users": "authsql_users_pkey"},
    "identities.unlink__2": {
        "authsql_identities": "authsql_identities_pkey",
        "authsql_passwords": "authsql_passwords_pkey",
    },
    "identities.unlink_refusal": {"authsql_users": "authsql_users_pkey"},
    "identities.list": {"authsql_identities": "authsql_identities_user_id_idx"},
    "identities.store_tokens": {"authsql_identities": "authsql_identities_pkey"},
    "identities.tokens": {"authsql_identity_tokens": "authsql_identity_tokens_pkey"},
    "identities.replace_tokens": {"authsql_identity_tokens": "authsql_identity_tokens_pkey"},
    "identities.tokens_of_other_keys": {"authsql_identity_tokens": "authsql_identity_tokens_key_name_idx"},
    "otps.issue__2": {"authsql_otps": "authsql_otps_pkey"},
    "otps.issue_refusal": {"authsql_otps": "authsql_otps_pkey"},
    "otps.verify": {"authsql_otps": "authsql_otps_pkey"},
    "otps.verify__2": {"authsql_otps": "authsql_otps_pkey"},
    "otps.verify_link": {"authsql_otps": "authsql_otps_issue_id_key"},
    "otps.verify_link__2": {"authsql_otps": "authsql_otps_issue_id_key"},
    "accounts.find_link": {"authsql_otps": "authsql_otps_issue_id_key"},
    "accounts.is_right": {"authsql_otps": "authsql_otps_"},
    "accounts.verify_email": {"authsql_users": "authsql_users_email_key"},
    "accounts.verify_email__2": {"authsql_otps": "authsql_otps_pkey"},
    "accounts.sign_in": {"authsql_users": "authsql_users_email_key"},
    "accounts.sign_in__2": {"authsql_otps": "authsql_otps_pkey"},
    "accounts.reset_password": {"authsql_users": "authsql_users_email_key"},
    "accounts.change_email": {"authsql_users": "authsql_users_pkey"},
    "passwords.attempt_from_device": {
        "authsql_known_devices": "authsql_known_devices_pkey",
        "authsql_users": "authsql_users_",
    },
    "passwords.attempt_from_device__2": {
        "authsql_known_devices": "authsql_known_devices_pkey",
        "authsql_users": "authsql_users_pkey",
        "authsql_passwords": "authsql_passwords_pkey",
    },
    "passwords.succeed_from_device": {
        "authsql_known_devices": "authsql_known_devices_pkey",
        "authsql_users": "authsql_users_pkey",
        "authsql_passwords": "authsql_passwords_pkey",
    },
    "devices.is_trusted": {"authsql_known_devices": "authsql_known_devices_pkey"},
    "devices.list": {"authsql_known_devices": "authsql_known_devices_user_id_idx"},
    "audit.list": {"authsql_audit_log": "authsql_audit_log_pkey"},
    "audit.list_of_user": {"authsql_audit_log": "authsql_audit_log_user_id_idx"},
    "audit.list_of_event": {"authsql_audit_log": "authsql_audit_log_event_idx"},
    "privacy.erase": {"authsql_users": "authsql_users_pkey"},
    "privacy.erase__2": {"authsql_otps": "authsql_otps_pkey"},
    "privacy.erase__5": {"authsql_audit_log": "authsql_audit_log_user_id_idx"},
    "privacy.erase__6": {"authsql_audit_log": "authsql_audit_log_actor_id_idx"},
    "totp.pending": {"authsql_totp_factors": "authsql_totp_factors_pkey"},
    "totp.confirm": {
        "authsql_totp_factors": "authsql_totp_factors_pkey",
        "authsql_totp_attempts": "authsql_totp_attempts_pkey",
    },
    "totp.attempt": {
        "authsql_totp_attempts": "authsql_totp_attempts_pkey",
        "authsql_totp_factors": "authsql_totp_factors_user_id_idx",
        "authsql_users": "authsql_users_pkey",
    },
    "totp.attempt__2": {
        "authsql_totp_attempts": "authsql_totp_attempts_pkey",
        "authsql_totp_factors": "authsql_totp_factors_user_id_idx",
        "authsql_users": "authsql_users_pkey",
    },
    "totp.spend": {
        "authsql_totp_factors": "authsql_totp_factors_pkey",
        "authsql_totp_attempts": "authsql_totp_attempts_pkey",
    },
    "totp.list": {"authsql_totp_factors": "authsql_totp_factors_user_id_idx"},
    "totp.rename": {"authsql_totp_factors": "authsql_totp_factors_pkey"},
    "totp.remove": {"authsql_totp_factors": "authsql_totp_factors_pkey"},
    "totp.outdated": {"authsql_totp_factors": "authsql_totp_factors_key_name_idx"},
    "totp.outdated__2": {"authsql_totp_factors": "authsql_totp_factors_key_name_idx"},
    "totp.reencrypt": {"authsql_totp_factors": "authsql_totp_factors_pkey"},
    "recovery_codes.verify": {"authsql_recovery_codes": "authsql_recovery_codes_"},
    "recovery_codes.verify__2": {"authsql_recovery_codes": "authsql_recovery_codes_"},
    "recovery_codes.remaining": {"authsql_recovery_codes": "authsql_recovery_codes_"},
    "passkeys.begin_registration__2": {
        "authsql_passkey_challenges": "authsql_passkey_challenges_pkey",
        "authsql_passkeys": "authsql_passkeys_user_id_idx",
    },
    "passkeys.spend_registration": {"authsql_passkey_challenges": "authsql_passkey_challenges_pkey"},
    "passkeys.spend_authentication": {"authsql_passkey_challenges": "authsql_passkey_challenges_pkey"},
    "passkeys.spend_authentication__2": {
        "authsql_passkey_challenges": "authsql_passkey_challenges_pkey",
        "authsql_passkeys": "authsql_passkeys_credential_key",
        "authsql_users": "authsql_users_pkey",
    },
    "passkeys.advance": {"authsql_passkeys": "authsql_passkeys_pkey"},
    "passkeys.list": {"authsql_passkeys": "authsql_passkeys_user_id_idx"},
    "passkeys.rename": {"authsql_passkeys": "authsql_passkeys_pkey"},
    "passkeys.remove": {"authsql_users": "authsql_users_pkey"},
    "passkeys.remove__2": {
        "authsql_passkeys": "authsql_passkeys_pkey",
        "authsql_passwords": "authsql_passwords_pkey",
        "authsql_identities": "authsql_identities_user_id_idx",
    },
    "passkeys.remove_refusal": {"authsql_passkeys": "authsql_passkeys_pkey"},
    "factors.of_user": {
        "authsql_totp_factors": "authsql_totp_factors_user_id_idx",
        "authsql_passkeys": "authsql_passkeys_user_id_idx",
        "authsql_recovery_codes": "authsql_recovery_codes_",
    },
    "sessions.is_live": {"authsql_sessions": "authsql_sessions_pkey"},
    "rate_limits.hit__2": {"authsql_rate_limits": "authsql_rate_limits_pkey"},
    "rate_limits.peek": {"authsql_rate_limits": "authsql_rate_limits_pkey"},
    "rate_limits.reset": {"authsql_rate_limits": "authsql_rate_limits_pkey"},
    "outbox.enqueue__2": {"authsql_outbox": "authsql_outbox_pkey"},
    "outbox.duplicate": {"authsql_outbox": "authsql_outbox_dedup_hash_key"},
    "outbox.drop_expired": {"authsql_outbox": "authsql_outbox_next_attempt_at_idx"},
    "outbox.lease": {"authsql_outbox": "authsql_outbox_next_attempt_at_idx"},
    "outbox.lease__2": {"authsql_outbox": "authsql_outbox_lease_id_idx"},
    "outbox.mark_sent": {"authsql_outbox": "authsql_outbox_pkey"},
    "outbox.mark_failed": {"authsql_outbox": "authsql_outbox_pkey"},
}
# What a view calls its tables.
IN_VIEWS = {"p": "authsql_passwords", "i": "authsql_identities", "k": "authsql_passkeys"}
PURGES = {
    "authsql_users": ("deleted_at", "authsql_users_deleted_at_idx"),
    "authsql_audit_log": ("occurred_at", "authsql_audit_log_occurred_at_idx"),
    "authsql_known_devices": ("expires_at", "authsql_known_devices_expires_at_idx"),
    "authsql_former_emails": ("expires_at", "authsql_former_emails_expires_at_idx"),
    "authsql_otps": ("purge_at", "authsql_otps_purge_at_idx"),
    "authsql_passkey_challenges": ("expires_at", "authsql_passkey_challenges_expires_at_idx"),
    "authsql_totp_factors": ("expires_at", "authsql_totp_factors_expires_at_idx"),
    "authsql_sessions": ("absolute_expires_at", "authsql_sessions_absolute_expires_at_idx"),
    "authsql_rate_limits": ("expires_at", "authsql_rate_limits_expires_at_idx"),
    "authsql_outbox": ("purge_at", "authsql_outbox_purge_at_idx"),
}


def literal(name: str, is_postgres: bool, hash_: str, id_: str) -> str:
    """A value for a parameter as it would be written in a statement."""
    if name in {"approval_issue_id", "approval_code_hash", "approval_link_hash", "approval_subject"}:
        return "NULL"
    if name == "id":
        return f"'{id_}'::uuid" if is_postgres else f"UNHEX('{id_.replace('-', '')}')"
    if name in {"user_id", "session_id", "issue_id", "device_id", "keep", "keep_session_id", "lease_id"}:
        return f"'{ID}'::uuid" if is_postgres else f"UNHEX('{ID.replace('-', '')}')"
    if name.endswith("_hash") or name in {"seal", "credential", "secret"}:
        value = hash_ if name == "presented_hash" else HASH
        return f"decode('{value}', 'hex')" if is_postgres else f"UNHEX('{value}')"
    if name in {"backed_up", "user_verified"}:
        return "TRUE"
    if name in {
        "idle",
        "absolute",
        "touch_after",
        "lifetime",
        "grace",
        "lock_base",
        "lock_max",
        "device_lifetime",
        "lease",
        "retry_base",
        "retry_max",
    }:
        return "INTERVAL '1 hour'" if is_postgres else "3600000000"
    if name.endswith("_token"):
        return f"decode('{SEALED}', 'hex')" if is_postgres else f"UNHEX('{SEALED}')"
    if name in {"may_link", "email_signs_in"}:
        return "false"
    texts = {
        "approval_purpose": "email-change-approval",
        "changed_at": CHANGED_AT,
        "event": "account.locked",
        "key_name": "2026",
        "old_key_name": "2025",
        "profile": "{}",
        "provider": "google",
        "scopes": "openid",
        "name": "x",
        "error": "busy",
        "email": "user7@example.org",
        "permission": "permission7",
        "hash": "$argon2id$v=19$",
        "candidate": "$argon2id$v=19$",
        "purpose": "signin",
        "reason": "revoked",
        "role": "user",
        "subject": "user7@example.org",
    }
    if name in texts:
        return f"'{texts[name]}'"
    if name == "create":
        return "FALSE"
    if name.startswith(("rows", "verdict")):
        return "1"
    return str(
        {
            "lock_after": 5,
            "block_after": 100,
            "window_max": 5,
            "device_attempts": 10,
            "needed": 1,
            "before": 2**63 - 1,
            "limit": 100,
            "batch": 10,
            "aal": 2,
            "step": 8,
            "sign_count": 8,
            "final": 0,
        }[name]
    )


def filled_in(name: str, conn: SyncConnection) -> str:
    """A statement with a value for each parameter: one that finds a row, else MySQL plans nothing."""
    is_postgres = isinstance(conn, psycopg.Connection)
    text = statements("postgres" if is_postgres else "mysql")[name].text
    if name == "audit.list_of_user":
        text = text.replace("%(event)s", "NULL")  # of any event
    hash_ = OTHER_HASH if name == "refresh_tokens.revoke_reused" else HASH
    id_ = OTHER_ID if name in OTHERS else ID
    return re.sub(r"%\((\w+)\)s", lambda found: literal(found[1], is_postgres, hash_, id_), text)


def explain(conn: SyncConnection, text: str) -> list[tuple[Any, Any]]:
    """Each access to a table, with the index that it goes by or None."""
    if isinstance(conn, psycopg.Connection):
        (found,) = rows(conn, f"EXPLAIN (FORMAT JSON) {text}")[0]
        return _nodes(found[0]["Plan"])
    # The key that the optimizer chose, with the alias of the table. UPDATE is explained like SELECT.
    plan = rows(conn, f"EXPLAIN FORMAT=TRADITIONAL {text}")
    found = re.findall(r"\b(authsql_\w+)(?: AS (\w+))?", text)
    aliases = IN_VIEWS | {alias: table for table, alias in found if alias}
    return [
        (
            aliases.get(row[2], row[2]),
            f"{aliases.get(row[2], row[2])}_pkey" if row[6] == "PRIMARY" else row[6],
        )
        for row in plan
        # No table: no matching row is what a unique key tells the optimizer by itself.
        if row[2] and not str(row[2]).startswith("<")
    ]


def _nodes(plan: dict[str, Any], table: str | None = None) -> list[tuple[Any, Any]]:
    """What a plan of PostgreSQL reads: a bitmap's index is named in the node below that of its table."""
    found: list[tuple[Any, Any]] = []
    kind = plan["Node Type"]
    here = plan.get("Relation Name", table)
    if kind in {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}:
        found.append((here, plan["Index Name"]))
    elif kind == "Seq Scan":
        found.append((here, None))
    for below in plan.get("Plans", []):
        found += _nodes(below, here if kind in {"Bitmap Heap Scan", "BitmapOr"} else None)
    return found


@pytest.fixture
def filled(conn: SyncConnection) -> SyncConnection:
    """A connection to a database with some thousand rows in each table, and statistics of them."""
    for statement in FILL_POSTGRES if isinstance(conn, psycopg.Connection) else FILL_MYSQL:
        rows(conn, statement)
    return conn


def test_hot_statements_go_by_their_index(filled: SyncConnection) -> None:
    known = statements("postgres" if isinstance(filled, psycopg.Connection) else "mysql")
    problems = {}
    for name, expected in HOT.items():
        # A part that PostgreSQL does not have is in its one statement.
        if name not in known:
            assert "__" in name
            continue
        # EXPLAIN does not look into a procedure.
        if known[name].text.lstrip().startswith("CALL"):
            continue
        plan = explain(filled, filled_in(name, filled))
        used = {str(index) for table, index in plan if table in expected}
        # Of two unique keys that find the same row, the planner takes either.
        if not all(any(index.startswith(wanted) for index in used) for wanted in expected.values()) or (
            "None" in used
        ):
            problems[name] = plan
    assert not problems


def test_the_ways_in_of_one_account_are_looked_up(filled: SyncConnection) -> None:
    """As in authsql_keeps_way_in, whose plan is not shown, and in MySQL's identities.unlink__2."""
    owner = literal("user_id", isinstance(filled, psycopg.Connection), HASH, ID)
    plan = explain(filled, f"SELECT w.kind FROM authsql_ways_in AS w WHERE w.user_id = {owner}")
    assert set(plan) == {
        ("authsql_passwords", "authsql_passwords_pkey"),
        ("authsql_identities", "authsql_identities_user_id_idx"),
        ("authsql_passkeys", "authsql_passkeys_user_id_idx"),
    }


@pytest.mark.parametrize("table", PURGES)
def test_the_purge_goes_by_the_end(filled: SyncConnection, table: str) -> None:
    """What it chooses rows by is looked at on its own: EXPLAIN does not look into a function."""
    if isinstance(filled, psycopg.Connection):
        function = table.replace("authsql_", "authsql_purge_")
        source = rows(filled, f"SELECT prosrc FROM pg_proc WHERE proname = '{function}'")[0][0]
    else:
        source = statements("mysql")[table.replace("authsql_", "maintenance.purge_")].text
    [chosen] = re.findall(r"SELECT\s+c\..*SKIP LOCKED", source, re.DOTALL)
    text = re.sub(r"LIMIT \S+", "LIMIT 100", chosen)
    assert [found for found in explain(filled, text) if found[0] == table] == [(table, PURGES[table][1])]
