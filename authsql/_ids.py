"""UUID version 7 (RFC 9562, section 5.7): time-ordered, so that new rows land side by side in the index."""

from __future__ import annotations

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A new one: 48 bits of milliseconds, 12 of the fraction, then 62 random bits. An id, never a secret.

    With the fraction (section 6.2, method 3) what one process makes one after the other is in that order.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | (rest << 12) // 1_000_000 << 64
    return UUID(int=value | 0x2 << 62 | int.from_bytes(os.urandom(8)) & (1 << 62) - 1)
