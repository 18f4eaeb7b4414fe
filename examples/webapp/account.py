"""What a signed-in user sees and changes: password, address, devices, second factors, and the way out."""

from __future__ import annotations

import json
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, HTTPException, Response
from fastapi.responses import JSONResponse

from authsql import (
    InvalidInput,
    Reason,
    Refusal,
    audit,
    devices,
    factors,
    passkeys,
    passwords,
    recovery_codes,
    sessions,
    totp,
    users,
)
from examples.webapp.entry import WRONG, elevated, fresh
from examples.webapp.web import Context, Here, Posted, Signed, Visitor, go

router = APIRouter()


@router.get("/")
def home(here: Here, visitor: Signed) -> Response:
    user_id = visitor.user.id
    return here.page(
        "account",
        user=visitor.user,
        session=visitor.session,
        sessions=sessions.list(here.conn, user_id),
        devices=devices.list(here.conn, user_id),
        factors=factors.of_user(here.conn, user_id),
        apps=totp.list(here.conn, user_id),
        passkeys=passkeys.list(here.conn, user_id),
    )


@router.get("/activity")
def activity(here: Here, visitor: Signed) -> Response:
    return here.page("activity", entries=audit.list(here.conn, user_id=visitor.user.id, limit=50))


@router.post("/profile")
def profile(here: Posted, visitor: Signed, name: Annotated[str, Form()] = "") -> Response:
    try:
        users.update_profile(here.conn, visitor.user.id, name=name.strip() or None)
    except InvalidInput as error:
        return here.page("message", 422, title="Not changed", text=str(error))
    return go("/")


@router.post("/password")
def password(
    here: Posted, visitor: Signed, old: Annotated[str, Form()], new: Annotated[str, Form()]
) -> Response:
    """The old password counts as an attempt; the other sessions end, this one stays."""
    try:
        done = passwords.change(
            here.conn,
            visitor.user.id,
            old,
            new,
            keep_session=visitor.session.id,
            policy=here.settings.policy,
        )
    except InvalidInput as error:
        return here.page("message", 422, title="Not changed", text=str(error))
    if not done:
        return here.page("message", 401, title="Not changed", text=WRONG)
    here.mail(visitor.user.email, "password-changed", ip=here.ip or "unknown")
    return go("/")


# Sessions and devices.


@router.post("/sessions/end")
def end_session(here: Posted, visitor: Signed, row: Annotated[UUID, Form(alias="id")]) -> Response:
    sessions.revoke(here.conn, row, user_id=visitor.user.id)
    return go("/")


@router.post("/sessions/end-others")
def end_others(here: Posted, visitor: Signed) -> Response:
    sessions.revoke_others(here.conn, visitor.user.id, visitor.session.id)
    return go("/")


@router.post("/devices/forget")
def forget_device(here: Posted, visitor: Signed, row: Annotated[UUID, Form(alias="id")]) -> Response:
    devices.forget(here.conn, visitor.user.id, row)
    return go("/")


# Second factors.


@router.post("/totp")
def enroll(here: Posted, visitor: Signed, password: Annotated[str, Form()] = "") -> Response:
    if not fresh(here, visitor, password):
        return here.page("message", 401, title="Not added", text=WRONG)
    enrollment = totp.enroll(
        here.conn,
        visitor.user.id,
        keyring=here.settings.keyring,
        issuer=here.settings.name,
        account=visitor.user.email,
        name="Authenticator",
        policy=here.settings.policy,
    )
    if not enrollment:
        return here.page("message", 409, title="Not added", text="There are enough of them.")
    return here.page("totp", enrollment=enrollment)


@router.post("/totp/confirm")
def confirm_totp(
    here: Posted, visitor: Signed, factor_id: Annotated[UUID, Form()], code: Annotated[str, Form()]
) -> Response:
    """The first code proves that the app has the secret. With the first factor come recovery codes."""
    done = totp.confirm(
        here.conn,
        visitor.user.id,
        factor_id,
        code.strip(),
        keyring=here.settings.keyring,
        policy=here.settings.policy,
    )
    if not done:
        return here.page("message", 401, title="Not added", text=WRONG)
    response = elevated(here, visitor)
    if not recovery_codes.remaining(here.conn, visitor.user.id):
        shown = _codes(here, visitor)
        shown.raw_headers.extend(header for header in response.raw_headers if header[0] == b"set-cookie")
        return shown
    return response


@router.post("/totp/remove")
def remove_totp(
    here: Posted,
    visitor: Signed,
    row: Annotated[UUID, Form(alias="id")],
    password: Annotated[str, Form()] = "",
) -> Response:
    if not fresh(here, visitor, password):
        return here.page("message", 401, title="Not removed", text=WRONG)
    totp.remove(here.conn, visitor.user.id, row)
    return go("/")


@router.post("/recovery-codes")
def new_codes(here: Posted, visitor: Signed, password: Annotated[str, Form()] = "") -> Response:
    if not fresh(here, visitor, password):
        return here.page("message", 401, title="No new codes", text=WRONG)
    return _codes(here, visitor)


def _codes(here: Context, visitor: Visitor) -> Response:
    codes = recovery_codes.regenerate(here.conn, visitor.user.id, key=here.settings.code_key)
    return here.page("recovery_codes", codes=codes or ())


@router.post("/passkeys/options")
def passkey_options(here: Posted, visitor: Signed, password: Annotated[str, Form()] = "") -> Response:
    """A passkey is a way in for good, at level 2: the cookie of a session is not enough to add one. The other
    half takes the answer to a challenge that was made here, and so after the password.
    """
    if not fresh(here, visitor, password):
        return JSONResponse({"problem": WRONG}, 401)
    challenge = passkeys.begin_registration(
        here.conn,
        visitor.user.id,
        relying_party=here.settings.relying_party,
        account=visitor.user.email,
        display_name=visitor.user.name,
        user_verification="required",
        discoverable="required",
    )
    if not challenge:
        return JSONResponse({"problem": "No passkey can be added now."}, 409)
    response = Response(challenge.options, media_type="application/json")
    here.set_cookie(response, "challenge", str(challenge.id), max_age=300)
    return response


@router.post("/passkeys")
def add_passkey(here: Posted, visitor: Signed, credential: Annotated[str, Form()]) -> Response:
    try:
        challenge_id = UUID(here.cookie("challenge"))
    except ValueError:
        return JSONResponse({"problem": "Begin again."}, 400)
    added = passkeys.finish_registration(
        here.conn,
        visitor.user.id,
        challenge_id,
        credential,
        relying_party=here.settings.relying_party,
        name="Passkey",
    )
    if not added:
        return JSONResponse({"problem": "This passkey was not accepted."}, 422)
    elevation = elevated(here, visitor)
    answer = JSONResponse({"go": "/"})
    answer.raw_headers.extend(header for header in elevation.raw_headers if header[0] == b"set-cookie")
    return answer


@router.post("/passkeys/remove")
def remove_passkey(
    here: Posted,
    visitor: Signed,
    row: Annotated[UUID, Form(alias="id")],
    password: Annotated[str, Form()] = "",
) -> Response:
    if not fresh(here, visitor, password):
        return here.page("message", 401, title="Not removed", text=WRONG)
    removed = passkeys.remove(here.conn, visitor.user.id, row)
    if isinstance(removed, Refusal) and removed.reason is Reason.LAST_WAY_IN:
        text = "It is the last way into the account: set a password, or add another passkey, before."
        return here.page("message", 409, title="Not removed", text=text)
    return go("/")


@router.get("/export")
def export(here: Here, visitor: Signed) -> Response:
    """All that is held on the user, as one JSON document."""
    document = users.export(here.conn, visitor.user.id)
    if document is None:
        raise HTTPException(404)
    return Response(
        json.dumps(document, indent=2, ensure_ascii=False),
        media_type="application/json",
        headers={"content-disposition": "attachment; filename=account.json"},
    )
