"""Who is let in: a session for who has proved who they are, what devices are known, the step up."""

from __future__ import annotations

from uuid import UUID

from fastapi import Response

from authsql import NewDevice, Refusal, devices, factors, passwords, sessions, users
from examples.webapp.web import YEAR, Context, Visitor, go

WRONG = "That is not right. Check it and try again; after several failures there is a wait."


def opened(
    here: Context, user_id: UUID, *, aal: int = 1, known: bool | None = None, tell: bool = True
) -> Response:
    """Open a session for who has just proved who they are. A device that is not known gets a cookie, and its
    owner a mail, unless there is no need to tell.

    known: what `passwords.verify` has found of the device; None without a password. That there is a cookie
    says nothing: anybody can make one, and it may be of a device that was forgotten, or of another user.
    """
    if known is None:
        known = _is_known(here, user_id)
    trusted = devices.is_trusted(here.conn, user_id, here.cookie("device"), policy=here.settings.policy)
    name = _device_name(here.user_agent)
    session = sessions.create(
        here.conn,
        user_id,
        ip=here.ip,
        user_agent=here.user_agent,
        device=name,
        aal=max(aal, 2) if trusted else aal,
        cap=10,
        policy=here.settings.policy,
    )
    if not session:
        return go("/sign-in")
    found = factors.of_user(here.conn, user_id)
    response = go("/second-factor" if session.session.aal < 2 and (found.totp or found.passkeys) else "/")
    here.sign_in(response, session)
    if not (known or trusted):

        def note() -> NewDevice | Refusal:
            made: NewDevice | Refusal
            made = devices.remember(here.conn, user_id, name=name, policy=here.settings.policy)
            if tell and made and (user := users.get(here.conn, user_id)):
                here.mail(user.email, "new-device", device=name, ip=here.ip or "unknown")
            return made

        _keep(here, response, here.atomically(note))
    return response


def elevated(here: Context, visitor: Visitor, *, aal: int = 2, trust: bool = False) -> Response:
    """Take the session up, after another factor."""
    session = sessions.elevate(here.conn, here.cookie("session"), aal=aal, policy=here.settings.policy)
    if not session:
        return go("/sign-in")
    response = go("/")
    here.sign_in(response, session)
    if trust:
        policy = here.settings.policy
        made = devices.remember(
            here.conn,
            visitor.user.id,
            name=_device_name(here.user_agent),
            trust_for=min(policy.device_lifetime, policy.session_absolute),
            policy=policy,
        )
        _keep(here, response, made)
    return response


def fresh(here: Context, visitor: Visitor, password: str) -> bool:
    """Whether somebody proves again who they are, before anything that matters is changed (ASVS 7.5.1)."""
    proof = passwords.verify(here.conn, visitor.user.id, password, policy=here.settings.policy)
    return bool(proof)


def _keep(here: Context, response: Response, made: NewDevice | Refusal) -> None:
    if isinstance(made, Refusal):
        return
    here.set_cookie(response, "device", made.token, max_age=YEAR)
    # `passwords.verify` checks the token. A sign-in without a password checks this, which is signed.
    row = str(made.device.id)
    mark = here.settings.sign("device", row, str(made.device.user_id))
    here.set_cookie(response, "known", f"{row}.{mark}", max_age=YEAR)


def _is_known(here: Context, user_id: UUID) -> bool:
    row, _, mark = here.cookie("known").partition(".")
    return here.settings.is_signed(mark, "device", row, str(user_id)) and any(
        str(each.id) == row for each in devices.list(here.conn, user_id)
    )


def _device_name(user_agent: str | None) -> str:
    text = user_agent or ""
    system = next(
        (s for s in ("Android", "iPhone", "Windows", "Mac OS", "Linux") if s in text), "unknown system"
    )
    browser = next((b for b in ("Firefox", "Edg", "Chrome", "Safari") if b in text), "a browser")
    return f"{browser} on {system}"
