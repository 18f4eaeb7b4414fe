"""Authentication storage as plain SQL for PostgreSQL and MySQL.

    from authsql import identities, otps, passwords, refresh_tokens, roles, sessions, users

Each operation takes a connection first, of psycopg 3 or mysql-connector-python; on an asynchronous one it is
awaited. The caller owns the transaction: an operation runs in the one that is open, and ends none that it did
not begin. Those that count an attempt (`passwords.verify`, `passwords.change`, `otps.verify`,
`refresh_tokens.rotate`, `rate_limits.hit`), and those that send mail (`outbox.deliver` and its parts), commit
on their own, and raise `TransactionOpen` where one is open. What is expected to happen is returned, a
`Refusal` being false.
"""

from __future__ import annotations

from authsql import (
    access_tokens,
    accounts,
    audit,
    devices,
    identities,
    maintenance,
    otps,
    outbox,
    passwords,
    rate_limits,
    refresh_tokens,
    roles,
    sessions,
    users,
)
from authsql.blocklist import Blocklist
from authsql.errors import (
    AuthsqlError,
    CommonPassword,
    EmailTaken,
    InvalidInput,
    NoTransaction,
    RetryTransaction,
    SchemaMissing,
    TransactionOpen,
    UnknownHash,
    UnknownRole,
    UnsupportedConnection,
    UserNotFound,
)
from authsql.models import (
    AccessToken,
    Allowed,
    AuditEntry,
    Backlog,
    ChangedEmail,
    Delivery,
    EmailSignIn,
    Identity,
    IssuedCode,
    KnownDevice,
    LeasedMail,
    NewDevice,
    NewSession,
    PendingSignUp,
    ProviderTokens,
    Purged,
    QueuedMail,
    Reason,
    RefreshToken,
    Refusal,
    Role,
    RotatedToken,
    Session,
    SignedIn,
    User,
    VerifiedCode,
    VerifiedPassword,
)
from authsql.pepper import Pepper
from authsql.policy import PURPOSES, Policy
from authsql.proofs import Code, Link, Proof

__version__ = "0.1.0"

__all__ = [
    "PURPOSES",
    "AccessToken",
    "Allowed",
    "AuditEntry",
    "AuthsqlError",
    "Backlog",
    "Blocklist",
    "ChangedEmail",
    "Code",
    "CommonPassword",
    "Delivery",
    "EmailSignIn",
    "EmailTaken",
    "Identity",
    "InvalidInput",
    "IssuedCode",
    "KnownDevice",
    "LeasedMail",
    "Link",
    "NewDevice",
    "NewSession",
    "NoTransaction",
    "PendingSignUp",
    "Pepper",
    "Policy",
    "Proof",
    "ProviderTokens",
    "Purged",
    "QueuedMail",
    "Reason",
    "RefreshToken",
    "Refusal",
    "RetryTransaction",
    "Role",
    "RotatedToken",
    "SchemaMissing",
    "Session",
    "SignedIn",
    "TransactionOpen",
    "UnknownHash",
    "UnknownRole",
    "UnsupportedConnection",
    "User",
    "UserNotFound",
    "VerifiedCode",
    "VerifiedPassword",
    "__version__",
    "access_tokens",
    "accounts",
    "audit",
    "devices",
    "identities",
    "maintenance",
    "otps",
    "outbox",
    "passwords",
    "rate_limits",
    "refresh_tokens",
    "roles",
    "sessions",
    "users",
]
