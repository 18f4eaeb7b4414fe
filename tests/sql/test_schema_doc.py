"""docs/schema.md says what the catalog says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from tools.schema_doc import render

if TYPE_CHECKING:
    from tests.servers import SyncConnection

DOCUMENT = Path(__file__).parents[2] / "docs" / "schema.md"


@pytest.mark.only("postgres")
def test_the_schema_document_is_current(conn: SyncConnection) -> None:
    assert isinstance(conn, psycopg.Connection)
    if conn.info.server_version // 10000 != 18:
        pytest.skip("the document is what PostgreSQL 18 says: other versions write definitions in other ways")
    text = render(conn)
    if os.environ.get("AUTHSQL_WRITE_SCHEMA_DOC") == "1":
        DOCUMENT.write_text(text, encoding="utf-8")
    current = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    assert current == text, "docs/schema.md is stale: renew it with `make schema-doc`"
