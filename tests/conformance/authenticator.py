"""An authenticator in software: it answers the options of real ceremonies as a browser with a passkey does.

Keys are ES256 (P-256), attestation is "none", as the options ask for. What it does can be bent for a test:
the origin, the flags, the counter.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

ORIGIN = "https://example.org"
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40


def encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Credential:
    """What an authenticator keeps of a passkey."""

    id: bytes
    key: ec.EllipticCurvePrivateKey
    rp_id: str
    user_handle: bytes
    count: int


@dataclass
class Authenticator:
    """Passkeys of one device."""

    counts: bool = True
    """Whether its counter goes up, as that of a security key; that of a synced passkey stays 0."""
    verifies: bool = True
    """Whether it asks for a PIN or a biometric."""
    is_synced: bool = False
    """Whether its keys can be copied, and are."""
    is_backed_up: bool = True
    present: bool = True
    origin: str = ORIGIN
    rp_id: str | None = None
    """Instead of the one that the options name."""
    id_size: int = 32
    aaguid: bytes = bytes(16)
    client_data: dict[str, Any] = field(default_factory=dict)
    """Further members of the client data, or others instead."""
    credentials: list[Credential] = field(default_factory=list)

    def create(self, options: str) -> dict[str, Any]:
        """Answer as `navigator.credentials.create()` does."""
        asked = json.loads(options)
        excluded = {decode(each["id"]) for each in asked["excludeCredentials"]}
        assert not excluded & {each.id for each in self.credentials}, "a browser would not"
        key = ec.generate_private_key(ec.SECP256R1())
        made = Credential(
            secrets.token_bytes(self.id_size), key, asked["rp"]["id"], decode(asked["user"]["id"]), 0
        )
        self.credentials.append(made)
        return self.register(made, asked["challenge"])

    def register(self, made: Credential, challenge: str) -> dict[str, Any]:
        """Answer with a credential that may be registered elsewhere already."""
        data = self._data(made, ATTESTED)
        data += self.aaguid + len(made.id).to_bytes(2) + made.id + public_key(made.key)
        client = self._client("webauthn.create", challenge)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return {
            "id": encode(made.id),
            "rawId": encode(made.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(client),
                "attestationObject": encode(attestation),
                "transports": ["internal", "hybrid", "a-new-one"],
            },
        }

    def get(self, options: str, credential: Credential | None = None) -> dict[str, Any]:
        """Answer as `navigator.credentials.get()` does, with the first passkey that fits or with this one."""
        asked = json.loads(options)
        allowed = {decode(each["id"]) for each in asked["allowCredentials"]}
        if credential is None:
            credential = next(each for each in self.credentials if not allowed or each.id in allowed)
        if self.counts:
            credential.count += 1
        data = self._data(credential, 0)
        client = self._client("webauthn.get", asked["challenge"])
        signature = credential.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return {
            "id": encode(credential.id),
            "rawId": encode(credential.id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(client),
                "authenticatorData": encode(data),
                "signature": encode(signature),
                "userHandle": encode(credential.user_handle),
            },
        }

    def _data(self, credential: Credential, flags: int) -> bytes:
        for flag, is_set in (
            (PRESENT, self.present),
            (VERIFIED, self.verifies),
            (ELIGIBLE, self.is_synced),
            (BACKED_UP, self.is_synced and self.is_backed_up),
        ):
            flags |= flag if is_set else 0
        rp_id = self.rp_id or credential.rp_id
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + credential.count.to_bytes(4)

    def _client(self, kind: str, challenge: str) -> bytes:
        data = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps({**data, **self.client_data}).encode()


def public_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """COSE_Key of an ES256 key (RFC 9053, 7.1)."""
    numbers = key.public_key().public_numbers()
    return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)})
