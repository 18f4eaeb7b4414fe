"""Accounts: who there is. What proves who somebody is lies in `passwords`, `otps` and `identities`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final, Literal
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._export import plain
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql.errors import EmailTaken
from authsql.models import Reason, Refusal, User, from_row
from authsql.policy import DEFAULT, Policy


class _Keep(enum.Enum):
    KEEP = "keep"


KEEP: Final = _Keep.KEEP
"""In `update_profile`: leave as it is."""


@operation()
def create(
    email: str,
    *,
    name: str | None = None,
    avatar: Mapping[str, Any] | None = None,
    email_verified: bool = False,
) -> Steps[User]:
    """Create an account. It has the default roles and no way to sign in yet (see `passwords.set`).

    Raises EmailTaken if a live account has that e-mail, whatever its case; the caller's transaction stays
    usable.
    """
    parameters = {
        "id": uuid7(),
        "email": _input.email(email),
        "name": _input.optional_text("name", name, 200),
        "avatar": _input.json_object("avatar", avatar),
        "email_verified": _input.boolean("email_verified", email_verified),
    }
    row = (yield Query("users.create", parameters)).row
    if row is None:
        raise EmailTaken(EmailTaken.__doc__)
    return from_row(User, row)


@operation()
def get(user_id: UUID) -> Steps[User | None]:
    """The account with this id, soft-deleted ones included, or None."""
    row = (yield Query("users.get", {"id": _input.uuid("user_id", user_id)})).row
    return from_row(User, row) if row else None


@operation()
def get_by_email(email: str) -> Steps[User | None]:
    """The live account with this e-mail, whatever its case, or None. Raises InvalidInput for what cannot be
    one.
    """
    row = (yield Query("users.get_by_email", {"email": _input.email(email)})).row
    return from_row(User, row) if row else None


@operation()
def update_profile(
    user_id: UUID,
    *,
    name: str | Literal[_Keep.KEEP] | None = KEEP,
    avatar: Mapping[str, Any] | Literal[_Keep.KEEP] | None = KEEP,
) -> Steps[User | None]:
    """Set the name, the avatar or both of a live account; None clears. Returns it as it stands, None if there
    is none.
    """
    parameters = {
        "id": _input.uuid("user_id", user_id),
        "set_name": name is not KEEP,
        "name": None if name is KEEP else _input.optional_text("name", name, 200),
        "set_avatar": avatar is not KEEP,
        "avatar": None if avatar is KEEP else _input.json_object("avatar", avatar),
    }
    row = (yield Query("users.update_profile", parameters)).row
    return from_row(User, row) if row else None


@operation()
def mark_email_verified(user_id: UUID, email: str) -> Steps[bool]:
    """Note that the owner proved to read mail at this address.

    False, and nothing done, if it is not the address of a live account any more: a proof of an old address
    proves nothing of the new one. The time of an earlier proof stays.
    """
    parameters = {"id": _input.uuid("user_id", user_id), "email": _input.email(email)}
    count: int = (yield Query("users.mark_email_verified", parameters)).count
    return count > 0


@operation()
def soft_delete(user_id: UUID, *, policy: Policy = DEFAULT) -> Steps[User | None]:
    """Mark a live account as deleted: its sessions end, its e-mail is free, and it can be reactivated after
    `policy.reactivation_wait`. Returns it, or None if there is no such live account.
    """
    parameters = {
        "id": _input.uuid("user_id", user_id),
        "reactivation_wait": policy.reactivation_wait,
    }
    row = (yield Query("users.soft_delete", parameters)).row
    return from_row(User, row) if row else None


@operation()
def reactivate(user_id: UUID) -> Steps[User | Refusal]:
    """Bring a soft-deleted account back. Its sessions stay ended.

    Refused: UNKNOWN, NOT_DELETED, NOT_YET (with `retry_at`). Raises EmailTaken if another account has its
    e-mail now.
    """
    parameters = {"id": _input.uuid("user_id", user_id)}
    row = (yield Query("users.reactivate", parameters)).row
    if row:
        return from_row(User, row)
    row = (yield Query("users.reactivate_refusal", parameters)).row
    if row is None:
        return Refusal(Reason.UNKNOWN)
    if row["reason"] == "email_taken":
        raise EmailTaken(EmailTaken.__doc__)
    return Refusal(Reason(row["reason"]), retry_at=row["retry_at"])


@operation()
def delete(user_id: UUID) -> Steps[bool]:
    """Delete an account and all that belongs to it, for good. False if there was none."""
    count: int = (yield Query("users.delete", {"id": _input.uuid("user_id", user_id)})).count
    return count > 0


@operation()
def export(user_id: UUID) -> Steps[dict[str, Any] | None]:
    """All that is held on a user as one document that can be written as JSON, or None if there is no such
    account. No secret, and no hash of one, is in it (GDPR, articles 15 and 20).

    What is kept under an address is in it as well: codes, a sign-up that waits, mail; but not if another
    account has that address now. `acts` is what the user did to others, without whom (see
    `audit.set_context`).

    Times are ISO 8601 in UTC. Give it to nobody but who has just proved to be that user.
    """
    row = (yield Query("privacy.export", {"user_id": _input.uuid("user_id", user_id)})).row
    return plain(row["document"]) if row else None


@operation()
def erase(user_id: UUID) -> Steps[bool]:
    """Delete an account for good, soft-deleted or not, with all that belongs to it, the codes, sign-ups and
    mail for an address that it has or had, and the addresses and devices in its entries of the audit log, of
    what it did to others too (GDPR, article 17). False if there is none.

    What another account's address is by now is left to that. What stays is that something happened and when,
    under an id that leads nowhere, and who erased it.
    """
    parameters = {"user_id": _input.uuid("user_id", user_id)}
    return bool((yield Query("privacy.erase", parameters, atomic=True)).rows)
