"""The numbers: how long, how many, how often. One frozen object, given to an operation as `policy=`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta

from argon2 import Parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from authsql.errors import InvalidInput

PURPOSES = frozenset({"signin", "email-verification", "password-reset", "password-change"})
"""The purposes of one-time codes that come with authsql."""


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

    password_min_length: int = 8
    """Shortest password, in characters (ASVS 6.2.1; NIST asks 15 where it is the only factor)."""
    password_max_length: int = 1024
    """Longest password, in characters (ASVS 6.2.9: at least 64)."""
    argon2: Parameters = field(default_factory=lambda: RFC_9106_LOW_MEMORY)
    """Parameters of argon2id. A hash with others is replaced when its password is next verified."""

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
    """A verified e-mail is a way to sign in: the application signs in, or lets a password be set, by mailed
    codes. An account may then lose its last identity."""

    reactivation_wait: timedelta = timedelta(hours=24)
    """A soft-deleted account can be reactivated after so long."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            expected = Parameters if each.name == "argon2" else type(each.default)
            if not isinstance(value, expected) or isinstance(value, bool) is not (expected is bool):
                raise InvalidInput(f"Policy.{each.name} takes a {expected.__name__}")
        # A zero is a way to switch these off; of anything else there is at least some.
        may_be_zero = {"code_resend_after", "session_touch_after", "refresh_grace", "reactivation_wait"}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, int) and not isinstance(value, bool) and not 1 <= value < 2**31:
                raise InvalidInput(f"Policy.{each.name} is at least 1 and fits into 32 bits")
            if isinstance(value, timedelta) and (
                value < timedelta(0) or (value == timedelta(0) and each.name not in may_be_zero)
            ):
                raise InvalidInput(f"Policy.{each.name} is a time span above zero")
            if isinstance(value, timedelta) and value > timedelta(days=36500):
                raise InvalidInput(f"Policy.{each.name} is at most 100 years")
        if not 4 <= self.code_digits <= 12:
            raise InvalidInput("Policy.code_digits is 4 to 12")
        if not self.code_attempts <= 100:
            raise InvalidInput("Policy.code_attempts is at most 100")
        if not self.lock_base <= min(self.lock_max, timedelta(days=1)):
            raise InvalidInput("Policy.lock_base is at most a day, and not above lock_max")
        if self.lock_after > self.block_after:
            raise InvalidInput("Policy.lock_after is not above block_after")
        if self.password_min_length > self.password_max_length:
            raise InvalidInput("Policy.password_min_length is not above password_max_length")


DEFAULT = Policy()
