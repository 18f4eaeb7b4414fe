"""For other programs: a short-lived access token made of the session, and a refresh token that rotates."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Header, HTTPException
from pydantic import BaseModel

from authsql import AccessToken, access_tokens, refresh_tokens, roles, users
from examples.webapp.web import Context, Here, Posted, Signed

router = APIRouter(prefix="/api")


class Tokens(BaseModel):
    """As RFC 6749, section 5.1, has it."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # the name of a kind
    expires_in: int = 900
    refresh_token: str


@router.post("/tokens")
def tokens(here: Posted, visitor: Signed) -> Tokens:
    family = refresh_tokens.issue(here.conn, visitor.session.id, policy=here.settings.policy)
    if not family:
        raise HTTPException(401)
    access = access_tokens.issue(
        visitor.session, here.settings.token_keys, issuer=here.settings.origin, audience="api"
    )
    return Tokens(access_token=access, refresh_token=family.token)


@router.post("/refresh")
def refresh(here: Here, refresh_token: Annotated[str, Form()]) -> Tokens:
    """No cookie is looked at, so no other site can send it. A stolen token that comes back is the end."""
    rotated = refresh_tokens.rotate(here.conn, refresh_token, policy=here.settings.policy)
    if not rotated:
        raise HTTPException(401, "Sign in again.")
    access = access_tokens.issue(
        rotated, here.settings.token_keys, issuer=here.settings.origin, audience="api"
    )
    return Tokens(access_token=access, refresh_token=rotated.token)


@router.get("/me")
def me(here: Here, authorization: Annotated[str, Header()] = "") -> dict[str, object]:
    found = _bearer(here, authorization)
    user = users.get(here.conn, found.user_id)
    if user is None:
        raise HTTPException(401)
    return {"id": str(user.id), "email": user.email, "roles": list(roles.of_user(here.conn, user.id))}


def _bearer(here: Context, authorization: str) -> AccessToken:
    kind, _, token = authorization.partition(" ")
    found = access_tokens.verify(token, here.settings.token_keys, issuer=here.settings.origin, audience="api")
    if kind.lower() != "bearer" or not found:
        raise HTTPException(401, "No good access token.", headers={"www-authenticate": "Bearer"})
    return found
