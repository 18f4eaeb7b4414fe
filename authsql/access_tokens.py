"""Access tokens: short-lived JWTs that say who is signed in, for services that cannot ask the database each
time. Needs the extra `jwt`.

    keys = AccessTokenKeys({"2026-11": pem}, current="2026-11")
    token = access_tokens.issue(session, keys, issuer="https://example.org", audience="https://api.example.org")
    found = access_tokens.verify(token, keys, issuer="https://example.org", audience="https://api.example.org")

They follow RFC 9068 (`at+jwt`), which wants a claim `client_id` on top where there are clients: give it in
`claims`. A token is good until it expires, 15 minutes if not told otherwise, also when its session has been
ended meanwhile. Who has to know asks `sessions.is_live(conn, found.session_id)`.

To rotate keys: add the new key everywhere, as one that verifies; make it current; take the old one away
when the last token under it has expired. Services that verify need public keys only: `jwks(keys)` for those
elsewhere, `AccessTokenKeys({"2026-11": public_pem})` here. The clock is the application's.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from authsql import _input
from authsql._signing_keys import AccessTokenKeys, checked
from authsql.errors import InvalidInput
from authsql.models import AccessToken, NewSession, Reason, Refusal, RotatedToken, Session

__all__ = ["AccessTokenKeys", "issue", "jwks", "verify"]

TYPE = "at+jwt"
LENGTH_MAX = 8192
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_AAL = re.compile(r"aal([123])")
_OURS = frozenset({"iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "acr", "auth_time"})
_LATEST = 253_402_300_799  # the last second of the year 9999
# What PyJWT raises, by name: it is imported where it is needed.
_REFUSALS = {
    "ExpiredSignatureError": Refusal(Reason.EXPIRED),
    "ImmatureSignatureError": Refusal(Reason.NOT_YET),
    "InvalidSignatureError": Refusal(Reason.INVALID, detail="signature"),
    "InvalidIssuerError": Refusal(Reason.INVALID, detail="issuer"),
    "InvalidAudienceError": Refusal(Reason.INVALID, detail="audience"),
}
_BAD_CLAIMS = Refusal(Reason.MALFORMED, detail="claims")


def issue(
    session: Session | NewSession | RotatedToken,
    keys: AccessTokenKeys,
    *,
    issuer: str,
    audience: str,
    lifetime: timedelta = timedelta(minutes=15),
    claims: Mapping[str, object] | None = None,
) -> str:
    """An access token for a live session, or for one whose refresh token was just rotated.

    Its claims: iss, aud, sub (the user's id), sid (the session's), jti, iat, nbf, exp, acr (aal1 to aal3),
    auth_time (when the user last proved who they are), and those given, which cannot be any of these. It does
    not outlive its session. Raises InvalidInput, also for more than 8192 characters.
    """
    jwt = _jwt()
    name, key = checked(keys).signing()
    signed_in, session_id, end = _session(session)
    span, now = _span("lifetime", lifetime, timedelta(seconds=1), timedelta(days=1)), _now()
    payload = _extra(claims) | {
        "iss": _input.text("issuer", issuer, 255),
        "aud": _input.text("audience", audience, 255),
        "sub": str(signed_in.user_id),
        "sid": str(session_id),
        "jti": str(uuid4()),
        "iat": now,
        "nbf": now,
        "exp": min(now + int(span.total_seconds()), int(end.timestamp())),
        "acr": f"aal{signed_in.aal}",
        "auth_time": int(signed_in.authenticated_at.timestamp()),
    }
    token: str = jwt.encode(payload, key.signs, algorithm=key.algorithm, headers={"typ": TYPE, "kid": name})
    if len(token) > LENGTH_MAX:
        raise InvalidInput(f"an access token has at most {LENGTH_MAX} characters: give fewer claims")
    return token


def verify(
    token: str,
    keys: AccessTokenKeys,
    *,
    issuer: str,
    audience: str,
    leeway: timedelta = timedelta(0),
) -> AccessToken | Refusal:
    """Check an access token, without asking anybody (RFC 9068, 4; RFC 8725, 3.1). All of it: type, algorithm,
    signature, issuer, audience, times, and that no claim is missing.

    leeway is how far the clocks of issuer and verifier may differ, up to 5 minutes. Refused: EXPIRED,
    NOT_YET, UNKNOWN (no key of that name), INVALID (`detail`: type, algorithm, signature, issuer,
    audience), MALFORMED. Answer all of them alike to whoever asks.
    """
    jwt = _jwt()
    known, span = checked(keys), _span("leeway", leeway, timedelta(0), timedelta(minutes=5))
    wanted = {
        "issuer": _input.text("issuer", issuer, 255),
        "audience": _input.text("audience", audience, 255),
    }
    if not _is_compact(token):
        return Refusal(Reason.MALFORMED)
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, RecursionError):
        return Refusal(Reason.MALFORMED, detail="header")
    kind, name = header.get("typ"), header.get("kid")
    # RFC 9068, 4: both spellings. Nothing that would have to be understood is (RFC 7515, 4.1.11).
    if not isinstance(kind, str) or kind.lower() not in {TYPE, f"application/{TYPE}"} or "crit" in header:
        return Refusal(Reason.INVALID, detail="type")
    key = known.named(name)
    if key is None:
        return Refusal(Reason.UNKNOWN, detail="key")
    if header.get("alg") != key.algorithm:
        return Refusal(Reason.INVALID, detail="algorithm")
    try:
        payload = jwt.decode(
            token,
            key.verifies,
            algorithms=[key.algorithm],
            leeway=span,
            options={"require": sorted(_OURS)},
            **wanted,
        )
    except jwt.PyJWTError as error:
        return _REFUSALS.get(type(error).__name__, _BAD_CLAIMS)
    return _read(payload) or _BAD_CLAIMS


def jwks(keys: AccessTokenKeys) -> dict[str, list[dict[str, Any]]]:
    """The public keys, as a service publishes them for others (RFC 7517). Never a private one, nor a
    secret.
    """
    jwt, found = _jwt(), []
    for name, key in checked(keys).public():
        made = jwt.get_algorithm_by_name(key.algorithm).to_jwk(key.verifies, as_dict=True)
        public = {part: made[part] for part in ("kty", "crv", "x", "y", "n", "e") if part in made}
        found.append({**public, "kid": name, "alg": key.algorithm, "use": "sig"})
    return {"keys": found}


def _jwt() -> Any:
    try:
        import jwt
    except ImportError as error:
        raise ImportError("access tokens need some more packages: pip install 'authsql[jwt]'") from error
    return jwt


def _now() -> int:
    return int(time.time())


def _session(given: object) -> tuple[Session | RotatedToken, UUID, datetime]:
    """Who is signed in, the session's id, and until when at the most."""
    if isinstance(given, NewSession):
        given = given.session
    if isinstance(given, Session):
        return given, given.id, given.absolute_expires_at
    if isinstance(given, RotatedToken):
        return given, given.session_id, given.expires_at
    raise InvalidInput("session is a Session, a NewSession or a RotatedToken")


def _span(what: str, value: object, least: timedelta, most: timedelta) -> timedelta:
    if not isinstance(value, timedelta) or not least <= value <= most:
        raise InvalidInput(f"{what} is a time span from {least} to {most}")
    return value


def _is_compact(token: object) -> bool:
    return isinstance(token, str) and len(token) <= LENGTH_MAX and _COMPACT.fullmatch(token) is not None


def _extra(claims: object) -> dict[str, Any]:
    document = json.loads(_input.json_object("claims", claims) or "{}")
    if _OURS & document.keys():
        raise InvalidInput("claims has none of those that every token has")
    return dict(document)


def _read(payload: dict[str, Any]) -> AccessToken | None:
    """The claims, each of the type that it is to have, or None."""
    level = _AAL.fullmatch(payload["acr"]) if isinstance(payload["acr"], str) else None
    times = [payload[name] for name in ("iat", "exp", "auth_time", "nbf")]
    if level is None or any(type(at) is not int or not 0 <= at <= _LATEST for at in times):
        return None
    try:
        user_id, session_id, token_id = (UUID(payload[name]) for name in ("sub", "sid", "jti"))
    except (ValueError, TypeError, AttributeError):
        return None
    issued, expires, authenticated, _ = (datetime.fromtimestamp(at, UTC) for at in times)
    return AccessToken(user_id, session_id, token_id, issued, expires, authenticated, int(level[1]), payload)
