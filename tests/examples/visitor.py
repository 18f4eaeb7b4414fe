"""A visitor of the example application: a cookie jar that fills in forms and reads its mail."""

from __future__ import annotations

import re
from email.message import EmailMessage
from html import unescape
from typing import Any

from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')
_CODE = re.compile(r"^    (\d{6})$", re.MULTILINE)
_LINK = re.compile(r"http://localhost:8000(/\S+)")
ORIGIN = "http://localhost:8000"
ANN, PASSWORD = "ann@example.org", "correct horse battery staple"


class Visitor:
    """One browser."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.client = TestClient(app, base_url=ORIGIN, follow_redirects=True, client=("192.0.2.1", 50000))

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
