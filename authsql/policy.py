"""The numbers: how long, how many, how often. One frozen object, given to an operation as `policy=`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta

from argon2 import Parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from authsql.blocklist import Blocklist
from authsql.errors import InvalidInput
from authsql.pepper import Pepper

PURPOSES = frozenset(
    {
        "signup",
        "signin",
        "email-verification",
        "email-change",
        "email-change-approval",
        "password-reset",
        "password-change",
    }
)
"""The purposes of one-time codes that come with authsql."""

# Of what kind a field is whose default does not tell.
_KINDS = {"argon2": Parameters, "pepper": Pepper, "password_blocklist": Blocklist}


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """Limits and lifetimes. `Policy(code_digits=8)` changes one; the others keep their defaults."""

    code_digits: int = 6
    """Digits of a one-time code (ASVS 6.5.4: at least 20 bits, which 6 digits just miss and the attempts' cap
    makes up for; 7 have them)."""
    code_lifetime: timedelta = timedelta(minutes=5)
    """How long a code is good (ASVS 6.5.5: at most 10 minutes)."""
    code_attempts: int = 5
    """Attempts on one code, the right one included. Then it is dead."""
    code_resend_after: timedelta = timedelta(seconds=60)
    """Wait between two codes for the same subject and purpose."""
    codes_per_window: int = 5
    """Codes for the same subject and purpose in one window. Bounds the guesses: codes x attempts a window."""
    code_window: timedelta = timedelta(hours=1)
    """Length of that window."""
    code_purposes: frozenset[str] = PURPOSES
    """Purposes that are known; add your own: `PURPOSES | {"delete-account"}`."""

    lock_after: int = 5
    """Consecutive failed password attempts after which the account is locked for a time."""
    lock_base: timedelta = timedelta(minutes=1)
    """Length of the first lock. Each further failure locks for twice as long."""
    lock_max: timedelta = timedelta(hours=24)
    """Longest lock."""
    block_after: int = 100
    """Consecutive failures after which only a new password opens the account (NIST SP 800-63B-4, 3.2.2: at
    most 100)."""

    device_attempts: int = 10
    """Consecutive failed password attempts from a known device, which count on it and not on the account.
    From then on it is a device like any other."""
    device_lifetime: timedelta = timedelta(days=180)
    """A device is known for so long after a sign-in on it."""
    totp_drift_steps: int = 1
    """Codes of so many steps of 30 seconds before and after the current one are accepted (RFC 6238, 5.2: at
    most one is recommended; ASVS 6.5.5)."""
    totp_enrollment_lifetime: timedelta = timedelta(minutes=15)
    """An authenticator app that is enrolled has to be confirmed within so long."""
    totp_lock_after: int = 5
    """Consecutive failed codes after which a user's TOTP factors are locked for a time, by `lock_base` and
    `lock_max`."""
    totp_block_after: int = 100
    """Consecutive failed codes after which only an enrolment anew opens them (NIST SP 800-63B-4, 3.2.2: at
    most 100)."""

    passkey_challenge_lifetime: timedelta = timedelta(minutes=5)
    """How long a browser has to answer a challenge, and how long it is told to try."""

    password_min_length: int = 8
    """Shortest password, in characters (ASVS 6.2.1; NIST asks 15 where it is the only factor)."""
    password_max_length: int = 1024
    """Longest password, in characters (ASVS 6.2.9: at least 64)."""
    argon2: Parameters = field(default_factory=lambda: RFC_9106_LOW_MEMORY)
    """Parameters of argon2id. A hash with others is replaced when its password is next verified."""
    pepper: Pepper | None = None
    """Keys outside the database that passwords are hashed under (NIST SP 800-63B-4, 3.1.1.2). A hash that is
    not under the current one is replaced when its password is next verified."""
    password_blocklist: Blocklist | None = None
    """Passwords that nobody may choose (ASVS 6.2.4): `Blocklist.common()`. None: there is no such list."""

    session_idle: timedelta = timedelta(days=7)
    """A session that is not used for so long ends."""
    session_absolute: timedelta = timedelta(days=30)
    """A session ends after so long, however much it is used (NIST SP 800-63B-4, 2.1.3: 30 days at AAL1)."""
    session_touch_after: timedelta = timedelta(minutes=1)
    """A session's use is written at most so often."""

    refresh_lifetime: timedelta = timedelta(days=7)
    """How long a refresh token is good, within its session's absolute end."""
    refresh_grace: timedelta = timedelta(seconds=10)
    """For so long after a rotation the old token is answered with the same successor. After it, it is
    theft."""

    link_verified_emails: bool = False
    """A sign-in by an unknown identity links it to the account with its e-mail, if both the provider and the
    account say that the e-mail is verified. Trusts every provider that is asked with this policy with every
    account."""
    email_signs_in: bool = False
    """A verified e-mail is a way to sign in, by `accounts.sign_in` or `accounts.reset_password`. An account
    may then lose its last identity, and its last passkey."""

    reactivation_wait: timedelta = timedelta(hours=24)
    """A soft-deleted account can be reactivated after so long."""

    mail_lifetime: timedelta = timedelta(days=1)
    """For so long it is tried to send a mail that has no end of its own."""
    mail_kept: timedelta = timedelta(days=7)
    """For so long after its end the outbox remembers a mail, without what it said, and its `dedup_key`."""
    mail_lease: timedelta = timedelta(minutes=10)
    """A sender has so long for the mail that it took; then another one may take it."""
    mail_retry_base: timedelta = timedelta(seconds=10)
    """Wait after the first failed attempt to send a mail. Each further one waits for twice as long."""
    mail_retry_max: timedelta = timedelta(hours=1)
    """Longest such wait."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.default is None and value is None:
                continue
            expected = _KINDS.get(each.name) or type(each.default)
            if not isinstance(value, expected) or isinstance(value, bool) is not (expected is bool):
                raise InvalidInput(f"Policy.{each.name} takes a {expected.__name__}")
            least = 0 if each.name in _MAY_BE_ZERO else 1
            if isinstance(value, int) and not isinstance(value, bool) and not least <= value < 2**31:
                raise InvalidInput(f"Policy.{each.name} is at least {least} and fits into 32 bits")
            if isinstance(value, timedelta):
                _check_span(each.name, value)
        for holds, problem in (
            (4 <= self.code_digits <= 12, "code_digits is 4 to 12"),
            (self.code_attempts <= 100, "code_attempts is at most 100"),
            (
                self.lock_base <= min(self.lock_max, timedelta(days=1)),
                "lock_base is at most a day, and not above lock_max",
            ),
            (
                self.mail_retry_base <= self.mail_retry_max <= timedelta(days=1),
                "mail_retry_base is not above mail_retry_max, and that is at most a day",
            ),
            (self.lock_after <= self.block_after, "lock_after is not above block_after"),
            (self.totp_lock_after <= self.totp_block_after, "totp_lock_after is not above totp_block_after"),
            (self.totp_drift_steps <= 10, "totp_drift_steps is at most 10"),
            (
                self.password_min_length <= self.password_max_length,
                "password_min_length is not above password_max_length",
            ),
        ):
            if not holds:
                raise InvalidInput(f"Policy.{problem}")


# A zero is a way to switch these off; of anything else there is at least some.
_MAY_BE_ZERO = frozenset(
    {
        "code_resend_after",
        "session_touch_after",
        "refresh_grace",
        "reactivation_wait",
        "mail_kept",
        "totp_drift_steps",
    }
)


def _check_span(name: str, value: timedelta) -> None:
    if value < timedelta(0) or (value == timedelta(0) and name not in _MAY_BE_ZERO):
        raise InvalidInput(f"Policy.{name} is a time span above zero")
    if value > timedelta(days=36500):
        raise InvalidInput(f"Policy.{name} is at most 100 years")


DEFAULT = Policy()
