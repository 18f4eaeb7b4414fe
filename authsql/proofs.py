"""What a user comes back with to prove that they read the mail that was sent to them: the code, or the link
beside it. Every flow of `accounts` takes either.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias, final
from uuid import UUID


@final
@dataclass(frozen=True, slots=True)
class Code:
    """A code that was typed in. A wrong one counts as an attempt on the code that was issued."""

    subject: str | UUID
    """Whom it was sent to, as in `otps.issue`."""
    code: str = field(repr=False)
    key: bytes = field(repr=False)
    """The key that codes are hashed under."""
    issue_id: UUID | None = None
    """`IssuedCode.issue_id`, kept by the browser that asked for the code: it is accepted nowhere else
    (ASVS 6.6.2)."""


@final
@dataclass(frozen=True, slots=True)
class Link:
    """The secret of a link that was opened. It cannot be guessed, and is not counted.

    Do not spend it when the page is fetched: mail scanners fetch it before its owner does. Show a button.
    """

    token: str = field(repr=False)
    """`IssuedCode.link`."""
    issue_id: UUID | None = None
    """As in `Code`: with it, the link is good only in the browser that asked for it."""


Proof: TypeAlias = Code | Link
