"""The ceremonies of WebAuthn, done by the library `webauthn`. No I/O: what is kept is kept by `passkeys`.

Whatever a client sends, what comes of it is a result or None: the library raises a dozen kinds of errors, and
those of the parsers below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final
from uuid import UUID

from authsql import _input
from authsql._extras import needs
from authsql.errors import InvalidInput

if TYPE_CHECKING:
    from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
    from webauthn.helpers.structs import (
        AuthenticationCredential,
        PublicKeyCredentialDescriptor,
        RegistrationCredential,
    )
    from webauthn.registration.verify_registration_response import VerifiedRegistration

Requirement = Literal["required", "preferred", "discouraged"]
REQUIREMENTS = ("required", "preferred", "discouraged")
CREDENTIAL_MAX, PUBLIC_KEY_MAX, JSON_MAX = 1023, 4096, 65_536


@final
@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks for a passkey: `RelyingParty("example.org", "Example", ("https://example.org",))`."""

    id: str
    """The domain that passkeys belong to, without scheme or port."""
    name: str
    """What the browser shows."""
    origins: tuple[str, ...]
    """Where the pages are that may ask: scheme, host, and a port that is not the usual one."""

    def __post_init__(self) -> None:
        _input.text("RelyingParty.id", self.id, 253)
        _input.text("RelyingParty.name", self.name, 100)
        if "/" in self.id or ":" in self.id:
            raise InvalidInput("RelyingParty.id is a domain, without scheme or port")
        origins: object = self.origins
        if not isinstance(origins, tuple) or not origins:
            raise InvalidInput("RelyingParty.origins is a tuple with at least one origin")
        for origin in self.origins:
            if ":" not in _input.text("RelyingParty.origins", origin, 300) or origin.endswith("/"):
                raise InvalidInput("an origin is https://host, without a slash after it")


def relying_party(value: object) -> RelyingParty:
    """A RelyingParty, and the library that works for it: it is asked for before anything is sent."""
    if not isinstance(value, RelyingParty):
        raise InvalidInput("relying_party is a RelyingParty")
    with needs("webauthn"):
        import webauthn  # noqa: F401
    return value


def requirement(what: str, value: object) -> str:
    if not isinstance(value, str) or value not in REQUIREMENTS:
        raise InvalidInput(f"{what} is required, preferred or discouraged")
    return value


@dataclass(frozen=True, slots=True)
class Answer:
    """What an authenticator sent, taken apart and not yet checked."""

    credential: Any
    challenge: bytes
    origin: object
    is_framed: bool

    @property
    def transports(self) -> list[str]:
        """How a new authenticator can be reached, by its own words, of those that the library knows."""
        return sorted({each.value for each in self.credential.response.transports or ()})

    def is_from(self, party: RelyingParty) -> bool:
        """Whether a page of ours asked for it, and not from within another site's."""
        return self.origin in party.origins and not self.is_framed


def registration_options(
    party: RelyingParty,
    challenge: bytes,
    *,
    user_id: UUID,
    account: str,
    display_name: str | None,
    user_verification: str,
    discoverable: str,
    milliseconds: int,
    known: Iterable[Mapping[str, Any]],
) -> str:
    """JSON for `navigator.credentials.create()`. The user handle is the user's id: it names nobody."""
    import webauthn
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    selection = AuthenticatorSelectionCriteria(
        resident_key=ResidentKeyRequirement(discoverable),
        user_verification=UserVerificationRequirement(user_verification),
    )
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=user_id.bytes,
        user_name=account,
        user_display_name=display_name,
        challenge=challenge,
        timeout=milliseconds,
        authenticator_selection=selection,
        exclude_credentials=[_descriptor(row) for row in known],
    )
    return webauthn.options_to_json(options)


def authentication_options(
    party: RelyingParty,
    challenge: bytes,
    *,
    user_verification: str,
    milliseconds: int,
    known: Iterable[Mapping[str, Any]],
) -> str:
    """JSON for `navigator.credentials.get()`."""
    import webauthn
    from webauthn.helpers.structs import UserVerificationRequirement

    options = webauthn.generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        timeout=milliseconds,
        allow_credentials=[_descriptor(row) for row in known],
        user_verification=UserVerificationRequirement(user_verification),
    )
    return webauthn.options_to_json(options)


def read_registration(credential: object) -> Answer | None:
    """What `navigator.credentials.create()` gave, as JSON. None: it cannot be that."""
    from webauthn.helpers import parse_registration_credential_json

    return _read(parse_registration_credential_json, credential)


def read_authentication(credential: object) -> Answer | None:
    """What `navigator.credentials.get()` gave, as JSON. None: it cannot be that."""
    from webauthn.helpers import parse_authentication_credential_json

    return _read(parse_authentication_credential_json, credential)


def check_registration(answer: Answer, party: RelyingParty) -> VerifiedRegistration | None:
    """Check a new credential for the challenge that was found in it, which the caller has spent."""
    import webauthn

    credential: RegistrationCredential = answer.credential
    try:
        found = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=answer.challenge,
            expected_rp_id=party.id,
            expected_origin=[*party.origins],
        )
    except Exception:  # noqa: BLE001  # see the top
        return None
    fits = len(found.credential_id) <= CREDENTIAL_MAX and len(found.credential_public_key) <= PUBLIC_KEY_MAX
    return found if fits and found.credential_id == credential.raw_id else None


def check_authentication(
    answer: Answer, party: RelyingParty, public_key: bytes
) -> VerifiedAuthentication | None:
    """Check a signature over the challenge that was found with it, which the caller has spent. Not the
    counter: the database compares it, once the signature is known to be right.
    """
    import webauthn

    credential: AuthenticationCredential = answer.credential
    try:
        return webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=answer.challenge,
            expected_rp_id=party.id,
            expected_origin=[*party.origins],
            credential_public_key=public_key,
            credential_current_sign_count=0,
        )
    except Exception:  # noqa: BLE001  # see the top
        return None


def _read(parse: Any, credential: object) -> Answer | None:
    from webauthn.helpers import parse_client_data_json

    if isinstance(credential, Mapping):
        credential = dict(credential)
    elif not isinstance(credential, str):
        raise InvalidInput("credential is the browser's answer, as JSON text or as a mapping")
    elif len(credential) > JSON_MAX:
        return None
    try:
        parsed = parse(credential)
        client = parse_client_data_json(parsed.response.client_data_json)
        return Answer(parsed, client.challenge, client.origin, client.cross_origin is True)
    except Exception:  # noqa: BLE001  # see the top
        return None


def _descriptor(row: Mapping[str, Any]) -> PublicKeyCredentialDescriptor:
    from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor

    known = {each.value for each in AuthenticatorTransport}
    transports = [AuthenticatorTransport(each) for each in row["transports"] if each in known]
    return PublicKeyCredentialDescriptor(id=row["credential"], transports=transports)
