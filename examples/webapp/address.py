"""Another e-mail address. A code goes to each of the two: the one from the new address shows that it is read,
the one from the old address that its owner asks for the change, and not a thief of the session.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Response

from authsql import Code, EmailTaken, InvalidInput, IssuedCode, Refusal, accounts, otps, sessions
from examples.webapp.entry import WRONG, fresh
from examples.webapp.web import Here, Posted, Signed, go

router = APIRouter(prefix="/email")
NEW, OLD = "email-change", "email-change-approval"


@router.post("")
def ask(
    here: Posted, visitor: Signed, email: Annotated[str, Form()], password: Annotated[str, Form()]
) -> Response:
    """The answer is the same whether another account has the address or not."""
    here.limit("code")
    if not fresh(here, visitor, password):
        return here.page("message", 401, title="Not changed", text=WRONG)

    def issue() -> dict[str, IssuedCode | Refusal]:
        found: dict[str, IssuedCode | Refusal] = {}
        for purpose, address in ((NEW, email), (OLD, visitor.user.email)):
            issued = found[purpose] = otps.issue(
                here.conn,
                address,
                purpose,
                key=here.settings.code_key,
                user_id=visitor.user.id,
                policy=here.settings.policy,
            )
            if issued:
                here.mail(address, purpose, code=issued.code, expires_at=issued.expires_at)
        return found

    try:
        found = here.atomically(issue)  # as in sign_in.send: both codes and their mails, or none
    except InvalidInput as error:
        return here.page("message", 422, title="Not changed", text=str(error))
    response = here.page("both_codes", email=email)
    for purpose, issued in found.items():
        if issued:  # else one is on its way already
            here.keep_issue(response, purpose, issued.issue_id)
    return response


@router.get("/confirm")
def form(here: Here, visitor: Signed, email: str = "") -> Response:
    return here.page("both_codes", email=email)


@router.post("/confirm")
def confirm(
    here: Posted,
    visitor: Signed,
    email: Annotated[str, Form()],
    code: Annotated[str, Form()],
    approval: Annotated[str, Form()],
) -> Response:
    """Both codes are spent and the address is changed, or nothing is done."""
    here.limit("code")
    new, old = here.issue(NEW), here.issue(OLD)
    if new is None or old is None:
        return here.other_browser("/")
    key = here.settings.code_key
    try:
        changed = accounts.change_email(
            here.conn,
            visitor.user.id,
            Code(email, code.strip(), key, new),
            approval=Code(visitor.user.email, approval.strip(), key, old),
            policy=here.settings.policy,
        )
    except EmailTaken:
        return here.page("message", 409, title="Not changed", text="Another account has this address.")
    if not changed:
        return here.page("both_codes", 422, email=email, problem=WRONG)
    here.mail(changed.former_email, "email-changed", email=changed.email)
    sessions.revoke_others(here.conn, visitor.user.id, visitor.session.id, reason="email_change")
    response = go("/")
    for purpose in (NEW, OLD):
        here.drop_cookie(response, f"issue-{purpose}")
    return response
