"""Second factors, of all kinds: what a user has, and what the application has to do with them.

**At sign-in.** After the first factor (`passwords.verify`, `otps.verify`) ask `of_user`. If the user is
`enrolled`, no session of the full kind is opened before `totp.verify`, `passkeys.finish_authentication` or
`recovery_codes.verify` says yes: open one with `aal=1` that may do nothing but that and `sessions.elevate` it
to 2, or keep the proof of the first factor until the second is there and then `sessions.create(..., aal=2)`.

**After a reset of the password** the second factor is asked for as ever: `passwords.set` leaves the factors
alone, and so does whatever else proves the first factor anew (ASVS 6.4.3). Those of an account whose e-mail
nobody had verified are removed with the first proof by `accounts.sign_in` or `accounts.reset_password`: they
may be somebody else's.

**Before a factor is added or removed**, ask for one that is there, unless the session's `authenticated_at`
and `aal` say that this was just done (ASVS 7.5.1). The last one is no exception: nothing in the database
keeps a user from removing it, and from then on the first factor alone is enough. Recovery codes stay, and
nobody asks for them then. But a passkey that is the account's last way in, besides mail, is not removed.

**After it**, tell the user by mail (ASVS 6.3.7; NIST SP 800-63B-4, 4.2.3), and offer to end the other
sessions: `sessions.revoke_others` (ASVS 7.4.3).

**Who has lost them all** proves who they are as at the beginning (ASVS 6.4.4). Then remove the factors; the
next sign-in asks for none.
"""

from __future__ import annotations

from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps, operation
from authsql.models import SecondFactors


@operation()
def of_user(user_id: UUID) -> Steps[SecondFactors]:
    """How many second factors of each kind a user has, in one round trip; none, if there is no such user."""
    row = (yield Query("factors.of_user", {"user_id": _input.uuid("user_id", user_id)})).row or {}
    return SecondFactors(
        int(row.get("totp", 0)), int(row.get("passkeys", 0)), int(row.get("recovery_codes", 0))
    )
