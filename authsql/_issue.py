"""A new code and the link beside it: what the database keeps of them, and what the caller is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authsql import _input
from authsql._ids import uuid7
from authsql._tokens import LINK_PREFIX, code_digest, digest, new_code, new_secret, write
from authsql.models import IssuedCode, Reason, Refusal
from authsql.policy import Policy


class Issue:
    """A code that is to be issued. The statements that do it take `parameters`."""

    __slots__ = ("_code", "_secret", "parameters")

    def __init__(self, subject: str, purpose: str, *, key: bytes, link: bool, policy: Policy) -> None:
        key = _input.key(key)
        self._code = new_code(policy.code_digits)
        self._secret = new_secret() if _input.boolean("link", link) else None
        self.parameters: dict[str, Any] = {
            "subject": subject,
            "purpose": purpose,
            "issue_id": uuid7(),
            "code_hash": code_digest(key, purpose, subject, self._code),
            "link_hash": digest(self._secret) if self._secret else None,
            "max_attempts": policy.code_attempts,
            "lifetime": policy.code_lifetime,
            "resend_after": policy.code_resend_after,
            "window": policy.code_window,
            "window_max": policy.codes_per_window,
        }

    def issued(self, row: Mapping[str, Any]) -> IssuedCode:
        """What goes to the subject, once the row is stored."""
        link = write(LINK_PREFIX, row["issue_id"], self._secret) if self._secret else None
        return IssuedCode(self._code, row["issue_id"], row["expires_at"], row["resend_at"], link)


def not_issued(row: Mapping[str, Any] | None) -> Refusal:
    """Why none was issued. Without a row, the one that stood in the way was purged meanwhile."""
    return Refusal(Reason(row["reason"]), retry_at=row["retry_at"]) if row else Refusal(Reason.COOLING_DOWN)
