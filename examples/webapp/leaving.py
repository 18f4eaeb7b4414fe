"""The way out, and back: an account is deleted at once, or so that it can be brought back for a month."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response

from authsql import EmailTaken, Reason, User, users
from examples.webapp.entry import WRONG, fresh
from examples.webapp.settings import Settings
from examples.webapp.web import Here, Posted, Signed

router = APIRouter()


@router.post("/delete")
def delete(
    here: Posted, visitor: Signed, password: Annotated[str, Form()], how: Annotated[str, Form()] = "later"
) -> Response:
    """At once and for good, or marked as deleted and purged after a month."""
    if not fresh(here, visitor, password):
        return here.page("message", 401, title="Not deleted", text=WRONG)

    def leave() -> None:
        gone = users.soft_delete(here.conn, visitor.user.id, policy=here.settings.policy)
        if gone:
            url = f"{here.settings.origin}/reactivate?token={_token(here.settings, gone)}"
            here.mail(gone.email, "account-deleted", url=url, when=gone.reactivatable_at)

    text = "Good-bye."
    if how == "now":
        users.erase(here.conn, visitor.user.id)
    else:
        here.atomically(leave)  # nobody is left without the way back
        text = "Good-bye. The way back is in a mail that we have sent you."
    response = here.page("message", title="Your account is deleted", text=text)
    for cookie in ("session", "device", "known"):
        here.drop_cookie(response, cookie)
    return response


# The way back is a link in the mail, not a form for an address: who does not read the mail finds nothing out.
# The link is signed and not stored: it is good for this one deletion, until the account is purged.


@router.get("/reactivate")
def ask(here: Here, token: str = "") -> Response:
    """A button, because mail scanners open links."""
    return here.page("link", title="Bring my account back", action="/reactivate", token=token)


@router.post("/reactivate")
def reactivate(here: Posted, token: Annotated[str, Form()]) -> Response:
    """No session is opened: the password is asked for as ever, and the second factor."""
    here.limit("code")
    user = _user(here, token)
    if user is None:
        return here.page("message", 422, title="Sorry", text="This link is not good, or not any more.")
    try:
        back = users.reactivate(here.conn, user.id)
    except EmailTaken:
        text = "Another account has your address by now."
        return here.page("message", 409, title="Not brought back", text=text)
    if not back and back.reason is Reason.NOT_YET and back.retry_at:
        text = f"It can be brought back from {back.retry_at:%Y-%m-%d %H:%M} UTC on. Keep the mail until then."
        return here.page("message", 409, title="Not yet", text=text)
    if not back:
        return here.page("message", 422, title="Sorry", text="This link is not good, or not any more.")
    return here.page("message", title="Your account is back", text="Sign in as before.", link="/sign-in")


def _token(settings: Settings, user: User) -> str:
    return f"{user.id}.{settings.sign('reactivate', str(user.id), str(user.deleted_at))}"


def _user(here: Posted, token: str) -> User | None:
    """The deleted account that a link is of."""
    try:
        user = users.get(here.conn, UUID(token.partition(".")[0]))
    except ValueError:
        return None
    return (
        user
        if user and user.deleted_at and here.settings.is_same(token, _token(here.settings, user))
        else None
    )
