"""Sign-up: no account is made before its owner has proved the address."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Response

from authsql import Code, EmailTaken, InvalidInput, Link, PendingSignUp, Refusal, accounts
from authsql.proofs import Proof
from examples.webapp.admin import appoint
from examples.webapp.entry import opened
from examples.webapp.web import Context, Here, Posted, go

router = APIRouter(prefix="/sign-up")
AGAIN = "That code is not good, or not any more. Check it, or sign up again."


@router.get("")
def form(here: Here) -> Response:
    return here.page("sign_up")


@router.post("")
def begin(
    here: Posted,
    email: Annotated[str, Form()],
    password: Annotated[str, Form()],
    name: Annotated[str, Form()] = "",
) -> Response:
    """The answer is the same whether the address has an account or not: who owns it reads which."""
    here.limit("sign-up")

    def issue() -> PendingSignUp | Refusal:
        pending: PendingSignUp | Refusal = accounts.sign_up(
            here.conn,
            email,
            password,
            name=name or None,
            key=here.settings.code_key,
            link=True,
            policy=here.settings.policy,
        )
        if pending and pending.email_taken:
            here.mail(email, "email-taken", ip=here.ip or "unknown")
        elif pending:
            here.mail(
                email,
                "signup",
                code=pending.issued.code,
                url=f"{here.settings.origin}/sign-up/link?token={pending.issued.link}",
                expires_at=pending.issued.expires_at,
            )
        return pending

    try:
        pending = here.atomically(issue)  # as in sign_in.send: a code and its mail, or neither
    except InvalidInput as error:
        return here.page("sign_up", 422, problem=str(error), email=email, display=name)
    response = go(f"/sign-up/confirm?email={quote(email)}")
    if pending:
        # The proof is good in this browser alone: who signs up with somebody else's address gains nothing.
        here.keep_issue(response, "signup", pending.issued.issue_id)
    return response  # without one, a code is on its way already; nobody learns more


@router.get("/confirm")
def ask(here: Here, email: str = "") -> Response:
    return here.page("code", title="Check your mail", action="/sign-up/confirm", email=email)


@router.post("/confirm")
def confirm(here: Posted, email: Annotated[str, Form()], code: Annotated[str, Form()]) -> Response:
    return _confirm(here, email, Code(email, code.strip(), here.settings.code_key, here.issue("signup")))


@router.get("/link")
def ask_link(here: Here, token: str = "") -> Response:
    """A button, because mail scanners open links."""
    return here.page("link", title="Finish your sign-up", action="/sign-up/link", token=token)


@router.post("/link")
def confirm_link(here: Posted, token: Annotated[str, Form()]) -> Response:
    return _confirm(here, "", Link(token, here.issue("signup")))


def _confirm(here: Context, email: str, proof: Proof) -> Response:
    here.limit("code")
    if proof.issue_id is None:
        return here.other_browser("/sign-up")
    try:
        user = accounts.confirm_sign_up(here.conn, proof, policy=here.settings.policy)
    except EmailTaken:
        return here.page("message", 409, title="You have an account", text="Sign in, or reset your password.")
    if not user:
        return here.page(
            "code", 422, title="Check your mail", action="/sign-up/confirm", email=email, problem=AGAIN
        )
    appoint(here, user)
    response = opened(here, user.id, tell=False)
    here.drop_cookie(response, "issue-signup")
    return response
