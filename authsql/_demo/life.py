"""What happens in the demo, from the first sign-up to the purge."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from authsql import maintenance, migrations, otps, passwords, refresh_tokens, sessions, users
from authsql._demo.queries import age, look
from authsql._demo.stage import NotAsAnnounced, Stage
from authsql._url import connect
from authsql.errors import EmailTaken
from authsql.models import NewSession, Reason, Refusal, RotatedToken, User
from authsql.policy import DEFAULT

if TYPE_CHECKING:
    from authsql._url import Connection

EMAIL = "ada@example.com"
FIRST, SECOND = "correct horse battery staple", "the rain in Spain stays mainly"


class Place(Protocol):
    """Where it plays."""

    @property
    def url(self) -> str: ...


def play(stage: Stage, place: Place) -> bool:
    """Play the demo. True if every step had the outcome that it announces."""
    try:
        stage.step(
            "The tables",
            "As `authsql migrate` does it. yoyo can, too, and psql or mysql.",
        )
        done = migrations.migrate(place.url, progress=stage.line)
        stage.check(bool(done), f"{len(done)} migrations applied", done)
    except NotAsAnnounced:
        return _ended(stage, is_right=False)
    with contextlib.closing(connect(place.url)) as conn:
        stage.line(f"The server is {look(conn, 'server', {})[0]['server']}.")
        life = _Life(stage, conn)
        is_right = True
        try:
            for scene in life.scenes():
                scene()
        except NotAsAnnounced:
            is_right = False
        life.views()
    return _ended(stage, is_right)


def _ended(stage: Stage, is_right: bool) -> bool:
    if is_right:
        stage.ending("Every step had the outcome that it announces.", is_right)
    else:
        stage.ending(
            "A step had another outcome than it announces, and those after it were left out.", is_right
        )
    return is_right


class _Life:
    """The life of Ada's account. Each scene goes on from where the one before it left off."""

    user: User
    laptop: NewSession
    phone: NewSession
    first: str
    second: RotatedToken

    def __init__(self, stage: Stage, conn: Connection) -> None:
        self.stage = stage
        self.conn = conn
        self.key = secrets.token_bytes(32)
        stage.name("key", self.key)

    def scenes(self) -> list[Callable[[], None]]:
        return [
            self.sign_up,
            self.verify_email,
            self.sign_in,
            self.validate,
            self.refresh,
            self.lost_answer,
            self.theft,
            self.guesses,
            self.forgotten,
            self.purge,
        ]

    def show(self, *names: str) -> None:
        """Show what tables hold."""
        now = look(self.conn, "server", {})[0]["now"]
        for name in names:
            title = {"roles": "authsql_user_roles"}.get(name, f"authsql_{name}")
            self.stage.table(title, look(self.conn, name, {}), now)

    def sign_up(self) -> None:
        stage, conn = self.stage, self.conn
        stage.step("Sign up")
        self.user = stage.call(conn, "user", users.create, EMAIL, name="Ada Lovelace")
        stage.check(
            self.user.email_verified_at is None, "an account with the default role, its e-mail not verified"
        )
        stage.name("user.id", self.user.id)
        self.show("users", "roles")
        announced = "one account for an e-mail, whatever its case"
        stage.raises(conn, EmailTaken, announced, users.create, EMAIL.upper())

    def verify_email(self) -> None:
        stage, conn, purpose = self.stage, self.conn, "email-verification"
        stage.step(
            "Prove the e-mail", "The code is in the mail and nowhere else: the database keeps an HMAC of it."
        )
        answer = stage.call(conn, "code", otps.issue, EMAIL, purpose, key=self.key, user_id=self.user.id)
        code = stage.granted(answer, "a code, good for 5 minutes and 5 attempts")
        stage.mail(EMAIL, f"Your code is {code.code}")
        soon = stage.call(conn, "again", otps.issue, EMAIL, purpose, key=self.key, user_id=self.user.id)
        stage.refused(soon, Reason.COOLING_DOWN, "one code a minute")
        digits = len(code.code)
        wrong = f"{(int(code.code) + 1) % 10**digits:0{digits}d}"
        found = stage.call(conn, "answer", otps.verify, EMAIL, purpose, wrong, key=self.key)
        stage.refused(found, Reason.WRONG, "a wrong code is counted")
        proof = stage.call(conn, "answer", otps.verify, EMAIL, purpose, code.code, key=self.key)
        stage.granted(proof, "the right one is accepted, and spent by that")
        found = stage.call(conn, "answer", otps.verify, EMAIL, purpose, code.code, key=self.key)
        stage.refused(found, Reason.SPENT, "it is good once")
        marked = stage.call(conn, "marked", users.mark_email_verified, self.user.id, EMAIL)
        stage.check(marked, "the e-mail is verified", marked)
        self.show("otps", "users")

    def sign_in(self) -> None:
        stage, conn = self.stage, self.conn
        stage.step("Set a password, and sign in on two devices")
        done = stage.call(conn, "done", passwords.set, self.user.id, FIRST)
        stage.check(done, "a password, kept as argon2id", done)
        self.show("passwords")
        answer = stage.call(conn, "answer", passwords.verify, EMAIL, FIRST)
        right = stage.granted(answer, "the password is right")
        stage.check(right.user_id == self.user.id, "and answer.user_id is Ada's", right)
        self.laptop = self._open("laptop", "Laptop", "203.0.113.7", "Mozilla/5.0 (X11; Linux x86_64)")
        self.phone = self._open("phone", "Phone", "198.51.100.23", "AdaApp/1.4 (Android 16)")
        self.show("sessions")

    def _open(self, name: str, device: str, ip: str, agent: str) -> NewSession:
        answer = self.stage.call(
            self.conn, name, sessions.create, self.user.id, device=device, ip=ip, user_agent=agent
        )
        opened = self.stage.granted(
            answer, f"a session; its token, {name}.token, is in this answer and nowhere else"
        )
        self.stage.name(f"{name}.token", opened.token)
        self.stage.name(f"{name}.session.id", opened.session.id)
        return opened

    def validate(self) -> None:
        stage, conn = self.stage, self.conn
        stage.step("Each request", "One look-up by primary key; the use is written at most once a minute.")
        session = stage.granted(
            stage.call(conn, "session", sessions.validate, self.laptop.token), "the session is live"
        )
        stage.check(session.user_id == self.user.id, "and session.user_id is Ada's", session)
        stranger = _forged(self.laptop.token)
        stage.name("forged", stranger)
        answer = stage.call(conn, "answer", sessions.validate, stranger)
        stage.refused(answer, Reason.UNKNOWN, "the id of a session without its secret opens nothing")
        devices = stage.call(conn, "devices", sessions.list, self.user.id)
        shown = ", ".join(str(one.device) for one in devices)
        stage.check(len(devices) == 2, f"the list of devices, the last used first: {shown}", devices)

    def refresh(self) -> None:
        stage, conn = self.stage, self.conn
        stage.step(
            "Refresh tokens", "For an app that holds short access tokens. Each is good for one successor."
        )
        issued = stage.granted(
            stage.call(conn, "first", refresh_tokens.issue, self.phone.session.id), "the first of a family"
        )
        self.first = issued.token
        stage.name("first.token", self.first)
        self.second = stage.granted(
            stage.call(conn, "second", refresh_tokens.rotate, self.first), "rotated: its successor"
        )
        stage.check(
            self.second.token != self.first and self.second.generation == 1,
            "second.token is another, of generation 1",
            self.second,
        )
        stage.name("second.token", self.second.token)
        self.show("refresh_tokens")

    def lost_answer(self) -> None:
        stage = self.stage
        stage.step("The answer is lost on its way", "The app knows only the first token and asks again.")
        retried = stage.call(self.conn, "retried", refresh_tokens.rotate, self.first)
        answer = stage.granted(retried, "answered, within 10 seconds of the rotation")
        stage.check(
            answer.token == self.second.token and answer.repeated,
            "retried.token == second.token: the same successor, no second chain",
            answer,
        )

    def theft(self) -> None:
        stage, conn = self.stage, self.conn
        stage.step("A stolen token", "Somebody copied the first token, and comes with it a minute later.")
        stage.time_passes("age_rotations")
        age(conn, "age_rotations")
        stage.refused(
            stage.call(conn, "thief", refresh_tokens.rotate, self.first),
            Reason.REUSED,
            "a token came twice, so one of the two is a thief",
        )
        stage.refused(
            stage.call(conn, "owner", refresh_tokens.rotate, self.second.token),
            Reason.REVOKED,
            "the session has been ended for both",
        )
        gone = stage.call(conn, "answer", sessions.validate, self.phone.token)
        stage.check(
            isinstance(gone, Refusal) and gone.detail == "refresh_token_reuse",
            "the phone is signed out, and the reason is on record",
            gone,
        )
        live = stage.call(conn, "devices", sessions.list, self.user.id)
        stage.check([one.device for one in live] == ["Laptop"], "the laptop is not concerned", live)
        self.show("sessions")

    def guesses(self) -> None:
        stage, conn = self.stage, self.conn
        stage.step(
            "Somebody guesses the password", "Counted before it is checked: parallel guesses gain nothing."
        )
        for number in range(1, DEFAULT.lock_after + 1):
            answer = stage.call(conn, "answer", passwords.verify, EMAIL, f"guess no. {number}")
            last = number == DEFAULT.lock_after
            stage.refused(
                answer, Reason.WRONG, "the account is locked for a minute" if last else f"failure {number}"
            )
        answer = stage.call(conn, "answer", passwords.verify, EMAIL, FIRST)
        stage.refused(answer, Reason.LOCKED, "even the right one is not looked at meanwhile")
        self.show("users")

    def forgotten(self) -> None:
        stage, conn, purpose = self.stage, self.conn, "password-reset"
        stage.step("Ada forgot her password")
        answer = stage.call(conn, "code", otps.issue, EMAIL, purpose, key=self.key, user_id=self.user.id)
        code = stage.granted(answer, "a code for this purpose")
        stage.mail(EMAIL, f"To choose a new password: {code.code}")
        proof = stage.call(conn, "proof", otps.verify, EMAIL, purpose, code.code, key=self.key)
        stage.granted(proof, "the code is right")
        done = stage.call(conn, "done", passwords.set, self.user.id, SECOND)
        stage.check(done, "a new password, and the lock is off", done)
        gone = stage.call(conn, "answer", sessions.validate, self.laptop.token)
        stage.check(
            isinstance(gone, Refusal) and gone.detail == "password_change",
            "whoever was signed in by the old password is not any more",
            gone,
        )
        found = stage.call(conn, "answer", passwords.verify, EMAIL, FIRST)
        stage.refused(found, Reason.WRONG, "the old password")
        stage.granted(stage.call(conn, "answer", passwords.verify, EMAIL, SECOND), "the new password")
        self._open("tablet", "Tablet", "2001:db8::17", "Mozilla/5.0 (iPad)")
        self.show("users", "sessions")

    def purge(self) -> None:
        stage, conn = self.stage, self.conn
        stage.step("Purge", "Done by the database itself where it has a scheduler, else by `authsql purge`.")
        answer = stage.call(conn, "code", otps.issue, EMAIL, "signin", key=self.key, user_id=self.user.id)
        stage.granted(answer, "one more code, which stays")
        for name in ("age_otps", "age_sessions"):
            stage.time_passes(name)
            age(conn, name)
        self.show("expiry_backlog")
        purged = stage.call(conn, "purged", maintenance.purge)
        deleted = {table.table_name: table.deleted for table in purged if table.deleted}
        told = ", ".join(f"{count} of {table}" for table, count in deleted.items())
        stage.check(bool(purged), f"deleted: {told or 'nothing'}", purged)
        left = stage.call(conn, "left", maintenance.backlog)
        # Not by the counts: a scheduler may have been faster.
        stage.check(not any(table.expired_rows for table in left), "nothing that has expired is left", left)
        self.show("expiry_backlog", "otps", "sessions")

    def views(self) -> None:
        """Show the views for who looks in with psql or mysql."""
        self.stage.step("The views", "What an operator sees with psql or mysql.")
        self.show("user_overview", "active_sessions", "pending_otps", "expiry_backlog")


def _forged(token: str) -> str:
    """The token with another secret: its last characters but one exchanged."""
    at = len(token) - 8
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
