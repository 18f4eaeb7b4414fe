"""Whatever is given as an argument: a refusal or an error of authsql's own, and the database is as it was."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import pytest

from authsql import (
    AuthsqlError,
    Code,
    Link,
    Refusal,
    RelyingParty,
    accounts,
    audit,
    devices,
    factors,
    identities,
    maintenance,
    otps,
    outbox,
    passkeys,
    passwords,
    rate_limits,
    recovery_codes,
    refresh_tokens,
    roles,
    sessions,
    totp,
    users,
)
from authsql.keyring import Keyring
from authsql.models import User
from tests.conformance.conftest import SignIn
from tests.support import BCRYPT, FAST, KEY, PASSWORD, RING, Api, Sql

Values: TypeAlias = dict[str, object]

SENTINEL = "Sentinel-5f1c"
HUGE = "x" * 10_000_000


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(depth):
        document = {"a": document}
    return document


# Of no use as an argument of any kind.
ALWAYS: Values = {
    "object": object(),
    "bytes": b"Sentinel-5f1c",
    "bytes nul": b"\0" * 40,
    "float": 1.5,
    "nan": float("nan"),
    "list": ["Sentinel-5f1c"],
    "set": {1},
    "complex": 1j,
    "date": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    "class": str,
    "huge int": 10**40,
    "negative": -1,
    "zero": 0,
    "int 32": 2**31,
    "int 64": 2**63,
    "nul": f"{SENTINEL}\0",
    "surrogate": f"{SENTINEL}\ud800",
    "huge text": HUGE,
    "empty": "",
    "newline": f"{SENTINEL}\n",
    "sql": f"{SENTINEL}'; DROP TABLE authsql_users; --",
}
NONE: Values = {"None": None}
EMAILS: Values = {
    "no at": SENTINEL,
    "at first": f"@{SENTINEL}",
    "at last": f"{SENTINEL}@",
    "space": f"{SENTINEL} @x.org",
    "255": "x" * 250 + "@x.or",
    "nul": f"{SENTINEL}\0@x.org",
    "surrogate": f"{SENTINEL}\udfff@x.org",
    "huge": "x" * 10_000_000 + "@x.org",
    "uuid": uuid.uuid4(),
}
NAMES: Values = {"too long": "x" * 201}
AVATARS: Values = {
    "list": [1],
    "nul": {"a": f"{SENTINEL}\0"},
    "nul key": {"a\0": 1},
    "surrogate": {"a": "\ud800"},
    "nan": {"a": float("nan")},
    "object": {"a": object()},
    "bytes": {"a": b"x"},
    "too long": {"a": "x" * 20_000},
    "deep": nested(5_000),
}
IDS: Values = {"text": str(uuid.uuid4()), "bytes": uuid.uuid4().bytes, "int": uuid.uuid4().int}
BOOLEANS: Values = {"text": "true", "one": 1}
PASSWORDS: Values = {"short": "x" * 7, "long": "x" * 1025}
HASHES: Values = {
    "plain": SENTINEL,
    "md5": "5f4dcc3b5aa765d61d8327deb882cf99",
    "cost": BCRYPT.replace("$04$", "$31$"),
    "memory": f"$argon2id$v=19$m=4294967295,t=1,p=1${SENTINEL.replace('-', '')}$" + "A" * 43,
    "line": BCRYPT + "\n",
}
REASONS: Values = {"case": "Revoked", "digit": "1st", "long": "x" * 33, "accent": "é", "space": "a b"}
ROLES: Values = {
    "case": "Admin",
    "digit": "1st",
    "long": "x" * 65,
    "accent": "é",
    "space": "a b",
    "colon": "a:b",
    "array": ["admin"],
}
PERMISSIONS: Values = {
    "case": "Read",
    "colon": ":a",
    "long": "x" * 101,
    "accent": "é",
    "space": "a b",
    "star": "*",
}
TOKENS: Values = {
    "prefix": "sess_",
    "other prefix": "xxxx_" + "A" * 64,
    "long": "sess_" + "A" * 65,
    "padding": "sess_" + "A" * 63 + "=",
    "alphabet": "sess_" + "A" * 63 + "+",
    "digits": "sess_" + "\u0661" * 64,
    "refresh": "rfsh_" + "A" * 107,
    "refresh long": "rfsh_" + "A" * 108,
    # The last character holds two bits that mean nothing and have to be zero.
    "refresh spelling": "rfsh_" + "A" * 106 + "B",
    "refresh alphabet": "rfsh_" + "A" * 106 + "/",
}
CODES: Values = {
    "letters": "12345x",
    "digits": "\u0661" * 6,
    "short": "12345",
    "long": "1234567",
    "int": 123456,
}
KEYS: Values = {"short": bytes(31), "text": "x" * 40, "array": bytearray(40)}
PROVIDERS: Values = {"case": "Google", "digit": "1st", "long": "x" * 33, "dot": "a.b", "url": "https://x.org"}
SUBJECTS: Values = {"long": "x" * 256, "accent": "é", "space": " x", "space after": "x ", "int": 7}
PROFILES: Values = {
    **AVATARS,
    "token": {"access_token": SENTINEL},
    "deep token": {"a": [{"idToken": SENTINEL}]},
}
TOKENS_GIVEN: Values = {"long": "x" * 16_001, "accent": f"{SENTINEL}é", "space": f" {SENTINEL}"}
KEYRINGS: Values = {"key": KEY, "keys": {"a": KEY}, "class": Keyring}
SECONDS: Values = {"text": "3600", "true": True}
PURPOSES: Values = {"unknown": "delete-account", "case": "SIGNIN", "long": "x" * 33}
CAPS: Values = {"true": True, "text": "3", "too many": 10**6 + 1}
EVENTS: Values = {
    "one part": "login",
    "case": "App.x",
    "dots": "app..x",
    "digit": "app.1",
    "long": "app." + "x" * 61,
}
LEVELS: Values = {"four": 4, "true": True, "text": "1"}
SPANS: Values = {"days": 30, "none": datetime.timedelta(0), "long": datetime.timedelta(days=181)}
LABELS: Values = {"colon": "a:b"}
FACTOR_NAMES: Values = {"too long": "x" * 101}
RECOVERY_CODES: Values = {"short": "0" * 23, "letter": "U" * 24, "digits": "\u0661" * 24, "long": "0" * 200}
COUNTS: Values = {"true": True, "text": "3", "too many": 101}
PARTIES: Values = {"id": "example.org", "tuple": ("example.org", "x", ("https://example.org",))}
REQUIREMENTS: Values = {"case": "Required", "other": "optional", "bool": True}
ADDRESSES: Values = {"text": SENTINEL, "net": "192.0.2.0/24", "256": "192.0.2.256", "long": "1" * 100}


@dataclass(frozen=True)
class Operation:
    """An operation, arguments that are good, and what is bad of each."""

    function: Callable[..., Any]
    good: dict[str, object]
    bad: dict[str, dict[str, object]]
    positional: tuple[str, ...]
    accepts: dict[str, frozenset[str]] = field(default_factory=dict)
    """Of ALWAYS, what is good for an argument."""


def ok(*names: str) -> frozenset[str]:
    return frozenset(names)


PARTY = RelyingParty("example.org", "Example", ("https://example.org",))
ID = uuid.UUID("01900000-0000-7000-8000-000000000000")
NOBODYS = Code("nobody@x.org", "123456", KEY, ID)
PROOFS: Values = {
    "code itself": "123456",
    "tuple": ("nobody@x.org", "123456", KEY, ID),
    **{f"Code, code {name}": Code("nobody@x.org", cast("str", v), KEY, ID) for name, v in CODES.items()},
    **{f"Code, key {name}": Code("nobody@x.org", "123456", cast("bytes", v), ID) for name, v in KEYS.items()},
    **{f"Code, issue {name}": Code("x@x.org", "123456", KEY, cast("Any", v)) for name, v in IDS.items()},
    **{f"Link {name}": Link(cast("str", v), ID) for name, v in (TOKENS | ALWAYS | NONE).items()},
    **{f"Link, issue {name}": Link("link_" + "A" * 64, cast("Any", v)) for name, v in IDS.items()},
    **{
        f"Code, each {name}": Code(cast("str", v), cast("str", v), cast("bytes", v), cast("Any", v))
        for name, v in ALWAYS.items()
    },
    **{f"Code, subject {name}": Code(cast("str", v), "123456", KEY, ID) for name, v in EMAILS.items()},
}
KEYRING = Keyring({"a": KEY}, "a")
ANY_TEXT = ok("newline", "sql", "empty", "nul", "surrogate", "huge text")
KEY_TEXT = ANY_TEXT - {"empty"}
LIMIT: dict[str, object] = {
    "key": "ip:192.0.2.1",
    "limit": 5,
    "period": datetime.timedelta(minutes=15),
    "burst": 5,
    "cost": 1,
    "scope": "signin",
}
BAD_LIMITS: dict[str, dict[str, object]] = {
    "key": NONE,
    "limit": CAPS | NONE,
    "period": {"zero span": datetime.timedelta(0), "years": datetime.timedelta(days=367)} | NONE,
    "burst": CAPS,
    "cost": {"six": 6} | CAPS | NONE,
    "scope": REASONS | NONE,
}
NAIVE = datetime.datetime(2026, 1, 1)  # noqa: DTZ001  # that is what is wrong with it
OPERATIONS = {
    "users.create": Operation(
        users.create,
        {"email": "new@x.org", "name": "N", "avatar": {}, "email_verified": False},
        {"email": EMAILS | NONE, "name": NAMES, "avatar": AVATARS, "email_verified": BOOLEANS | NONE},
        ("email",),
        {"name": ok("sql")},
    ),
    "users.get": Operation(users.get, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "users.get_by_email": Operation(
        users.get_by_email, {"email": "a@x.org"}, {"email": EMAILS | NONE}, ("email",)
    ),
    "users.update_profile": Operation(
        users.update_profile,
        {"user_id": ID, "name": "N", "avatar": {}},
        {"user_id": IDS | NONE, "name": NAMES, "avatar": AVATARS},
        ("user_id",),
        {"name": ok("sql")},
    ),
    "users.mark_email_verified": Operation(
        users.mark_email_verified,
        {"user_id": ID, "email": "ann@example.org"},
        {"user_id": IDS | NONE, "email": EMAILS | NONE},
        ("user_id", "email"),
    ),
    "users.soft_delete": Operation(users.soft_delete, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "users.reactivate": Operation(users.reactivate, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "users.export": Operation(users.export, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "users.erase": Operation(users.erase, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "users.delete": Operation(users.delete, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "passwords.set": Operation(
        passwords.set,
        {"user_id": ID, "password": PASSWORD, "must_change": False, "keep_session": None, "policy": FAST},
        {
            "user_id": IDS | NONE,
            "password": PASSWORDS | NONE,
            "must_change": BOOLEANS | NONE,
            "keep_session": IDS,
        },
        ("user_id", "password"),
        {"password": ok("nul", "newline", "sql")},
    ),
    "passwords.verify": Operation(
        passwords.verify,
        {"email_or_id": "nobody@x.org", "password": PASSWORD, "device": None, "policy": FAST},
        {
            "email_or_id": {k: v for k, v in EMAILS.items() if k != "uuid"} | NONE,
            "password": NONE,
            "device": TOKENS,
        },
        ("email_or_id", "password"),
    ),
    "passwords.change": Operation(
        passwords.change,
        {
            "user_id": uuid.uuid4(),
            "old": "an old password",
            "new": PASSWORD,
            "keep_session": None,
            "policy": FAST,
        },
        {"user_id": IDS | NONE, "old": NONE, "new": PASSWORDS | NONE, "keep_session": IDS},
        ("user_id", "old", "new"),
    ),
    "passwords.import_hash": Operation(
        passwords.import_hash,
        {"user_id": ID, "hashed": BCRYPT, "policy": FAST},
        {"user_id": IDS | NONE, "hashed": HASHES | NONE},
        ("user_id", "hashed"),
    ),
    "identities.sign_in": Operation(
        identities.sign_in,
        {
            "provider": "google",
            "subject": "new",
            "email": "new@x.org",
            "email_verified": False,
            "profile": None,
            "name": None,
        },
        {
            "provider": PROVIDERS | NONE,
            "subject": SUBJECTS | NONE,
            "email": EMAILS | NONE,
            "email_verified": BOOLEANS | NONE,
            "profile": PROFILES,
            "name": NAMES,
        },
        ("provider", "subject"),
        {"subject": ok("sql"), "name": ok("sql")},
    ),
    "identities.link": Operation(
        identities.link,
        {"user_id": ID, "provider": "google", "subject": "new", "email": None, "profile": None},
        {
            "user_id": IDS | NONE | {"nobody": uuid.uuid4()},
            "provider": PROVIDERS | NONE,
            "subject": SUBJECTS | NONE,
            "email": EMAILS,
            "profile": PROFILES,
        },
        ("user_id", "provider", "subject"),
        {"subject": ok("sql")},
    ),
    "identities.unlink": Operation(
        identities.unlink,
        {"user_id": ID, "provider": "google", "subject": "1"},
        {
            "user_id": IDS | NONE | {"nobody": uuid.uuid4()},
            "provider": PROVIDERS | NONE,
            "subject": SUBJECTS,
        },
        ("user_id", "provider", "subject"),
    ),
    "identities.list": Operation(identities.list, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "identities.store_tokens": Operation(
        identities.store_tokens,
        {
            "provider": "google",
            "subject": "1",
            "keyring": KEYRING,
            "access_token": "x",
            "refresh_token": None,
            "id_token": None,
            "expires_in": None,
            "scopes": None,
        },
        {
            "provider": PROVIDERS | NONE,
            "subject": SUBJECTS | NONE,
            "keyring": KEYRINGS | NONE,
            "access_token": TOKENS_GIVEN | NONE,
            "refresh_token": TOKENS_GIVEN,
            "id_token": TOKENS_GIVEN,
            "expires_in": SECONDS,
            "scopes": {"long": "x" * 2001},
        },
        ("provider", "subject"),
        {
            "subject": ok("sql"),
            "access_token": ok("sql"),
            "refresh_token": ok("sql"),
            "id_token": ok("sql"),
            "expires_in": ok("zero"),
            "scopes": ok("sql"),
        },
    ),
    "identities.tokens": Operation(
        identities.tokens,
        {"provider": "google", "subject": "1", "keyring": KEYRING},
        {"provider": PROVIDERS | NONE, "subject": SUBJECTS | NONE, "keyring": KEYRINGS | NONE},
        ("provider", "subject"),
        {"subject": ok("sql")},
    ),
    "identities.forget_tokens": Operation(
        identities.forget_tokens,
        {"provider": "google", "subject": "1"},
        {"provider": PROVIDERS | NONE, "subject": SUBJECTS | NONE},
        ("provider", "subject"),
        {"subject": ok("sql")},
    ),
    "identities.reencrypt_tokens": Operation(
        identities.reencrypt_tokens,
        {"keyring": KEYRING, "batch": 10},
        {"keyring": KEYRINGS | NONE, "batch": CAPS | NONE},
        (),
        {"batch": frozenset()},
    ),
    "otps.issue": Operation(
        otps.issue,
        {"subject": "ann@example.org", "purpose": "signin", "key": KEY, "user_id": None, "link": False},
        {
            "subject": {"long": "x" * 255, "folds": "\u0130@x.org", "padded": "ann "} | NONE,
            "purpose": PURPOSES | NONE,
            "key": KEYS | NONE,
            "user_id": IDS | {"nobody": uuid.uuid4()},
            "link": BOOLEANS | NONE,
        },
        ("subject", "purpose"),
        {"subject": ok("sql"), "key": ok("bytes nul")},
    ),
    "otps.verify": Operation(
        otps.verify,
        {"subject": "nobody@x.org", "purpose": "signin", "code": "123456", "key": KEY, "issue_id": None},
        {
            "subject": {"long": "x" * 255} | NONE,
            "purpose": PURPOSES | NONE,
            "code": CODES | NONE,
            "key": KEYS | NONE,
            "issue_id": IDS,
        },
        ("subject", "purpose", "code"),
    ),
    "otps.verify_link": Operation(
        otps.verify_link,
        {"token": "link_" + "A" * 64, "purpose": "signin", "issue_id": None},
        {"token": TOKENS | NONE, "purpose": PURPOSES | NONE, "issue_id": IDS},
        ("token", "purpose"),
    ),
    "accounts.sign_up": Operation(
        accounts.sign_up,
        {"email": "a@x.org", "password": None, "key": KEY, "name": None, "link": False, "policy": FAST},
        {
            "email": EMAILS | NONE,
            "password": PASSWORDS,
            "key": KEYS | NONE,
            "name": NAMES,
            "link": BOOLEANS | NONE,
        },
        ("email",),
        {"password": ok("nul", "newline", "sql"), "key": ok("bytes nul"), "name": ok("sql")},
    ),
    "accounts.confirm_sign_up": Operation(
        accounts.confirm_sign_up,
        {"proof": NOBODYS},
        {"proof": PROOFS | NONE | {"unbound": Code("nobody@x.org", "123456", KEY)}},
        ("proof",),
    ),
    "accounts.verify_email": Operation(
        accounts.verify_email, {"proof": NOBODYS}, {"proof": PROOFS | NONE}, ("proof",)
    ),
    "accounts.sign_in": Operation(
        accounts.sign_in,
        {"proof": NOBODYS, "create": True},
        {"proof": PROOFS | NONE, "create": BOOLEANS | NONE},
        ("proof",),
    ),
    "accounts.reset_password": Operation(
        accounts.reset_password,
        {"proof": NOBODYS, "password": PASSWORD, "policy": FAST},
        {"proof": PROOFS | NONE, "password": PASSWORDS | NONE},
        ("proof", "password"),
        {"password": frozenset()},
    ),
    "accounts.change_email": Operation(
        accounts.change_email,
        {"user_id": ID, "proof": NOBODYS, "approval": None},
        {"user_id": IDS | NONE, "proof": PROOFS | NONE, "approval": PROOFS},
        ("user_id", "proof"),
    ),
    "devices.remember": Operation(
        devices.remember,
        {"user_id": ID, "name": None, "trust_for": None},
        {"user_id": IDS | NONE, "name": {"too long": "x" * 101}, "trust_for": SPANS},
        ("user_id",),
        {"name": ok("sql")},
    ),
    "devices.is_trusted": Operation(
        devices.is_trusted,
        {"user_id": ID, "token": "devc_" + "A" * 64},
        {"user_id": IDS | NONE, "token": TOKENS | NONE},
        ("user_id", "token"),
    ),
    "devices.list": Operation(devices.list, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "devices.forget": Operation(
        devices.forget,
        {"user_id": ID, "device_id": ID},
        {"user_id": IDS | NONE, "device_id": IDS | NONE},
        ("user_id", "device_id"),
    ),
    "devices.forget_all": Operation(
        devices.forget_all, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)
    ),
    "sessions.create": Operation(
        sessions.create,
        {"user_id": ID, "ip": None, "user_agent": None, "device": None, "aal": 1, "cap": 3},
        {
            "user_id": IDS | NONE,
            "ip": ADDRESSES,
            "user_agent": {},
            "device": {"too long": "x" * 101},
            "aal": LEVELS | NONE,
            "cap": CAPS,
        },
        ("user_id",),
        {"user_agent": ANY_TEXT, "device": ok("sql")},
    ),
    "sessions.validate": Operation(
        sessions.validate,
        {"token": "sess_" + "A" * 64, "roles": True},
        {"token": TOKENS | NONE, "roles": BOOLEANS | NONE},
        ("token",),
    ),
    "sessions.elevate": Operation(
        sessions.elevate,
        {"token": "sess_" + "A" * 64, "aal": 2},
        {"token": TOKENS | NONE, "aal": LEVELS | NONE},
        ("token",),
    ),
    "sessions.list": Operation(sessions.list, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "sessions.revoke": Operation(
        sessions.revoke,
        {"session_id": ID, "user_id": None, "reason": "revoked"},
        {"session_id": IDS | NONE, "user_id": IDS, "reason": REASONS | NONE},
        ("session_id",),
    ),
    "sessions.revoke_others": Operation(
        sessions.revoke_others,
        {"user_id": ID, "keep": ID, "reason": "revoked"},
        {"user_id": IDS | NONE, "keep": IDS | NONE, "reason": REASONS | NONE},
        ("user_id", "keep"),
    ),
    "sessions.revoke_all": Operation(
        sessions.revoke_all,
        {"user_id": ID, "reason": "revoked"},
        {"user_id": IDS | NONE, "reason": REASONS | NONE},
        ("user_id",),
    ),
    "roles.create": Operation(
        roles.create,
        {"role": "new", "description": "", "default": False},
        {"role": ROLES | NONE, "description": {"too long": "x" * 1001} | NONE, "default": BOOLEANS | NONE},
        ("role",),
        {"description": ok("sql", "empty")},
    ),
    "roles.delete": Operation(roles.delete, {"role": "user"}, {"role": ROLES | NONE}, ("role",)),
    "roles.list": Operation(roles.list, {}, {}, ()),
    "roles.grant": Operation(
        roles.grant,
        {"user_id": ID, "role": "admin"},
        {"user_id": IDS | NONE | {"nobody": uuid.uuid4()}, "role": ROLES | NONE | {"unknown": "nobody"}},
        ("user_id", "role"),
    ),
    "roles.revoke": Operation(
        roles.revoke,
        {"user_id": ID, "role": "user"},
        {"user_id": IDS | NONE, "role": ROLES | NONE},
        ("user_id", "role"),
    ),
    "roles.of_user": Operation(roles.of_user, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "roles.permissions_of": Operation(
        roles.permissions_of, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)
    ),
    "roles.allow": Operation(
        roles.allow,
        {"role": "user", "permission": "a:b"},
        {"role": ROLES | NONE | {"unknown": "nobody"}, "permission": PERMISSIONS | NONE},
        ("role", "permission"),
    ),
    "roles.disallow": Operation(
        roles.disallow,
        {"role": "user", "permission": "a:b"},
        {"role": ROLES | NONE, "permission": PERMISSIONS | NONE},
        ("role", "permission"),
    ),
    "roles.has_role": Operation(
        roles.has_role,
        {"user_id": ID, "role": "user"},
        {"user_id": IDS | NONE, "role": ROLES | NONE},
        ("user_id", "role"),
    ),
    "roles.has_permission": Operation(
        roles.has_permission,
        {"user_id": ID, "permission": "a:b"},
        {"user_id": IDS | NONE, "permission": PERMISSIONS | NONE},
        ("user_id", "permission"),
    ),
    "roles.set_current_user": Operation(
        roles.set_current_user, {"user_id": ID}, {"user_id": IDS}, ("user_id",)
    ),
    "refresh_tokens.issue": Operation(
        refresh_tokens.issue, {"session_id": ID}, {"session_id": IDS | NONE}, ("session_id",)
    ),
    "refresh_tokens.rotate": Operation(
        refresh_tokens.rotate, {"token": "rfsh_" + "A" * 107}, {"token": TOKENS | NONE}, ("token",)
    ),
    "audit.set_context": Operation(
        audit.set_context,
        {"actor_id": None, "session_id": None, "ip": None, "user_agent": None},
        {"actor_id": IDS, "session_id": IDS, "ip": ADDRESSES, "user_agent": {}},
        (),
        {"user_agent": ANY_TEXT},
    ),
    "audit.clear_context": Operation(audit.clear_context, {}, {}, ()),
    "audit.list": Operation(
        audit.list,
        {"user_id": None, "event": None, "before": None, "limit": 100},
        {"user_id": IDS, "event": EVENTS, "before": {"true": True}, "limit": CAPS | NONE},
        (),
        {"before": ok("int 32")},
    ),
    "audit.record": Operation(
        audit.record,
        {"event": "app.x", "user_id": None, "detail": None},
        {"event": EVENTS | NONE | {"ours": "user.created"}, "user_id": IDS, "detail": AVATARS},
        ("event",),
    ),
    "totp.enroll": Operation(
        totp.enroll,
        {"user_id": ID, "keyring": RING, "issuer": "x", "account": "y", "name": "z"},
        {
            "user_id": IDS | NONE,
            "keyring": KEYRINGS | NONE,
            "issuer": LABELS | {"too long": "x" * 101} | NONE,
            "account": LABELS | {"too long": "x" * 255} | NONE,
            "name": FACTOR_NAMES,
        },
        ("user_id",),
        {"issuer": ok("sql"), "account": ok("sql"), "name": ok("sql")},
    ),
    "totp.confirm": Operation(
        totp.confirm,
        {"user_id": ID, "factor_id": uuid.uuid4(), "code": "123456", "keyring": RING},
        {
            "user_id": IDS | NONE,
            "factor_id": IDS | NONE,
            "code": CODES | NONE,
            "keyring": KEYRINGS | NONE,
        },
        ("user_id", "factor_id", "code"),
    ),
    "totp.verify": Operation(
        totp.verify,
        {"user_id": ID, "code": "123456", "keyring": RING},
        {"user_id": IDS | NONE, "code": CODES | NONE, "keyring": KEYRINGS | NONE},
        ("user_id", "code"),
    ),
    "totp.list": Operation(totp.list, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "totp.rename": Operation(
        totp.rename,
        {"user_id": ID, "factor_id": ID, "name": "z"},
        {"user_id": IDS | NONE, "factor_id": IDS | NONE, "name": FACTOR_NAMES},
        ("user_id", "factor_id", "name"),
        {"name": ok("sql")},
    ),
    "totp.remove": Operation(
        totp.remove,
        {"user_id": ID, "factor_id": ID},
        {"user_id": IDS | NONE, "factor_id": IDS | NONE},
        ("user_id", "factor_id"),
    ),
    "totp.reencrypt": Operation(
        totp.reencrypt,
        {"keyring": RING, "batch": 10},
        {"keyring": KEYRINGS | NONE, "batch": CAPS | NONE},
        (),
    ),
    "recovery_codes.regenerate": Operation(
        recovery_codes.regenerate,
        {"user_id": ID, "key": KEY, "count": 10},
        {"user_id": IDS | NONE, "key": KEYS | NONE, "count": COUNTS | NONE},
        ("user_id",),
        {"key": ok("bytes nul")},
    ),
    "recovery_codes.verify": Operation(
        recovery_codes.verify,
        {"user_id": ID, "code": "0" * 24, "key": KEY},
        {"user_id": IDS | NONE, "code": RECOVERY_CODES | NONE, "key": KEYS | NONE},
        ("user_id", "code"),
    ),
    "recovery_codes.remaining": Operation(
        recovery_codes.remaining, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)
    ),
    "passkeys.begin_registration": Operation(
        passkeys.begin_registration,
        {
            "user_id": ID,
            "relying_party": PARTY,
            "account": "x",
            "display_name": "y",
            "user_verification": "required",
            "discoverable": "required",
        },
        {
            "user_id": IDS | NONE,
            "relying_party": PARTIES | NONE,
            "account": {"too long": "x" * 255} | NONE,
            "display_name": NAMES,
            "user_verification": REQUIREMENTS | NONE,
            "discoverable": REQUIREMENTS | NONE,
        },
        ("user_id",),
        {"account": ok("sql"), "display_name": ok("sql")},
    ),
    "passkeys.finish_registration": Operation(
        passkeys.finish_registration,
        {"user_id": ID, "challenge_id": ID, "credential": "{}", "relying_party": PARTY, "name": "x"},
        {
            "user_id": IDS | NONE,
            "challenge_id": IDS | NONE,
            "credential": {"list": "[]"} | NONE,
            "relying_party": PARTIES | NONE,
            "name": FACTOR_NAMES,
        },
        ("user_id", "challenge_id", "credential"),
        {"name": ok("sql")},
    ),
    "passkeys.begin_authentication": Operation(
        passkeys.begin_authentication,
        {"user_id": None, "relying_party": PARTY, "user_verification": "required"},
        {
            "user_id": IDS | {"nobody": uuid.uuid4()},
            "relying_party": PARTIES | NONE,
            "user_verification": REQUIREMENTS | NONE,
        },
        ("user_id",),
    ),
    "passkeys.finish_authentication": Operation(
        passkeys.finish_authentication,
        {"challenge_id": ID, "credential": "{}", "relying_party": PARTY},
        {
            "challenge_id": IDS | NONE,
            "credential": {"list": "[]"} | NONE,
            "relying_party": PARTIES | NONE,
        },
        ("challenge_id", "credential"),
    ),
    "passkeys.list": Operation(passkeys.list, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "passkeys.rename": Operation(
        passkeys.rename,
        {"user_id": ID, "passkey_id": ID, "name": "z"},
        {"user_id": IDS | NONE, "passkey_id": IDS | NONE, "name": FACTOR_NAMES},
        ("user_id", "passkey_id", "name"),
        {"name": ok("sql")},
    ),
    "passkeys.remove": Operation(
        passkeys.remove,
        {"user_id": ID, "passkey_id": ID},
        {"user_id": IDS | NONE, "passkey_id": IDS | NONE},
        ("user_id", "passkey_id"),
    ),
    "factors.of_user": Operation(factors.of_user, {"user_id": ID}, {"user_id": IDS | NONE}, ("user_id",)),
    "sessions.is_live": Operation(
        sessions.is_live, {"session_id": ID}, {"session_id": IDS | NONE}, ("session_id",)
    ),
    "rate_limits.hit": Operation(rate_limits.hit, LIMIT, BAD_LIMITS, ("key",), {"key": KEY_TEXT}),
    "rate_limits.peek": Operation(rate_limits.peek, LIMIT, BAD_LIMITS, ("key",), {"key": KEY_TEXT}),
    "rate_limits.reset": Operation(
        rate_limits.reset,
        {"key": "ip:192.0.2.1", "scope": "signin"},
        {"key": NONE, "scope": REASONS | NONE},
        ("key",),
        {"key": KEY_TEXT},
    ),
    "outbox.enqueue": Operation(
        outbox.enqueue,
        {
            "recipient": "ann@x.org",
            "template": "signin",
            "context": {"app": "A", "code": "1"},
            "keyring": RING,
            "expires_at": None,
            "dedup_key": None,
            "templates": None,
        },
        {
            "recipient": EMAILS | NONE,
            "template": REASONS | {"unknown": "nothing", "path": "../signin"} | NONE,
            "context": {"empty": {}, "keys": {1: 2}, "surrogate": {"app": "\ud800", "code": "1"}} | NONE,
            "keyring": {"bytes 32": bytes(32), "mapping": {"a": bytes(32)}} | NONE,
            "expires_at": {"naive": NAIVE, "last": datetime.datetime.max.replace(tzinfo=datetime.UTC)},
            "dedup_key": {},
            "templates": {"path": "."},
        },
        ("recipient", "template", "context"),
        {"dedup_key": KEY_TEXT, "expires_at": ok("date")},
    ),
    "outbox.lease": Operation(outbox.lease, {"batch": 10}, {"batch": {"1001": 1001} | CAPS | NONE}, ()),
    "outbox.mark_sent": Operation(
        outbox.mark_sent,
        {"mail_id": ID, "lease_id": ID},
        {"mail_id": IDS | NONE, "lease_id": IDS | NONE},
        ("mail_id", "lease_id"),
    ),
    "outbox.mark_failed": Operation(
        outbox.mark_failed,
        {"mail_id": ID, "lease_id": ID, "error": "busy", "final": False},
        {
            "mail_id": IDS | NONE,
            "lease_id": IDS | NONE,
            "error": {"long": "x" * 201} | NONE,
            "final": BOOLEANS | NONE,
        },
        ("mail_id", "lease_id", "error"),
        {"error": ok("sql")},
    ),
    "outbox.deliver": Operation(
        outbox.deliver,
        {"send": print, "sender": "a@x.org", "keyring": RING, "batch": 10, "progress": None},
        {
            "send": {"url": "smtp://localhost"} | NONE,
            "sender": EMAILS | NONE,
            "keyring": {"bytes 32": bytes(32)} | NONE,
            "batch": CAPS | NONE,
            "progress": {},
        },
        ("send",),
        {"send": ok("class"), "progress": ok("class")},
    ),
    "maintenance.purge": Operation(
        maintenance.purge, {"batch": 10}, {"batch": CAPS | NONE}, (), {"batch": frozenset()}
    ),
    "maintenance.backlog": Operation(maintenance.backlog, {}, {}, ()),
}


def cases(operation: Operation, argument: str) -> Iterator[tuple[str, object]]:
    yield from operation.bad[argument].items()
    for name, value in ALWAYS.items():
        if name not in operation.accepts.get(argument, ()):
            yield name, value


def call_with(operation: Operation, argument: str, value: object, owner: uuid.UUID) -> tuple[list[Any], Any]:
    arguments = {name: owner if good is ID else good for name, good in operation.good.items()}
    arguments[argument] = value
    return [arguments.pop(name) for name in operation.positional], arguments


def test_every_operation_is_here() -> None:
    public = {
        f"{module.__name__.removeprefix('authsql.')}.{name}"
        for module in (
            *(users, passwords, identities, otps, accounts, devices, sessions),
            *(
                roles,
                refresh_tokens,
                audit,
                totp,
                recovery_codes,
                passkeys,
                factors,
                maintenance,
                rate_limits,
                outbox,
            ),
        )
        for name, value in vars(module).items()
        if hasattr(value, "__wrapped__") and value.__module__ == module.__name__
    }
    assert public == OPERATIONS.keys()


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        pytest.param(name, argument, id=f"{name}-{argument}")
        for name, operation in OPERATIONS.items()
        for argument in operation.bad
    ],
)
async def test_bad_argument(
    api: Api, sql: Sql, user: User, sign_in: SignIn, name: str, argument: str
) -> None:
    await sign_in()
    operation = OPERATIONS[name]
    before = sql.dump()
    for case, value in cases(operation, argument):
        positional, keywords = call_with(operation, argument, value, user.id)
        try:
            answer = await api(operation.function, *positional, **keywords)
        except AuthsqlError as error:
            for told in (str(error), repr(error)):
                assert SENTINEL not in told, f"{case}: {told}"
                assert len(told) < 300, case
        else:
            assert answer is False or isinstance(answer, Refusal), f"{case}: {answer}"
            assert SENTINEL not in repr(answer)
    assert sql.dump() == before
    assert not api.in_transaction


@pytest.mark.parametrize(
    "name",
    [
        "passwords.verify",
        "passwords.import_hash",
        "otps.issue",
        "sessions.create",
        "sessions.elevate",
        "refresh_tokens.rotate",
        "totp.enroll",
        "totp.verify",
        "passkeys.begin_authentication",
    ],
)
async def test_policy_that_is_none(api: Api, user: User, name: str) -> None:
    operation = OPERATIONS[name]
    for policy in cast("list[object]", [None, {}, "default"]):
        positional, keywords = call_with(operation, "policy", policy, user.id)
        with pytest.raises(AuthsqlError):
            await api(operation.function, *positional, **keywords)


@pytest.mark.parametrize(
    "avatar",
    [
        pytest.param({"a": 10**400}, id="number that is no double"),
        pytest.param(nested(150), id="deeper than MySQL's 100"),
        pytest.param(nested(600), id="deeper than Python's stack"),
    ],
)
async def test_avatar_that_one_dialect_refuses(api: Api, sql: Sql, avatar: dict[str, Any]) -> None:
    """It is taken by both, or by neither."""
    before = sql.dump()
    with pytest.raises(AuthsqlError):
        await api(users.create, "a@x.org", avatar=avatar)
    assert sql.dump() == before


@pytest.mark.parametrize("connection", [None, object(), "postgresql://", 7])
def test_connection_that_is_none(connection: object) -> None:
    for operation in OPERATIONS.values():
        positional, keywords = call_with(operation, "", None, ID)
        keywords.pop("")
        with pytest.raises(AuthsqlError, match="not a connection"):
            operation.function(connection, *positional, **keywords)
