"""One-time codes: issued for a subject and a purpose, counted and spent by one statement.

One live code for each subject and purpose. A new one replaces it, with attempts of its own; the wait between
two codes and the count of codes in a window go on. Checking commits on its own: call it outside a
transaction.
"""

from __future__ import annotations

from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql._tokens import LINK_PREFIX, code_digest, digest, new_code, new_secret, read, write
from authsql.errors import InvalidInput
from authsql.models import IssuedCode, Reason, Refusal, VerifiedCode
from authsql.policy import DEFAULT, Policy


@operation()
def issue(
    subject: str | UUID,
    purpose: str,
    *,
    key: bytes,
    user_id: UUID | None = None,
    link: bool = False,
    policy: Policy = DEFAULT,
) -> Steps[IssuedCode | Refusal]:
    """Make a code and store its HMAC under key. Sending it is the caller's part: `IssuedCode.code`.

    With link, there is also `IssuedCode.link`, a secret of 256 bits for a link in the same mail. Either of
    them spends the one row.

    subject is whom the code is sent to: an e-mail (its case does not matter), a user's id or another name of
    up to 254 characters. user_id, where known, lets the code go when the user goes. key is at least 32 random
    bytes that are kept outside the database; without it no code can be made or checked.

    Refused, with `retry_at`: COOLING_DOWN (`policy.code_resend_after`), TOO_MANY (`policy.codes_per_window`).
    The answer is the same whether the subject has an account or not. Raises UserNotFound for a user_id that
    nobody has.
    """
    name = _input.subject(subject)
    purpose = _input.purpose(purpose, policy)
    secret = _input.key(key)
    code = new_code(policy.code_digits)
    of_link = new_secret() if _input.boolean("link", link) else None
    issue_id = uuid7()
    parameters: dict[str, object] = {
        "subject": name,
        "purpose": purpose,
        "issue_id": issue_id,
        "user_id": _input.optional_uuid("user_id", user_id),
        "code_hash": code_digest(secret, purpose, name, code),
        "link_hash": digest(of_link) if of_link else None,
        "max_attempts": policy.code_attempts,
        "lifetime": policy.code_lifetime,
        "resend_after": policy.code_resend_after,
        "window": policy.code_window,
        "window_max": policy.codes_per_window,
    }
    row = (yield Query("otps.issue", parameters)).row
    if row is not None:
        token = write(LINK_PREFIX, issue_id, of_link) if of_link else None
        return IssuedCode(code, row["issue_id"], row["expires_at"], row["resend_at"], token)
    row = (yield Query("otps.issue_refusal", parameters)).row
    # Without a row, the one that stood in the way was purged between the two statements.
    return Refusal(Reason(row["reason"]), retry_at=row["retry_at"]) if row else Refusal(Reason.COOLING_DOWN)


@operation(counted=True)
def verify(
    subject: str | UUID,
    purpose: str,
    code: str,
    *,
    key: bytes,
    issue_id: UUID | None = None,
    policy: Policy = DEFAULT,
) -> Steps[VerifiedCode | Refusal]:
    """Check a code and spend it. Of callers with the right code at the same time one gets it (ASVS 6.5.1).

    With issue_id the code is only accepted for that request of it (ASVS 6.6.2). Refused: WRONG (counted, with
    `attempts_left`), EXHAUSTED, EXPIRED, SPENT, UNKNOWN (no code for this subject and purpose, or not this
    issue_id), MALFORMED (not as many digits as a code has; not counted). Answer all of them alike to whoever
    asks. Raises TransactionOpen in an open transaction.
    """
    purpose = _input.purpose(purpose, policy)
    secret = _input.key(key)
    issue = _input.optional_uuid("issue_id", issue_id)
    if not isinstance(code, str):
        raise InvalidInput("code is a string")
    try:
        name = _input.subject(subject)
    except InvalidInput:
        if isinstance(subject, str):
            return Refusal(Reason.UNKNOWN)
        raise
    if len(code) != policy.code_digits or not (code.isascii() and code.isdigit()):
        return Refusal(Reason.MALFORMED)
    parameters = {
        "subject": name,
        "purpose": purpose,
        "code_hash": code_digest(secret, purpose, name, code),
        "issue_id": issue,
    }
    row = (yield Query("otps.verify", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    if row["state"] == "verified":
        return VerifiedCode(name, purpose, row["issue_id"], row["user_id"])
    left = row["attempts_left"] if row["state"] == "wrong" else None
    return Refusal(Reason(row["state"]), attempts_left=left)


@operation()
def verify_link(
    token: str, purpose: str, *, issue_id: UUID | None = None, policy: Policy = DEFAULT
) -> Steps[VerifiedCode | Refusal]:
    """Spend the code whose link this is (`IssuedCode.link`). Of callers at the same time one gets it.

    Nothing is counted, because a link cannot be guessed; so it runs in the caller's transaction, if there is
    one. Do not call it for a mere GET: mail scanners open links. Refused: MALFORMED, UNKNOWN (also a link for
    another purpose, or not of this issue_id), EXPIRED, SPENT.
    """
    purpose = _input.purpose(purpose, policy)
    expected = _input.optional_uuid("issue_id", issue_id)
    parts = read(LINK_PREFIX, token, 1)
    if parts is None:
        return Refusal(Reason.MALFORMED)
    issue, (secret,) = parts
    if expected is not None and expected != issue:
        return Refusal(Reason.UNKNOWN)
    parameters = {"issue_id": issue, "purpose": purpose, "link_hash": digest(secret)}
    row = (yield Query("otps.verify_link", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    if row["state"] == "verified":
        return VerifiedCode(row["subject"], purpose, row["issue_id"], row["user_id"])
    return Refusal(Reason(row["state"]))
