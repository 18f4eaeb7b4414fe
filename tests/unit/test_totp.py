"""The codes of RFC 6238, and what an authenticator app is told."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from authsql._totp import code_at, matching_step, new_secret, text_of, uri
from tests.support import totp_code

RFC = b"12345678901234567890"


# RFC 6238, appendix B: the rows for SHA-1.
@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_vectors_of_the_rfc(seconds: int, code: str) -> None:
    assert code_at(RFC, seconds // 30, digits=8) == code
    assert code_at(RFC, seconds // 30) == code[2:]
    assert totp_code(base64.b32encode(RFC).decode(), seconds // 30) == code[2:]


# RFC 4226, appendix D.
def test_vectors_of_hotp() -> None:
    expected = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489"
    assert [code_at(RFC, counter) for counter in range(10)] == expected.split()


def test_secret() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) * 8 for secret in secrets} == {160}
    for secret in secrets:
        assert base64.b32decode(text_of(secret)) == secret
        assert text_of(secret).isalnum()


@pytest.mark.parametrize("drift", [0, 1, 2])
def test_window(drift: int) -> None:
    for offset in range(-4, 5):
        found = matching_step(RFC, code_at(RFC, 100 + offset), 100, drift, None)
        assert found == (100 + offset if abs(offset) <= drift else None)


def test_what_is_spent_is_still_recognized() -> None:
    """So that it can be told from a wrong code."""
    assert matching_step(RFC, code_at(RFC, 100), 100, 1, 100) == 100
    assert matching_step(RFC, code_at(RFC, 99), 100, 1, 100) == 99


def test_one_that_is_not_spent_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps may have the same code."""
    monkeypatch.setattr("authsql._totp.code_at", lambda secret, step: "000000")
    assert matching_step(RFC, "000000", 100, 1, None) == 99
    assert matching_step(RFC, "000000", 100, 1, 99) == 100
    assert matching_step(RFC, "000000", 100, 1, 101) == 99


@pytest.mark.parametrize("issuer", ["Example", "Big Corp & Söhne/x", "a%20b", "?#+ü"])
def test_uri(issuer: str) -> None:
    account = "ann+test@example.org"
    parts = urlsplit(uri(RFC, issuer, account))
    assert (parts.scheme, parts.netloc, parts.fragment) == ("otpauth", "totp", "")
    assert unquote(parts.path) == f"/{issuer}:{account}"
    assert "+" not in parts.query, "which some apps would show"
    assert {name: values[0] for name, values in parse_qs(parts.query).items()} == {
        "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "issuer": issuer,
        "algorithm": "SHA1",
        "digits": "6",
        "period": "30",
    }
