"""The code in docs/howto/flows.md runs, and does what the text says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from authsql import passwords, sessions, users
from authsql.models import User
from tests.servers import SyncConnection
from tests.support import FAST, HOUR, KEY, PASSWORD, Sql

TEXT = (Path(__file__).parents[2] / "docs" / "howto" / "flows.md").read_text(encoding="utf-8")
EMAIL = "ann@example.org"


class App:
    """What the blocks of the page define, a mailbox, and the cookies of one browser."""

    def __init__(self, conn: SyncConnection) -> None:
        self.conn = conn
        self.mails: list[tuple[str, str]] = []
        self.cookies: dict[str, str] = {}
        self.names: dict[str, Any] = {"send": lambda to, text: self.mails.append((to, text))}
        for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
            exec(compile(block, "flows.md", "exec"), self.names)
        self.names["policy"] = replace(self.names["policy"], argon2=FAST.argon2)

    def __call__(self, name: str, *arguments: Any) -> Any:
        function = self.names[name]
        takes_cookies = function.__code__.co_varnames[1] == "cookies"
        return function(self.conn, *([self.cookies] if takes_cookies else []), *arguments)

    def code(self, to: str = EMAIL) -> str:
        """The code of the last mail, which must be to this address."""
        address, text = self.mails[-1]
        assert address == to
        [code] = re.findall(r"code: (\d{6})", text)
        return str(code)

    def signed_in(self) -> User:
        session = sessions.validate(self.conn, self.cookies["session"])
        assert session
        user = users.get(self.conn, session.user_id)
        assert user
        return user


@pytest.fixture
def app(conn: SyncConnection, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setenv("CODE_KEY", KEY.hex())
    return App(conn)


@pytest.fixture
def user(conn: SyncConnection) -> User:
    user = users.create(conn, EMAIL, email_verified=True)
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    return user


def test_sign_up(app: App, sql: Sql) -> None:
    page = app("sign_up", EMAIL, PASSWORD)
    code = app.code()
    mine, app.cookies = app.cookies, {}
    assert app("confirm_sign_up", EMAIL, code) == app.names["ELSEWHERE"]
    app.cookies = {"issue-signup": "no id"}
    assert app("confirm_sign_up", EMAIL, code) == app.names["ELSEWHERE"]
    app.cookies = mine
    assert app("confirm_sign_up", EMAIL, code) == "Welcome."
    assert app.signed_in().email == EMAIL
    sql.elapse(HOUR)
    assert app("sign_up", EMAIL.upper(), "another password") == page
    assert app.mails[-1][1].startswith("You have an account already")
    assert app("sign_up", EMAIL.upper(), "another password") == page, "too soon, and told alike"
    assert len(app.mails) == 2


def test_sign_up_for_what_was_taken_meanwhile(app: App, sql: Sql) -> None:
    app("sign_up", EMAIL, PASSWORD)
    users.create(app.conn, EMAIL)
    assert app("confirm_sign_up", EMAIL, app.code()) == "You have an account already."


def test_verify_an_email(app: App) -> None:
    user = users.create(app.conn, EMAIL)
    app("ask_to_verify", user.id)
    assert app("verify_email", user.id, "000000" if app.code() != "000000" else "1" * 6).startswith("This")
    assert app("verify_email", user.id, app.code()) == "Thank you."
    found = users.get(app.conn, user.id)
    assert found
    assert found.email_verified_at


def test_sign_in_on_a_known_device(app: App, user: User) -> None:
    assert app("sign_in", EMAIL, "wrong password").startswith("E-mail or password")
    assert app("sign_in", EMAIL, PASSWORD) == "Welcome."
    assert app.signed_in().id == user.id
    known = dict(app.cookies)
    for _ in range(5):
        passwords.verify(app.conn, EMAIL, "a guess", policy=FAST)
    app.cookies.clear()
    assert app("sign_in", EMAIL, PASSWORD).startswith("E-mail or password"), "locked elsewhere"
    app.cookies.update(known)
    assert app("sign_in", EMAIL, PASSWORD) == "Welcome."
    assert app.cookies["device"] == known["device"]


def test_sign_in_by_code_and_by_link(app: App, sql: Sql) -> None:
    app("ask_to_sign_in", EMAIL)
    code = app.code()
    assert app("sign_in_by_code", EMAIL, code) == "Welcome."
    first = app.signed_in()
    sql.elapse(HOUR)
    app("ask_to_sign_in", EMAIL)
    app.cookies.clear()
    [token] = re.findall(r"#(link_\S+)", app.mails[-1][1])
    assert app("sign_in_by_link", token) == "Welcome.", "on another device, too"
    assert app.signed_in().id == first.id
    assert app("sign_in_by_link", token).startswith("This code")


def test_forgotten_password(app: App, sql: Sql, user: User) -> None:
    page = app("forgot_password", EMAIL.upper())
    code = app.code()
    assert app("forgot_password", EMAIL) == page, "too soon"
    assert app("forgot_password", "nobody@x.org") == page
    assert len(app.mails) == 1
    app.cookies.pop("issue-password-reset")
    sql.elapse(HOUR)
    app("forgot_password", EMAIL)
    assert app("reset_password", EMAIL, "12345", "a new password").startswith("This code")
    assert app.code() == code or app("reset_password", EMAIL, code, "a new password").startswith("This code")
    assert app("reset_password", EMAIL, app.code(), "a new password").startswith("Sign in")
    assert app.mails[-1] == (EMAIL, "Your password was changed, and you were signed out everywhere.")
    assert passwords.verify(app.conn, EMAIL, "a new password", policy=FAST)


def test_change_of_the_email(app: App, user: User) -> None:
    page = app("ask_to_change_email", user.id, "wrong password", "new@x.org")
    assert app.mails == []
    assert app("ask_to_change_email", user.id, PASSWORD, "new@x.org") == page
    old = app.code()
    app.mails.pop()
    new = app.code("new@x.org")
    assert app("change_email", user.id, "new@x.org", new, "12345").startswith("One of")
    assert app("change_email", user.id, "new@x.org", new, old) == "Done."
    assert app.mails[-1][0] == EMAIL
    assert users.get_by_email(app.conn, "new@x.org")


def test_change_of_the_email_to_a_taken_one(app: App, user: User) -> None:
    app("ask_to_change_email", user.id, PASSWORD, "new@x.org")
    old = app.code()
    app.mails.pop()
    users.create(app.conn, "new@x.org")
    assert app("change_email", user.id, "new@x.org", app.code("new@x.org"), old).startswith("This address")


CODES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "verify_email": ("ask_to_verify", (), "Thank you."),
    "sign_in_by_code": ("ask_to_sign_in", (), "Welcome."),
    "reset_password": ("forgot_password", ("a new password",), "Sign in with"),
    "change_email": ("ask_to_change_email", (), "Done."),
}


@pytest.mark.parametrize("flow", CODES)
def test_a_code_is_good_in_the_browser_that_asked_for_it(app: App, user: User, flow: str) -> None:
    """Strangers have no attempts on it that they could use up."""
    ask, more, done = CODES[flow]
    match flow:
        case "verify_email":
            app(ask, user.id)
            right: tuple[object, ...] = (user.id, app.code())
            wrong: tuple[object, ...] = (user.id, "000000")
        case "change_email":
            app(ask, user.id, PASSWORD, "new@x.org")
            old = app.code()
            app.mails.pop()
            right = (user.id, "new@x.org", app.code("new@x.org"), old)
            wrong = (user.id, "new@x.org", "000000", "000000")
        case _:
            app(ask, EMAIL)
            right, wrong = (EMAIL, app.code(), *more), (EMAIL, "000000", *more)
    mine, app.cookies = app.cookies, {}
    for _ in range(6):
        assert app(flow, *wrong) == app.names["ELSEWHERE"]
    assert app(flow, *right) == app.names["ELSEWHERE"]
    app.cookies = {name: str(uuid4()) for name in mine if name.startswith("issue")}
    for _ in range(6):
        assert app(flow, *wrong) != app.names["ELSEWHERE"]
    app.cookies = mine
    assert app(flow, *right).startswith(done)


def test_devices(app: App, user: User) -> None:
    assert app("needs_second_factor", user.id)
    app("trust", user.id)
    assert not app("needs_second_factor", user.id)
    from authsql import devices

    [device] = devices.list(app.conn, user.id)
    assert app("lost", user.id, device.id)
    assert app("needs_second_factor", user.id)


def test_change_of_the_password(app: App, conn: SyncConnection, sql: Sql) -> None:
    user = users.create(conn, EMAIL)
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    app("sign_in", EMAIL, PASSWORD)
    mine, stolen = app.cookies["session"], app.cookies["device"]
    other = sessions.create(conn, user.id)
    assert other
    assert app("change_password", user.id, "a wrong one", "a new password") != "Done."
    assert sessions.validate(conn, other.token)
    assert app("change_password", user.id, PASSWORD, "a new password") == "Done."
    assert app.mails[-1][0] == EMAIL
    assert not sessions.validate(conn, other.token)
    assert sessions.validate(conn, mine)
    known = {
        token: passwords.verify(conn, EMAIL, "a new password", device=token, policy=FAST)
        for token in (stolen, app.cookies["device"])
    }
    assert [bool(each and each.known_device) for each in known.values()] == [False, True]


def test_floods(app: App, conn: SyncConnection) -> None:
    for name, limit in (("may_ask", 10), ("may_try", 30)):
        asked = [app.names[name](conn, "192.0.2.1") for _ in range(limit + 1)]
        assert asked == [True] * limit + [False]
        assert app.names[name](conn, "192.0.2.2") is True
