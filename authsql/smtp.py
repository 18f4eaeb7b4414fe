"""A mail server to send by, and what its errors mean. By `smtplib`: synchronous, with a timeout."""

from __future__ import annotations

import re
import smtplib
import ssl
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Literal, final, get_args
from urllib.parse import unquote, urlsplit

from authsql import _input
from authsql.errors import AuthsqlError, InvalidInput

Security = Literal["starttls", "tls", "none"]

_SCHEMES: dict[str, tuple[Security, int]] = {
    "smtp": ("starttls", 587),
    "smtps": ("tls", 465),
    "smtp+plain": ("none", 25),
}
# RFC 5322, 3.2.3: atext and dots. Beyond ASCII (RFC 6531) any letter, digit, mark or symbol.
_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}")
_DOMAIN = re.compile(r"[\w.-]{1,253}|\[[0-9A-Fa-f.:]{2,45}\]")
# Not by the standard library's parsers: one takes the first of several addresses, the other fails on some.
_SENDER = re.compile(
    r"""(?P<bare> [^<>"]+ )
    | (?: (?P<name> [^<>"@,;:\\]*? ) | "(?P<quoted> [^"\\]* )" ) \s* <(?P<address> [^<>"]+ )>""",
    re.VERBOSE,
)
_ENHANCED = re.compile(rb"\s*([245]\.\d{1,3}\.\d{1,3})\b")


class MailRejected(AuthsqlError):
    """Raised by a function that sends mail, for a mail that it will never take: it is given up at once."""


class Unreachable(AuthsqlError):
    """The mail server could not be reached, or did not let us in: the cause says why."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """Where and how to hand in mail. Shows no password."""

    host: str
    port: int = 587
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    security: Security = "starttls"
    """starttls: encrypted before anything else is said, or not at all. tls: encrypted from the first byte.
    none: for a relay on this machine; takes no password. The server's certificate is checked."""
    timeout: float = 20.0
    """Seconds to wait for each answer of the server."""
    context: ssl.SSLContext | None = field(default=None, repr=False)
    """Which certificates are good. None: those of `ssl.create_default_context()`."""

    def __post_init__(self) -> None:
        _input.text("host", self.host, 253)
        if self.security not in get_args(Security):
            raise InvalidInput("security is starttls, tls or none")
        _input.integer("port", self.port, 1, 65535)
        _input.number("timeout", self.timeout, 300)
        if (self.user is None) is not (self.password is None):
            raise InvalidInput("user and password are given both or not at all")
        if self.password is not None and self.security == "none":
            raise InvalidInput("a password is not sent in clear: security is starttls or tls")

    @classmethod
    def from_url(cls, url: str) -> Smtp:
        """Read `smtp://user:password@host:587` (STARTTLS), `smtps://...:465` (TLS) or `smtp+plain://host:25`.

        Special characters of user and password are percent escapes. Raises InvalidInput, which tells no part
        of the URL.
        """
        try:
            parts = urlsplit(url.strip())
            security, port = _SCHEMES[parts.scheme]
            port, host = port if parts.port is None else parts.port, parts.hostname or ""
        except (ValueError, KeyError):
            security, port, host = "none", 1, ""
            parts = urlsplit("")
        if not host or parts.path.strip("/") or parts.query or parts.fragment:
            raise InvalidInput(
                f"a mail server is {', '.join(f'{s}://' for s in _SCHEMES)}[user:password@]host[:port]"
            )
        user = unquote(parts.username) if parts.username is not None else None
        password = unquote(parts.password) if parts.password is not None else None
        return cls(host=host, port=port, user=user, password=password, security=security)

    def connect(self) -> smtplib.SMTP:
        """A connection that is encrypted, if it is to be, and logged in. Close it."""
        context = self.context or ssl.create_default_context()
        server: smtplib.SMTP
        if self.security == "tls":
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user is not None and self.password is not None:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return server


class Line:
    """A connection to a mail server that is opened at the first mail, and again after it broke."""

    def __init__(self, smtp: Smtp) -> None:
        self._smtp = smtp
        self._server: smtplib.SMTP | None = None

    def send(self, message: EmailMessage) -> None:
        """Hand a mail in. Raises Unreachable, and what smtplib raises."""
        if self._server is None:
            try:
                self._server = self._smtp.connect()
            except (OSError, smtplib.SMTPException) as error:
                raise Unreachable(Unreachable.__doc__) from error
        [sender], [recipient] = message["From"].addresses, message["To"].addresses
        try:
            self._server.send_message(message, sender.addr_spec, [recipient.addr_spec])
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException):
            # The connection goes on, unless the server said that it closes it (421).
            if self._server.sock is None:
                self.close()
            raise
        except Exception:
            self.close()
            raise

    def quit(self) -> None:
        """Say good-bye, if anybody is there."""
        if self._server is not None:
            try:
                self._server.quit()
            except (OSError, smtplib.SMTPException):
                pass
            finally:
                self.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


def mailbox(value: str, name: str = "") -> Address:
    """The one mailbox that an e-mail address means, its domain in ASCII. Raises InvalidInput.

    What `users.create` takes may be stranger than what can be mailed to: quoted local parts and lists are not
    accepted here, so that no value can stand for a second recipient or another header.
    """
    local, _, domain = _input.email(value).rpartition("@")
    if not _LOCAL.fullmatch(local) or local.startswith("=?") or not _DOMAIN.fullmatch(domain):
        raise InvalidInput("a recipient is one plain address, name@domain")
    try:
        plain = domain if domain.isascii() else domain.encode("idna").decode()
        return Address(name, username=local, domain=plain)
    except ValueError:
        raise InvalidInput("a recipient is one plain address, name@domain") from None


def sender_mailbox(value: object) -> Address:
    """Read who a mail is from: `no-reply@example.org` or `Example <no-reply@example.org>`."""
    found = _SENDER.fullmatch(_input.text("sender", value, 320))
    if found is None:
        raise InvalidInput("sender is an address, or a name and an address in angle brackets")
    return mailbox(found["bare"] or found["address"], found["name"] or found["quoted"] or "")


def describe(error: BaseException) -> tuple[str, bool]:
    """What to note about an attempt that failed, and whether there is no use in another one.

    The kind of error and the server's codes, never its words: they may quote the mail. Only what a server
    says of this recipient or this mail is final; a sender, a password or a certificate that is wrong can be
    put right.
    """
    if isinstance(error, Unreachable) and error.__cause__ is not None:
        error = error.__cause__
    name = type(error).__name__[:100]
    if isinstance(error, MailRejected):
        return name, True
    code, words = getattr(error, "smtp_code", None), getattr(error, "smtp_error", b"")
    if isinstance(error, smtplib.SMTPRecipientsRefused) and error.recipients:
        code, words = next(iter(error.recipients.values()))
    if not isinstance(code, int):
        return name, False
    enhanced = _ENHANCED.match(words) if isinstance(words, bytes) else None
    text = f"{name} {code} {enhanced[1].decode()}" if enhanced else f"{name} {code}"
    about_this_mail = isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError)
    return text, about_this_mail and 500 <= code < 600
