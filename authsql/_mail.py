"""A mail as the outbox keeps it, encrypted, and as it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any
from uuid import UUID

from authsql._tokens import name_digest
from authsql.errors import InvalidInput
from authsql.keyring import Keyring
from authsql.mail_templates import Rendered
from authsql.models import LeasedMail
from authsql.policy import Policy
from authsql.smtp import Line, Smtp, mailbox

BODY_MAX = 1_000_000
WAITS = 12
"""Answers of a mail server that a mail may have to wait for, signing in included."""


def seal(keyring: Keyring, mail_id: UUID, recipient: str, rendered: Rendered) -> bytes:
    """Encrypt what a mail says, for this row and this recipient: whoever can write to the table cannot have
    it sent to somebody else.
    """
    parts = {"subject": rendered.subject, "text": rendered.text, "html": rendered.html}
    try:
        clear = json.dumps(parts, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput("a mail has no lone surrogates") from None
    if len(clear) > BODY_MAX:
        raise InvalidInput(f"a mail has at most {BODY_MAX} bytes")
    return keyring.encrypt(clear, *_belongs_to(mail_id, recipient))


def build(mail: LeasedMail, sender: Address, keyring: Keyring) -> EmailMessage:
    """The mail as it is sent: the same each time, its Message-ID and its date included."""
    parts = json.loads(keyring.decrypt(mail.body, *_belongs_to(mail.id, mail.recipient)))
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = mailbox(mail.recipient)
    message["Subject"] = parts["subject"]
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = f"<{mail.id}@{sender.domain}>"
    # RFC 3834, section 5: so that nobody's holiday notice answers it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(parts["text"], cte="quoted-printable")
    if parts["html"] is not None:
        message.add_alternative(parts["html"], subtype="html", cte="quoted-printable")
    return message


def _belongs_to(mail_id: UUID, recipient: str) -> tuple[str, ...]:
    return "authsql_outbox", "body", str(mail_id), recipient


def way_out(send: object, policy: Policy) -> tuple[Line | None, Callable[[EmailMessage], object]]:
    """The connection to the mail server, if it is one, and what takes a mail."""
    if not isinstance(send, Smtp):
        return None, function("send", send)
    if timedelta(seconds=send.timeout * WAITS) > policy.mail_lease / 2:
        raise InvalidInput(f"timeout x {WAITS} is at most half of Policy.mail_lease")
    line = Line(send)
    return line, line.send


def function(what: str, value: object) -> Callable[[Any], object]:
    if not callable(value):
        raise InvalidInput(f"{what} is a function")
    return value


def silent(_: str) -> None:
    """What is told of the progress where nobody asked."""


def dedup_hash(dedup_key: object) -> bytes | None:
    if dedup_key is None:
        return None
    if not isinstance(dedup_key, str) or not dedup_key:
        raise InvalidInput("dedup_key is a string that is not empty")
    return name_digest("authsql mail v1", dedup_key)


def checked_keyring(keyring: object) -> Keyring:
    if not isinstance(keyring, Keyring):
        raise InvalidInput("keyring is a Keyring")
    return keyring
