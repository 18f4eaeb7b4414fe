"""Roles and permissions: what a user may do. A user has roles, and a role has permissions.

A role is given by `grant` and by nothing that a user sends: a new account has the default roles, by a
trigger. Every question is asked of the database, so that a change takes effect with the next one (ASVS
8.3.2). A soft-deleted user keeps the grants, can do nothing by them, and has them back after
`users.reactivate`.

The names of roles and permissions are lower-case letters, digits, _ and -, those of permissions also : and .;
they begin with a letter. A role's has up to 64 characters, a permission's up to 100.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps, operation
from authsql.errors import AlreadyThere
from authsql.models import Role


@operation()
def create(role: str, *, description: str = "", default: bool = False) -> Steps[bool]:
    """Add a role. False if there is one of that name, which stays as it is.

    default: every account that is created from now on is granted it; those that there are, are not.
    description has up to 1000 characters.
    """
    parameters = {
        "role": _input.role(role),
        "description": _input.text("description", description, 1000, shortest=0),
        "is_default": _input.boolean("default", default),
    }
    try:
        count: int = (yield Query("roles.create", parameters)).count
    except AlreadyThere:
        return False
    return count > 0


@operation()
def delete(role: str) -> Steps[bool]:
    """Delete a role, with its permissions and its grants. False if there is none.

    An account that is being created while a default role is deleted may fail with UnknownRole; then it was
    not created, and can be created again.
    """
    count: int = (yield Query("roles.delete", {"role": _input.role(role)})).count
    return count > 0


@operation()
def list() -> Steps[tuple[Role, ...]]:
    """Every role with its permissions, in the order of their names."""
    rows = (yield Query("roles.list", {})).rows
    found = [
        Role(
            name=row["name"],
            description=row["description"],
            is_default=bool(row["is_default"]),
            permissions=_names(row["permissions"]),
            created_at=row["created_at"],
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda each: each.name))


@operation()
def grant(user_id: UUID, role: str) -> Steps[bool]:
    """Give a user a role. False if the user has it already: of many callers at a time one is told True.

    Raises UserNotFound, UnknownRole.
    """
    parameters = {"user_id": _input.uuid("user_id", user_id), "role": _input.role(role)}
    try:
        count: int = (yield Query("roles.grant", parameters)).count
    except AlreadyThere:
        return False
    return count > 0


@operation()
def revoke(user_id: UUID, role: str) -> Steps[bool]:
    """Take a role from a user, at once (ASVS 8.3.2). False if the user did not have it, or does not exist."""
    parameters = {"user_id": _input.uuid("user_id", user_id), "role": _input.role(role)}
    count: int = (yield Query("roles.revoke", parameters)).count
    return count > 0


@operation()
def of_user(user_id: UUID) -> Steps[tuple[str, ...]]:
    """The names of a live user's roles, in order. Empty for one who is soft-deleted or does not exist."""
    rows = (yield Query("roles.of_user", {"user_id": _input.uuid("user_id", user_id)})).rows
    return _names(row["role"] for row in rows)


@operation()
def permissions_of(user_id: UUID) -> Steps[tuple[str, ...]]:
    """What a live user may do, by whichever roles, in order. Empty for one who is soft-deleted or does not
    exist.
    """
    rows = (yield Query("roles.permissions_of", {"user_id": _input.uuid("user_id", user_id)})).rows
    return _names(row["permission"] for row in rows)


@operation()
def allow(role: str, permission: str) -> Steps[bool]:
    """Give a role a permission. False if the role has it already. Raises UnknownRole."""
    parameters = {"role": _input.role(role), "permission": _input.permission(permission)}
    try:
        count: int = (yield Query("roles.allow", parameters)).count
    except AlreadyThere:
        return False
    return count > 0


@operation()
def disallow(role: str, permission: str) -> Steps[bool]:
    """Take a permission from a role, at once (ASVS 8.3.2). False if the role did not have it, or does not
    exist.
    """
    parameters = {"role": _input.role(role), "permission": _input.permission(permission)}
    count: int = (yield Query("roles.disallow", parameters)).count
    return count > 0


@operation()
def has_role(user_id: UUID, role: str) -> Steps[bool]:
    """Whether a live user has a role. In SQL: `authsql_has_role(user_id, role)`."""
    parameters = {"user_id": _input.uuid("user_id", user_id), "role": _input.role(role)}
    row = (yield Query("roles.has_role", parameters)).row
    return bool(row["granted"])


@operation()
def has_permission(user_id: UUID, permission: str) -> Steps[bool]:
    """Whether one of a live user's roles has a permission. In SQL: `authsql_has_permission(user_id,
    permission)`.

    Ask this, and not for a role, where something is to be allowed (ASVS 8.2.1).
    """
    parameters = {"user_id": _input.uuid("user_id", user_id), "permission": _input.permission(permission)}
    row = (yield Query("roles.has_permission", parameters)).row
    return bool(row["granted"])


@operation()
def set_current_user(user_id: UUID | None) -> Steps[None]:
    """Say on whose behalf the statements that follow are run: what `authsql_current_user_id()` is in SQL, for
    policies and views that show each user what is theirs (docs/howto/row-level-security.md). None: nobody's.

    PostgreSQL forgets it at the end of the transaction; where none is open it would be of no effect, and
    NoTransaction is raised. MySQL keeps it until the session ends or is reset: call this first for every
    request, with None for one that has no user, or give the connection back only after a call with None.

    user_id is not looked up. One who does not exist, or is soft-deleted, has no permissions.
    """
    parameters = {"user_id": _input.optional_uuid("user_id", user_id)}
    yield Query("roles.set_current_user", parameters, local=True)


def _names(found: Iterable[str]) -> tuple[str, ...]:
    # Sorted here: each database has an order of its own.
    return tuple(sorted(found))
