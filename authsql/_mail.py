"""A mail as the outbox keeps it, encrypted, and as it is sent."""

from __future__ import annotations

import json
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from uuid import UUID

from authsql.errors import InvalidInput
from authsql.keyring import Keyring
from authsql.mail_templates import Rendered
from authsql.models import LeasedMail
from authsql.smtp import mailbox

BODY_MAX = 1_000_000


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
