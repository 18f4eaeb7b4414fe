"""The audit log: what happened to accounts (ASVS 16.2.1, 16.3.1, 16.4.2).

Triggers write it: nothing has to be called for an entry, and a change typed by hand is recorded too. Here is
who did it and from where, how to read it, and how to add to it.

The context is kept by the connection: in PostgreSQL in the settings `authsql.*`, until the end of the
transaction if one is open, else until the connection ends, so that behind a pooler in transaction mode it is
to be set in the transaction; in MySQL in the variables `@authsql_*`, until the connection ends. A pool gives
connections on with the context that they have, unless it resets them: set it at the beginning of each
request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps, operation
from authsql.models import AuditEntry, from_row

_LAST = 2**63 - 1


@operation()
def set_context(
    *,
    actor_id: UUID | None = None,
    session_id: UUID | None = None,
    ip: str | ipaddress.IPv4Address | ipaddress.IPv6Address | None = None,
    user_agent: str | None = None,
) -> Steps[None]:
    """Say for whom the connection works from now on, in which session, and where the request came from.

    It is noted with what happens until the end of the transaction (PostgreSQL, if one is open or autocommit
    is off) or of the connection, and replaces all that was said before: what is left out is not known.
    user_agent may be any header, and is cut at 512 characters. Nothing is looked up, the caller knows.
    """
    parameters = {
        "actor_id": _input.optional_uuid("actor_id", actor_id),
        "session_id": _input.optional_uuid("session_id", session_id),
        "ip": _input.ip(ip),
        "user_agent": _input.user_agent(user_agent),
    }
    yield Query("audit.set_context", parameters)


@operation()
def clear_context() -> Steps[None]:
    """Say that nothing is known: until the end of the transaction or of the connection, as `set_context`."""
    parameters = dict.fromkeys(("actor_id", "session_id", "ip", "user_agent"))
    yield Query("audit.set_context", parameters)


@operation()
def list(
    *,
    user_id: UUID | None = None,
    event: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> Steps[tuple[AuditEntry, ...]]:
    """At most limit entries, the newest first: of one user, of one event, of both, or all.

    For the next page, give the number of the last one as before. limit is at most 1000. A user's entries are
    those that concern the user, whoever did it.
    """
    parameters: dict[str, object] = {
        "user_id": _input.optional_uuid("user_id", user_id),
        "event": None if event is None else _input.event(event),
        "before": _LAST if before is None else _input.integer("before", before, 1, _LAST),
        "limit": _input.integer("limit", limit, 1, 1000),
    }
    if user_id is not None:
        rows = (yield Query("audit.list_of_user", parameters)).rows
    elif event is not None:
        rows = (yield Query("audit.list_of_event", parameters)).rows
    else:
        rows = (yield Query("audit.list", parameters)).rows
    return tuple(from_row(AuditEntry, row) for row in rows)


@operation()
def record(
    event: str, *, user_id: UUID | None = None, detail: Mapping[str, Any] | None = None
) -> Steps[None]:
    """Add an event of the application, `app.subject.verb`: none can be taken for one of authsql's.

    user_id is whom it concerns; whether there is such a user is not checked. detail is a JSON object: keep
    secrets and personal data out of it, as entries outlive the user. Who, when and from where are filled in.
    Raises InvalidInput for an event of another kind.
    """
    parameters = {
        "event": _input.app_event(event),
        "user_id": _input.optional_uuid("user_id", user_id),
        "detail": _input.json_object("detail", detail) or "{}",
    }
    yield Query("audit.record", parameters)
