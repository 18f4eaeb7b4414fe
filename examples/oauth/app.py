"""The application: pages, cookies, and which of authsql's functions is called when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html import escape
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from authsql import Reason, Refusal, Session, identities, sessions, users
from authsql.keyring import Keyring
from examples.oauth.client import ATTEMPT_SECONDS, Answer, Client, NotAccepted

# Who wants to add or remove a way to sign in has signed in so recently (ASVS 7.5.1).
FRESH = timedelta(minutes=10)
SAID = {
    Reason.OWNERSHIP_REQUIRED: "Please sign in as you did before. Then you can add this provider.",
    Reason.EMAIL_REQUIRED: "The provider did not tell us your e-mail. Please allow it to.",
    Reason.DELETED: "This account was deleted.",
    Reason.TAKEN: "Somebody else signs in with that already.",
    Reason.LAST_WAY_IN: "You could not sign in any more without it.",
    Reason.UNKNOWN: "You do not sign in with that.",
}


class App:
    """Sign in, sign out, link, unlink."""

    def __init__(self, database: str, client: Client, keyring: Keyring | None, *, secure: bool) -> None:
        self._database = database
        self._client = client
        self._keyring = keyring
        # Lax: a form of another site's comes without them, a link back from a provider's with them.
        self._cookie: dict[str, Any] = {"httponly": True, "samesite": "lax", "secure": secure}

    def asgi(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/sign-in/{provider}", self.sign_in),
                Route("/callback/{provider}", self.callback),
                Route("/link/{provider}", self.link, methods=["POST"]),
                Route("/unlink/{provider}", self.unlink, methods=["POST"]),
                Route("/sign-out", self.sign_out, methods=["POST"]),
            ]
        )

    async def home(self, request: Request) -> Response:
        names = self._client.providers
        async with connect(self._database) as conn:
            session = await self._session(conn, request)
            if not session:
                links = [f'<a href="/sign-in/{name}">Sign in with {name}</a>' for name in names]
                return page("Welcome", *links)
            user = await users.get(conn, session.user_id)
            linked = await identities.list(conn, session.user_id)
        buttons = [
            button(f"/unlink/{one.provider}", f"Remove {one.provider} ({one.email or one.subject})")
            for one in linked
        ]
        buttons += [button(f"/link/{name}", f"Add {name}") for name in names]
        who = user.email if user else ""
        return page(f"Signed in as {who}", *buttons, button("/sign-out", "Sign out"))

    async def sign_in(self, request: Request) -> Response:
        return await self._leave_for(request.path_params["provider"])

    async def link(self, request: Request) -> Response:
        async with connect(self._database) as conn:
            session = await self._session(conn, request)
        if not session or not is_fresh(session):
            return page("Please sign in again", status=403)
        return await self._leave_for(request.path_params["provider"], session)

    async def callback(self, request: Request) -> Response:
        """Somebody comes back from a provider."""
        name = request.path_params["provider"]
        if name not in self._client.providers:
            return page("No such provider", status=404)
        try:
            answer = await self._client.finish(name, request.query_params, request.cookies.get("oauth"))
        except NotAccepted as problem:
            return page(f"That did not work: {problem}", status=400)
        async with connect(self._database) as conn:
            if answer.link_to is not None:
                response = await self._link(conn, request, answer)
            else:
                response = await self._sign_in(conn, request, answer)
        response.delete_cookie("oauth", path="/callback")
        return response

    async def unlink(self, request: Request) -> Response:
        async with connect(self._database) as conn:
            session = await self._session(conn, request)
            if not session or not is_fresh(session):
                return page("Please sign in again", status=403)
            done = await identities.unlink(conn, session.user_id, request.path_params["provider"])
        return said(done) if isinstance(done, Refusal) else RedirectResponse("/", status_code=303)

    async def sign_out(self, request: Request) -> Response:
        async with connect(self._database) as conn:
            if session := await self._session(conn, request):
                await sessions.revoke(conn, session.id, reason="sign_out")
        response = RedirectResponse("/", status_code=303)
        response.delete_cookie("session")
        return response

    async def _sign_in(self, conn: Any, request: Request, answer: Answer) -> Response:
        claims = answer.claims
        # Some providers write "true" for true: what is not true is not verified.
        verified = claims.get("email_verified") is True
        signed_in = await identities.sign_in(
            conn,
            answer.provider,
            claims["sub"],
            email=claims.get("email"),
            email_verified=verified,
            name=claims.get("name"),
            profile={key: claims[key] for key in ("name", "picture", "locale") if key in claims},
        )
        if isinstance(signed_in, Refusal):
            return said(signed_in)
        if verified and not signed_in.email_verified:
            # Does nothing unless it is the account's own address.
            await users.mark_email_verified(conn, signed_in.user_id, claims["email"])
        await self._keep_tokens(conn, answer)
        opened = await sessions.create(
            conn,
            signed_in.user_id,
            ip=request.client.host if request.client else None,
            user_agent=request.headers.get("user-agent"),
        )
        if isinstance(opened, Refusal):
            return said(opened)
        response = RedirectResponse("/", status_code=303)
        response.set_cookie("session", opened.token, **self._cookie)
        return response

    async def _link(self, conn: Any, request: Request, answer: Answer) -> Response:
        session = await self._session(conn, request)
        if not session or session.user_id != answer.link_to:
            return page("Please sign in again", status=403)
        done = await identities.link(
            conn, session.user_id, answer.provider, answer.claims["sub"], email=answer.claims.get("email")
        )
        if isinstance(done, Refusal):
            return said(done)
        await self._keep_tokens(conn, answer)
        return RedirectResponse("/", status_code=303)

    async def _keep_tokens(self, conn: Any, answer: Answer) -> None:
        """Only if the application calls the provider later on. To know who somebody is takes none."""
        if self._keyring is not None:
            await identities.store_tokens(
                conn,
                answer.provider,
                answer.claims["sub"],
                keyring=self._keyring,
                access_token=answer.token["access_token"],
                refresh_token=answer.token.get("refresh_token"),
                expires_in=answer.token.get("expires_in"),
                scopes=answer.token.get("scope"),
            )

    async def _session(self, conn: Any, request: Request) -> Session | Refusal:
        found: Session | Refusal = await sessions.validate(conn, request.cookies.get("session", ""))
        return found

    async def _leave_for(self, name: str, session: Session | None = None) -> Response:
        if name not in self._client.providers:
            return page("No such provider", status=404)
        try:
            url, state = await self._client.begin(name, session.user_id if session else None)
        except NotAccepted as problem:
            return page(f"That did not work: {problem}", status=502)
        response = RedirectResponse(url, status_code=303)
        response.set_cookie("oauth", state, path="/callback", max_age=ATTEMPT_SECONDS, **self._cookie)
        return response


def is_fresh(session: Session) -> bool:
    """Both times are the database's; the later one is at most a minute old."""
    return session.last_seen_at - session.authenticated_at < FRESH


@asynccontextmanager
async def connect(database: str) -> AsyncIterator[Any]:
    """A connection for one request. An application would take it from a pool."""
    if database.startswith("postgres"):
        import psycopg

        opened: Any = await psycopg.AsyncConnection.connect(database, autocommit=True)
    else:
        import mysql.connector.aio

        parts = urlsplit(database)
        opened = await mysql.connector.aio.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path.removeprefix("/"),
            autocommit=True,
        )
    try:
        yield opened
    finally:
        await opened.close()


def said(refusal: Refusal) -> HTMLResponse:
    return page(SAID.get(refusal.reason, "That did not work"), status=403)


def page(title: str, *parts: str, status: int = 200) -> HTMLResponse:
    body = "".join(f"<p>{part}</p>" for part in parts)
    text = f"<!doctype html><title>authsql and OAuth</title><h1>{escape(title)}</h1>{body}"
    return HTMLResponse(text + '<p><a href="/">Home</a></p>', status_code=status)


def button(action: str, label: str) -> str:
    return f'<form method="post" action="{escape(action)}"><button>{escape(label)}</button></form>'
