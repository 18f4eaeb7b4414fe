"""Sign-in: by password, by a code or a link in a mail, by passkey; the second factor; sign-out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse

from authsql import (
    Code,
    InvalidInput,
    IssuedCode,
    Link,
    Refusal,
    accounts,
    factors,
    otps,
    passkeys,
    passwords,
    recovery_codes,
    sessions,
    totp,
    users,
)
from authsql.proofs import Proof
from examples.webapp.entry import WRONG, elevated, opened
from examples.webapp.web import Context, Half, Here, Posted, go

router = APIRouter()


@router.get("/sign-in")
def form(here: Here) -> Response:
    return here.page("sign_in")


@router.post("/sign-in")
def by_password(here: Posted, email: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
    here.limit("sign-in")
    # Guesses from elsewhere lock the account for everybody but the devices it knows.
    proof = passwords.verify(
        here.conn, email, password, device=here.cookie("device") or None, policy=here.settings.policy
    )
    if not proof:
        return here.page("sign_in", 401, problem=WRONG, email=email)
    return opened(here, proof.user_id, known=proof.known_device)


@router.post("/sign-out")
def sign_out(here: Posted) -> Response:
    session = sessions.validate(here.conn, here.cookie("session"), policy=here.settings.policy)
    if session:
        sessions.revoke(here.conn, session.id, user_id=session.user_id, reason="sign_out")
    response = go("/sign-in")
    here.drop_cookie(response, "session")
    return response


# By a code, or the link beside it.


@router.get("/sign-in/code")
def ask_address(here: Here) -> Response:
    return here.page("address", title="Sign in by mail", action="/sign-in/code")


@router.post("/sign-in/code")
def send_code(here: Posted, email: Annotated[str, Form()]) -> Response:
    return send(here, email, "signin", "/sign-in/enter", "/sign-in/link")


@router.get("/sign-in/enter")
def ask_code(here: Here, email: str = "") -> Response:
    return here.page("code", title="Check your mail", action="/sign-in/enter", email=email)


@router.post("/sign-in/enter")
def by_code(here: Posted, email: Annotated[str, Form()], code: Annotated[str, Form()]) -> Response:
    issue_id = here.issue("signin")
    if issue_id is None:
        return here.other_browser("/sign-in/code")
    return _by_mail(here, email, Code(email, code.strip(), here.settings.code_key, issue_id))


@router.get("/sign-in/link")
def ask_link(here: Here, token: str = "") -> Response:
    return here.page("link", title="Sign in", action="/sign-in/link", token=token)


@router.post("/sign-in/link")
def by_link(here: Posted, token: Annotated[str, Form()]) -> Response:
    # Good in any browser: mail is read on the phone, and a link cannot be guessed.
    return _by_mail(here, "", Link(token))


def _by_mail(here: Context, email: str, proof: Proof) -> Response:
    here.limit("code")
    found = accounts.sign_in(here.conn, proof, policy=here.settings.policy)
    if not found:
        return here.page(
            "code", 422, title="Check your mail", action="/sign-in/enter", email=email, problem=WRONG
        )
    response = opened(here, found.user_id)
    here.drop_cookie(response, "issue-signin")
    return response


# A forgotten password.


@router.get("/forgot")
def forgot(here: Here) -> Response:
    return here.page("address", title="Forgot your password?", action="/forgot")


@router.post("/forgot")
def send_reset(here: Posted, email: Annotated[str, Form()]) -> Response:
    return send(here, email, "password-reset", "/reset", "/reset")


@router.get("/reset")
def ask_reset(here: Here, email: str = "", token: str = "") -> Response:
    return here.page("reset", email=email, token=token)


@router.post("/reset")
def reset(
    here: Posted,
    password: Annotated[str, Form()],
    email: Annotated[str, Form()] = "",
    code: Annotated[str, Form()] = "",
    token: Annotated[str, Form()] = "",
) -> Response:
    """All in one step: the code is spent, the password set, the lock cleared, every session ended."""
    here.limit("code")
    issue_id = here.issue("password-reset")
    if not token and issue_id is None:
        return here.other_browser("/forgot")
    proof: Proof = Link(token) if token else Code(email, code.strip(), here.settings.code_key, issue_id)
    try:
        user_id = accounts.reset_password(here.conn, proof, password, policy=here.settings.policy)
    except InvalidInput as error:
        return here.page("reset", 422, email=email, token=token, problem=str(error))
    if not user_id:
        return here.page("reset", 422, email=email, token=token, problem=WRONG)
    user = users.get(here.conn, user_id)
    if user:
        here.mail(user.email, "password-changed", ip=here.ip or "unknown")
    response = opened(here, user_id, tell=False)
    here.drop_cookie(response, "issue-password-reset")
    return response


def send(here: Context, email: str, purpose: str, page: str, link_page: str) -> Response:
    """Send a code and a link to an address. What the browser sees is the same whether there is an account."""
    here.limit("code")
    response = go(f"{page}?email={quote(email)}")

    def issue() -> IssuedCode | Refusal:
        issued: IssuedCode | Refusal = otps.issue(
            here.conn, email, purpose, key=here.settings.code_key, link=True, policy=here.settings.policy
        )
        user = users.get_by_email(here.conn, email)
        if issued and user:
            here.mail(
                user.email,
                purpose,
                code=issued.code,
                url=f"{here.settings.origin}{link_page}?token={issued.link}",
                expires_at=issued.expires_at,
            )
        return issued

    # One transaction: who stops between the two leaves neither a mail whose code was never stored, nor a code
    # that nobody is sent, and for which the next has to wait.
    try:
        issued = here.atomically(issue)
    except InvalidInput:
        return response
    if issued:
        here.keep_issue(response, purpose, issued.issue_id)
    return response


# The second factor.


@router.get("/second-factor")
def ask_factor(here: Here, visitor: Half) -> Response:
    return here.page("second_factor", factors=factors.of_user(here.conn, visitor.user.id))


@router.post("/second-factor")
def second_factor(
    here: Posted,
    visitor: Half,
    code: Annotated[str, Form()],
    trust: Annotated[str, Form()] = "",
) -> Response:
    """An authenticator's code, or a recovery code. The session goes up to AAL2, and gets a new token."""
    user_id, code = visitor.user.id, code.strip()
    right: object
    if code.isdigit():
        right = totp.verify(
            here.conn, user_id, code, keyring=here.settings.keyring, policy=here.settings.policy
        )
    else:
        right = recovery_codes.verify(here.conn, user_id, code, key=here.settings.code_key)
    if not right:
        found = factors.of_user(here.conn, user_id)
        return here.page("second_factor", 401, factors=found, problem=WRONG)
    return elevated(here, visitor, trust=bool(trust))


# Passkeys. The browser's half is in pages/passkeys.js.


@router.post("/passkey/options")
def passkey_options(here: Posted) -> Response:
    challenge = passkeys.begin_authentication(
        here.conn, relying_party=here.settings.relying_party, user_verification="required"
    )
    if not challenge:
        return JSONResponse({"problem": "No passkey can be asked for now."}, 409)
    response = Response(challenge.options, media_type="application/json")
    here.set_cookie(response, "challenge", str(challenge.id), max_age=300)
    return response


@router.post("/passkey")
def by_passkey(here: Posted, request: Request, credential: Annotated[str, Form()]) -> Response:
    """A passkey with a PIN or a biometric is two factors at once."""
    try:
        challenge_id = UUID(here.cookie("challenge"))
    except ValueError:
        return JSONResponse({"problem": "Begin again."}, 400)
    found = passkeys.finish_authentication(
        here.conn, challenge_id, credential, relying_party=here.settings.relying_party
    )
    if not found:
        return JSONResponse({"problem": "This passkey was not accepted."}, 401)
    response = opened(here, found.user_id, aal=2)
    cookies = [value for name, value in response.raw_headers if name == b"set-cookie"]
    answer = JSONResponse({"go": response.headers["location"]})
    answer.raw_headers.extend((b"set-cookie", value) for value in cookies)
    here.drop_cookie(answer, "challenge")
    return answer
