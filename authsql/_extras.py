"""Optional dependencies: what is missing is named together with the extra that brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around an import: an ImportError out of it says what to install."""
    try:
        yield
    except ImportError as error:
        message = f"this needs the extra {extra}: pip install 'authsql[{extra}]' ({error})"
        raise ImportError(message, name=error.name) from error
