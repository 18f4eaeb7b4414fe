"""Numbers that make no sense are refused where they are written."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from datetime import timedelta
from typing import Any

import pytest

from authsql import Blocklist, InvalidInput, Pepper, Policy
from authsql.policy import DEFAULT

NUMBERS = [f.name for f in fields(Policy) if type(f.default) is int]
SPANS = [f.name for f in fields(Policy) if isinstance(f.default, timedelta)]
CHOICES = [f.name for f in fields(Policy) if isinstance(f.default, bool)]
OFF = {
    "code_resend_after",
    "session_touch_after",
    "refresh_grace",
    "reactivation_wait",
    "mail_kept",
    "totp_drift_steps",
}


def test_the_defaults_hold() -> None:
    assert Policy() == DEFAULT
    assert DEFAULT.code_lifetime <= timedelta(minutes=10)
    assert DEFAULT.block_after <= 100
    assert DEFAULT.totp_block_after <= 100
    assert DEFAULT.totp_drift_steps <= 1
    assert DEFAULT.password_min_length >= 8
    assert DEFAULT.session_absolute <= timedelta(days=30)
    assert len(NUMBERS) == 11
    assert len(SPANS) == 19
    assert CHOICES == ["link_verified_emails", "email_signs_in"]
    assert not any(getattr(DEFAULT, name) for name in CHOICES)


def test_it_is_frozen() -> None:
    changed: Any = DEFAULT
    with pytest.raises(FrozenInstanceError):
        changed.code_digits = 4


def build(**changes: Any) -> Policy:
    return replace(DEFAULT, **changes)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "5", None])
def test_numbers(name: str, value: object) -> None:
    if name in OFF and type(value) is int and value == 0:
        assert getattr(build(**{name: 0}), name) == 0
        return
    with pytest.raises(InvalidInput, match=f"Policy.{name}"):
        build(**{name: value})


@pytest.mark.parametrize("name", SPANS)
@pytest.mark.parametrize("value", [timedelta(seconds=-1), timedelta(days=36501), 60, None])
def test_spans(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"Policy.{name}"):
        build(**{name: value})


def test_what_is_off_unless_it_is_given() -> None:
    assert DEFAULT.pepper is None
    assert DEFAULT.password_blocklist is None
    pepper, blocklist = Pepper({"2026": b"k" * 32}, "2026"), Blocklist.of(["password"])
    changed = build(pepper=pepper, password_blocklist=blocklist)
    assert (changed.pepper, changed.password_blocklist) == (pepper, blocklist)
    assert build(pepper=None, password_blocklist=None) == DEFAULT
    assert "kkkk" not in repr(changed)
    assert "'password'" not in repr(changed)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("value", [0, 1, None, "yes"])
def test_choices(name: str, value: object) -> None:
    assert getattr(build(**{name: True}), name) is True
    with pytest.raises(InvalidInput, match=f"Policy.{name}"):
        build(**{name: value})


@pytest.mark.parametrize("name", SPANS)
def test_what_may_be_switched_off(name: str) -> None:
    if name in OFF:
        assert getattr(build(**{name: timedelta(0)}), name) == timedelta(0)
    else:
        with pytest.raises(InvalidInput, match=f"Policy.{name}"):
            build(**{name: timedelta(0)})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"code_digits": 3}, "code_digits"),
        ({"code_digits": 13}, "code_digits"),
        ({"code_attempts": 101}, "code_attempts"),
        ({"lock_after": 101}, "lock_after"),
        ({"totp_lock_after": 101}, "totp_lock_after"),
        ({"totp_drift_steps": 11}, "totp_drift_steps"),
        ({"password_min_length": 2000}, "password_min_length"),
        ({"code_purposes": {"signin"}}, "code_purposes"),
        ({"argon2": None}, "argon2"),
        ({"pepper": b"k" * 32}, "pepper"),
        ({"pepper": {"2026": b"k" * 32}}, "pepper"),
        ({"password_blocklist": {"password"}}, "password_blocklist"),
        ({"password_blocklist": True}, "password_blocklist"),
    ],
)
def test_limits(changes: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidInput, match=f"Policy.{named}"):
        build(**changes)
