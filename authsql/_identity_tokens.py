"""A provider's tokens, encrypted before they are sent to the database and opened after they came from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authsql.keyring import Keyring
from authsql.models import ProviderTokens

COLUMNS = ("access_token", "refresh_token", "id_token")
_TABLE = "authsql_identity_tokens"


def seal(
    keyring: Keyring, provider: str, subject: str, tokens: Mapping[str, str | None]
) -> dict[str, bytes | None]:
    """The columns of a row, each bound to its place."""
    return {
        column: None if token is None else keyring.encrypt(token.encode(), _TABLE, column, provider, subject)
        for column, token in tokens.items()
    }


def unseal(keyring: Keyring, provider: str, subject: str, row: Mapping[str, Any]) -> dict[str, str | None]:
    """The tokens of a row. Raises CannotDecrypt."""
    return {
        column: None
        if row[column] is None
        else keyring.decrypt(row[column], _TABLE, column, provider, subject).decode()
        for column in COLUMNS
    }


def from_sealed(keyring: Keyring, provider: str, subject: str, row: Mapping[str, Any]) -> ProviderTokens:
    opened = unseal(keyring, provider, subject, row)
    return ProviderTokens(
        opened["access_token"] or "",
        opened["refresh_token"],
        opened["id_token"],
        None if row["scopes"] is None else tuple(row["scopes"].split()),
        row["expires_at"],
        bool(row["expired"]),
    )
