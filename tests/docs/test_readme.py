"""The example in README.md runs, and is as short as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.servers import Database

TEXT = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
[BLOCK] = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.only("postgres")
def test_the_example(database: Database, capsys: pytest.CaptureFixture[str]) -> None:
    code = BLOCK.replace("postgresql://localhost/app", database.url)
    assert code != BLOCK
    exec(compile(code, "README.md", "exec"), {})
    assert re.fullmatch(r"[0-9a-f-]{36} 20\d\d-\S+ \S+\n", capsys.readouterr().out)


def test_it_is_short() -> None:
    assert len([line for line in BLOCK.splitlines() if line.strip()]) <= 12
