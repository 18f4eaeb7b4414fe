"""Arguments of `identities`: what passes here, both databases take and keep as it is (see `_input`)."""

from __future__ import annotations

import json
from datetime import timedelta

from authsql import _input
from authsql.errors import InvalidInput
from authsql.keyring import Keyring

TOKEN_MAX = 16_000


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


def keyring(value: object) -> Keyring:
    if not isinstance(value, Keyring):
        raise InvalidInput("keyring is an authsql.keyring.Keyring")
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
        return any(_names_token(key) or _has_token(each) for key, each in value.items())
    return isinstance(value, list) and any(_has_token(each) for each in value)


def _names_token(key: str) -> bool:
    """access_token, refreshToken, id-token, oauth_token_secret, client_secret, ..."""
    return "".join(c for c in key.lower() if c.isalnum()).endswith(("token", "tokens", "secret"))
