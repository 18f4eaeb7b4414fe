"""What authsql raises. What is expected to happen is not here: it is returned (see `models.Refusal`)."""

from __future__ import annotations


class AuthsqlError(Exception):
    """Base of all errors that authsql raises itself."""


class InvalidInput(AuthsqlError, ValueError):
    """An argument cannot be what it should be: wrong type, too long, malformed. Nothing was sent to the database."""


class CommonPassword(InvalidInput):
    """The password is one of those that are tried first: a common one, or made of a known name. Choose another."""


class UnsupportedConnection(AuthsqlError, TypeError):
    """The object given as connection is not one of psycopg or mysql-connector-python."""


class TransactionOpen(AuthsqlError):
    """The operation counts an attempt, which has to outlive a rollback, and the connection is in a transaction."""


class EmailTaken(AuthsqlError):
    """A live account has that e-mail already."""


class UserNotFound(AuthsqlError, LookupError):
    """The row was to belong to a user who does not exist."""


class UnknownRole(AuthsqlError, LookupError):
    """There is no role of that name."""


class NoTransaction(AuthsqlError):
    """What is to be set ends with the transaction, and the connection is in none."""


class AlreadyThere(AuthsqlError):
    """The row is there already. An operation that can meet this says so in its answer, and does not raise it."""


class SchemaMissing(AuthsqlError):
    """The database lacks authsql's tables, or has older ones than this version needs: run `authsql migrate`."""


class RetryTransaction(AuthsqlError):
    """The caller's transaction was lost to a deadlock or a conflict: roll it back, pause at random, run it again."""


class Overtaken(AuthsqlError):
    """Another call did the same meanwhile. Handled within the library: a caller sees RetryTransaction instead."""


class UnknownHash(AuthsqlError):
    """The stored password hash is in a format that authsql cannot check, or under a pepper key that the policy lacks."""


# Which constraint stands for which error. The names are part of the schema and never change.
BY_CONSTRAINT: dict[str, type[AuthsqlError]] = {
    "authsql_users_email_key": EmailTaken,
    "authsql_identities_pkey": Overtaken,
    "authsql_identities_user_id_fkey": UserNotFound,
    "authsql_passwords_user_id_fkey": UserNotFound,
    "authsql_otps_user_id_fkey": UserNotFound,
    "authsql_sessions_user_id_fkey": UserNotFound,
    "authsql_known_devices_user_id_fkey": UserNotFound,
    "authsql_roles_pkey": AlreadyThere,
    "authsql_user_roles_pkey": AlreadyThere,
    "authsql_user_roles_user_id_fkey": UserNotFound,
    "authsql_user_roles_role_fkey": UnknownRole,
    "authsql_role_permissions_pkey": AlreadyThere,
    "authsql_role_permissions_role_fkey": UnknownRole,
    "authsql_totp_factors_user_id_fkey": UserNotFound,
    "authsql_recovery_codes_user_id_fkey": UserNotFound,
    "authsql_passkeys_user_id_fkey": UserNotFound,
    "authsql_passkey_challenges_user_id_fkey": UserNotFound,
}


def for_constraint(name: str | None) -> AuthsqlError | None:
    """The error that a violated constraint stands for, with its docstring as message, or None."""
    error = BY_CONSTRAINT.get(name or "")
    return error(error.__doc__) if error else None
