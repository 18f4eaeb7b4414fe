"""Roles: everybody sees their own; who has the permission `roles:manage` gives and takes those of others."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, HTTPException, Response

from authsql import InvalidInput, UnknownRole, User, UserNotFound, roles, users
from examples.webapp.entry import WRONG, fresh
from examples.webapp.web import Context, Here, Posted, Signed, Visitor

router = APIRouter(prefix="/roles")
ADMIN, MANAGE = "admin", "roles:manage"


def appoint(here: Context, user: User) -> None:
    """Make an administrator of who has just proved to own the address that the settings name."""
    if here.settings.admin and user.email.lower() == here.settings.admin.lower():
        roles.create(here.conn, ADMIN, description="Gives roles to others")
        roles.allow(here.conn, ADMIN, MANAGE)
        roles.grant(here.conn, user.id, ADMIN)


def administrator(here: Here, visitor: Signed) -> Visitor:
    """The question is for a permission, not for a role, and is asked at each request."""
    if not roles.has_permission(here.conn, visitor.user.id, MANAGE):
        raise HTTPException(403, "You may not do this.")
    return visitor


Administrator = Annotated[Visitor, Depends(administrator)]


@router.get("")
def mine(here: Here, visitor: Signed) -> Response:
    user_id = visitor.user.id
    return here.page(
        "roles",
        roles=roles.of_user(here.conn, user_id),
        permissions=roles.permissions_of(here.conn, user_id),
        may_manage=roles.has_permission(here.conn, user_id, MANAGE),
    )


@router.get("/of")
def of(here: Here, visitor: Administrator, email: str = "") -> Response:
    return _of(here, email)


@router.post("/{what}")
def change(
    here: Posted,
    visitor: Administrator,
    *,
    what: Literal["grant", "revoke"],
    email: Annotated[str, Form()],
    role: Annotated[str, Form()],
    password: Annotated[str, Form()] = "",
) -> Response:
    if not fresh(here, visitor, password):
        return _of(here, email, WRONG, 401)
    operation = roles.grant if what == "grant" else roles.revoke
    try:
        operation(here.conn, _owner(here, email).id, role)
    except (UnknownRole, UserNotFound, InvalidInput):
        return _of(here, email, "There is no such role.", 422)
    return _of(here, email)


def _of(here: Context, email: str, problem: str = "", status: int = 200) -> Response:
    user = _owner(here, email)
    return here.page(
        "roles_of",
        status,
        user=user,
        has=roles.of_user(here.conn, user.id),
        all=roles.list(here.conn),
        problem=problem,
    )


def _owner(here: Context, email: str) -> User:
    user: User | None
    try:
        user = users.get_by_email(here.conn, email)
    except InvalidInput:
        user = None
    if user is None:
        raise HTTPException(404, "Nobody has this address.")
    return user
