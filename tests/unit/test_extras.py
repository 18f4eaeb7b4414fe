"""What an extra brings is needed by who uses it, and by nobody else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest

from authsql import RelyingParty, passkeys
from authsql._extras import needs
from authsql.keyring import Keyring


def test_authsql_itself_loads_none_of_them() -> None:
    script = "import authsql, sys; print(*sorted({'cryptography', 'webauthn', 'cbor2'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_a_missing_extra_is_named() -> None:
    with pytest.raises(ImportError, match=r"pip install 'authsql\[mail\]'") as raised, needs("mail"):
        import there_is_no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert raised.value.name == "there_is_no_such_module"
    assert raised.value.__cause__ is not None


def test_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ImportError, match=r"authsql\[encryption\]"):
        Keyring({"a": bytes(32)}, "a")


def test_passkeys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent: there is no connection here that could."""
    import psycopg

    monkeypatch.setitem(sys.modules, "webauthn", None)
    conn: Any = object.__new__(psycopg.Connection)
    monkeypatch.setattr(psycopg.Connection, "__del__", lambda self: None)
    monkeypatch.setattr("authsql._postgres.Postgres.in_transaction", False)
    party = RelyingParty("example.org", "Example", ("https://example.org",))
    for call in (
        lambda: passkeys.begin_registration(conn, uuid4(), relying_party=party, account="x"),
        lambda: passkeys.finish_registration(conn, uuid4(), uuid4(), "{}", relying_party=party),
        lambda: passkeys.begin_authentication(conn, relying_party=party),
        lambda: passkeys.finish_authentication(conn, uuid4(), "{}", relying_party=party),
    ):
        with pytest.raises(ImportError, match=r"authsql\[webauthn\]"):
            call()  # type: ignore[no-untyped-call]
