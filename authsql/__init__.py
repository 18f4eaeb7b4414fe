"""Authentication storage as plain SQL for PostgreSQL and MySQL.

    from authsql import identities, otps, passwords, refresh_tokens, sessions, users

Each operation takes a connection first, of psycopg 3 or mysql-connector-python; on an asynchronous one it is
awaited. The caller owns the transaction: an operation runs in the one that is open, and ends none that it did
not begin. Those that count an attempt (`passwords.verify`, `passwords.change`, `otps.verify`,
`refresh_tokens.rotate`) commit on their own, and raise `TransactionOpen` where one is open. What is expected
to happen is returned, a `Refusal` being false.
"""

from __future__ import annotations

from authsql import identities, maintenance, otps, passwords, refresh_tokens, sessions, users
from authsql.errors import (
    AuthsqlError,
    EmailTaken,
    InvalidInput,
    RetryTransaction,
    SchemaMissing,
    TransactionOpen,
    UnknownHash,
    UnsupportedConnection,
    UserNotFound,
)
from authsql.models import (
    Backlog,
    Identity,
    IssuedCode,
    NewSession,
    ProviderTokens,
    Purged,
    Reason,
    RefreshToken,
    Refusal,
    RotatedToken,
    Session,
    SignedIn,
    User,
    VerifiedCode,
    VerifiedPassword,
)
from authsql.policy import PURPOSES, Policy

__version__ = "0.1.0"

__all__ = [
    "PURPOSES",
    "AuthsqlError",
    "Backlog",
    "EmailTaken",
    "Identity",
    "InvalidInput",
    "IssuedCode",
    "NewSession",
    "Policy",
    "ProviderTokens",
    "Purged",
    "Reason",
    "RefreshToken",
    "Refusal",
    "RetryTransaction",
    "RotatedToken",
    "SchemaMissing",
    "Session",
    "SignedIn",
    "TransactionOpen",
    "UnknownHash",
    "UnsupportedConnection",
    "User",
    "UserNotFound",
    "VerifiedCode",
    "VerifiedPassword",
    "__version__",
    "identities",
    "maintenance",
    "otps",
    "passwords",
    "refresh_tokens",
    "sessions",
    "users",
]
