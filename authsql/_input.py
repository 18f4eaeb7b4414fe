"""Arguments, checked before anything is sent: what passes here, both databases take. Messages never hold the
value.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from authsql._folding import UNLIKE
from authsql.errors import CommonPassword, InvalidInput
from authsql.keyring import Keyring
from authsql.policy import Policy

EMAIL_MAX = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
AVATAR_MAX = 16_384
JSON_DEPTH = 32
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_PERMISSION = re.compile(r"[a-z][a-z0-9_:.-]{0,99}")


def text(what: str, value: object, longest: int, *, shortest: int = 1) -> str:
    """A string that both databases can store, in Unicode NFC."""
    if not isinstance(value, str):
        raise InvalidInput(f"{what} is a string")
    # Before anything that takes time by the length.
    if len(value) > longest * 4:
        raise InvalidInput(f"{what} has at most {longest} characters")
    if any(unicodedata.category(c) in {"Cc", "Cs"} for c in value):
        raise InvalidInput(f"{what} has no control characters and no lone surrogates")
    value = unicodedata.normalize("NFC", value)
    if not shortest <= len(value) <= longest:
        raise InvalidInput(f"{what} has {shortest} to {longest} characters")
    return value


def optional_text(what: str, value: object, longest: int) -> str | None:
    return None if value is None else text(what, value, longest)


def email(value: object) -> str:
    """Something that can be an address. Whether it is one, only a mail to it can tell."""
    address = text("email", value, EMAIL_MAX, shortest=3)
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain or any(c.isspace() for c in address):
        raise InvalidInput("email has the form name@domain, without spaces")
    _no_folding("email", address)
    return address


def _no_folding(what: str, address: str) -> None:
    if not UNLIKE.isdisjoint(address):
        raise InvalidInput(
            f"{what} has no capital letter whose lower case is not the same everywhere, such as U+0130"
        )


def uuid(what: str, value: object) -> UUID:
    if not isinstance(value, UUID):
        raise InvalidInput(f"{what} is a uuid.UUID")
    return value


def optional_uuid(what: str, value: object) -> UUID | None:
    return None if value is None else uuid(what, value)


def optional_time(what: str, value: object) -> datetime | None:
    """A time with its zone, that both databases can store."""
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None or not 2000 <= value.year <= 9000:
        raise InvalidInput(f"{what} is a datetime with a time zone")
    return value


def boolean(what: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{what} is True or False")
    return value


def integer(what: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidInput(f"{what} is a whole number from {least} to {most}")
    return value


def optional_span(what: str, value: object, longest: timedelta) -> timedelta | None:
    if value is None:
        return None
    if not isinstance(value, timedelta) or not timedelta(0) < value <= longest:
        raise InvalidInput(f"{what} is a time span above zero, of at most {longest}")
    return value


def number(what: str, value: object, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= most:
        raise InvalidInput(f"{what} is a number above 0, of at most {most}")
    return value


def json_object(what: str, value: object) -> str | None:
    """A mapping as JSON text that both databases take, and give back as it was."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{what} is a mapping")
    _check_json(what, dict(value), JSON_DEPTH)
    document = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
    if len(document.encode("utf-8")) > AVATAR_MAX:
        raise InvalidInput(f"{what} has at most {AVATAR_MAX} bytes as JSON")
    return document


def _check_json(what: str, value: object, depth: int) -> None:
    if depth < 0:
        raise InvalidInput(f"{what} is nested at most {JSON_DEPTH} deep")
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"{what} has strings as keys")
            _check_json(what, key, depth)
            _check_json(what, each, depth - 1)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_json(what, each, depth - 1)
    elif (wanted := _wanted_of_scalar(value)) is not None:
        raise InvalidInput(f"{what} has {wanted}")


def _wanted_of_scalar(value: object) -> str | None:
    """What a value in JSON would have to be, or None if it is that."""
    match value:
        case str() if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            return "no NUL characters and no lone surrogates"
        # MySQL makes a rounded double of a larger one.
        case int() if not -(2**63) <= value < 2**63:
            return "whole numbers of at most 64 bits"
        case float() if not math.isfinite(value):
            return "finite numbers"
        case None | str() | int() | float():
            return None
    return "values that can be written as JSON"


def provider(value: object) -> str:
    if not isinstance(value, str) or len(value) > 32 or not _is_name(value):
        raise InvalidInput(
            "provider is 1 to 32 lower-case letters, digits, _ and -, and begins with a letter"
        )
    return value


def ip(value: object) -> str | None:
    """An address in its canonical form; None for None."""
    if value is None:
        return None
    if isinstance(value, ipaddress.IPv4Address | ipaddress.IPv6Address):
        return _plain(value)
    if isinstance(value, str) and len(value) <= 64:
        try:
            return _plain(ipaddress.ip_address(value))
        except ValueError:
            pass
    raise InvalidInput("ip is an IPv4 or IPv6 address")


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    # A server that listens on IPv6 sees ::ffff:192.0.2.1 for 192.0.2.1, and the databases write that
    # differently.
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    # A zone (fe80::1%eth0) means something on one machine only, and PostgreSQL's inet has none.
    return str(address).partition("%")[0]


def user_agent(value: object) -> str | None:
    """Whatever a client sent, cut and cleaned: a strange header must not keep anybody from signing in."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInput("user_agent is a string")
    cleaned = (" " if unicodedata.category(c) in {"Cc", "Cs"} else c for c in value[:512])
    return unicodedata.normalize("NFC", "".join(cleaned))[:512]


def reason(value: object) -> str:
    return word("reason", value)


def word(what: str, value: object) -> str:
    """A name of up to 32 characters that goes into a column of such words."""
    checked = text(what, value, 32)
    if not _is_name(checked):
        raise InvalidInput(f"{what} is lower-case letters, digits, _ and -, and begins with a letter")
    return checked


def role(value: object) -> str:
    if not isinstance(value, str) or not _ROLE.fullmatch(value):
        raise InvalidInput("a role is 1 to 64 lower-case letters, digits, _ and -, and begins with a letter")
    return value


def permission(value: object) -> str:
    if not isinstance(value, str) or not _PERMISSION.fullmatch(value):
        raise InvalidInput(
            "a permission is 1 to 100 lower-case letters, digits, _, :, . and -, and begins with a letter"
        )
    return value


def event(value: object) -> str:
    checked = text("event", value, 64)
    first, *others = checked.split(".")
    if not others or not all(_is_name(part) for part in (first, *others)):
        raise InvalidInput(
            "event is subject.verb: lower-case letters, digits, _ and -, each part beginning with a letter"
        )
    return checked


def app_event(value: object) -> str:
    """An event that an application may record itself."""
    checked = event(value)
    if not checked.startswith("app."):
        raise InvalidInput("an event of the application begins with app.")
    return checked


def purpose(value: object, policy: Policy) -> str:
    if not isinstance(value, str) or value not in policy.code_purposes:
        known = ", ".join(sorted(policy.code_purposes))
        raise InvalidInput(f"purpose is one of {known}; Policy.code_purposes takes your own")
    if len(value) > 32 or not _is_name(value):
        raise InvalidInput(
            "a purpose is 1 to 32 lower-case letters, digits, _ and -, and begins with a letter"
        )
    return value


def _is_name(value: str) -> bool:
    return (
        value[:1].islower()
        and value.isascii()
        and all(c.islower() or c.isdigit() or c in "_-" for c in value)
    )


def subject(value: object) -> str:
    """Whom a code is for: an e-mail in lower case, or a UUID, or any other short name."""
    if isinstance(value, UUID):
        return str(value)
    name = text("subject", value, EMAIL_MAX)
    # MySQL's utf8mb4_bin does not tell "ann" from "ann ".
    if name != name.strip():
        raise InvalidInput("subject has no space at either end")
    if "@" in name:
        _no_folding("subject", name)
    # Letter by letter, as the databases do: of a whole word, the last sigma would be another letter.
    return text("subject", "".join(map(str.lower, name)), EMAIL_MAX)


def key(value: object) -> bytes:
    """The key that codes are hashed under. At least 32 bytes: a short one could be guessed together with the
    code.
    """
    if not isinstance(value, bytes) or len(value) < 32:
        raise InvalidInput("key is at least 32 random bytes, kept outside the database")
    return value


def keyring(value: object) -> Keyring:
    if not isinstance(value, Keyring):
        raise InvalidInput("keyring is an authsql.keyring.Keyring")
    return value


def new_password(value: object, policy: Policy) -> str:
    """A password to be stored: NFC, no other change and no rule but its length, and that it is not on the
    policy's blocklist (NIST SP 800-63B-4, 3.1.1.2).
    """
    if not isinstance(value, str):
        raise InvalidInput("password is a string")
    if len(value) <= policy.password_max_length * 4:
        checked = password(value, policy)
        if checked is not None and len(checked) >= policy.password_min_length:
            if policy.password_blocklist is not None and checked in policy.password_blocklist:
                raise CommonPassword(CommonPassword.__doc__)
            return checked
    raise InvalidInput(
        f"password has {policy.password_min_length} to {policy.password_max_length} characters of Unicode"
    )


def password(value: object, policy: Policy) -> str | None:
    """A password to be checked, or None if it cannot be anybody's."""
    if not isinstance(value, str):
        raise InvalidInput("password is a string")
    if len(value) > policy.password_max_length * 4:
        return None
    normal = unicodedata.normalize("NFC", value)
    if len(normal) > policy.password_max_length or any("\ud800" <= c <= "\udfff" for c in normal):
        return None
    return normal
