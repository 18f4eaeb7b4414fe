"""The example application over HTTP, on both databases."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from fastapi import FastAPI

from examples.webapp.app import create_app
from examples.webapp.settings import Settings
from tests.examples.visitor import Visitor
from tests.servers import Database, SyncConnection
from tests.support import FAST, Sql

ANN, PASSWORD, NEW = "ann@example.org", "correct horse battery staple", "another long password"


@pytest.fixture
def app(database: Database) -> Iterator[FastAPI]:
    made = create_app(Settings(database.url, policy=FAST))
    yield made
    made.state.database.close()


@pytest.fixture
def ann(app: FastAPI) -> Visitor:
    """Somebody who has just signed up."""
    visitor = Visitor(app)
    assert "Signed in as" in visitor.sign_up(ANN, PASSWORD).text
    return visitor


@pytest.fixture
def sql(database: Database, conn: SyncConnection) -> Sql:
    return Sql(database, conn)


def totp_code(secret: str, step: int = 0) -> str:
    import base64
    import time

    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return TOTP(key, 6, SHA1(), 30).generate(int(time.time()) + 30 * step).decode()


def test_sign_up_by_link_and_out_again(app: FastAPI) -> None:
    visitor = Visitor(app)
    visitor.post("/sign-up", email=ANN, password=PASSWORD)
    assert not visitor.is_in()
    path = visitor.link(ANN)
    assert "Finish your sign-up" in visitor.get(path).text, "a mail scanner opens it, and nothing happens"
    token = re.search(r"token=(\S+)", path)
    assert token
    assert "Signed in as" in visitor.post("/sign-up/link", token=token[1]).text
    visitor.post("/sign-out", form="/")
    assert not visitor.is_in()


def test_a_sign_up_is_finished_where_it_was_begun(app: FastAPI) -> None:
    attacker, owner = Visitor(app), Visitor(app)
    attacker.post("/sign-up", email=ANN, password="the attacker's password")
    path = owner.link(ANN)
    token = re.search(r"token=(\S+)", path)
    assert token
    assert owner.post("/sign-up/link", token=token[1]).status_code == 400
    assert owner.post("/sign-up/confirm", email=ANN, code=owner.code(ANN)).status_code == 400


def test_a_taken_address_is_not_told(app: FastAPI, ann: Visitor, sql: Sql) -> None:
    sql.elapse(timedelta(hours=2))
    other, unknown = Visitor(app), Visitor(app)
    sent = other.post("/sign-up", email=ANN, password=PASSWORD)
    new = unknown.post("/sign-up", email="new@example.org", password=PASSWORD)
    assert sent.status_code == new.status_code
    assert str(sent.url).replace("ann", "new") == str(new.url)
    assert "Somebody tried to sign up" in ann.text(ANN)


def test_password_and_its_reset(app: FastAPI, ann: Visitor, sql: Sql) -> None:
    other = Visitor(app)
    assert other.sign_in(ANN, "a wrong password").status_code == 401
    assert "Signed in as" in other.sign_in(ANN, PASSWORD).text
    assert "device" in ann.text(ANN), "the owner is told of a new device"
    done = ann.post("/password", form="/", old=PASSWORD, new=NEW)
    assert "Signed in as" in done.text
    assert not other.is_in(), "a changed password ends the other sessions"
    thief = Visitor(app)
    assert thief.sign_in(ANN, PASSWORD).status_code == 401
    sent = thief.post("/forgot", form="/forgot", email=ANN)
    nobody = Visitor(app).post("/forgot", form="/forgot", email="nobody@example.org")
    assert (
        sent.text.replace(ANN, "").split("csrf")[0]
        == nobody.text.replace("nobody@example.org", "").split("csrf")[0]
    )
    forgetful = Visitor(app)
    wrong = forgetful.post("/reset", form="/reset", email=ANN, code="000000", password=PASSWORD)
    assert wrong.status_code == 422
    assert (
        "Signed in as"
        in forgetful.post("/reset", form="/reset", email=ANN, code=ann.code(ANN), password=PASSWORD).text
    )
    assert not ann.is_in()
    assert "password" in ann.text(ANN)


def test_lockout_leaves_a_known_device_in(app: FastAPI, ann: Visitor) -> None:
    ann.post("/sign-out", form="/")
    attacker = Visitor(app)
    for _ in range(6):
        assert attacker.sign_in(ANN, "a wrong password").status_code == 401
    assert attacker.sign_in(ANN, PASSWORD).status_code == 401, "locked for everybody else"
    assert "Signed in as" in ann.sign_in(ANN, PASSWORD).text


def test_sign_in_by_mail(app: FastAPI, ann: Visitor) -> None:
    by_code, by_link = Visitor(app), Visitor(app)
    by_code.post("/sign-in/code", form="/sign-in", email=ANN)
    assert by_code.post("/sign-in/enter", form="/sign-in", email=ANN, code="000000").status_code == 422
    path = ann.link(ANN)
    assert by_link.get(path).status_code == 200
    token = re.search(r"token=(\S+)", path)
    assert token
    assert "Signed in as" in by_link.post("/sign-in/link", form="/sign-in", token=token[1]).text
    code = by_code.code(ANN) if "code" in ann.text(ANN) else "000000"
    assert by_code.post("/sign-in/enter", form="/sign-in", email=ANN, code=code).status_code == 422


def test_second_factor(app: FastAPI, ann: Visitor) -> None:
    page = ann.post("/totp", form="/", password=PASSWORD).text
    secret = re.search(r'id="secret">([A-Z2-7]+)<', page)
    factor = re.search(r'name="factor_id" value="([^"]+)"', page)
    assert secret
    assert factor
    old = ann.client.cookies["session"]
    done = ann.post("/totp/confirm", form="/", factor_id=factor[1], code=totp_code(secret[1], -1))
    codes = re.search(r'<pre id="codes">(.*?)</pre>', done.text, re.DOTALL)
    assert codes
    assert ann.client.cookies["session"] != old, "a step up is a new token"
    assert 'id="aal">2<' in ann.get("/").text
    other = Visitor(app)
    assert "Second factor" in other.sign_in(ANN, PASSWORD).text
    assert "Second factor" in other.get("/").text, "half signed in is not signed in"
    assert other.post("/second-factor", form="/second-factor", code="000000").status_code == 401
    assert (
        "Signed in as"
        in other.post("/second-factor", form="/second-factor", code=totp_code(secret[1]), trust="yes").text
    )
    other.post("/sign-out", form="/")
    assert "Signed in as" in other.sign_in(ANN, PASSWORD).text, "a trusted device is the second factor"
    third = Visitor(app)
    third.sign_in(ANN, PASSWORD)
    first = codes[1].split("\n")[0]
    assert "Signed in as" in third.post("/second-factor", form="/second-factor", code=first).text
    fourth = Visitor(app)
    fourth.sign_in(ANN, PASSWORD)
    assert fourth.post("/second-factor", form="/second-factor", code=first).status_code == 401, "spent"


def test_changed_address(app: FastAPI, ann: Visitor) -> None:
    assert (
        ann.post("/email", form="/", email="new@example.org", password="a wrong password").status_code == 401
    )
    ann.post("/email", form="/", email="new@example.org", password=PASSWORD)
    done = ann.post("/email/confirm", form="/", email="new@example.org", code=ann.code("new@example.org"))
    assert 'id="email">new@example.org<' in done.text
    assert "new@example.org" in ann.text(ANN), "the old address is told"


def test_sessions_and_devices(app: FastAPI, ann: Visitor) -> None:
    other = Visitor(app)
    other.sign_in(ANN, PASSWORD)
    page = ann.get("/").text
    ended = re.search(r'action="/sessions/end">.*?name="id" value="([^"]+)"', page, re.DOTALL)
    assert ended
    stranger = Visitor(app)
    stranger.sign_up("eve@example.org", PASSWORD)
    stranger.post("/sessions/end", form="/", id=ended[1])
    assert other.is_in(), "nobody ends another's session"
    ann.post("/sessions/end", form="/", id=ended[1])
    assert not other.is_in()
    assert "session.revoked" in ann.get("/activity").text


def test_forms_of_other_sites_are_refused(app: FastAPI, ann: Visitor) -> None:
    token = ann.csrf("/")
    for data, headers in (
        ({}, {}),
        ({"csrf": "0" * 64}, {}),
        ({"csrf": token}, {"origin": "https://evil.example"}),
        ({"csrf": Visitor(app).csrf()}, {}),
    ):
        assert ann.client.post("/sign-out", data=data, headers=headers).status_code == 403
    assert ann.is_in()


def test_cookies(app: FastAPI, database: Database) -> None:
    visitor = Visitor(app)
    visitor.client.follow_redirects = False
    visitor.post("/sign-up", email=ANN, password=PASSWORD)
    answer = visitor.post("/sign-up/confirm", email=ANN, code=visitor.code(ANN))
    for cookie in answer.headers.get_list("set-cookie"):
        if not cookie.startswith("issue="):
            assert "HttpOnly" in cookie
            assert "samesite=lax" in cookie.lower()
    secure = create_app(Settings(database.url, origin="https://example.org", policy=FAST))
    try:
        page = Visitor(secure).client.get("https://example.org/sign-in")
        assert all(c.startswith("__Host-") and "Secure" in c for c in page.headers.get_list("set-cookie"))
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    finally:
        secure.state.database.close()


def test_api(app: FastAPI, ann: Visitor) -> None:
    tokens = ann.post("/api/tokens", form="/").json()
    me = {"authorization": f"Bearer {tokens['access_token']}"}
    other = Visitor(app).client
    assert other.get("/api/me", headers=me).json()["email"] == ANN
    assert other.get("/api/me", headers={"authorization": "Bearer x.y.z"}).status_code == 401
    renewed = other.post("/api/refresh", data={"refresh_token": tokens["refresh_token"]}).json()
    again = other.post("/api/refresh", data={"refresh_token": tokens["refresh_token"]}).json()
    assert renewed["refresh_token"] == again["refresh_token"], "a lost answer does no harm"
    third = other.post("/api/refresh", data={"refresh_token": renewed["refresh_token"]}).json()
    stolen = other.post("/api/refresh", data={"refresh_token": tokens["refresh_token"]})
    assert stolen.status_code == 401
    assert other.post("/api/refresh", data={"refresh_token": third["refresh_token"]}).status_code == 401
    assert not ann.is_in(), "theft ends the session"


def test_export_and_erasure(app: FastAPI, ann: Visitor, sql: Sql) -> None:
    document = json.loads(ann.get("/export").text)
    assert document["user"]["email"] == ANN
    assert ann.post("/delete", form="/", password="a wrong password", how="now").status_code == 401
    assert "Good-bye" in ann.post("/delete", form="/", password=PASSWORD, how="now").text
    assert not ann.is_in()
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0
    again = Visitor(app)
    sql.elapse(timedelta(hours=2))
    assert "Signed in as" in again.sign_up(ANN, PASSWORD).text
    again.post("/delete", form="/", password=PASSWORD)
    assert not again.is_in()
    assert sql.one("SELECT COUNT(*) FROM authsql_users WHERE deleted_at IS NOT NULL") == 1


def test_rate_limit(app: FastAPI) -> None:
    visitor = Visitor(app)
    answers = [
        visitor.sign_in(f"{secrets.token_hex(4)}@example.org", PASSWORD).status_code for _ in range(25)
    ]
    assert set(answers) == {401, 429}
    assert answers[:20] == [401] * 20


def test_no_secret_in_the_database(app: FastAPI, ann: Visitor, sql: Sql) -> None:
    ann.post("/sign-in/code", form="/", email=ANN)
    everything = "\n".join(line for lines in sql.dump().values() for line in lines)
    assert ann.code(ANN) not in everything
    assert ann.client.cookies["session"] not in everything
