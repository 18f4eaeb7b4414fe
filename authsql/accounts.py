"""Flows that spend a one-time code, or the link beside it, and change the account in the same step: all of it
is done, or nothing is.

A wrong code counts as an attempt, and that has to outlive a rollback: call these outside a transaction. A
refusal that an operation lists is for the log; tell all of them alike to whoever asks. None of them opens a
session: see `sessions.create`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from authsql import _input
from authsql._driver import Compute, Query
from authsql._ids import uuid7
from authsql._issue import Issue, not_issued
from authsql._operation import Steps, operation
from authsql._passwords import hash_password
from authsql._proof import opened, refusal_of
from authsql.errors import EmailTaken, InvalidInput
from authsql.models import (
    ChangedEmail,
    EmailSignIn,
    PendingSignUp,
    Refusal,
    User,
    from_row,
)
from authsql.policy import DEFAULT, Policy
from authsql.proofs import Code, Link, Proof


@operation()
def sign_up(
    email: str,
    password: str | None = None,
    *,
    key: bytes,
    name: str | None = None,
    link: bool = False,
    policy: Policy = DEFAULT,
) -> Steps[PendingSignUp | Refusal]:
    """Begin a sign-up: issue a code for the address, and keep what was typed until it comes back. No account
    is made yet, so that nobody can wait in one for the owner of the address.

    The answer, and the work, is the same whether the address has an account or not. Where `email_taken` says
    so, send its owner a notice in place of the code. A later sign-up with the same address makes this one
    void. Refused, with `retry_at`: COOLING_DOWN, TOO_MANY, as in `otps.issue`. Raises InvalidInput for a
    password that is too short or too long, CommonPassword for one on `policy.password_blocklist`.
    """
    address = _input.email(email)
    issue = Issue(_input.subject(address), "signup", key=key, link=link, policy=policy)
    normal = None if password is None else _input.new_password(password, policy)
    parameters = issue.parameters | {
        "email": address,
        "name": _input.optional_text("name", name, 200),
        "hash": None,
    }
    if normal is not None:
        parameters["hash"] = yield Compute(lambda: hash_password(normal, policy))
    row = (yield Query("accounts.sign_up", parameters, atomic=True)).row
    if row is not None:
        return PendingSignUp(issue.issued(row), bool(row["email_taken"]))
    return not_issued((yield Query("otps.issue_refusal", parameters)).row)


@operation(counted=True)
def confirm_sign_up(proof: Proof, *, policy: Policy = DEFAULT) -> Steps[User | Refusal]:
    """Spend the code of a sign-up and make the account, with a verified e-mail and the password that was
    given.

    The proof must have its `issue_id`, kept by the browser that signed up: a code or link that somebody
    else's sign-up had sent to the owner of the address makes no account with that somebody's password
    (ASVS 6.6.2). Refused: WRONG (counted, with `attempts_left`; also if no sign-up goes with this issue),
    EXHAUSTED, EXPIRED, SPENT, UNKNOWN, MALFORMED. Raises EmailTaken, and nothing is spent, if the address has
    an account meanwhile; TransactionOpen in an open transaction.
    """
    parameters = yield from opened(proof, "signup", policy, bound=True)
    if isinstance(parameters, Refusal):
        return parameters
    parameters["user_id"] = uuid7()
    row = (yield Query("accounts.confirm_sign_up", parameters, atomic=True)).row
    if row is not None and row["state"] == "verified":
        return from_row(User, row)
    return refusal_of(row, counted=isinstance(proof, Code))


@operation(counted=True)
def verify_email(proof: Proof, *, policy: Policy = DEFAULT) -> Steps[UUID | Refusal]:
    """Spend a code of purpose `email-verification` and note that the owner reads mail at this address.
    Returns the account's id.

    For an account that was made before its e-mail was verified. Give the proof its `issue_id`: without it,
    the owner of the address may verify an account that somebody else has made with it. Refused: WRONG
    (counted, with `attempts_left`; also if no account has the address, or another one than the code is for),
    EXHAUSTED, EXPIRED, SPENT, UNKNOWN, MALFORMED. Raises TransactionOpen in an open transaction.
    """
    parameters = yield from opened(proof, "email-verification", policy)
    if isinstance(parameters, Refusal):
        return parameters
    row = (yield Query("accounts.verify_email", parameters, atomic=True)).row
    if row is not None and row["state"] == "verified":
        user_id: UUID = row["user_id"]
        return user_id
    return refusal_of(row, counted=isinstance(proof, Code))


@operation(counted=True)
def sign_in(proof: Proof, *, create: bool = False, policy: Policy = DEFAULT) -> Steps[EmailSignIn | Refusal]:
    """Spend a code of purpose `signin`: sign-in without a password. The e-mail is verified by that.

    An account whose e-mail nobody had verified is *claimed*: its password, identities, second factors,
    devices, sessions and codes may be somebody else's who signed up with this address, and are removed or
    void. With create, an
    address without an account gets one. A lock on passwords does not matter here: the code is another
    authenticator, with attempts of its own. Refused: WRONG (counted, with `attempts_left`; also if there is
    no live account), EXHAUSTED, EXPIRED, SPENT, UNKNOWN, MALFORMED. Raises TransactionOpen in an open
    transaction.
    """
    may_create = _input.boolean("create", create)
    parameters = yield from opened(proof, "signin", policy)
    if isinstance(parameters, Refusal):
        return parameters
    parameters |= {"create": may_create, "user_id": uuid7()}
    if may_create:
        parameters["email"] = _input.email(parameters["email"])
    try:
        row = (yield Query("accounts.sign_in", parameters, atomic=True)).row
    except EmailTaken:
        # An account was made while this one looked for it. Nothing was spent.
        row = (yield Query("accounts.sign_in", parameters, atomic=True)).row
    if row is not None and row["state"] in {"existing", "claimed", "created"}:
        return EmailSignIn(row["user_id"], row["state"])
    return refusal_of(row, counted=isinstance(proof, Code))


@operation(counted=True)
def reset_password(proof: Proof, password: str, *, policy: Policy = DEFAULT) -> Steps[UUID | Refusal]:
    """Spend a code of purpose `password-reset`, set the password, clear the lock and the count of failures,
    end every session, forget every known device, void the codes that wait (issued with `user_id=`; one for a
    new e-mail may be somebody else's) and note that the e-mail is verified; or do none of it. Returns the
    account's id.

    Second factors stay: a reset is not to bypass them (ASVS 6.4.3). Those of an account whose e-mail
    nobody had verified, and its identities, are removed, as in `sign_in`. Tell the owner by mail. Refused:
    WRONG (counted, with `attempts_left`; also if there is no live account), EXHAUSTED, EXPIRED, SPENT,
    UNKNOWN, MALFORMED. Raises InvalidInput for a password that is too short or too long, CommonPassword for
    one on `policy.password_blocklist`, TransactionOpen in an open transaction.
    """
    normal = _input.new_password(password, policy)
    parameters = yield from opened(proof, "password-reset", policy)
    if isinstance(parameters, Refusal):
        return parameters
    parameters["hash"] = None
    # No argon2 for a guess. What is asked here is asked again by the statement that decides.
    right = parameters["link_hash"] is not None
    if not right:
        row = (yield Query("accounts.is_right", parameters)).row
        right = row is not None and bool(row["is_right"])
    if right:
        parameters["hash"] = yield Compute(lambda: hash_password(normal, policy))
    row = (yield Query("accounts.reset_password", parameters, atomic=True)).row
    if row is not None and row["state"] == "verified":
        user_id: UUID = row["user_id"]
        return user_id
    return refusal_of(row, counted=isinstance(proof, Code))


@operation(counted=True)
def change_email(
    user_id: UUID, proof: Proof, *, approval: Proof | None = None, policy: Policy = DEFAULT
) -> Steps[ChangedEmail | Refusal]:
    """Spend the code of purpose `email-change` that was sent to the new address, and make it the account's,
    verified. Both codes are issued with `user_id=`.

    With approval, the code of purpose `email-change-approval` that was sent to the old address is spent, too;
    both or neither. The old address is kept for 90 days (`authsql_former_emails`): send it a notice
    (ASVS 6.3.7). Sessions stay; see `sessions.revoke_others`. Ask for the password before issuing the code
    (ASVS 7.5.1).

    Refused, with `detail` naming the purpose of the code: WRONG (counted, with `attempts_left`; also a code
    for another account; a right one beside it is not used up), EXHAUSTED, EXPIRED, SPENT, UNKNOWN (also if
    there is no live account), MALFORMED. Raises EmailTaken, and nothing is spent, if another account has the
    new address; TransactionOpen in an open transaction.
    """
    account = _input.uuid("user_id", user_id)
    if not isinstance(approval, Code | Link | None):
        raise InvalidInput("approval is an authsql.Code or an authsql.Link, or None")
    parameters = yield from opened(proof, "email-change", policy)
    if isinstance(parameters, Refusal):
        return Refusal(parameters.reason, detail="email-change")
    email = _input.email(parameters["email"])
    old: Mapping[str, Any] = dict.fromkeys(("subject", "issue_id", "code_hash", "link_hash"))
    if approval is not None:
        found = yield from opened(approval, "email-change-approval", policy)
        if isinstance(found, Refusal):
            return Refusal(found.reason, detail="email-change-approval")
        old = found
    parameters |= {
        f"approval_{name}": old[name] for name in ("subject", "issue_id", "code_hash", "link_hash")
    }
    parameters |= {
        "approval_purpose": "email-change-approval",
        "needed": 1 if approval is None else 2,
        "user_id": account,
        "email": email,
    }
    rows = {
        row["purpose"]: row for row in (yield Query("accounts.change_email", parameters, atomic=True)).rows
    }
    row = rows.get("email-change")
    if row is not None and row["state"] == "verified":
        return ChangedEmail(account, email, row["former_email"], bool(row["former_verified"]))
    if row is None or row["state"] != "right":
        return _named(refusal_of(row, counted=isinstance(proof, Code)), "email-change")
    return _named(
        refusal_of(rows.get("email-change-approval"), counted=isinstance(approval, Code)),
        "email-change-approval",
    )


def _named(refusal: Refusal, purpose: Literal["email-change", "email-change-approval"]) -> Refusal:
    return Refusal(refusal.reason, attempts_left=refusal.attempts_left, detail=purpose)
