"""The application: `create_app(settings)`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.message import EmailMessage

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from examples.webapp import account, address, admin, api, leaving, sign_in, sign_up
from examples.webapp.database import Database
from examples.webapp.settings import Settings
from examples.webapp.web import PAGES, HalfSignedIn, Here, SignedOut, go, send_mail

HEADERS = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none';"
    " form-action 'self'; base-uri 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


def create_app(settings: Settings) -> FastAPI:
    """Make the application. What it holds is in `app.state`: a pool of connections, the mail it has sent."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        app.state.database.close()

    app = FastAPI(title=settings.name, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.settings = settings
    app.state.database = Database(settings.database_url)
    mailbox: list[EmailMessage] = []
    app.state.mailbox = mailbox

    @app.middleware("http")
    async def finish(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.method == "POST" and response.background is None:
            # Here mail goes into a list that /mailbox shows; in production `authsql mail` sends it by SMTP.
            response.background = BackgroundTask(send_mail, app.state.database, settings, mailbox.append)
        return response

    @app.exception_handler(SignedOut)
    async def signed_out(request: Request, error: Exception) -> Response:
        return go("/sign-in")

    @app.exception_handler(HalfSignedIn)
    async def half_signed_in(request: Request, error: Exception) -> Response:
        return go("/second-factor")

    @app.exception_handler(HTTPException)
    async def problem(request: Request, error: Exception) -> Response:
        status, text = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
        if request.url.path.startswith("/api/"):
            return Response(text, status, media_type="text/plain")
        page = PAGES.TemplateResponse(
            request,
            "message.html",
            {"title": "Sorry", "text": text, "app": settings.name},
            status_code=status,
        )
        return HTMLResponse(page.body, status)

    @app.get("/mailbox")
    def mailbox_page(here: Here) -> Response:
        """What would be in everybody's mailboxes. For the example alone."""
        mails = [
            {"to": mail["to"], "subject": mail["subject"], "text": _text(mail)} for mail in reversed(mailbox)
        ]
        return here.page("mailbox", mails=mails)

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/passkeys.js")
    def script() -> Response:
        return Response(PAGES.get_template("passkeys.js").render(), media_type="text/javascript")

    for module in (sign_up, sign_in, account, address, leaving, admin, api):
        app.include_router(module.router)
    return app


def _text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""
