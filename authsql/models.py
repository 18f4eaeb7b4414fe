"""What operations return: small frozen dataclasses. A `Refusal` is false, everything else is true."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, final
from uuid import UUID

T = TypeVar("T")


class Reason(enum.StrEnum):
    """Why an operation refused. For logs and for choosing what to do; few of them are for the eyes of who
    asked.
    """

    MALFORMED = "malformed"
    """The token or code cannot be one of ours."""
    UNKNOWN = "unknown"
    """There is no such token, code or account."""
    WRONG = "wrong"
    """Wrong password, code or signature. The attempt was counted, where attempts are. Says nothing about
    whether the account exists."""
    EXPIRED = "expired"
    """It was good once; its time is over."""
    REVOKED = "revoked"
    """The session was ended before its time."""
    SPENT = "spent"
    """The code, or the challenge, was used already."""
    EXHAUSTED = "exhausted"
    """The code was tried too often."""
    COOLING_DOWN = "cooling_down"
    """A code was issued a moment ago."""
    TOO_MANY = "too_many"
    """Too many codes were issued in this window."""
    LOCKED = "locked"
    """The account, or its TOTP factors, are locked for a time after failed attempts. Nothing was checked."""
    BLOCKED = "blocked"
    """Too many failures in a row: only a new password opens the account, or only an enrolment anew the TOTP
    factors. Nothing was checked."""
    REUSED = "reused"
    """A refresh token that was rotated away came again: theft. Its session has been ended."""
    CHANGED = "changed"
    """The password was changed by another request meanwhile."""
    NOT_YET = "not_yet"
    """Too early: an account that is to be reactivated, or an access token. From `retry_at` on."""
    NOT_DELETED = "not_deleted"
    """The account is live."""
    LOWER = "lower"
    """The session has a higher assurance level than the one that was asked for."""
    CLONED = "cloned"
    """The passkey's counter did not go up: there may be a copy of its private key."""
    TAKEN = "taken"
    """The identity, or the passkey, belongs to another account, or is registered already."""
    LIMITED = "limited"
    """It was done too often of late. Nothing was counted."""
    INVALID = "invalid"
    """An access token that is not good here: its signature, type, issuer or audience is another
    (`detail`)."""
    DELETED = "deleted"
    """The account is soft-deleted."""
    EMAIL_REQUIRED = "email_required"
    """The provider gave no e-mail, and without one there can be no account."""
    OWNERSHIP_REQUIRED = "ownership_required"
    """An account has that e-mail: its owner has to sign in as before, and link the identity then."""
    LAST_WAY_IN = "last_way_in"
    """Without it nobody could sign in to the account any more."""


@final
@dataclass(frozen=True, slots=True)
class Refusal:
    """An operation did not do what was asked, for a reason that was to be expected. Is false."""

    reason: Reason
    retry_at: datetime | None = None
    """From when on it may succeed, by the database's clock, where that is known."""
    attempts_left: int | None = None
    """How many attempts this code has left, where one was counted."""
    detail: str | None = None
    """For `REVOKED`: why the session was ended (`sessions.revoke_reason`). For `DELETED`: the account's id,
    for `users.reactivate`. Of `accounts.change_email`: the purpose of the code that was refused. Of an access
    token: what is wrong with it. For `WRONG` of a passkey: what was wrong, if it may be the application's
    settings: origin, user_verification."""

    def __bool__(self) -> Literal[False]:
        return False


@final
@dataclass(frozen=True, slots=True)
class User:
    """An account. Times are aware, in UTC."""

    id: UUID
    email: str
    name: str | None
    avatar: dict[str, Any] | None
    email_verified_at: datetime | None
    last_login_at: datetime | None
    locked_until: datetime | None
    deleted_at: datetime | None
    reactivatable_at: datetime | None
    created_at: datetime
    updated_at: datetime


@final
@dataclass(frozen=True, slots=True)
class VerifiedPassword:
    """The password is right."""

    user_id: UUID
    must_change: bool
    """The user has to change the password before anything else."""
    email_verified: bool
    known_device: bool = False
    """It was given from a device that the account knows (`devices`)."""


@final
@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A new one-time code, to be sent to its subject. `code` is shown in no `repr` and stored nowhere."""

    code: str = field(repr=False)
    issue_id: UUID
    """Not a secret: keep it where the code was asked for to accept it only there."""
    expires_at: datetime
    resend_at: datetime
    link: str | None = field(default=None, repr=False)
    """The secret of the link that was asked for, to be put behind a URL of the application."""


@final
@dataclass(frozen=True, slots=True)
class VerifiedCode:
    """The code was right, and is spent now."""

    subject: str
    purpose: str
    issue_id: UUID
    user_id: UUID | None


@final
@dataclass(frozen=True, slots=True)
class PendingSignUp:
    """A sign-up that waits for its code, or its link, to come back."""

    issued: IssuedCode
    email_taken: bool
    """A live account has this address: send its owner a notice, and not the code. Never tell who asks."""


@final
@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in by an identity of a provider."""

    user_id: UUID
    outcome: Literal["existing", "created", "linked"]
    """The identity was known, or an account was made for it, or it was linked to the one with its e-mail."""
    email_verified: bool
    """Whether the account's e-mail is verified, which need not be the one that the provider gave."""


@final
@dataclass(frozen=True, slots=True)
class EmailSignIn:
    """A code of purpose `signin` was right."""

    user_id: UUID
    outcome: Literal["existing", "claimed", "created"]
    """`claimed`: nobody had verified the e-mail before; what was set up before is gone."""


@final
@dataclass(frozen=True, slots=True)
class ChangedEmail:
    """An account has a new e-mail."""

    user_id: UUID
    email: str
    former_email: str
    former_verified: bool
    """The owner had proved to read mail at the former address: it is worth a notice."""


@final
@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A device on which a user has signed in before."""

    id: UUID
    user_id: UUID
    name: str | None
    trusted_until: datetime | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """An account at a provider, which is somebody's here."""

    provider: str
    subject: str
    user_id: UUID
    email: str | None
    profile: dict[str, Any] | None
    last_login_at: datetime | None
    created_at: datetime


@final
@dataclass(frozen=True, slots=True)
class NewDevice:
    """A device made known, with its token: the only time that the token is seen."""

    token: str = field(repr=False)
    device: KnownDevice


@final
@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """What a provider gave for calls in a user's name, in clear. `repr` shows none of it."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    scopes: tuple[str, ...] | None
    expires_at: datetime | None
    """When the access token expires, if the provider said so."""
    expired: bool
    """Whether that has passed, by the database's clock."""


@final
@dataclass(frozen=True, slots=True)
class TotpEnrollment:
    """An authenticator app to be, until it is confirmed. The only time that the secret is seen."""

    factor_id: UUID
    secret: str = field(repr=False)
    """In base32, for who types it."""
    uri: str = field(repr=False)
    """`otpauth://totp/...` with the secret: to be shown as a QR code."""
    expires_at: datetime


@final
@dataclass(frozen=True, slots=True)
class TotpFactor:
    """An authenticator app that was confirmed."""

    id: UUID
    name: str | None
    created_at: datetime
    confirmed_at: datetime
    last_used_at: datetime


@final
@dataclass(frozen=True, slots=True)
class VerifiedTotp:
    """The code was right, and is spent now."""

    user_id: UUID
    factor_id: UUID


@final
@dataclass(frozen=True, slots=True)
class RecoveryCodes:
    """New recovery codes. The only time that they are seen. Iterate over it, or take `codes`."""

    codes: tuple[str, ...] = field(repr=False)
    """Each in groups of four characters with dashes between them."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.codes)

    def __len__(self) -> int:
        return len(self.codes)


@final
@dataclass(frozen=True, slots=True)
class VerifiedRecoveryCode:
    """The recovery code was right, and is spent now."""

    user_id: UUID
    remaining: int
    """How many codes are left."""


@final
@dataclass(frozen=True, slots=True)
class PasskeyChallenge:
    """The first half of a ceremony, for the browser."""

    id: UUID
    """Not a secret: keep it for the second half, where the browser cannot change it to another's."""
    options: str = field(repr=False)
    """JSON for `PublicKeyCredential.parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON`."""
    expires_at: datetime


@final
@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey that a user has registered."""

    id: UUID
    user_id: UUID
    name: str | None
    credential: bytes
    """The credential ID. Browsers can be told which ones are still good (`signalAllAcceptedCredentials`)."""
    transports: tuple[str, ...]
    aaguid: str
    """The authenticator's model, by its own word."""
    backup_eligible: bool
    backed_up: bool
    created_at: datetime
    last_used_at: datetime | None
    user_verified_at: datetime | None
    """When the authenticator last checked a PIN or a biometric."""
    cloned_at: datetime | None
    """When it last signed with a counter that did not go up: there may be a copy of its private key."""


@final
@dataclass(frozen=True, slots=True)
class VerifiedPasskey:
    """The passkey signed the challenge, which is spent now."""

    user_id: UUID
    passkey_id: UUID
    user_verified: bool
    """The authenticator checked a PIN or a biometric: two factors at once."""
    backup_eligible: bool
    """The private key may be on several devices."""


@final
@dataclass(frozen=True, slots=True)
class SecondFactors:
    """How many second factors a user has."""

    totp: int
    passkeys: int
    recovery_codes: int
    """Not spent yet. They stand in for the others, and are no reason to ask for a second factor."""

    @property
    def enrolled(self) -> bool:
        """Whether a second factor has to be asked for."""
        return self.totp > 0 or self.passkeys > 0


@final
@dataclass(frozen=True, slots=True)
class Session:
    """A live session."""

    id: UUID
    user_id: UUID
    ip: str | None
    user_agent: str | None
    device: str | None
    aal: int
    created_at: datetime
    authenticated_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    absolute_expires_at: datetime
    roles: frozenset[str] | None = None
    """The roles that its user had when it was validated. None: they were not asked for."""
    permissions: frozenset[str] | None = None
    """What its user could do by these roles. None: it was not asked for."""


@final
@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just opened, with its token: the only time that the token is seen."""

    token: str = field(repr=False)
    session: Session
    ended: int = 0
    """How many older sessions were ended to keep within the cap."""


@final
@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The first token of a family."""

    token: str = field(repr=False)
    session_id: UUID
    expires_at: datetime


@final
@dataclass(frozen=True, slots=True)
class RotatedToken:
    """The successor of a refresh token, and what an access token is made of."""

    token: str = field(repr=False)
    session_id: UUID
    user_id: UUID
    aal: int
    authenticated_at: datetime
    generation: int
    expires_at: datetime
    repeated: bool = False
    """The same answer as before, given again within the grace window."""


@final
@dataclass(frozen=True, slots=True)
class Role:
    """A role, and what it allows."""

    name: str
    description: str
    is_default: bool
    """Every new account is granted it."""
    permissions: tuple[str, ...]
    """In order."""
    created_at: datetime


@final
@dataclass(frozen=True, slots=True)
class Allowed:
    """Within the rate limit."""

    remaining: int
    """How many more would be allowed now."""
    reset_at: datetime
    """When all of the limit is free again, if nothing else is counted."""


@final
@dataclass(frozen=True, slots=True)
class QueuedMail:
    """A mail in the outbox."""

    id: UUID
    duplicate: bool = False
    """One with that `dedup_key` was there already, and this is its id. Nothing was added."""


@final
@dataclass(frozen=True, slots=True)
class LeasedMail:
    """A mail that the caller is to send now. What it says is encrypted: `outbox.message` opens it."""

    id: UUID
    lease_id: UUID
    recipient: str
    template: str
    attempts: int
    """How often it was taken, this time included."""
    created_at: datetime
    expires_at: datetime
    leased_until: datetime
    """From then on another sender may take it."""
    body: bytes = field(repr=False)


@final
@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of a batch of mail."""

    sent: int = 0
    postponed: int = 0
    """Could not be sent now, and will be tried again."""
    failed: int = 0
    """Refused for good by the mail server, and given up."""
    expired: int = 0
    """Were of no use any more, and were given up unsent."""


@final
@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a good access token says. That its session is still live, only the database knows
    (`sessions.is_live`).
    """

    user_id: UUID
    session_id: UUID
    token_id: UUID
    """Its `jti`."""
    issued_at: datetime
    expires_at: datetime
    authenticated_at: datetime
    """When the user last proved who they are."""
    aal: int
    claims: Mapping[str, Any] = field(repr=False)
    """All claims as they stand in the token, those of the application among them."""


@final
@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the audit log."""

    number: int
    occurred_at: datetime
    event: str
    user_id: UUID | None
    """Whom it concerns. The user may be gone by now."""
    actor_id: UUID | None
    """Who did it, as `audit.set_context` said."""
    session_id: UUID | None
    """The session that it is about, or else the one that `audit.set_context` named."""
    ip: str | None
    user_agent: str | None
    db_user: str
    """Who was logged in to the database."""
    detail: dict[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge deleted from one table."""

    table_name: str
    deleted: int
    more: bool = False
    """It deleted as many as it might at a time: there may be more."""


@final
@dataclass(frozen=True, slots=True)
class Backlog:
    """What a purge would find in one table."""

    table_name: str
    expired_rows: int
    oldest_expired_at: datetime | None
    lag_seconds: int
    last_run_at: datetime | None
    """When a purge of the table last ran, whether it found anything or not. None: never, or not known. Of
    MySQL's events it is known to the second when one began, and not how it ended."""


@cache
def _names(model: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(model) if f.default is MISSING)


def from_row(model: type[T], row: Mapping[str, Any]) -> T:
    """Make a model of the columns that have its fields' names; others are left out.

    A field that has a default keeps it: what is not in every row is the caller's to fill in.
    """
    kind: Any = model  # a class is hashable, which mypy does not see
    return model(*[row[name] for name in _names(kind)])
