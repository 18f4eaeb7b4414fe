"""Rate limits: how often something may be done, counted exactly and by one statement a hit.

    allowed = rate_limits.hit(conn, address, scope="signin", limit=5, period=timedelta(minutes=15))
    if not allowed:
        return too_many_requests(allowed.retry_at)

The method is GCRA (the generic cell rate algorithm): a limit of 5 in 15 minutes lets `burst` hits through at
once, 5 if not told otherwise, and then one each 3 minutes. In any span of one period that is `burst + limit`
at the most. A key has one row with one time in it, and none once its limit is all free again.

What is counted is kept as SHA-256 of scope and key, so neither its length nor what it says matters. That is a
pseudonym: addresses are few enough to try them all. Who minds gives an HMAC of the address as key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps, operation
from authsql._tokens import name_digest
from authsql.errors import InvalidInput
from authsql.models import Allowed, Reason, Refusal

_MICROSECOND = timedelta(microseconds=1)
_LONGEST = timedelta(days=366)
_MOST = 1_000_000


@operation(counted=True)
def hit(
    key: str | UUID,
    *,
    limit: int,
    period: timedelta,
    burst: int | None = None,
    cost: int = 1,
    scope: str = "default",
) -> Steps[Allowed | Refusal]:
    """Count something done by, to or from key, unless it was done too often of late.

    key is whom or what is counted: an address, a user's id, an e-mail. It is compared as it is; fold its case
    first where that should not matter. scope is a word for what is counted, shown to the operator: lower-case
    letters, digits, _ and -, up to 32. Each scope counts on its own. At most limit in a period, and burst at
    once (ASVS 2.4.1, 6.3.1). A hit may weigh more than one: cost, up to burst.

    Refused: LIMITED with `retry_at`; nothing was counted. However many hit at a time, no more get through
    than the limit lets. A hit outlives the caller's rollback: raises TransactionOpen in an open transaction.
    Give the same limit for a key each time. A changed one holds from the next hit on, and what was used up
    stays in proportion.
    """
    rate = _Rate(key, limit, period, burst, cost, scope)
    row = (yield Query("rate_limits.hit", rate.parameters())).row
    if row is not None:
        return rate.verdict(row, allowed=bool(row["allowed"]), taken=rate.increment)
    row = (yield Query("rate_limits.peek", {"key_hash": rate.key_hash})).row
    return rate.verdict(row, allowed=False) if row else Refusal(Reason.LIMITED)


@operation()
def peek(
    key: str | UUID,
    *,
    limit: int,
    period: timedelta,
    burst: int | None = None,
    cost: int = 1,
    scope: str = "default",
) -> Steps[Allowed | Refusal]:
    """What `hit` with the same arguments would answer now, with nothing counted. `remaining` is how much
    could still be done, this not yet taken off.
    """
    rate = _Rate(key, limit, period, burst, cost, scope)
    row = (yield Query("rate_limits.peek", {"key_hash": rate.key_hash})).row
    return rate.verdict(row, allowed=rate.fits(row))


@operation()
def reset(key: str | UUID, *, scope: str = "default") -> Steps[bool]:
    """Forget what was counted for a key, for example after a success. False if there was nothing."""
    parameters = {"key_hash": _key_hash(scope, key)}
    count: int = (yield Query("rate_limits.reset", parameters)).count
    return count > 0


class _Rate:
    """A limit, as numbers of microseconds: what one hit takes, and how far ahead the key's time may be."""

    def __init__(  # noqa: PLR0917  # as many as a hit has
        self, key: object, limit: object, period: object, burst: object, cost: object, scope: object
    ) -> None:
        self.key_hash = _key_hash(scope, key)
        self.scope = scope
        most = _input.integer("limit", limit, 1, _MOST)
        if not isinstance(period, timedelta) or not timedelta(0) < period <= _LONGEST:
            raise InvalidInput("period is a time span above zero, of at most 366 days")
        # Rounded up: never more than the limit.
        self.each = -(-(period // _MICROSECOND) // most)
        size = most if burst is None else _input.integer("burst", burst, 1, _MOST)
        self.tolerance = self.each * size
        if self.tolerance > 2 * _LONGEST // _MICROSECOND:
            raise InvalidInput("burst x period / limit is at most two years")
        self.increment = self.each * _input.integer("cost", cost, 1, size)

    def parameters(self) -> dict[str, object]:
        return {
            "key_hash": self.key_hash,
            "scope": self.scope,
            "increment": self.increment,
            "tolerance": self.tolerance,
        }

    def fits(self, row: Any) -> bool:
        ahead: timedelta = row["reset_at"] - row["now"]
        return ahead // _MICROSECOND + self.increment <= self.tolerance

    def verdict(self, row: Any, *, allowed: bool, taken: int = 0) -> Allowed | Refusal:
        """All by the database's clock: `reset_at` is the key's time, `now` that of the statement, which in
        MySQL is the one after the hit.
        """
        reset_at: datetime = row["reset_at"]
        if not allowed:
            wait = (self.increment - self.tolerance) * _MICROSECOND
            return Refusal(Reason.LIMITED, retry_at=max(reset_at + wait, row["now"]))
        used = max((reset_at - row["now"]) // _MICROSECOND, taken)
        return Allowed(max(0, self.tolerance - used) // self.each, reset_at)


def _key_hash(scope: object, key: object) -> bytes:
    word = _input.word("scope", scope)
    if isinstance(key, UUID):
        key = str(key)
    if not isinstance(key, str) or not key:
        raise InvalidInput("key is a string that is not empty, or a uuid.UUID")
    return name_digest("authsql rate limit v1", word, key)
