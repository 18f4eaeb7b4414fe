"""What a signed-in user of the example application does, over HTTP, on both databases."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI

from authsql import outbox
from examples.webapp.app import create_app
from tests.conformance.authenticator import Authenticator, Credential
from tests.examples.visitor import ANN, ORIGIN, PASSWORD, Visitor, listening
from tests.servers import Database
from tests.support import TABLES, Sql

NEW = "new@example.org"


def add_passkey(visitor: Visitor, **fields: str) -> tuple[int, Authenticator]:
    """Register a passkey; the status of the first answer that is none of 200."""
    device = Authenticator(origin=ORIGIN)
    options = visitor.post("/passkeys/options", form="/", **fields)
    if options.status_code != 200:
        return options.status_code, device
    credential = json.dumps(device.create(options.text))
    return visitor.post("/passkeys", form="/", credential=credential).status_code, device


def recovery_codes(visitor: Visitor) -> list[str]:
    page = visitor.post("/recovery-codes", form="/", password=PASSWORD).text
    found = re.search(r'<pre id="codes">(.*?)</pre>', page, re.DOTALL)
    assert found
    return found[1].split()


def test_a_passkey_is_added_with_the_password(app: FastAPI, ann: Visitor, sql: Sql) -> None:
    assert add_passkey(ann)[0] == 401
    assert add_passkey(ann, password="a wrong password")[0] == 401
    asked = json.loads(ann.post("/passkey/options", form="/").text)["challenge"]
    made = Credential(b"x" * 32, ec.generate_private_key(ec.SECP256R1()), "localhost", b"", 0)
    around = json.dumps(Authenticator(origin=ORIGIN).register(made, asked))
    assert ann.post("/passkeys", form="/", credential=around).status_code == 422, "a challenge to sign in"
    assert sql.one("SELECT COUNT(*) FROM authsql_passkeys") == 0
    assert 'id="aal">1<' in ann.get("/").text, "a stolen cookie stays at level 1"
    status, device = add_passkey(ann, password=PASSWORD)
    assert status == 200
    assert 'id="aal">2<' in ann.get("/").text
    other = Visitor(app)
    options = other.post("/passkey/options", form="/sign-in").text
    done = other.post("/passkey", form="/sign-in", credential=json.dumps(device.get(options)))
    assert done.json() == {"go": "/"}
    assert 'id="aal">2<' in other.get("/").text


def test_recovery_codes_beside_a_passkey_alone(app: FastAPI, ann: Visitor) -> None:
    assert add_passkey(ann, password=PASSWORD)[0] == 200
    without = Visitor(app)
    without.sign_in(ANN, PASSWORD)
    assert 'name="code"' not in without.get("/second-factor").text, "there is none to be typed"
    codes = recovery_codes(ann)
    other = Visitor(app)
    assert 'name="code"' in other.sign_in(ANN, PASSWORD).text
    assert "Signed in as" in other.post("/second-factor", form="/second-factor", code=codes[0]).text


def change_email(visitor: Visitor, **codes: str) -> Any:
    return visitor.post("/email/confirm", form="/email/confirm", email=NEW, **codes)


def test_another_address_takes_both_codes(app: FastAPI, ann: Visitor) -> None:
    assert ann.post("/email", form="/", email=NEW, password="a wrong password").status_code == 401
    assert not ann.mails(NEW)
    page = ann.post("/email", form="/", email=NEW, password=PASSWORD)
    assert 'name="approval"' in page.text
    assert ann.mails(ANN)[-1]["subject"] == "Approve a new e-mail address for authsql example"
    code, approval = ann.code(NEW), ann.code(ANN)
    assert change_email(ann, code=code).status_code == 422, "the old one has not agreed"
    assert change_email(ann, code=code, approval="12345").status_code == 422
    assert 'id="email">ann@example.org<' in ann.get("/").text
    done = change_email(ann, code=code, approval=approval)
    assert 'id="email">new@example.org<' in done.text
    assert NEW in ann.text(ANN), "the old address is told"


def test_an_address_is_changed_where_that_was_asked_for(app: FastAPI, ann: Visitor) -> None:
    """Another browser, signed in as the same user, has no attempts on the codes."""
    other = Visitor(app)
    other.sign_in(ANN, PASSWORD)
    ann.post("/email", form="/", email=NEW, password=PASSWORD)
    code, approval = ann.code(NEW), ann.code(ANN)
    for _ in range(6):
        assert change_email(other, code="000000", approval="000000").status_code == 400
    assert change_email(other, code=code, approval=approval).status_code == 400
    assert 'id="email">new@example.org<' in change_email(ann, code=code, approval=approval).text


def test_a_taken_address_is_told_to_its_owner_alone(app: FastAPI, ann: Visitor) -> None:
    eve = Visitor(app)
    eve.sign_up("eve@example.org", PASSWORD)
    pages = []
    for email in (ANN, "nobody@example.org"):
        sent = eve.post("/email", form="/", email=email, password=PASSWORD)
        pages.append((sent.status_code, re.sub('value="[0-9a-f]{64}"', "", sent.text.replace(email, ""))))
    assert pages[0] == pages[1]


def test_no_mail_to_one_address_alone(
    app: FastAPI, ann: Visitor, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue = outbox.enqueue

    def die(conn: Any, recipient: str, template: str, *given: Any, **named: Any) -> Any:
        if template == "email-change-approval":
            raise ZeroDivisionError
        return enqueue(conn, recipient, template, *given, **named)

    monkeypatch.setattr("examples.webapp.web.outbox.enqueue", die)
    assert ann.post("/email", form="/", email=NEW, password=PASSWORD).status_code == 500
    assert sql.one("SELECT COUNT(*) FROM authsql_otps WHERE purpose LIKE 'email-change%'") == 0
    assert sql.one("SELECT COUNT(*) FROM authsql_outbox WHERE recipient = %s", NEW) == 0


def deleted(visitor: Visitor) -> str:
    """The token of the way back."""
    assert "mail" in visitor.post("/delete", form="/", password=PASSWORD).text
    found = re.search(r"token=(\S+)", visitor.link(ANN))
    assert found
    return found[1]


def wait_for_reactivation(sql: Sql) -> None:
    """All times but that of the deletion, of which the link is."""
    sql.age("authsql_users", ("reactivatable_at",), timedelta(days=1))
    sql.age("authsql_otps", TABLES["authsql_otps"], timedelta(days=1))


def test_a_deleted_account_is_brought_back(app: FastAPI, ann: Visitor, sql: Sql) -> None:
    token = deleted(ann)
    assert ann.mails(ANN)[-1]["subject"] == "Your account at authsql example is deleted"
    assert not ann.is_in()
    back = Visitor(app)
    assert back.sign_in(ANN, PASSWORD).status_code == 401
    early = back.post("/reactivate", form="/sign-in", token=token)
    assert early.status_code == 409
    assert "It can be brought back from" in early.text
    wait_for_reactivation(sql)
    assert "Bring my account back" in back.get(f"/reactivate?token={token}").text
    assert sql.one("SELECT COUNT(*) FROM authsql_users WHERE deleted_at IS NOT NULL") == 1, "a scanner did"
    assert back.client.post("/reactivate", data={"token": token}).status_code == 403, "no form of ours"
    done = back.post("/reactivate", form="/sign-in", token=token)
    assert "Sign in as before" in done.text
    assert not back.is_in(), "the link is no way in"
    assert "Signed in as" in back.sign_in(ANN, PASSWORD).text
    assert back.post("/reactivate", form="/sign-in", token=token).status_code == 422, "and is good once"


@pytest.mark.parametrize("kind", ["", "junk", "no id", "another", "bare"])
def test_a_way_back_that_is_none(app: FastAPI, ann: Visitor, kind: str) -> None:
    token = deleted(ann)
    user_id, _, mark = token.partition(".")
    token = {"another": f"{uuid4()}.{mark}", "bare": user_id, "no id": f"x.{mark}"}.get(kind, kind)
    refused = Visitor(app).post("/reactivate", form="/sign-in", token=token)
    assert refused.status_code in ({422} if token else {400, 422})
    assert "not good" in refused.text or not token


def test_an_address_that_is_taken_meanwhile_stays_so(app: FastAPI, ann: Visitor, sql: Sql) -> None:
    token = deleted(ann)
    wait_for_reactivation(sql)
    assert "Signed in as" in Visitor(app).sign_up(ANN, PASSWORD).text
    taken = Visitor(app).post("/reactivate", form="/sign-in", token=token)
    assert taken.status_code == 409
    assert "Another account" in taken.text


def test_roles(app: FastAPI, database: Database, ann: Visitor) -> None:
    settings = replace(app.state.settings, admin="Boss@example.org")
    with listening(create_app(settings)) as office:
        boss, other = Visitor(office), Visitor(office)
        boss.sign_up("boss@example.org", PASSWORD)
        other.sign_in(ANN, PASSWORD)
        assert 'id="roles">admin' in boss.get("/roles").text
        assert "roles:manage" in boss.get("/roles").text
        assert 'id="permissions">nothing' in other.get("/roles").text
        assert other.get(f"/roles/of?email={ANN}").status_code == 403
        for what in ("grant", "revoke"):
            fields = {"email": ANN, "role": "admin", "password": PASSWORD}
            assert other.post(f"/roles/{what}", form="/", **fields).status_code == 403
        assert boss.get("/roles/of?email=nobody@example.org").status_code == 404
        of_ann = f"/roles/of?email={ANN}"
        fields = {"email": ANN, "role": "admin"}
        assert boss.client.post("/roles/grant", data=fields).status_code == 403, "no form of ours"
        assert boss.post("/roles/grant", form=of_ann, **fields).status_code == 401, "no password"
        unknown = boss.post("/roles/grant", form=of_ann, email=ANN, role="nonsense", password=PASSWORD)
        assert unknown.status_code == 422
        boss.post("/roles/grant", form=of_ann, password=PASSWORD, **fields)
        assert other.get(of_ann).status_code == 200
        boss.post("/roles/revoke", form=of_ann, password=PASSWORD, **fields)
        assert other.get(of_ann).status_code == 403, "at once"


def test_nobody_else_becomes_an_administrator(app: FastAPI, ann: Visitor) -> None:
    assert "admin" not in ann.get("/roles").text
    assert ann.get(f"/roles/of?email={ANN}").status_code == 403
