"""What every page needs: the session of a cookie, forms that only our own pages can send, templates."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Form, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates

from authsql import NewSession, Session, User, audit, factors, outbox, rate_limits, sessions, users
from authsql.mail_templates import Templates
from authsql.smtp import Smtp
from examples.webapp.database import Database, in_transaction
from examples.webapp.settings import Settings

T = TypeVar("T")
PAGES = Jinja2Templates(directory=Path(__file__).with_name("pages"))
MAILS = Templates(Path(__file__).with_name("mails"))
"""Our own, and for the rest those that come with authsql."""
YEAR = 365 * 24 * 3600


@dataclass
class Context:
    """A request, a connection for as long as it lasts, and who is there."""

    request: Request
    settings: Settings
    conn: Any

    @property
    def ip(self) -> str | None:
        # Behind a proxy: have the server set it from a header that the proxy, and nobody else, writes.
        return self.request.client.host if self.request.client else None

    @property
    def user_agent(self) -> str | None:
        return self.request.headers.get("user-agent")

    def cookie(self, name: str) -> str:
        return self.request.cookies.get(self._name(name), "")

    def set_cookie(self, response: Response, name: str, value: str, *, max_age: int | None = None) -> None:
        response.set_cookie(
            self._name(name),
            value,
            max_age=max_age,
            httponly=True,
            samesite="lax",
            secure=self.settings.is_secure,
            path="/",
        )

    def drop_cookie(self, response: Response, name: str) -> None:
        response.delete_cookie(
            self._name(name), path="/", secure=self.settings.is_secure, httponly=True, samesite="lax"
        )

    def _name(self, name: str) -> str:
        # With this prefix a browser takes the cookie from this very host alone, over TLS alone.
        return f"__Host-{name}" if self.settings.is_secure else name

    def keep_issue(self, response: Response, purpose: str, issue_id: UUID) -> None:
        """Let this browser know which code it has asked for. The code is taken from no other: else whoever
        knows an address could spend the attempts on the code that its owner waits for.
        """
        self.set_cookie(response, f"issue-{purpose}", str(issue_id), max_age=600)

    def issue(self, purpose: str) -> UUID | None:
        """Which code this browser has asked for."""
        try:
            return UUID(self.cookie(f"issue-{purpose}"))
        except ValueError:
            return None

    def other_browser(self, path: str) -> Response:
        """The answer to a code that was not asked for here. Nothing was looked up, and no attempt counted."""
        return self.page(
            "message",
            400,
            title="Other browser",
            text="A code is good in the browser that asked for it. Ask for one in this browser.",
            link=path,
        )

    def sign_in(self, response: Response, opened: NewSession) -> None:
        self.set_cookie(response, "session", opened.token, max_age=30 * 24 * 3600)

    def limit(self, what: str, count: int = 20) -> None:
        """At most so many a minute from one address: HTTP 429."""
        from datetime import timedelta

        if not rate_limits.hit(
            self.conn, f"{what}:{self.ip}", limit=count, period=timedelta(minutes=1), scope=what
        ):
            raise HTTPException(429, "Too many requests. Wait a minute.")

    def atomically(self, work: Callable[[], T]) -> T:
        """Do work in one transaction: all of it, or nothing. Not for operations that count attempts."""
        return in_transaction(self.conn, work)

    def mail(self, recipient: str, template: str, **context: object) -> None:
        """Queue a mail, in the transaction that is open if there is one: it is sent if that commits, and only
        then (see app.py).
        """
        expires_at: Any = context.pop("expires_at", None)
        outbox.enqueue(
            self.conn,
            recipient,
            template,
            {"app": self.settings.name, **context},
            keyring=self.settings.keyring,
            expires_at=expires_at,
            templates=MAILS,
        )

    def page(self, name: str, status: int = 200, **values: object) -> Response:
        """A page, with a token for its forms."""
        seed = self.cookie("csrf") or secrets.token_urlsafe(32)
        response = PAGES.TemplateResponse(
            self.request,
            f"{name}.html",
            {
                "csrf": _csrf(self.settings, seed),
                "app": self.settings.name,
                "here": self.request.url.path,
                **values,
            },
            status_code=status,
        )
        if not self.cookie("csrf"):
            self.set_cookie(response, "csrf", seed, max_age=YEAR)
        return response


def go(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303)


def _csrf(settings: Settings, seed: str) -> str:
    return hmac.new(settings.csrf_key, seed.encode(), "sha256").hexdigest()


def context(request: Request) -> Iterator[Context]:
    """One connection for one request."""
    database: Database = request.app.state.database
    with database.connection() as conn:
        here = Context(request, request.app.state.settings, conn)
        if request.method == "POST":
            audit.set_context(conn, ip=here.ip, user_agent=here.user_agent)
        try:
            yield here
        finally:
            if request.method == "POST":
                audit.clear_context(conn)


Here = Annotated[Context, Depends(context)]


def own_form(here: Here, csrf: Annotated[str, Form()] = "") -> Context:
    """Take a form that our own pages have sent (OWASP: signed double-submit cookie, Origin header)."""
    origin = here.request.headers.get("origin")
    if origin is not None and origin != here.settings.origin:
        raise HTTPException(403, "This form came from another site.")
    seed = here.cookie("csrf")
    if not seed or not hmac.compare_digest(_csrf(here.settings, seed), csrf):
        raise HTTPException(403, "This form is too old. Go back, reload the page, and send it again.")
    return here


Posted = Annotated[Context, Depends(own_form)]


class SignedOut(Exception):
    """There is no session: to the sign-in page."""


class HalfSignedIn(Exception):
    """The password was right, and the second factor is still to come."""


@dataclass
class Visitor:
    """Who is signed in."""

    session: Session
    user: User


def half_signed_in(here: Here) -> Visitor:
    """Somebody with a session, whether the second factor was given or not."""
    session = sessions.validate(here.conn, here.cookie("session"), policy=here.settings.policy)
    if not session:
        raise SignedOut
    user = users.get(here.conn, session.user_id)
    if user is None:
        raise SignedOut
    if here.request.method == "POST":
        audit.set_context(
            here.conn, actor_id=user.id, session_id=session.id, ip=here.ip, user_agent=here.user_agent
        )
    return Visitor(session, user)


Half = Annotated[Visitor, Depends(half_signed_in)]


def signed_in(here: Here, visitor: Half) -> Visitor:
    """Somebody with a session, and with the second factor if they have one."""
    if visitor.session.aal < 2:
        found = factors.of_user(here.conn, visitor.user.id)
        if found.totp or found.passkeys:
            raise HalfSignedIn
    return visitor


Signed = Annotated[Visitor, Depends(signed_in)]


def send_mail(database: Database, settings: Settings, send: Any) -> None:
    """Deliver what is queued. In production `authsql mail --watch` does this in a process of its own."""
    with database.connection() as conn:
        outbox.deliver(conn, send, sender=settings.sender, keyring=settings.keyring)


__all__ = ["Half", "HalfSignedIn", "Here", "Posted", "Signed", "SignedOut", "Smtp", "go", "send_mail"]
