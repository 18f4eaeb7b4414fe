"""UUID version 7 (RFC 9562, section 5.7): time-ordered, so that new rows land side by side in the index."""

from __future__ import annotations

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A new one: 48 bits of milliseconds, then 74 random bits. An id, never a secret."""
    value = int.from_bytes(os.urandom(10)) | (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
