"""Ids are UUID version 7."""

from __future__ import annotations

import time
from uuid import RFC_4122

import pytest

from authsql import _ids


def test_version_and_variant() -> None:
    for _ in range(200):
        made = _ids.uuid7()
        assert made.version == 7
        assert made.variant == RFC_4122


def test_the_time_comes_first() -> None:
    before = time.time_ns() // 1_000_000
    made = _ids.uuid7()
    after = time.time_ns() // 1_000_000
    assert before <= made.int >> 80 <= after


def test_later_is_greater(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for millisecond in (1, 2, 1_700_000_000_000, 1_700_000_000_001, (1 << 48) - 1):
        monkeypatch.setattr(time, "time_ns", lambda now=millisecond: now * 1_000_000)
        ids.append(_ids.uuid7())
    assert ids == sorted(ids)
    assert [made.int >> 80 for made in ids][2] == 1_700_000_000_000


def test_later_is_greater_within_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for nanosecond in (0, 250, 1_000, 999_999):
        monkeypatch.setattr(time, "time_ns", lambda rest=nanosecond: 1_700_000_000_000_000_000 + rest)
        ids.append(_ids.uuid7())
    assert ids == sorted(ids)
    assert len({made.int >> 64 for made in ids}) == 4
    assert len({made.int >> 80 for made in ids}) == 1


def test_no_two_are_alike() -> None:
    assert len({_ids.uuid7() for _ in range(10_000)}) == 10_000
