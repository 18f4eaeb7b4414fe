"""A visitor of the example application, over HTTP: a cookie jar that fills in forms and reads its mail."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from html import unescape
from typing import Any

import uvicorn
from fastapi import FastAPI
from httpx2 import BaseTransport, Client, HTTPTransport, Request, Response

from tests.servers import rows

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
_CODE = re.compile(r"^    (\d{6})$", re.MULTILINE)
_LINK = re.compile(r"http://localhost:8000(/\S+)")
ORIGIN = "http://localhost:8000"
ANN, PASSWORD = "ann@example.org", "correct horse battery staple"


@contextmanager
def listening(app: FastAPI) -> Iterator[FastAPI]:
    """The application, served on a port of its own by a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    app.state.port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield app
    finally:
        for client in getattr(app.state, "visitors", []):
            client.close()
        server.should_exit = True
        thread.join(30)
        listener.close()
        app.state.database.close()


class Wire(BaseTransport):
    """Whatever the address says, it is the server of this test that answers."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.real = HTTPTransport()

    def handle_request(self, request: Request) -> Response:
        address = request.url
        request.url = address.copy_with(scheme="http", host="127.0.0.1", port=self.port)
        try:
            answer = self.real.handle_request(request)
            answer.read()
            return answer
        finally:
            # Cookies belong to what the browser shows.
            request.url = address

    def close(self) -> None:
        self.real.close()


class Visitor:
    """One browser."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.client = Client(
            base_url=ORIGIN, follow_redirects=True, transport=Wire(app.state.port), timeout=60
        )
        app.state.visitors = [*getattr(app.state, "visitors", []), self.client]

    def get(self, path: str) -> Response:
        answer: Response = self.client.get(path)
        return answer

    def csrf(self, path: str = "/sign-in") -> str:
        found = _CSRF.search(self.client.get(path).text)
        assert found, f"no form at {path}"
        return found[1]

    def post(self, path: str, *, form: str | None = None, **fields: str) -> Response:
        """Fill in the form of a page and send it."""
        token = self.csrf(form or "/sign-up")
        answer: Response = self.client.post(path, data={"csrf": token, **fields}, headers={"origin": ORIGIN})
        return answer

    def mails(self, to: str) -> list[EmailMessage]:
        """What came to an address. Mail is queued before an answer and sent after it: it is waited for."""
        deadline = time.monotonic() + 60
        with self.app.state.database.connection() as conn:
            while rows(conn, "SELECT COUNT(*) FROM authsql_pending_mail")[0][0]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        box: list[EmailMessage] = self.app.state.mailbox
        return [mail for mail in box if to.lower() in str(mail["to"]).lower()]

    def text(self, to: str) -> str:
        """The last mail to somebody."""
        body: Any = self.mails(to)[-1].get_body(("plain",))
        return str(body.get_content())

    def code(self, to: str) -> str:
        found = _CODE.search(self.text(to))
        assert found, self.text(to)
        return found[1]

    def link(self, to: str) -> str:
        found = _LINK.search(self.text(to))
        assert found, self.text(to)
        return unescape(found[1])

    def sign_up(self, email: str, password: str) -> Response:
        self.post("/sign-up", email=email, password=password, name="Ann")
        return self.post("/sign-up/confirm", email=email, code=self.code(email))

    def sign_in(self, email: str, password: str) -> Response:
        return self.post("/sign-in", form="/sign-in", email=email, password=password)

    def is_in(self) -> bool:
        return "Signed in as" in self.get("/").text

    def device(self) -> str:
        """The cookie of the device, the last if a test has set another."""
        return [cookie.value or "" for cookie in self.client.cookies.jar if cookie.name == "device"][-1]
