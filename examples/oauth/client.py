"""The OAuth client, which is Authlib's: the way to a provider, and what a callback proves.

Knows nothing of accounts. What it hands out has been verified: state, PKCE, issuer, audience, signature,
nonce (OpenID Connect Core 3.1.3.7, RFC 9700).
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

ALGORITHMS = ("RS256", "ES256", "EdDSA")
ATTEMPT_SECONDS = 600
ATTEMPTS_MAX = 10_000
LEEWAY = 60


class NotAccepted(Exception):
    """What came is not what a provider would say, or not the answer to a question of this browser's."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider, under the name that authsql keeps its identities by."""

    name: str
    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    scope: str = "openid email profile"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody has been sent to a provider."""

    provider: str
    state: str
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    link_to: UUID | None
    """The account that asks for another identity. None: somebody signs in."""
    begun: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said, verified."""

    provider: str
    claims: Mapping[str, Any]
    token: Mapping[str, Any] = field(repr=False)
    link_to: UUID | None


class Client:
    """A client at several providers. Keeps the attempts of one process; several processes would share them
    in a cache, or give each browser its own in an encrypted cookie.
    """

    def __init__(self, providers: list[Provider], base_url: str) -> None:
        self.providers = {provider.name: provider for provider in providers}
        self._base_url = base_url
        self._metadata: dict[str, dict[str, Any]] = {}
        self._attempts: dict[str, Attempt] = {}

    async def begin(self, name: str, link_to: UUID | None = None) -> tuple[str, str]:
        """The URL to send a browser to, and the state to bind to that browser. Raises NotAccepted."""
        provider = self.providers[name]
        metadata = await self._discover(provider)
        secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        attempt = Attempt(name, *secret, link_to)
        while len(self._attempts) >= ATTEMPTS_MAX:
            del self._attempts[next(iter(self._attempts))]
        self._attempts[attempt.state] = attempt
        async with self._session(provider) as session:
            url, _ = session.create_authorization_url(
                metadata["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.code_verifier,
            )
        return url, attempt.state

    async def finish(self, name: str, query: Mapping[str, str], bound_state: str | None) -> Answer:
        """What the provider says of who comes back. Raises NotAccepted.

        query is that of the callback, bound_state the state that this browser was given.
        """
        state = query.get("state", "")
        if not bound_state or not hmac.compare_digest(state.encode(), bound_state.encode()):
            raise NotAccepted("the state is not this browser's")
        # Taken, not looked up: it is good once (RFC 9700, 2.1).
        attempt = self._attempts.pop(state, None)
        if attempt is None or attempt.provider != name:
            raise NotAccepted("the state is unknown, or was used")
        if time.monotonic() - attempt.begun > ATTEMPT_SECONDS:
            raise NotAccepted("the attempt is too old")
        provider = self.providers[name]
        metadata = await self._discover(provider)
        # RFC 9207: an answer of another provider does not get as far as this one's token endpoint.
        if query.get("iss", metadata["issuer"]) != metadata["issuer"]:
            raise NotAccepted("the answer is another issuer's")
        if "error" in query or "code" not in query:
            raise NotAccepted("the provider gave no code")
        async with self._session(provider) as session:
            try:
                token = await session.fetch_token(
                    metadata["token_endpoint"],
                    code=query["code"],
                    grant_type="authorization_code",
                    code_verifier=attempt.code_verifier,
                )
                keys = KeySet.import_key_set((await _get(metadata["jwks_uri"])).json())
                claims = _verified(token, keys, metadata["issuer"], provider.client_id, attempt.nonce)
            except (OAuthError, JoseError, httpx.HTTPError, ValueError, KeyError) as error:
                # Not its text: it may hold what the provider answered.
                raise NotAccepted(f"the answer does not hold: {type(error).__name__}") from error
        return Answer(name, claims, token, attempt.link_to)

    def _session(self, provider: Provider) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            provider.client_id,
            provider.client_secret,
            scope=provider.scope,
            # One for each provider: an answer cannot be taken for another's (RFC 9700, 4.4.2.2).
            redirect_uri=f"{self._base_url}/callback/{provider.name}",
            code_challenge_method="S256",
            timeout=10,
        )

    async def _discover(self, provider: Provider) -> dict[str, Any]:
        if provider.name not in self._metadata:
            try:
                found = (await _get(f"{provider.issuer}/.well-known/openid-configuration")).json()
            except (httpx.HTTPError, ValueError) as error:
                raise NotAccepted("the provider cannot be reached") from error
            if found.get("issuer") != provider.issuer:
                raise NotAccepted("the provider's metadata is another issuer's")
            self._metadata[provider.name] = found
        return self._metadata[provider.name]


async def _get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=10) as client:
        return (await client.get(url)).raise_for_status()


def _verified(
    token: Mapping[str, Any], keys: KeySet, issuer: str, client_id: str, nonce: str
) -> Mapping[str, Any]:
    """The claims of an ID token that is this issuer's, for this client, and the answer to this question."""
    decoded = jwt.decode(token["id_token"], keys, algorithms=ALGORITHMS)
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": client_id},
            "nonce": {"essential": True, "value": nonce},
        },
        {"nonce": nonce, "client_id": client_id, "access_token": token["access_token"]},
    )
    claims.validate(leeway=LEEWAY)
    return dict(decoded.claims)
