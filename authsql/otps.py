"""One-time codes: issued for a subject and a purpose, counted and spent by one statement.

One live code for each subject and purpose. A new one replaces it, with attempts of its own; the wait between
two codes and the count of codes in a window go on. Checking commits on its own: call it outside a
transaction.
"""

from __future__ import annotations

from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._issue import Issue, not_issued
from authsql._operation import Steps, operation
from authsql._proof import of_code, of_link, refusal_of
from authsql.models import IssuedCode, Refusal, VerifiedCode
from authsql.policy import DEFAULT, Policy
from authsql.proofs import Code, Link


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
    to = _input.subject(subject)
    issue = Issue(to, _input.purpose(purpose, policy), key=key, link=link, policy=policy)
    parameters = issue.parameters | {"user_id": _input.optional_uuid("user_id", user_id)}
    row = (yield Query("otps.issue", parameters)).row
    if row is not None:
        return issue.issued(row)
    return not_issued((yield Query("otps.issue_refusal", parameters)).row)


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
    parameters = of_code(Code(subject, code, key, issue_id), purpose, policy)
    if isinstance(parameters, Refusal):
        return parameters
    row = (yield Query("otps.verify", parameters)).row
    if row is not None and row["state"] == "verified":
        return VerifiedCode(parameters["subject"], purpose, row["issue_id"], row["user_id"])
    return refusal_of(row, counted=True)


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
    parameters = of_link(Link(token, issue_id), purpose)
    if isinstance(parameters, Refusal):
        return parameters
    row = (yield Query("otps.verify_link", parameters)).row
    if row is not None and row["state"] == "verified":
        return VerifiedCode(row["subject"], purpose, row["issue_id"], row["user_id"])
    return refusal_of(row, counted=False)
