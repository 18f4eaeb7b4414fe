"""A mail server is spoken to in the way that its settings say, or not at all."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

from authsql import InvalidInput
from authsql.smtp import Line, MailRejected, Security, Smtp, Unreachable, describe, mailbox, sender_mailbox
from tests.smtp import PASSWORD, USER, certificates, mail_server


def mail() -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = sender_mailbox("Example <a@example.org>"), mailbox("b@example.org")
    message.set_content("hello")
    return message


@contextmanager
def line(settings: Smtp) -> Iterator[Line]:
    opened = Line(settings)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_signed_in(contexts: tuple[ssl.SSLContext, ssl.SSLContext], security: Security) -> None:
    server, client = contexts
    with mail_server(security, server) as box:
        settings = box.settings(context=client, user=USER, password=PASSWORD)
        with line(settings) as opened:
            opened.send(mail())
            opened.send(mail())
            opened.quit()
        assert [(each.encrypted, each.user) for each in box.mails] == [(True, USER)] * 2
        assert box.sessions == 1
        assert box.commands[-1] == "QUIT"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], security: Security
) -> None:
    with mail_server(security, contexts[0]) as box:
        with line(box.settings(user=USER, password=PASSWORD)) as opened, pytest.raises(Unreachable) as raised:
            opened.send(mail())
        assert describe(raised.value) == ("SSLCertVerificationError", False)
        assert "AUTH" not in box.commands
        assert box.mails == []


def test_a_server_without_starttls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Or somebody on the way who has cut it out: nothing goes in clear."""
    with mail_server() as box:
        settings = box.settings(security="starttls", context=contexts[1], user=USER, password=PASSWORD)
        with line(settings) as opened, pytest.raises(Unreachable) as raised:
            opened.send(mail())
        assert describe(raised.value) == ("SMTPNotSupportedError", False)
        assert not {"AUTH", "MAIL"} & set(box.commands)


def test_a_wrong_password(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with mail_server("tls", contexts[0]) as box:
        settings = box.settings(context=contexts[1], user=USER, password="wrong hush")
        with line(settings) as opened, pytest.raises(Unreachable) as raised:
            opened.send(mail())
        assert describe(raised.value) == ("SMTPAuthenticationError 535 5.7.8", False)
        assert "hush" not in str(raised.value)


def test_a_connection_that_broke_is_opened_again() -> None:
    with mail_server() as box, line(box.settings()) as opened:
        opened.send(mail())
        box.answers["MAIL"] = ""
        with pytest.raises(smtplib.SMTPServerDisconnected):
            opened.send(mail())
        box.answers.clear()
        opened.send(mail())
        assert (len(box.mails), box.sessions) == (2, 2)


def test_quit_without_a_server() -> None:
    with mail_server() as box:
        opened = Line(box.settings())
        opened.quit()
        opened.send(mail())
        box.answers["QUIT"] = ""
        opened.quit()
        opened.quit()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", Smtp(host="mail.example.org")),
        ("smtp://mail.example.org:2525/", Smtp(host="mail.example.org", port=2525)),
        (
            "smtps://a%40b:p%2Fw%3A@mail.example.org",
            Smtp(host="mail.example.org", port=465, security="tls", user="a@b", password="p/w:"),
        ),
        ("smtp+plain://localhost", Smtp(host="localhost", port=25, security="none")),
        (" smtp://u:p@[::1]:587\n", Smtp(host="::1", user="u", password="p")),
    ],
)
def test_urls(url: str, expected: Smtp) -> None:
    assert Smtp.from_url(url) == expected
    assert "p/w" not in repr(expected)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.org",
        "http://hush@mail.example.org",
        "smtp://",
        "smtp://u:hush@",
        "smtp://u:hush@h:notaport",
        "smtp://u:hush@h:0",
        "smtp://u:hush@h:70000",
        "smtp://u:hu/sh@h",
        "smtp://h/?password=hush",
        "smtp://hush@h",
        "smtp+plain://u:hush@h",
        "smtp://[hush",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        Smtp.from_url(url)
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    "options",
    [
        {"host": ""},
        {"host": None},
        {"host": "a\nb"},
        {"port": 0},
        {"port": "25"},
        {"security": "ssl"},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": 301},
        {"timeout": None},
        {"timeout": float("nan")},
        {"user": "u"},
        {"password": "p"},
        {"user": "u", "password": "p", "security": "none"},
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Smtp(**{"host": "h", **options})


def test_what_is_noted_of_an_error() -> None:
    refused = smtplib.SMTPRecipientsRefused({"a@b": (550, b"5.1.1 <a@b>: 271828")})
    assert describe(refused) == ("SMTPRecipientsRefused 550 5.1.1", True)
    assert describe(smtplib.SMTPRecipientsRefused({"a@b": (451, b"4.7.1 later")}))[1] is False
    assert describe(smtplib.SMTPDataError(552, b"too big")) == ("SMTPDataError 552", True)
    assert describe(smtplib.SMTPDataError(600, "odd")) == ("SMTPDataError 600", False)
    assert describe(smtplib.SMTPAuthenticationError(535, b"5.7.8 hush")) == (
        "SMTPAuthenticationError 535 5.7.8",
        False,
    )
    assert describe(MailRejected("hush")) == ("MailRejected", True)
    assert describe(ValueError("hush")) == ("ValueError", False)
    assert describe(type("E" * 500, (Exception,), {})("x"))[0] == "E" * 100


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("ann@example.org", "ann@example.org"),
        ("o'neil+tag.x@sub.example.org", "o'neil+tag.x@sub.example.org"),
        ("a..b@example.org", "a..b@example.org"),
        ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
        ("ann@Ex\u00e4mple.org", "ann@xn--exmple-cua.org"),
        ("\u00e4nn@example.org", "\u00e4nn@example.org"),
    ],
)
def test_mailboxes(address: str, written: str) -> None:
    found = mailbox(address)
    message = EmailMessage(policy=SMTP.clone(utf8=True))
    message["To"] = found
    [read] = message["To"].addresses
    assert f"{read.username}@{read.domain}" == written
    assert Path(written).name == written
