"""Arguments of `identities`: what passes here, both databases take and keep as it is (see `_input`)."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from authsql import _input
from authsql.errors import InvalidInput

TOKEN_MAX = 16_000

# The words of a key: accessToken, access_token, ACCESS-TOKEN, access.token.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset(
    [
        "token",
        "tokens",
        "jwt",
        "jwts",
        "bearer",
        "authorization",
        "credential",
        "credentials",
        "secret",
        "secrets",
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "apikey",
        "apikeys",
        "assertion",
    ]
)
_SECRET_PAIRS = ("api key", "api keys", "access key", "private key", "secret key", "code verifier")
_SECRET_RUNS = ("accesstoken", "refreshtoken", "idtoken", "authtoken", "privatekey", "codeverifier")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+ ?(Z|[+-][0-9:]+)?)?")
# What tokens look like, wherever they stand: JWTs, those of Google, GitHub, Slack, GitLab, a header, a URL.
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(eyJ[\w-]{4,}\.[\w-]+\.[\w-]*|ya29\.[\w-]+|1//0[\w-]{20,}|gh[opsur]_\w{8,}|github_pat_\w{8,}"
    r"|xox[a-z](\.xox[a-z])?-[\w-]{8,}|glpat-[\w-]{8,}|[Bb]earer [\w.~+/=-]{16,})"
    r"|[?&#](access_token|refresh_token|id_token|client_secret)=",
    re.ASCII,
)


def subject(value: object) -> str:
    """A provider's own id of an account, which is taken as it is: two that differ in anything are two.

    ASCII, as OpenID Connect has it (Core, section 2). Spaces at an end are not told apart by every database.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= 255 or not _is_visible(value):
        raise InvalidInput("subject is 1 to 255 printable ASCII characters, without a space at either end")
    return value


def token(what: str, value: object) -> str:
    """Whatever a provider gave (RFC 6749, appendix A.12: printable ASCII)."""
    if not isinstance(value, str) or not 1 <= len(value) <= TOKEN_MAX or not _is_visible(value):
        raise InvalidInput(f"{what} is 1 to {TOKEN_MAX} printable ASCII characters")
    return value


def scopes(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= 2000 or not _is_visible(value):
        raise InvalidInput("scopes is 1 to 2000 printable ASCII characters: words separated by spaces")
    return value


def seconds(what: str, value: object) -> timedelta | None:
    """A number of seconds, as the answers of OAuth have it."""
    return None if value is None else timedelta(seconds=_input.integer(what, value, 0, 2**31 - 1))


def _is_visible(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()


def profile(value: object) -> str | None:
    """What a provider says of somebody, as JSON. Tokens in it would be stored in clear."""
    document = _input.json_object("profile", value)
    if document is not None and _has_token(json.loads(document)):
        raise InvalidInput("profile holds no tokens: identities.store_tokens encrypts them")
    return document


def _has_token(value: object) -> bool:
    if isinstance(value, dict):
        return any(
            (_names_secret(key) and not _is_harmless(each)) or _is_secret(key) or _has_token(each)
            for key, each in value.items()
        )
    if isinstance(value, list):
        return any(_has_token(each) for each in value)
    return isinstance(value, str) and _is_secret(value)


def _names_secret(key: str) -> bool:
    """access_token, refreshToken, id-token-value, oauth_token_secret, credentials, API key, ..."""
    words = [word.lower() for word in _WORD.findall(key)]
    joined = "".join(words)
    return (
        not _SECRET_WORDS.isdisjoint(words)
        or any(f" {pair} " in f" {' '.join(words)} " for pair in _SECRET_PAIRS)
        or joined.endswith(("token", "tokens", "secret", "secrets", "password", "apikey"))
        or any(each in joined for each in _SECRET_RUNS)
    )


def _is_harmless(value: object) -> bool:
    """A number, a flag or a time, as in token_count and last_password_reset."""
    return isinstance(value, int | float) or (isinstance(value, str) and bool(_TIME.fullmatch(value)))


def _is_secret(value: str) -> bool:
    return bool(_TOKEN.search(value))
