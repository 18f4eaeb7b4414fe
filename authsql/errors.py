"""What authsql raises. What is expected to happen is not here: it is returned (see `models.Refusal`)."""

from __future__ import annotations


class AuthsqlError(Exception):
    """Base of all errors that authsql raises itself."""


class InvalidInput(AuthsqlError, ValueError):
    """An argument cannot be what it should be: wrong type, too long, malformed. Nothing was sent to the database."""


class UnsupportedConnection(AuthsqlError, TypeError):
    """The object given as connection is not one of psycopg or mysql-connector-python."""


class TransactionOpen(AuthsqlError):
    """The operation counts an attempt, which has to outlive a rollback, and the connection is in a transaction."""


class EmailTaken(AuthsqlError):
    """A live account has that e-mail already."""


class UserNotFound(AuthsqlError, LookupError):
    """The row was to belong to a user who does not exist."""


class SchemaMissing(AuthsqlError):
    """The database lacks authsql's tables, or has older ones than this version needs: run `authsql migrate`."""


class RetryTransaction(AuthsqlError):
    """The database gave up on the caller's transaction (deadlock, serialization): roll it back and run it again."""


class Overtaken(AuthsqlError):
    """Another call did the same meanwhile. Handled within the library: a caller sees RetryTransaction instead."""


class UnknownHash(AuthsqlError):
    """The stored password hash is in a format that authsql cannot check."""


# Which constraint stands for which error. The names are part of the schema and never change.
BY_CONSTRAINT: dict[str, type[AuthsqlError]] = {
    "authsql_users_email_key": EmailTaken,
    "authsql_identities_pkey": Overtaken,
    "authsql_identities_user_id_fkey": UserNotFound,
    "authsql_passwords_user_id_fkey": UserNotFound,
    "authsql_otps_user_id_fkey": UserNotFound,
    "authsql_sessions_user_id_fkey": UserNotFound,
}


def for_constraint(name: str | None) -> AuthsqlError | None:
    """The error that a violated constraint stands for, with its docstring as message, or None."""
    error = BY_CONSTRAINT.get(name or "")
    return error(error.__doc__) if error else None
