"""Access tokens: what was issued is good, and whatever was changed about it is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from authsql import AccessToken, InvalidInput, Reason, Refusal, access_tokens
from authsql.access_tokens import AccessTokenKeys
from authsql.models import NewSession, RotatedToken, Session
from tests.support import DAY, HOUR, MINUTE, SECOND, refused

ISSUER, AUDIENCE = "https://example.org", "https://api.example.org"


def now() -> datetime:
    """In whole seconds, as tokens have it."""
    return datetime.now(UTC).replace(microsecond=0)


# When the tests began to be collected: the first of them may run much later.
NOW = now()
SECRET = bytes(range(32))
ED, EC, RSA = (
    ed25519.Ed25519PrivateKey.generate(),
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(65537, 2048),
)
SESSION = Session(
    id=uuid4(),
    user_id=uuid4(),
    ip=None,
    user_agent=None,
    device=None,
    aal=2,
    created_at=NOW,
    authenticated_at=NOW - HOUR,
    last_seen_at=NOW,
    expires_at=NOW + DAY,
    absolute_expires_at=NOW + 30 * DAY,
)
KINDS: dict[str, Any] = {"EdDSA": ED, "ES256": EC, "RS256": RSA, "HS256": SECRET}


def keyset(kind: str = "EdDSA") -> AccessTokenKeys:
    return AccessTokenKeys({"k1": KINDS[kind]}, "k1")


def issue(keys: AccessTokenKeys, session: Any = SESSION, **options: Any) -> str:
    return access_tokens.issue(session, keys, **{"issuer": ISSUER, "audience": AUDIENCE, **options})


def verify(token: Any, keys: AccessTokenKeys, **options: Any) -> AccessToken | Refusal:
    return access_tokens.verify(token, keys, **{"issuer": ISSUER, "audience": AUDIENCE, **options})


def good(token: Any, keys: AccessTokenKeys, **options: Any) -> AccessToken:
    found = verify(token, keys, **options)
    assert isinstance(found, AccessToken), found
    return found


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def public_pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(token: str, number: int) -> dict[str, Any]:
    body = token.split(".")[number]
    found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    assert isinstance(found, dict)
    return found


def hmac_signed(header: object, payload: object, key: bytes) -> str:
    """A token made by hand, without any library's opinion of it."""
    head = ".".join(b64(json.dumps(each).encode()) for each in (header, payload))
    return f"{head}.{b64(hmac.digest(key, head.encode(), hashlib.sha256))}"


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind: str) -> None:
    keys = keyset(kind)
    before = now()
    token = issue(keys)
    found = good(token, keys)
    assert found.user_id == SESSION.user_id
    assert found.session_id == SESSION.id
    assert found.aal == 2
    assert found.authenticated_at == SESSION.authenticated_at
    assert before <= found.issued_at <= now()
    assert found.expires_at - found.issued_at == 15 * MINUTE
    assert found.issued_at.utcoffset() == timedelta(0)
    assert part(token, 0) == {"alg": kind, "kid": "k1", "typ": "at+jwt"}
    claims = part(token, 1)
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(SESSION.user_id),
        "sid": str(SESSION.id),
        "jti": str(found.token_id),
        "iat": int(found.issued_at.timestamp()),
        "nbf": int(found.issued_at.timestamp()),
        "exp": int(found.expires_at.timestamp()),
        "acr": "aal2",
        "auth_time": int(SESSION.authenticated_at.timestamp()),
    }
    assert found.claims == claims
    assert str(SESSION.user_id) not in str(found.claims.keys())


def test_each_has_an_id_of_its_own() -> None:
    keys = keyset()
    assert len({good(issue(keys), keys).token_id for _ in range(50)}) == 50


def test_what_it_can_be_issued_for() -> None:
    keys = keyset()
    rotated = RotatedToken("rfsh_", uuid4(), uuid4(), 1, NOW - DAY, 3, NOW + DAY)
    found = good(issue(keys, rotated), keys)
    assert (found.user_id, found.session_id, found.aal) == (rotated.user_id, rotated.session_id, 1)
    assert found.authenticated_at == NOW - DAY
    assert good(issue(keys, NewSession("sess_", SESSION)), keys).session_id == SESSION.id
    for other in (None, "sess_", uuid4(), {"id": 1}):
        with pytest.raises(InvalidInput):
            issue(keys, other)


def test_claims_of_the_application() -> None:
    keys = keyset()
    claims = {"client_id": "web", "roles": ["admin"], "n": 1}
    found = good(issue(keys, claims=claims), keys)
    assert {name: found.claims[name] for name in claims} == claims
    for bad in (
        {"sub": "x"},
        {"exp": 1},
        {"acr": "aal3"},
        {1: 2},
        {"a": object()},
        ["a"],
        "a",
        {"a": "x" * 20_000},
    ):
        with pytest.raises(InvalidInput):
            issue(keys, claims=bad)
    with pytest.raises(InvalidInput, match="8192"):
        issue(keys, claims={"a": "x" * 7000})


@pytest.mark.parametrize("lifetime", [timedelta(0), -MINUTE, DAY + SECOND, 900, None])
def test_lifetimes(lifetime: Any) -> None:
    with pytest.raises(InvalidInput):
        issue(keyset(), lifetime=lifetime)


def test_it_does_not_outlive_its_session() -> None:
    keys, moment = keyset(), now()
    ending = replace(SESSION, absolute_expires_at=moment + 5 * MINUTE)
    assert good(issue(keys, ending), keys).expires_at == moment + 5 * MINUTE
    refused(verify(issue(keys, replace(SESSION, absolute_expires_at=moment - MINUTE)), keys), Reason.EXPIRED)
    rotated = RotatedToken("rfsh_", uuid4(), uuid4(), 1, moment - DAY, 3, moment + MINUTE)
    assert good(issue(keys, rotated), keys).expires_at == moment + MINUTE


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(access_tokens, "_now", lambda: int(moment.timestamp()))


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, moment = keyset(), now()
    at(monkeypatch, moment - 15 * MINUTE)
    refused(verify(issue(keys), keys), Reason.EXPIRED)
    refused(verify(issue(keys), keys, leeway=timedelta(0)), Reason.EXPIRED)
    good(issue(keys), keys, leeway=MINUTE)
    at(monkeypatch, moment - 13 * MINUTE)
    good(issue(keys), keys)
    at(monkeypatch, moment + 2 * MINUTE)
    refused(verify(issue(keys), keys), Reason.NOT_YET)
    refused(verify(issue(keys), keys, leeway=MINUTE), Reason.NOT_YET)
    good(issue(keys), keys, leeway=3 * MINUTE)


@pytest.mark.parametrize("leeway", [-SECOND, 6 * MINUTE, 60, None])
def test_leeways(leeway: Any) -> None:
    with pytest.raises(InvalidInput):
        verify("x", keyset(), leeway=leeway)


def test_other_issuer_and_audience() -> None:
    keys = keyset()
    token = issue(keys)
    assert refused(verify(token, keys, issuer=ISSUER + "/"), Reason.INVALID).detail == "issuer"
    assert refused(verify(token, keys, audience=AUDIENCE + "/"), Reason.INVALID).detail == "audience"
    for name in ("issuer", "audience"):
        for bad in (None, "", [ISSUER], "x" * 256, b"x", "a\nb"):
            with pytest.raises(InvalidInput):
                verify(token, keys, **{name: bad})
            with pytest.raises(InvalidInput):
                issue(keys, **{name: bad})


@pytest.mark.parametrize("kind", KINDS)
def test_other_key_of_the_same_name(kind: str) -> None:
    other: dict[str, Any] = {
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "RS256": rsa.generate_private_key(65537, 2048),
        "HS256": bytes(32),
    }
    forged = issue(AccessTokenKeys({"k1": other[kind]}, "k1"))
    assert refused(verify(forged, keyset(kind)), Reason.INVALID).detail == "signature"


@pytest.mark.parametrize("kind", KINDS)
def test_any_changed_byte(kind: str) -> None:
    keys = keyset(kind)
    token = issue(keys)
    for position in range(0, len(token), 7):
        changed = "A" if token[position] != "A" else "B"
        forged = token[:position] + changed + token[position + 1 :]
        assert isinstance(verify(forged, keys), Refusal), position


def payload() -> dict[str, Any]:
    return part(issue(keyset()), 1)


def test_no_signature() -> None:
    keys = keyset()
    for algorithm in ("none", "None", "NONE", ""):
        header = {"alg": algorithm, "kid": "k1", "typ": "at+jwt"}
        head = ".".join(b64(json.dumps(each).encode()) for each in (header, payload()))
        for signature in ("", "AA", b64(bytes(64))):
            assert not verify(f"{head}.{signature}", keys)
    unsigned = jwt.encode(payload(), "", algorithm="none", headers={"typ": "at+jwt", "kid": "k1"})
    assert not verify(unsigned, keys)
    stripped = issue(keys).rpartition(".")[0] + "."
    refused(verify(stripped, keys), Reason.MALFORMED)


@pytest.mark.parametrize("kind", ["EdDSA", "ES256", "RS256"])
def test_a_public_key_is_no_secret(kind: str) -> None:
    """The classic: signed by HMAC, with the public key that everybody has as secret."""
    keys = keyset(kind)
    public = public_pem(KINDS[kind])
    for secret in (public, public.strip(), public + b"\0"):
        for algorithm in ("HS256", kind):
            forged = hmac_signed({"alg": algorithm, "kid": "k1", "typ": "at+jwt"}, payload(), secret)
            found = refused(verify(forged, keys), Reason.INVALID)
            assert found.detail == ("algorithm" if algorithm == "HS256" else "signature")
    as_bytes = AccessTokenKeys({"k1": public})
    assert repr(as_bytes) == f"AccessTokenKeys(k1 {kind}; current None)"


def test_the_algorithm_is_the_keys() -> None:
    """An RSA key that is told to verify PS256, and a secret that is told to verify HS512."""
    for kind, algorithm in (("RS256", "PS256"), ("RS256", "RS512"), ("HS256", "HS512"), ("ES256", "ES256K")):
        header = {"typ": "at+jwt", "kid": "k1"}
        try:
            forged = jwt.encode(payload(), KINDS[kind], algorithm=algorithm, headers=header)
        except (jwt.PyJWTError, TypeError, Warning):
            forged = hmac_signed({**header, "alg": algorithm}, payload(), SECRET)
        assert refused(verify(forged, keyset(kind)), Reason.INVALID).detail == "algorithm"


def signed(claims: dict[str, Any], **header: Any) -> str:
    headers = {"typ": "at+jwt", "kid": "k1", **header}
    return jwt.encode(claims, ED, algorithm="EdDSA", headers=headers)


@pytest.mark.parametrize("kind", ["JWT", "jwt", "id+jwt", "", "at", 7, ["at+jwt"], "application/jwt"])
def test_other_types(kind: Any) -> None:
    """A token that was issued for something else, such as an ID token (RFC 8725, 3.11)."""
    header = {"alg": "HS256", "kid": "k1", "typ": kind}
    forged = hmac_signed(header, payload(), SECRET)
    assert refused(verify(forged, keyset("HS256")), Reason.INVALID).detail == "type"


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_types_that_are_good(kind: str) -> None:
    good(signed(payload(), typ=kind), keyset())


def test_without_a_type() -> None:
    forged = hmac_signed({"alg": "HS256", "kid": "k1"}, payload(), SECRET)
    assert refused(verify(forged, keyset("HS256")), Reason.INVALID).detail == "type"


@pytest.mark.parametrize("kid", [None, "k2", "", "K1", 1, ["k1"], {"k1": 1}, "../k1"])
def test_other_key_names(kid: Any) -> None:
    header = {"alg": "HS256", "typ": "at+jwt", "kid": kid}
    found = verify(hmac_signed(header, payload(), SECRET), keyset("HS256"))
    assert isinstance(found, Refusal)
    assert found.reason in {Reason.UNKNOWN, Reason.MALFORMED}
    assert not verify(hmac_signed({"alg": "HS256", "typ": "at+jwt"}, payload(), SECRET), keyset("HS256"))


def test_a_key_in_the_header_is_not_used() -> None:
    eve = ed25519.Ed25519PrivateKey.generate()
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(eve.public_key()))
    headers = {"typ": "at+jwt", "kid": "k1", "jwk": jwk, "jku": "https://evil.example", "x5u": "https://x"}
    forged = jwt.encode(payload(), eve, algorithm="EdDSA", headers=headers)
    assert refused(verify(forged, keyset()), Reason.INVALID).detail == "signature"


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": 1}]
)
def test_extensions_that_it_does_not_know(header: dict[str, Any]) -> None:
    made = {"alg": "HS256", "typ": "at+jwt", "kid": "k1", **header}
    assert not verify(hmac_signed(made, payload(), SECRET), keyset("HS256"))


@pytest.mark.parametrize(
    "claim", ["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "acr", "auth_time"]
)
@pytest.mark.parametrize(
    "value", ["missing", None, "", "x", 7, -1, 1.5, True, [], {}, ["x"], 10**30, float("inf")], ids=repr
)
def test_claims_that_are_none(claim: str, value: Any) -> None:
    claims = payload()
    if value == "missing":
        del claims[claim]
    else:
        claims[claim] = value
    found = verify(
        hmac_signed({"alg": "HS256", "typ": "at+jwt", "kid": "k1"}, claims, SECRET), keyset("HS256")
    )
    if claim in {"auth_time", "iat", "nbf"} and value == 7:
        assert isinstance(found, AccessToken), "in 1970"
        return
    assert isinstance(found, Refusal), found
    assert found.reason in {Reason.MALFORMED, Reason.INVALID, Reason.EXPIRED, Reason.NOT_YET}


@pytest.mark.parametrize("body", [[], "x", 1, None, "not json"])
def test_payloads_that_are_none(body: Any) -> None:
    forged = hmac_signed({"alg": "HS256", "typ": "at+jwt", "kid": "k1"}, body, SECRET)
    refused(verify(forged, keyset("HS256")), Reason.MALFORMED)


def deep(levels: int) -> str:
    return b64(b"[" * levels + b"]" * levels)


@pytest.mark.parametrize(
    "token",
    [
        None,
        7,
        b"a.b.c",
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "a.b.c.d.e",
        " ",
        "x" * 10_000_000,
        "\ud800.a.b",
        "\u00e4.a.b",
        "A A.b.c",
        "e30=.e30=.AA==",
        "e30.e30.AA",
        "bnVsbA.e30.AA",
        "W10.e30.AA",
        f"{deep(2500)}.e30.AA",
        f"{b64(b'{' + b' ' * 5000 + b'}')}.e30.AA",
        f"{b64(b'1' * 5000)}.e30.AA",
        f"{b64(bytes([255]) * 9)}.e30.AA",
    ],
    ids=lambda token: repr(token)[:20],
)
def test_what_is_no_token(token: Any) -> None:
    for kind in KINDS:
        found = verify(token, keyset(kind))
        assert isinstance(found, Refusal)
        assert found.reason in {Reason.MALFORMED, Reason.INVALID}


def test_a_deep_payload() -> None:
    head = f"{b64(json.dumps({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'k1'}).encode())}.{deep(2500)}"
    forged = f"{head}.{b64(hmac.digest(SECRET, head.encode(), 'sha256'))}"
    refused(verify(forged, keyset("HS256")), Reason.MALFORMED)


def test_a_token_that_is_too_long() -> None:
    keys = keyset("HS256")
    header = {"alg": "HS256", "typ": "at+jwt", "kid": "k1"}
    assert isinstance(verify(hmac_signed(header, payload() | {"a": "x" * 5500}, SECRET), keys), AccessToken)
    refused(verify(hmac_signed(header, payload() | {"a": "x" * 6500}, SECRET), keys), Reason.MALFORMED)


def test_white_space_around_it() -> None:
    keys = keyset()
    token = issue(keys)
    for other in (token + "\n", " " + token, token + "=", "Bearer " + token):
        refused(verify(other, keys), Reason.MALFORMED)


def test_rotation() -> None:
    """A new key is known before it is used, and the old one is taken away when its last token has expired."""
    old = AccessTokenKeys({"a": ED}, "a")
    before = AccessTokenKeys({"a": ED, "b": EC.public_key()}, "a")
    after = AccessTokenKeys({"a": ED, "b": EC}, "b")
    new = AccessTokenKeys({"b": EC}, "b")
    first, second = issue(old), issue(after)
    for keys in (old, before, after):
        good(first, keys)
    for keys in (before, after, new):
        good(second, keys)
    refused(verify(first, new), Reason.UNKNOWN)
    refused(verify(second, old), Reason.UNKNOWN)


def test_who_only_verifies_cannot_issue() -> None:
    token = issue(keyset())
    public = AccessTokenKeys({"k1": public_pem(ED).decode()})
    good(token, public)
    with pytest.raises(InvalidInput):
        issue(public)
    with pytest.raises(InvalidInput):
        AccessTokenKeys({"k1": public_pem(ED)}, "k1")


@pytest.mark.parametrize("kind", ["EdDSA", "ES256", "RS256"])
def test_keys_in_pem(kind: str) -> None:
    for written in (pem(KINDS[kind]), pem(KINDS[kind]).decode(), b"\n" + pem(KINDS[kind])):
        keys = AccessTokenKeys({"k1": written}, "k1")
        good(issue(keys), keyset(kind))


def locked(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")))


def bad_keys() -> list[tuple[str, Callable[[], Any]]]:
    return [
        ("short secret", lambda: bytes(31)),
        ("text", lambda: "x" * 40),
        ("nothing", lambda: None),
        ("other curve", lambda: ec.generate_private_key(ec.SECP384R1())),
        ("other curve, k1", lambda: ec.generate_private_key(ec.SECP256K1())),
        ("ed448", ed448.Ed448PrivateKey.generate),
        ("short RSA", lambda: rsa.generate_private_key(65537, 1024)),
        ("encrypted", lambda: locked(ED)),
        ("cut", lambda: pem(ED)[:60]),
        ("no PEM", lambda: b"-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n"),
        ("certificate", lambda: b"-----BEGIN CERTIFICATE-----\nhush\n-----END CERTIFICATE-----\n"),
    ]


@pytest.mark.parametrize(("name", "make"), bad_keys(), ids=lambda value: str(value)[:20])
def test_bad_keys(name: str, make: Callable[[], Any]) -> None:
    assert name
    with pytest.raises(InvalidInput) as raised:
        AccessTokenKeys({"k1": make()})
    assert raised.value.__cause__ is None
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "a b", "\u00e4", "x" * 33, 7, None])
def test_bad_names(name: Any) -> None:
    with pytest.raises(InvalidInput):
        AccessTokenKeys({name: SECRET})
    with pytest.raises(InvalidInput):
        AccessTokenKeys({"k1": SECRET}, "k2")


@pytest.mark.parametrize("keys", [None, {}, {"k1": SECRET}, SECRET, Ellipsis])
def test_keys_that_are_none(keys: Any) -> None:
    for call in (lambda: issue(keys), lambda: verify("a.b.c", keys), lambda: access_tokens.jwks(keys)):
        with pytest.raises(InvalidInput):
            call()


def test_jwks() -> None:
    keys = AccessTokenKeys(
        {"ed": ED, "ec": EC.public_key(), "rsa": RSA, "secret": SECRET, "other": bytes(40)}, "secret"
    )
    found = access_tokens.jwks(keys)
    assert list(found) == ["keys"]
    by_name = {each["kid"]: each for each in found["keys"]}
    assert by_name.keys() == {"ed", "ec", "rsa"}
    assert set(by_name["ed"]) == {"kty", "crv", "x", "kid", "alg", "use"}
    assert set(by_name["ec"]) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert set(by_name["rsa"]) == {"kty", "n", "e", "kid", "alg", "use"}
    assert {each["use"] for each in found["keys"]} == {"sig"}
    text = json.dumps(found)
    assert b64(SECRET) not in text
    assert b64(ED.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())) not in text
    # Another implementation, that of a service elsewhere, takes them.
    for name, key in (("ed", ED), ("ec", EC), ("rsa", RSA)):
        token = issue(AccessTokenKeys({name: key}, name))
        client = jwt.PyJWKSet.from_dict(found)
        claims = jwt.decode(
            token, client[name], algorithms=[by_name[name]["alg"]], issuer=ISSUER, audience=AUDIENCE
        )
        assert UUID(claims["sid"]) == SESSION.id


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_a_second_implementation_takes_it() -> None:
    from joserfc import jwk
    from joserfc import jwt as jose

    for kind in ("EdDSA", "ES256", "RS256"):
        keys = keyset(kind)
        public: Any = access_tokens.jwks(keys)
        found = jose.decode(
            issue(keys, claims={"client_id": "web"}), jwk.KeySet.import_key_set(public), algorithms=[kind]
        )
        assert found.header == {"typ": "at+jwt", "alg": kind, "kid": "k1"}
        # RFC 9068, 2.2: these are required.
        required: Any = {name: {"essential": True} for name in ("exp", "sub", "client_id", "iat", "jti")}
        required |= {"iss": {"essential": True, "value": ISSUER}}
        required |= {"aud": {"essential": True, "value": AUDIENCE}}
        jose.JWTClaimsRegistry(**required).validate(found.claims)
        assert found.claims["sid"] == str(SESSION.id)


def test_nothing_shows_a_key() -> None:
    keys = AccessTokenKeys({"a": SECRET, "b": pem(ED)}, "a")
    assert repr(keys) == "AccessTokenKeys(a HS256, b EdDSA; current a)"
    assert b64(SECRET) not in repr(vars(type(keys))) + str(keys)


def test_without_pyjwt() -> None:
    from tests.migrations.support import run

    script = (
        "import sys; sys.modules['jwt'] = None\n"
        "import authsql\n"
        "from authsql import access_tokens\n"
        "keys = access_tokens.AccessTokenKeys({'k': bytes(32)}, 'k')\n"
        "try: access_tokens.verify('a.b.c', keys, issuer='i', audience='a')\n"
        "except ImportError as error: print(error)\n"
    )
    assert "pip install 'authsql[jwt]'" in run("-c", script).stdout
