"""The example examples/oauth, run as its README says, against providers of the tests' own, over HTTP."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from authsql import identities, users
from authsql.keyring import Keyring
from tests.examples.provider import CLIENT_ID, CLIENT_SECRET, Provider, running
from tests.servers import Database, SyncConnection
from tests.support import HOUR, Sql

ROOT = Path(__file__).parents[2]
KEY = bytes(range(32))
ANN = {"sub": "ann-1", "email": "ann@example.org", "email_verified": True, "name": "Ann"}


@pytest.fixture(scope="module")
def google() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture(scope="module")
def gitlab() -> Iterator[Provider]:
    with running() as provider:
        yield provider


@pytest.fixture(autouse=True)
def honest(google: Provider, gitlab: Provider) -> None:
    for provider in (google, gitlab):
        provider.claims, provider.tampered, provider.answers = dict(ANN), {}, {}
        provider.signed_with, provider.metadata = None, {}
        provider.issued.clear()
    gitlab.claims["sub"] = "7"


@dataclass
class Browser:
    """Somebody at the example, with cookies and a will to follow wherever they are sent."""

    http: httpx.Client

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.http.post(path, **options)

    def leave_for(self, path: str) -> str:
        """Begin, and stop at the provider: the callback's URL, which it would send us to."""
        away = self.get(path, follow_redirects=False).headers["location"]
        return str(self.get(away, follow_redirects=False).headers["location"])

    @property
    def title(self) -> str:
        return title(self.get("/"))


def title(response: httpx.Response) -> str:
    found = re.search("<h1>(.*?)</h1>", response.text)
    assert found
    return found[1]


def start(
    database: Database, google: Provider, gitlab: Provider, **environment: str
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "examples.oauth", "--database", database.url, "--port", "0"]
    for name, provider in (("google", google), ("gitlab", gitlab)):
        command += ["--provider", name, provider.issuer, CLIENT_ID]
    secrets = {"OAUTH_GOOGLE_SECRET": CLIENT_SECRET, "OAUTH_GITLAB_SECRET": CLIENT_SECRET}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **secrets, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def address(database: Database, google: Provider, gitlab: Provider) -> Iterator[str]:
    """Where the example runs. Whatever it wrote has no secret in it."""
    process = start(database, google, gitlab, OAUTH_TOKEN_KEY=KEY.hex())
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        out, err = process.communicate(timeout=30)
    assert (out, err) == ("", "")


@pytest.fixture
def ann(address: str) -> Iterator[Browser]:
    with httpx.Client(base_url=address, follow_redirects=True, timeout=30) as http:
        yield Browser(http)


@pytest.fixture
def other(address: str) -> Iterator[Browser]:
    with httpx.Client(base_url=address, follow_redirects=True, timeout=30) as http:
        yield Browser(http)


def test_a_life_with_two_providers(
    ann: Browser, sql: Sql, conn: SyncConnection, google: Provider, gitlab: Provider
) -> None:
    assert ann.title == "Welcome"
    assert title(ann.get("/sign-in/google")) == "Signed in as ann@example.org"
    user = users.get_by_email(conn, "ann@example.org")
    assert user
    assert user.name == "Ann"
    assert user.email_verified_at
    # Again, and in the meantime the provider has another e-mail and name for her.
    assert title(ann.post("/sign-out")) == "Welcome"
    google.claims |= {"email": "ann@new.example.org", "name": "Ann B."}
    assert title(ann.get("/sign-in/google")) == "Signed in as ann@example.org"
    [identity] = identities.list(conn, user.id)
    assert (identity.email, identity.profile) == ("ann@new.example.org", {"name": "Ann B."})
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions") == 2
    ann.post("/sign-out")
    # A second provider with the same e-mail: she has to show that the account is hers.
    refused = ann.get("/sign-in/gitlab")
    assert refused.status_code == 403
    assert title(refused).startswith("Please sign in as you did before")
    assert ann.title == "Welcome"
    assert ann.post("/link/gitlab").status_code == 403
    ann.get("/sign-in/google")
    assert "Remove gitlab" in ann.post("/link/gitlab").text
    ann.post("/sign-out")
    assert title(ann.get("/sign-in/gitlab")) == "Signed in as ann@example.org"
    # One of them can go, the other one cannot.
    assert "Remove google" not in ann.post("/unlink/google").text
    last = ann.post("/unlink/gitlab")
    assert (last.status_code, title(last)) == (403, "You could not sign in any more without it.")
    assert [each.provider for each in identities.list(conn, user.id)] == ["gitlab"]
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 1


def test_tokens_are_kept_encrypted(
    ann: Browser, sql: Sql, conn: SyncConnection, google: Provider, gitlab: Provider
) -> None:
    ann.get("/sign-in/google")
    ann.post("/link/gitlab")
    for name, subject, provider in (("google", "ann-1", google), ("gitlab", "7", gitlab)):
        kept = identities.tokens(conn, name, subject, keyring=Keyring({"1": KEY}, "1"))
        assert kept
        assert [kept.access_token, kept.refresh_token] == provider.issued[:2]
        assert kept.scopes == ("openid", "email", "profile")
        # It works: this is what it is kept for.
        header = {"authorization": f"Bearer {kept.access_token}"}
        assert httpx.get(f"{provider.issuer}/userinfo", headers=header).json()["sub"] == subject
    stored = repr(sql.dump())
    for token in google.issued + gitlab.issued:
        assert token not in stored
        assert token.encode().hex() not in stored
        assert base64.b64encode(token.encode()).decode().rstrip("=")[:-2] not in stored


def test_without_a_key_no_token_is_kept(
    database: Database, sql: Sql, google: Provider, gitlab: Provider
) -> None:
    process = start(database, google, gitlab)
    assert process.stdout is not None
    try:
        with httpx.Client(follow_redirects=True, timeout=30) as http:
            found = http.get(process.stdout.readline().strip() + "/sign-in/google")
            assert title(found) == "Signed in as ann@example.org"
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert sql.one("SELECT COUNT(*) FROM authsql_identity_tokens") == 0


def test_no_email(ann: Browser, sql: Sql, google: Provider) -> None:
    for missing in ({"email": None}, {"email": None, "email_verified": None}):
        google.claims |= missing
        refused = ann.get("/sign-in/google")
        assert refused.status_code == 403
        assert "did not tell us your e-mail" in title(refused)
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0


def test_what_is_not_true_is_not_verified(ann: Browser, conn: SyncConnection, google: Provider) -> None:
    for number, said in enumerate(("true", 1, False, None)):
        email = f"ann{number}@example.org"
        google.claims |= {"sub": f"{number}", "email": email, "email_verified": said}
        ann.get("/sign-in/google")
        user = users.get_by_email(conn, email)
        assert user
        assert user.email_verified_at is None
        # Once it is, it is.
        google.claims["email_verified"] = True
        ann.get("/sign-in/google")
        user = users.get(conn, user.id)
        assert user
        assert user.email_verified_at is not None


def test_replayed_state(ann: Browser, other: Browser, sql: Sql) -> None:
    callback = ann.leave_for("/sign-in/google")
    cookie = ann.http.cookies["oauth"]
    assert title(ann.get(callback)) == "Signed in as ann@example.org"
    for cookies in ({}, {"oauth": cookie}):
        replayed = other.get(callback, headers={"cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())})
        assert replayed.status_code == 400
        assert "state" in title(replayed)
    assert other.title == "Welcome"
    assert sql.one("SELECT COUNT(*) FROM authsql_sessions") == 1


def test_callback_of_another_browser(ann: Browser, other: Browser, sql: Sql) -> None:
    """Somebody has got as far as the callback, and sends its URL to Ann (login CSRF)."""
    callback = other.leave_for("/sign-in/google")
    assert ann.get(callback).status_code == 400
    ann.leave_for("/sign-in/google")
    assert ann.get(callback).status_code == 400
    assert ann.title == "Welcome"
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0


def test_callback_of_another_provider(ann: Browser, gitlab: Provider) -> None:
    callback = ann.leave_for("/sign-in/gitlab")
    assert ann.get(callback.replace("/callback/gitlab", "/callback/google")).status_code == 400
    # What is asked for there is answered by somebody else.
    gitlab.answers = {"iss": "https://evil.example.org"}
    refused = ann.get("/sign-in/gitlab")
    assert (refused.status_code, "another issuer" in title(refused)) == (400, True)


def test_metadata_of_another_issuer(ann: Browser, gitlab: Provider) -> None:
    gitlab.metadata = {"issuer": "https://evil.example.org"}
    refused = ann.get("/sign-in/gitlab")
    assert (refused.status_code, "another issuer" in title(refused)) == (502, True)
    gitlab.metadata = {}
    assert title(ann.get("/sign-in/gitlab")) == "Signed in as ann@example.org"


TAMPERED: list[tuple[dict[str, Any], str]] = [
    ({"nonce": "another"}, "InvalidClaimError"),
    ({"nonce": None}, "MissingClaimError"),
    ({"aud": "another client"}, "InvalidClaimError"),
    ({"aud": [CLIENT_ID, "another client"]}, "MissingClaimError"),
    ({"iss": "https://evil.example.org"}, "InvalidClaimError"),
    ({"exp": 1_600_000_000}, "ExpiredTokenError"),
    ({"sub": None}, "MissingClaimError"),
    ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "InvalidClaimError"),
]


def test_tampered_id_tokens(ann: Browser, sql: Sql, google: Provider) -> None:
    for tampered, error in TAMPERED:
        google.tampered = tampered
        refused = ann.get("/sign-in/google")
        assert refused.status_code == 400
        assert title(refused) == f"That did not work: the answer does not hold: {error}", tampered
    google.tampered = {}
    google.signed_with = RSAKey.generate_key(2048)
    assert title(ann.get("/sign-in/google")).endswith("BadSignatureError")
    assert ann.title == "Welcome"
    assert sql.one("SELECT COUNT(*) FROM authsql_users") == 0


def test_consent_denied(ann: Browser) -> None:
    state = parse_qs(urlsplit(ann.leave_for("/sign-in/google")).query)["state"][0]
    assert ann.get(f"/callback/google?error=access_denied&state={state}").status_code == 400
    assert ann.get("/callback/google").status_code == 400
    assert ann.get("/callback/nobody").status_code == ann.get("/sign-in/nobody").status_code == 404


def test_link_takes_a_fresh_sign_in(ann: Browser, sql: Sql) -> None:
    ann.get("/sign-in/google")
    sql.age("authsql_sessions", ("authenticated_at", "created_at"), HOUR)
    for path in ("/link/gitlab", "/unlink/google"):
        refused = ann.post(path)
        assert (refused.status_code, title(refused)) == (403, "Please sign in again")


def test_link_of_what_is_somebody_elses(
    ann: Browser, other: Browser, google: Provider, gitlab: Provider
) -> None:
    ann.get("/sign-in/google")
    gitlab.claims |= {"email": "bob@example.org"}
    assert title(other.get("/sign-in/gitlab")) == "Signed in as bob@example.org"
    taken = ann.post("/link/gitlab")
    assert (taken.status_code, title(taken)) == (403, "Somebody else signs in with that already.")


def test_link_is_for_who_began_it(ann: Browser, other: Browser, conn: SyncConnection) -> None:
    """She signs in as somebody else between the two halves."""
    ann.get("/sign-in/google")
    away = ann.post("/link/gitlab", follow_redirects=False).headers["location"]
    callback = ann.get(away, follow_redirects=False).headers["location"]
    ann.post("/sign-out")
    assert ann.get(callback).status_code == 403
    user = users.get_by_email(conn, "ann@example.org")
    assert user
    assert len(identities.list(conn, user.id)) == 1
