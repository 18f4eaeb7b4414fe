"""A mail server for the tests: it takes mail over real sockets, remembers it, and answers as it is told
to."""

from __future__ import annotations

import base64
import datetime
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from authsql.smtp import Security, Smtp

USER, PASSWORD = "mailer", "hush hush"


@dataclass(frozen=True)
class Mail:
    """One mail as it came in."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    encrypted: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.data, policy=SMTP)

    def part(self, kind: str) -> str:
        found = self.message.get_body((kind,))
        assert found is not None, kind
        return str(found.get_content())


@dataclass
class Mailbox:
    """What a server got, and what it is to say."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """What is answered to a command, `RCPT`, or `.` for the end of a mail, instead of what is usual. An empty
    one: the connection is cut."""
    sessions: int = 0
    commands: list[str] = field(default_factory=list)
    features: tuple[str, ...] = ("8BITMIME",)
    tls: ssl.SSLContext | None = None
    security: Security = "none"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def settings(self, **options: object) -> Smtp:
        given: Any = {"port": self.port, "security": self.security, "timeout": 5.0, **options}
        return Smtp(host="localhost", **given)

    @property
    def message_ids(self) -> list[str]:
        return [str(mail.message["Message-ID"]) for mail in self.mails]


class _Session(socketserver.StreamRequestHandler):
    box: Mailbox

    def setup(self) -> None:
        self.box = cast("_Server", self.server).box
        self.encrypted = False
        self.user: str | None = None
        if self.box.security == "tls":
            self._encrypt()
        super().setup()

    def handle(self) -> None:
        with self.box.lock:
            self.box.sessions += 1
        self.sender, self.recipients = "", [""]
        if not self._answer("CONNECT", "220 test"):
            return
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb = line.split()[0].upper()
            with self.box.lock:
                self.box.commands.append(verb)
            if not self._obey(verb, line) or verb == "QUIT":
                return

    def finish(self) -> None:
        super().finish()
        # One that was wrapped is not the one that the server closes.
        self.request.close()

    def _obey(self, verb: str, line: str) -> bool:
        match verb:
            case "EHLO":
                features = ["test", *self.box.features]
                if self.box.tls and self.box.security == "starttls" and not self.encrypted:
                    features.append("STARTTLS")
                elif self.encrypted:
                    features.append("AUTH PLAIN")
                lines = [f"250-{feature}" for feature in features[:-1]] + [f"250 {features[-1]}"]
                return self._answer(verb, "\r\n".join(lines))
            case "STARTTLS":
                done = self._answer(verb, "220 go on")
                if done and verb not in self.box.answers:
                    self._encrypt()
                    super().setup()
                return done
            case "AUTH":
                given = base64.b64decode(line.split()[2]).split(b"\0")[1:]
                good = given == [USER.encode(), PASSWORD.encode()]
                self.user = USER if good else None
                return self._answer(verb, "235 2.7.0 welcome" if good else "535 5.7.8 wrong: hush")
            case "MAIL":
                self.sender, self.recipients = line.partition("<")[2].partition(">")[0], []
            case "RCPT":
                self.recipients.append(line.partition("<")[2].partition(">")[0])
            case "DATA":
                return self._answer(verb, "354 go on") and (verb in self.box.answers or self._take())
        return self._answer(verb, "250 2.0.0 ok")

    def _take(self) -> bool:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line[1:] if line.startswith(b".") else line)
        if self.box.answers.get(".", "250").startswith("250") or self.box.answers["."] == "":
            mail = Mail(self.sender, tuple(self.recipients), b"".join(lines), self.encrypted, self.user)
            with self.box.lock:
                self.box.mails.append(mail)
        return self._answer(".", "250 2.0.0 taken")

    def _answer(self, verb: str, usual: str) -> bool:
        answer = self.box.answers.get(verb, usual)
        if answer:
            self.wfile.write(answer.encode() + b"\r\n")
        return bool(answer) and not answer.startswith("421")

    def _encrypt(self) -> None:
        assert self.box.tls is not None
        self.request = self.box.tls.wrap_socket(self.request, server_side=True)
        self.encrypted = True


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    # Callers come all at once; with the usual 5, some would wait for longer than they do.
    request_queue_size = 64
    daemon_threads = True
    box: Mailbox

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or that did not like the certificate."""


@contextmanager
def mail_server(security: Security = "none", tls: ssl.SSLContext | None = None) -> Iterator[Mailbox]:
    """A server on this machine, as long as the block lasts."""
    with _Server(("localhost", 0), _Session) as server:
        server.box = Mailbox(server.server_address[1], tls=tls, security=security)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.box
        finally:
            server.shutdown()
            thread.join(30)


def certificates(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for localhost, and a client's context that believes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "certificate.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, secret)
    return server, ssl.create_default_context(cafile=str(chain))
