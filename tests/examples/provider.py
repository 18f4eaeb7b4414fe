"""An OpenID provider of the tests' own: discovery, consent without a question, tokens, keys, userinfo.

It is as strict as one has to be: a code is good once, for who asked, with the right verifier. What it says of
the next who signs in is `claims`; `tampered` is what a provider must not do.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID = "the-example"
CLIENT_SECRET = "known to the example and to the provider"


class Provider:
    """A provider at an address of its own."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        self.claims: dict[str, Any] = {}
        self.tampered: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.signed_with: RSAKey | None = None
        self.answers: dict[str, str] = {}
        """Added to the query of the callback."""
        self.issued: list[str] = []
        """Every token that it gave out."""
        self._codes: dict[str, dict[str, str]] = {}
        self._access: dict[str, dict[str, Any]] = {}

    def asgi(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.discovery),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/jwks", self.jwks),
                Route("/userinfo", self.userinfo),
            ]
        )

    def discovery(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                **{
                    f"{name}_endpoint": f"{self.issuer}/{path}"
                    for name, path in (
                        ("authorization", "authorize"),
                        ("token", "token"),
                        ("userinfo", "userinfo"),
                    )
                },
                "jwks_uri": f"{self.issuer}/jwks",
                "response_types_supported": ["code"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                **self.metadata,
            }
        )

    def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert {"openid", "email"} <= set(asked["scope"].split())
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        query = {"code": code, "state": asked["state"], "iss": self.issuer} | self.answers
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(query)}", status_code=302)

    async def token(self, request: Request) -> Response:
        form = await request.form()
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        asked = self._codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            asked is None
            or form["grant_type"] != "authorization_code"
            or form.get("redirect_uri") != asked["redirect_uri"]
            or not secrets.compare_digest(challenge, asked["code_challenge"])
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        access, refresh = f"access.{secrets.token_urlsafe()}", f"refresh.{secrets.token_urlsafe()}"
        half = hashlib.sha256(access.encode()).digest()[:16]
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
            **self.claims,
            **self.tampered,
        }
        header = {"alg": "RS256", "kid": self.key.kid}
        id_token = jwt.encode(header, {k: v for k, v in claims.items() if v is not None}, self._signer())
        self._access[access] = self.claims
        self.issued += [access, refresh, id_token]
        return JSONResponse(
            {
                "access_token": access,
                "refresh_token": refresh,
                "id_token": id_token,
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": asked["scope"],
            }
        )

    def _signer(self) -> RSAKey:
        return self.signed_with or self.key

    def jwks(self, _: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    def userinfo(self, request: Request) -> Response:
        access = request.headers.get("authorization", "").removeprefix("Bearer ")
        if access not in self._access:
            return JSONResponse({"error": "invalid_token"}, status_code=401)
        return JSONResponse(self._access[access])


@contextmanager
def running() -> Iterator[Provider]:
    """A provider that answers on 127.0.0.1, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    provider = Provider(f"http://127.0.0.1:{listener.getsockname()[1]}")
    server = uvicorn.Server(
        uvicorn.Config(provider.asgi(), ws="none", log_level="error", lifespan="off", log_config=None)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def main() -> None:
    """Serve one for whoever wants to try the example by hand."""
    print(f"{CLIENT_ID=} {CLIENT_SECRET=}")  # they open nothing but this
    with running() as provider:
        provider.claims = {"sub": "1", "email": "ann@example.org", "email_verified": True, "name": "Ann"}
        print(f"issuer {provider.issuer}; the return key ends it", flush=True)
        input()


if __name__ == "__main__":
    main()
