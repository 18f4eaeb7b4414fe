"""A released migration never changes: its checksum is in sql/checksums.txt."""

from __future__ import annotations

import hashlib

import pytest

from authsql import _checksums
from authsql._checksums import NAME, present, released
from authsql._statements import DIALECTS, Dialect, sql_root


@pytest.mark.parametrize("dialect", DIALECTS)
def test_released_files_are_as_they_were(dialect: Dialect) -> None:
    frozen = {path: digest for path, digest in released().items() if path.startswith(f"{dialect}/")}
    assert len(frozen) >= 20
    there = present(dialect)
    assert {path: there.get(path) for path in frozen} == frozen
    # What is not released yet comes after all that is.
    last = max(path for path in frozen if not path.endswith(".rollback.sql"))
    assert all(path > last for path in there.keys() - frozen.keys())


def test_the_form_is_that_of_sha256sum() -> None:
    for line in (sql_root() / NAME).read_text(encoding="utf-8").splitlines():
        digest, _, path = line.partition("  ")
        assert hashlib.sha256((sql_root() / path).read_bytes()).hexdigest() == digest


def test_what_was_released_is_not_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that was edited, nor one that is gone."""
    frozen = released()
    path = next(iter(frozen))
    for known in ({**frozen, path: "0" * 64}, {**frozen, "postgres/0000.gone.sql": "0" * 64}):
        monkeypatch.setattr(_checksums, "released", lambda known=known: known)
        with pytest.raises(ValueError, match="changed or missing, though released: postgres/000"):
            _checksums.write()


def test_what_is_written_is_all_there_is() -> None:
    lines = _checksums.write().splitlines()
    assert len(lines) == sum(len(present(dialect)) for dialect in DIALECTS)
    assert set(lines) >= {f"{digest}  {path}" for path, digest in released().items()}
