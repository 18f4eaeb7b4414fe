"""The example application over HTTP, on both databases."""

from __future__ import annotations

import json
import re
import secrets
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from fastapi import FastAPI

from authsql import RetryTransaction, outbox
from examples.webapp.app import create_app
from examples.webapp.settings import Settings
from tests.examples.visitor import ANN, PASSWORD, Visitor, listening
from tests.servers import Database
from tests.support import FAST, Sql

NEW = "another long password"


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
    told, code = ann.mails(ANN)[-1], unknown.mails("new@example.org")[-1]
    assert told["subject"] == "You have an account at authsql example already"
    assert "Somebody tried to sign up" in ann.text(ANN)
    assert "signed in" not in ann.text(ANN), "nobody has"
    assert code["subject"] == "Finish your sign-up for authsql example"


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
    sql.elapse(timedelta(hours=2))
    forgetful = Visitor(app)
    forgetful.post("/forgot", form="/forgot", email=ANN)
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


def test_a_new_device_is_told_whatever_its_cookie_says(app: FastAPI, ann: Visitor) -> None:
    thief = Visitor(app)
    thief.client.cookies.set("device", "junk")
    before = len(ann.mails(ANN))
    assert "Signed in as" in thief.sign_in(ANN, PASSWORD).text
    assert [mail["subject"] for mail in ann.mails(ANN)[before:]] == ["New sign-in to authsql example"]
    assert thief.device() != "junk", "and it is known from now on"
    thief.post("/sign-out", form="/")
    known = thief.device()
    assert "Signed in as" in thief.sign_in(ANN, PASSWORD).text
    assert thief.device() == known
    assert len(ann.mails(ANN)) == before + 1, "once for each device"


def test_a_forgotten_device_is_a_new_one(app: FastAPI, ann: Visitor) -> None:
    stale = ann.device()
    row = re.search(r'action="/devices/forget">.*?name="id" value="([^"]+)"', ann.get("/").text, re.DOTALL)
    assert row
    ann.post("/devices/forget", form="/", id=row[1])
    ann.post("/sign-out", form="/")
    before = len(ann.mails(ANN))
    assert "Signed in as" in ann.sign_in(ANN, PASSWORD).text
    assert ann.device() != stale
    assert len(ann.mails(ANN)) == before + 1


def test_a_device_that_was_wrong_too_often_is_remembered_anew(app: FastAPI, ann: Visitor, sql: Sql) -> None:
    stale = ann.device()
    ann.post("/sign-out", form="/")
    sql("UPDATE authsql_known_devices SET failed_attempts = 10")
    assert "Signed in as" in ann.sign_in(ANN, PASSWORD).text
    assert ann.device() != stale


def test_sign_in_by_mail(app: FastAPI, ann: Visitor) -> None:
    by_code, by_link = Visitor(app), Visitor(app)
    by_code.post("/sign-in/code", form="/sign-in", email=ANN)
    assert by_code.post("/sign-in/enter", form="/sign-in", email=ANN, code="000000").status_code == 422
    code, path = ann.code(ANN), ann.link(ANN)
    assert by_link.get(path).status_code == 200
    token = re.search(r"token=(\S+)", path)
    assert token
    assert "Signed in as" in by_link.post("/sign-in/link", form="/sign-in", token=token[1]).text
    assert by_code.post("/sign-in/enter", form="/sign-in", email=ANN, code=code).status_code == 422, "spent"
    assert ann.mails(ANN)[-1]["subject"] == "New sign-in to authsql example"


def test_a_code_is_good_where_it_was_asked_for(app: FastAPI, ann: Visitor) -> None:
    """And nobody else has attempts on it, which they could use up."""
    owner, stranger = Visitor(app), Visitor(app)
    owner.post("/sign-in/code", form="/sign-in/code", email=ANN)
    code = ann.code(ANN)
    for _ in range(6):
        refused = stranger.post("/sign-in/enter", form="/sign-in", email=ANN, code="000000")
        assert refused.status_code == 400
        assert "Ask for one in this browser" in refused.text
        assert 'href="/sign-in/code"' in refused.text
    stranger.client.cookies.set("issue-signin", str(uuid4()))
    for guess in ("000000", code):
        assert stranger.post("/sign-in/enter", form="/sign-in", email=ANN, code=guess).status_code == 422
    assert "Signed in as" in owner.post("/sign-in/enter", form="/sign-in", email=ANN, code=code).text


def test_a_code_for_a_password_is_good_where_it_was_asked_for(app: FastAPI, ann: Visitor) -> None:
    owner, stranger = Visitor(app), Visitor(app)
    owner.post("/forgot", form="/forgot", email=ANN)
    code = ann.code(ANN)
    for _ in range(6):
        refused = stranger.post("/reset", form="/reset", email=ANN, code="000000", password=NEW)
        assert refused.status_code == 400
        assert 'href="/forgot"' in refused.text
    done = owner.post("/reset", form="/reset", email=ANN, code=code, password=NEW)
    assert "Signed in as" in done.text


def test_the_answer_is_the_same_for_an_unknown_address(app: FastAPI, ann: Visitor) -> None:
    """Cookies included."""
    seen = []
    for email in (ANN, "nobody@example.org"):
        visitor = Visitor(app)
        sent = visitor.post("/sign-in/code", form="/sign-in", email=email)
        tried = visitor.post("/sign-in/enter", form="/sign-in", email=email, code="12345")
        cookies = sorted(cookie.name for cookie in visitor.client.cookies.jar)
        text = [re.sub('value="[0-9a-f]{64}"', "", page.text.replace(email, "")) for page in (sent, tried)]
        seen.append((sent.status_code, tried.status_code, cookies, text))
    assert seen[0] == seen[1]
    assert "issue-signin" in seen[0][2]


@pytest.mark.parametrize("path", ["/sign-in/code", "/forgot", "/sign-up"])
def test_no_code_without_its_mail(
    app: FastAPI, ann: Visitor, sql: Sql, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Who stops between the two leaves nothing behind, and the next need not wait for the next code."""
    sql.elapse(timedelta(hours=2))
    before = sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NULL")
    email = "new@example.org" if path == "/sign-up" else ANN
    fields = {"email": email, "password": PASSWORD} if path == "/sign-up" else {"email": email}

    def die(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("examples.webapp.web.outbox.enqueue", die)
        assert Visitor(app).post(path, form=path, **fields).status_code == 500
    assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE spent_at IS NULL") == before
    Visitor(app).post(path, form=path, **fields)
    assert ann.code(email)


def test_a_lost_transaction_is_run_again(app: FastAPI, ann: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue, lost = outbox.enqueue, [RetryTransaction(), RetryTransaction()]

    def lose(*given: Any, **named: Any) -> Any:
        if lost:
            raise lost.pop()
        return enqueue(*given, **named)

    monkeypatch.setattr("examples.webapp.web.outbox.enqueue", lose)
    before = len(ann.mails(ANN))
    Visitor(app).post("/sign-in/code", form="/sign-in/code", email=ANN)
    assert not lost
    assert [mail["subject"] for mail in ann.mails(ANN)[before:]] == ["Sign in to authsql example"]


def test_a_device_is_known_whatever_one_signs_in_with(app: FastAPI, ann: Visitor) -> None:
    ann.post("/sign-out", form="/")
    before, known = len(ann.mails(ANN)), ann.device()
    ann.post("/sign-in/code", form="/sign-in/code", email=ANN)
    done = ann.post("/sign-in/enter", form="/sign-in", email=ANN, code=ann.code(ANN))
    assert "Signed in as" in done.text
    assert len(ann.mails(ANN)) == before + 1, "the code, and no word of a new device"
    assert ann.device() == known
    eve = Visitor(app)
    eve.sign_up("eve@example.org", PASSWORD)
    eve.post("/sign-out", form="/")
    eve.sign_in(ANN, PASSWORD)
    assert ann.mails(ANN)[-1]["subject"] == "New sign-in to authsql example", "another user's is not"


def test_second_factor(app: FastAPI, ann: Visitor) -> None:
    page = ann.post("/totp", form="/", password=PASSWORD).text
    secret = re.search(r'id="secret">([A-Z2-7]+)<', page)
    factor = re.search(r'name="factor_id" value="([^"]+)"', page)
    assert secret
    assert factor
    old = ann.client.cookies["session"]
    done = ann.post("/totp/confirm", form="/", factor_id=factor[1], code=totp_code(secret[1]))
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
        in other.post("/second-factor", form="/second-factor", code=totp_code(secret[1], 1), trust="yes").text
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
        assert "HttpOnly" in cookie
        assert "samesite=lax" in cookie.lower()
    with listening(create_app(Settings(database.url, origin="https://example.org", policy=FAST))) as secure:
        page = Visitor(secure).client.get("https://example.org/sign-in")
        assert all(c.startswith("__Host-") and "Secure" in c for c in page.headers.get_list("set-cookie"))
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


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
