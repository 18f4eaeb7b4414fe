"""What the application is given from outside: where it runs, and the keys that are never in the database."""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from authsql import Policy, RelyingParty
from authsql.access_tokens import AccessTokenKeys
from authsql.keyring import Keyring


@dataclass(frozen=True)
class Settings:
    """One object for the whole application. In production the keys come from a secret store."""

    database_url: str
    origin: str = "http://localhost:8000"
    """Scheme, host and port as the browser sees them."""
    code_key: bytes = field(repr=False, default_factory=lambda: secrets.token_bytes(32))
    csrf_key: bytes = field(repr=False, default_factory=lambda: secrets.token_bytes(32))
    sign_key: bytes = field(repr=False, default_factory=lambda: secrets.token_bytes(32))
    keyring: Keyring = field(default_factory=lambda: Keyring({"1": secrets.token_bytes(32)}, "1"))
    token_keys: AccessTokenKeys = field(
        repr=False, default_factory=lambda: AccessTokenKeys({"1": secrets.token_bytes(32)}, current="1")
    )
    policy: Policy = field(default_factory=Policy)
    sender: str = "authsql example <no-reply@example.org>"
    name: str = "authsql example"
    admin: str | None = None
    """Who signs up with this address may give roles to others."""

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https://")

    @property
    def relying_party(self) -> RelyingParty:
        return RelyingParty(
            id=urlsplit(self.origin).hostname or "localhost", name=self.name, origins=(self.origin,)
        )

    def sign(self, *parts: str) -> str:
        """A mark that only this application can make of these words. The first says what for."""
        return hmac.new(self.sign_key, json.dumps(parts).encode(), "sha256").hexdigest()

    def is_signed(self, mark: str, *parts: str) -> bool:
        return self.is_same(mark, self.sign(*parts))

    @staticmethod
    def is_same(given: str, right: str) -> bool:
        """Compare in a time that tells nothing."""
        return hmac.compare_digest(given.encode(), right.encode())
