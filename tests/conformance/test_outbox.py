from __future__ import annotations

import smtplib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from authsql import Delivery, InvalidInput, LeasedMail, QueuedMail, maintenance, otps, outbox
from authsql.keyring import CannotDecrypt, Keyring
from authsql.mail_templates import Templates
from authsql.smtp import MailRejected
from tests.conformance.conftest import Connect
from tests.smtp import Mailbox, mail_server
from tests.support import DAY, FAST, HOUR, MINUTE, RING, SECOND, Api, Sql, with_policy

WHO = "ann@example.org"
FROM = "Example <no-reply@example.com>"
CODE: dict[str, Any] = {"app": "Example", "code": "271828", "minutes": 5}


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server() as opened:
        yield opened


async def queue(api: Api, recipient: str = WHO, **options: Any) -> QueuedMail:
    queued = await api(
        outbox.enqueue, recipient, "signin", options.pop("context", CODE), **{"keyring": RING, **options}
    )
    assert isinstance(queued, QueuedMail)
    return queued


async def deliver(api: Api, send: object, **options: Any) -> Delivery:
    made = await api(outbox.deliver, send, **{"sender": FROM, "keyring": RING, **options})
    assert isinstance(made, Delivery)
    return made


async def lease(api: Api, **options: Any) -> tuple[LeasedMail, ...]:
    taken = await api(outbox.lease, **options)
    assert isinstance(taken, tuple)
    return taken


def row(sql: Sql, mail_id: UUID) -> dict[str, Any]:
    [found] = sql("SELECT * FROM authsql_outbox WHERE id = %s", mail_id)
    return {
        name: sql.from_sql(value) for name, value in zip(sql.columns("authsql_outbox"), found, strict=True)
    }


async def test_from_the_queue_to_the_reader(api: Api, sql: Sql, box: Mailbox) -> None:
    queued = await queue(api)
    assert not queued.duplicate
    assert queued.id.version == 7
    told: list[str] = []
    assert await deliver(api, box.settings(), progress=told.append) == Delivery(sent=1)
    assert told == [f"sent {queued.id} signin"]
    [mail] = box.mails
    assert (mail.sender, mail.recipients) == ("no-reply@example.com", (WHO,))
    message = mail.message
    assert message["To"] == WHO
    assert message["From"] == FROM
    assert message["Subject"] == "Sign in to Example"
    assert message["Message-ID"] == f"<{queued.id}@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    stored = row(sql, queued.id)
    assert message["Date"].datetime == stored["created_at"].replace(microsecond=0)
    assert "271828" in mail.part("plain")
    assert "271828" in mail.part("html")
    assert "271828" not in str(message["Subject"])
    assert (stored["body"], stored["next_attempt_at"], stored["lease_id"]) == (None, None, None)
    assert (stored["attempts"], stored["last_error"], stored["failed_at"]) == (1, None, None)
    assert stored["sent_at"] is not None
    assert await deliver(api, box.settings()) == Delivery()
    assert len(box.mails) == 1


async def test_only_what_is_committed_is_sent(api: Api, connect: Connect, box: Mailbox) -> None:
    await api.begin()
    await queue(api)
    sender = await connect()
    assert await deliver(sender, box.settings()) == Delivery()
    await api.rollback()
    assert await deliver(sender, box.settings()) == Delivery()
    await api.begin()
    await queue(api)
    await api.commit()
    assert await deliver(sender, box.settings()) == Delivery(sent=1)


async def test_a_code_and_its_mail_in_one_transaction(api: Api, sql: Sql, box: Mailbox) -> None:
    await api.begin()
    issued = await api(otps.issue, WHO, "signin", key=bytes(32))
    queued = await queue(api, context={"app": "Example", "code": issued.code}, expires_at=issued.expires_at)
    await api.commit()
    assert row(sql, queued.id)["expires_at"] == issued.expires_at
    assert await deliver(api, box.settings()) == Delivery(sent=1)
    assert issued.code in box.mails[0].part("plain")
    assert await api(otps.verify, WHO, "signin", issued.code, key=bytes(32))


async def test_what_it_says_is_encrypted(api: Api, sql: Sql) -> None:
    queued = await queue(api)
    stored = row(sql, queued.id)
    assert stored["key_name"] == "2026"
    assert b"271828" not in stored["body"]
    assert b"Example" not in stored["body"]
    [mail] = await lease(api)
    assert "body" not in repr(mail)
    message = outbox.message(mail, sender=FROM, keyring=RING)
    assert message.is_multipart()


@pytest.mark.parametrize("change", ["recipient", "id"])
async def test_it_can_be_sent_to_nobody_else(api: Api, sql: Sql, box: Mailbox, change: str) -> None:
    """Whoever can write to the table cannot have a mail sent to another address, or in another's place."""
    queued = await queue(api)
    value = "eve@example.org" if change == "recipient" else uuid4()
    sql(f"UPDATE authsql_outbox SET {change} = %s", value)
    assert await deliver(api, box.settings()) == Delivery(postponed=1)
    assert box.mails == []
    stored = row(sql, queued.id if change == "recipient" else value)  # type: ignore[arg-type]  # which it is then
    assert stored["last_error"] == "CannotDecrypt"
    assert stored["body"] is not None


async def test_a_key_that_comes_later(api: Api, sql: Sql, box: Mailbox) -> None:
    await queue(api)
    other = Keyring({"2027": bytes(32)}, "2027")
    assert await deliver(api, box.settings(), keyring=other) == Delivery(postponed=1)
    sql.elapse(MINUTE)
    both = Keyring({"2026": bytes(range(32)), "2027": bytes(32)}, "2027")
    assert await deliver(api, box.settings(), keyring=both) == Delivery(sent=1)
    [mail] = await lease(api) or [None]
    assert mail is None


async def test_dedup_key(api: Api, sql: Sql, box: Mailbox) -> None:
    first = await queue(api, dedup_key="welcome-ann")
    again = await queue(api, dedup_key="welcome-ann", recipient="other@example.org")
    assert again == QueuedMail(first.id, duplicate=True)
    assert row(sql, first.id)["recipient"] == WHO
    assert (await queue(api, dedup_key="welcome-bob")).id != first.id
    assert not (await queue(api)).duplicate
    assert not (await queue(api)).duplicate
    assert "welcome" not in repr(sql.dump())
    assert await deliver(api, box.settings()) == Delivery(sent=4)
    assert (await queue(api, dedup_key="welcome-ann")).duplicate, "a sent one is remembered"
    sql.elapse(FAST.mail_lifetime + FAST.mail_kept)
    await api(maintenance.purge)
    assert not (await queue(api, dedup_key="welcome-ann")).duplicate


async def test_dedup_key_of_a_transaction_that_is_older(api: Api, connect: Connect, sql: Sql) -> None:
    """What the snapshot of the transaction does not show stands in the way all the same."""
    old = await connect(autocommit=False)
    await old.sql("SELECT COUNT(*) FROM authsql_outbox")
    first = await queue(api, dedup_key="x")
    assert await queue(old, dedup_key="x") == QueuedMail(first.id, duplicate=True)
    await old.commit()


async def test_times(api: Api, sql: Sql) -> None:
    stored = row(sql, (await queue(api)).id)
    assert stored["expires_at"] == stored["created_at"] + FAST.mail_lifetime
    assert stored["purge_at"] == stored["expires_at"] + FAST.mail_kept
    policy = with_policy(mail_lifetime=HOUR, mail_kept=timedelta(0))
    stored = row(sql, (await queue(api, policy=policy)).id)
    assert stored["expires_at"] == stored["purge_at"] == stored["created_at"] + HOUR
    end = datetime(2031, 5, 1, 12, tzinfo=UTC)
    zone = timezone(timedelta(hours=5, minutes=30))
    stored = row(sql, (await queue(api, expires_at=end.astimezone(zone))).id)
    assert (stored["expires_at"], stored["purge_at"]) == (end, end + FAST.mail_kept)


async def test_what_is_of_no_use_is_dropped(api: Api, sql: Sql, box: Mailbox) -> None:
    end = sql.one(f"SELECT {sql.now}") + 5 * MINUTE
    late = await queue(api, expires_at=end)
    sql.elapse(5 * MINUTE)
    fresh = await queue(api)
    assert await deliver(api, box.settings()) == Delivery(sent=1, expired=1)
    assert [mail.message["Message-ID"] for mail in box.mails] == [f"<{fresh.id}@example.com>"]
    stored = row(sql, late.id)
    assert (stored["body"], stored["next_attempt_at"]) == (None, None)
    assert (stored["last_error"], stored["attempts"], stored["sent_at"]) == ("expired", 0, None)
    assert stored["failed_at"] is not None


async def test_a_wait_does_not_outlast_its_use(api: Api, sql: Sql, box: Mailbox) -> None:
    """Else the row would keep what it says for as long as the wait is."""
    queued = await queue(api, expires_at=sql.one(f"SELECT {sql.now}") + MINUTE)
    box.answers["MAIL"] = "451 4.3.0 later"
    for _ in range(3):
        assert await deliver(api, box.settings()) == Delivery(postponed=1)
        sql.age("authsql_outbox", "next_attempt_at", DAY)
    assert await deliver(api, box.settings()) == Delivery(postponed=1)
    stored = row(sql, queued.id)
    assert stored["next_attempt_at"] == stored["expires_at"]
    sql.elapse(MINUTE)
    assert await deliver(api, box.settings()) == Delivery(expired=1)
    assert row(sql, queued.id)["last_error"] == "SMTPSenderRefused 451 4.3.0", "why it was not sent in time"


async def test_what_expires_in_the_senders_hands(api: Api, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    await queue(api, expires_at=sql.one(f"SELECT {sql.now}") + MINUTE)
    await queue(api)
    taken: list[EmailMessage] = []
    clock = iter([0.0, 61.0, 62.0])
    monkeypatch.setattr("authsql.outbox.monotonic", lambda: next(clock))
    assert await deliver(api, taken.append) == Delivery(sent=1, postponed=1)
    monkeypatch.undo()
    sql.elapse(MINUTE)
    assert await deliver(api, taken.append) == Delivery(expired=1)


async def test_a_sender_stops_at_half_its_lease(api: Api, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not begun by then another sender could begin too."""
    for _ in range(3):
        await queue(api)
    taken: list[EmailMessage] = []
    clock = iter([0.0, 1.0, FAST.mail_lease.total_seconds() / 2 + 1, 400.0])
    monkeypatch.setattr("authsql.outbox.monotonic", lambda: next(clock))
    told: list[str] = []
    assert await deliver(api, taken.append, progress=told.append) == Delivery(sent=1, postponed=2)
    assert [line.partition(": ")[2] for line in told] == ["", "out of time", "out of time"]
    monkeypatch.undo()
    sql.elapse(FAST.mail_retry_base)
    assert await deliver(api, taken.append) == Delivery(sent=2)


async def test_waits_double_up_to_a_limit(api: Api, sql: Sql) -> None:
    queued = await queue(api, expires_at=datetime(2040, 1, 1, tzinfo=UTC))
    waits, stored = [], {}
    for number in range(1, 14):
        [mail] = await lease(api)
        assert mail.attempts == number
        assert await api(outbox.mark_failed, mail.id, mail.lease_id, "busy") is True
        stored = row(sql, queued.id)
        waits.append(stored["next_attempt_at"] - sql.one(f"SELECT {sql.now}"))
        assert await lease(api) == ()
        sql.age("authsql_outbox", "next_attempt_at", HOUR)
    expected = [min(FAST.mail_retry_base * 2**number, FAST.mail_retry_max) for number in range(13)]
    for wait, wanted in zip(waits, expected, strict=True):
        assert wanted - MINUTE / 4 < wait <= wanted
    assert stored["last_error"] == "busy"


async def test_after_ever_so_many_attempts(api: Api, sql: Sql) -> None:
    await queue(api)
    sql("UPDATE authsql_outbox SET attempts = 2000000000")
    [mail] = await lease(api)
    assert await api(outbox.mark_failed, mail.id, mail.lease_id, "busy") is True


async def test_lease(api: Api, sql: Sql) -> None:
    queued = [await queue(api, f"{number}@example.org") for number in range(5)]
    first = await lease(api, batch=2)
    assert [mail.id for mail in first] == [each.id for each in queued[:2]]
    assert len({mail.lease_id for mail in first}) == 1
    assert first[0].recipient == "0@example.org"
    assert first[0].template == "signin"
    assert first[0].attempts == 1
    assert first[0].leased_until == first[1].leased_until
    now = sql.one(f"SELECT {sql.now}")
    assert now < first[0].leased_until <= now + FAST.mail_lease
    second = await lease(api, batch=10)
    assert [mail.id for mail in second] == [each.id for each in queued[2:]]
    assert await lease(api) == ()
    for mail in first:
        assert await api(outbox.mark_sent, mail.id, mail.lease_id) is True
        assert await api(outbox.mark_sent, mail.id, mail.lease_id) is False
        assert await api(outbox.mark_failed, mail.id, mail.lease_id, "x") is False
    sql.elapse(FAST.mail_lease)
    third = await lease(api)
    assert [(mail.id, mail.attempts) for mail in third] == [(each.id, 2) for each in queued[2:]]
    for old, new in zip(second, third, strict=True):
        assert await api(outbox.mark_failed, old.id, old.lease_id, "x", final=True) is False
        assert await api(outbox.mark_sent, old.id, old.lease_id) is False, "it is another's by now"
        assert await api(outbox.mark_sent, new.id, new.lease_id) is True


async def test_who_comes_late_may_still_say_so(api: Api, sql: Sql) -> None:
    """The lease is over, but nobody has taken it since."""
    await queue(api)
    [mail] = await lease(api)
    sql.elapse(FAST.mail_lease + HOUR)
    assert await api(outbox.mark_sent, mail.id, mail.lease_id) is True
    assert await lease(api) == ()


async def test_lease_passes_by_what_is_locked(api: Api, sql: Sql, connect: Connect) -> None:
    held, free = await queue(api), await queue(api)
    other = await connect(autocommit=False)
    await other.sql("SELECT * FROM authsql_outbox WHERE id = %s FOR UPDATE", sql.to_sql(held.id))
    if sql.is_mysql:
        await api.sql("SET SESSION innodb_lock_wait_timeout = 2")
    assert [mail.id for mail in await lease(api)] == [free.id]
    await other.rollback()
    assert [mail.id for mail in await lease(api)] == [held.id]


async def test_a_sender_that_dies_repeats_the_mail(
    api: Api, sql: Sql, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once: the mail server has it, and nobody wrote that down. Both mails have the same id."""
    await queue(api)

    def die(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(outbox, "_sent", die)
    with pytest.raises(RuntimeError, match="killed"):
        await deliver(api, box.settings())
    monkeypatch.undo()
    assert await deliver(api, box.settings()) == Delivery(), "not while the lease holds"
    sql.age("authsql_outbox", "next_attempt_at", FAST.mail_lease)
    assert await deliver(api, box.settings()) == Delivery(sent=1)
    first, second = box.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.message["Date"] == second.message["Date"]
    assert first.part("plain") == second.part("plain")


@pytest.mark.parametrize(
    ("command", "answer", "error", "final"),
    [
        ("RCPT", "550 5.1.1 no 271828 here", "SMTPRecipientsRefused 550 5.1.1", True),
        ("RCPT", "450 4.2.1 busy", "SMTPRecipientsRefused 450 4.2.1", False),
        ("DATA", "554 5.7.1 no", "SMTPDataError 554 5.7.1", True),
        (".", "554 policy: 271828", "SMTPDataError 554", True),
        (".", "451 4.3.0 271828", "SMTPDataError 451 4.3.0", False),
        ("MAIL", "530 5.7.0 sign in first", "SMTPSenderRefused 530 5.7.0", False),
        ("MAIL", "421 4.3.2 271828", "SMTPSenderRefused 421 4.3.2", False),
        ("RCPT", "", "SMTPServerDisconnected", False),
        ("DATA", "", "SMTPServerDisconnected", False),
        ("CONNECT", "554 go away", "SMTPConnectError 554", False),
        ("CONNECT", "", "SMTPServerDisconnected", False),
    ],
)
async def test_what_a_mail_server_may_say(
    api: Api, sql: Sql, box: Mailbox, command: str, answer: str, error: str, final: bool
) -> None:
    box.answers[command] = answer
    queued = [await queue(api) for _ in range(2)]
    told: list[str] = []
    counts = {"failed" if final else "postponed": 2}
    assert await deliver(api, box.settings(), progress=told.append) == Delivery(**counts)
    assert box.mails == []
    word = "failed" if final else "postponed"
    assert told == [f"{word} {each.id} signin: {error}" for each in queued]
    for each in queued:
        stored = row(sql, each.id)
        assert stored["last_error"] == error
        assert (stored["body"] is None) is (stored["failed_at"] is not None) is final
    # One connection for both, as long as it holds; none for the second if the first could not be had.
    assert box.sessions == (2 if answer == "" or answer.startswith("421") else 1) - (
        command == "CONNECT" and answer == ""
    )
    box.answers.clear()
    sql.elapse(FAST.mail_retry_base)
    assert await deliver(api, box.settings()) == Delivery(sent=0 if final else 2)


async def test_a_server_that_takes_it_and_falls_silent(api: Api, sql: Sql, box: Mailbox) -> None:
    """It may have taken it: the mail is sent again."""
    box.answers["."] = ""
    await queue(api)
    assert await deliver(api, box.settings()) == Delivery(postponed=1)
    box.answers.clear()
    sql.elapse(FAST.mail_retry_base)
    assert await deliver(api, box.settings()) == Delivery(sent=1)
    assert len(set(box.message_ids)) == 1
    assert len(box.message_ids) == 2


async def test_no_server(api: Api, sql: Sql, box: Mailbox) -> None:
    with mail_server() as gone:
        settings = gone.settings()
    for _ in range(3):
        await queue(api)
    assert await deliver(api, settings) == Delivery(postponed=3)
    errors = {stored for (stored,) in sql("SELECT last_error FROM authsql_outbox")}
    assert errors == {"ConnectionRefusedError"}
    sql.elapse(FAST.mail_retry_base)
    assert await deliver(api, box.settings()) == Delivery(sent=3)


async def test_a_function_that_sends(api: Api, sql: Sql) -> None:
    """Whatever it raises, the mail stays, unless it says that it never will go."""
    queued = [await queue(api, f"{number}@example.org") for number in range(4)]

    def send(message: EmailMessage) -> None:
        match str(message["To"])[0]:
            case "0":
                raise MailRejected("no such customer 271828")
            case "1":
                raise RuntimeError("secret 271828")
            case "2":
                raise smtplib.SMTPDataError(550, b"5.7.1 no")

    assert await deliver(api, send) == Delivery(sent=1, postponed=1, failed=2)
    errors = [row(sql, each.id)["last_error"] for each in queued]
    assert errors == ["MailRejected", "RuntimeError", "SMTPDataError 550 5.7.1", None]


async def test_batch(api: Api, box: Mailbox) -> None:
    for number in range(5):
        await queue(api, f"{number}@example.org")
    assert await deliver(api, box.settings(), batch=3) == Delivery(sent=3)
    assert await deliver(api, box.settings(), batch=3) == Delivery(sent=2)
    assert [mail.recipients[0][0] for mail in box.mails] == list("01234")
    assert box.sessions == 2


async def test_nothing_to_send_needs_no_server(api: Api) -> None:
    with mail_server() as box:
        assert await deliver(api, box.settings()) == Delivery()
        assert box.sessions == 0


@pytest.mark.parametrize(
    "recipient",
    [
        "eve@example.org,ann@example.org",
        "ann@example.org>",
        "<ann@example.org>",
        "a(b)@example.org",
        '"ann eve"@example.org',
        "ann@example.org\nBcc: eve@example.org",
        "ann@example.org\r\nBcc:eve@example.org",
        "ann\u2028eve@example.org",
        "=?utf-8?q?ann?=@example.org",
        "ann@example.org;eve@example.org",
        "ann:eve@example.org",
        "ann@-.@example.org",
        "ann@example..org\u00e4",
        "x" * 65 + "@example.org",
    ],
)
async def test_one_recipient_and_no_other_header(api: Api, sql: Sql, recipient: str) -> None:
    before = sql.dump()
    with pytest.raises(InvalidInput) as raised:
        await queue(api, recipient)
    assert "ann" not in str(raised.value)
    assert sql.dump() == before


async def test_nothing_that_is_filled_in_makes_a_header(api: Api, box: Mailbox) -> None:
    evil = "x\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>"
    await queue(api, context={"app": evil, "code": "1", "minutes": evil})
    assert await deliver(api, box.settings()) == Delivery(sent=1)
    [mail] = box.mails
    message = mail.message
    assert mail.recipients == (WHO,)
    assert message["Bcc"] is None
    assert message["Subject"] == ("Sign in to x Bcc: eve@example.org <script>alert(1)</script>")
    assert sorted(message.keys()) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    )
    assert "<script>" not in mail.part("html")
    assert "&lt;script&gt;" in mail.part("html")
    assert "<script>" in mail.part("plain")


@pytest.mark.parametrize(
    ("sender", "shown"),
    [
        ("no-reply@example.com", "no-reply@example.com"),
        ("Ex\u00e4mple <no-reply@example.com>", "Ex\u00e4mple <no-reply@example.com>"),
        ('"Example, Inc." <no-reply@example.com>', '"Example, Inc." <no-reply@example.com>'),
    ],
)
async def test_senders(api: Api, box: Mailbox, sender: str, shown: str) -> None:
    await queue(api)
    assert await deliver(api, box.settings(), sender=sender) == Delivery(sent=1)
    assert box.mails[0].message["From"] == shown


@pytest.mark.parametrize(
    "sender", ["", "Example", "a@x.org, b@x.org", "a@x.org\nBcc: b@x.org", "E <a@x.org> <b@x.org>", None, 7]
)
async def test_senders_that_are_none(api: Api, sql: Sql, sender: Any) -> None:
    await queue(api)
    before = sql.dump()
    with pytest.raises(InvalidInput):
        await deliver(api, lambda _: None, sender=sender)
    assert sql.dump() == before, "nothing was taken"


async def test_addresses_beyond_ascii(api: Api, sql: Sql, box: Mailbox) -> None:
    """A domain has an ASCII form; a name before the @ needs a server that takes it."""
    await queue(api, "ann@ex\u00e4mple.org")
    await queue(api, "jos\u00e9@example.org")
    assert await deliver(api, box.settings()) == Delivery(sent=1, postponed=1)
    assert box.mails[0].recipients == ("ann@xn--exmple-cua.org",)
    box.features = ("8BITMIME", "SMTPUTF8")
    sql.elapse(FAST.mail_retry_base)
    assert await deliver(api, box.settings()) == Delivery(sent=1)
    assert box.mails[1].recipients == ("jos\u00e9@example.org",)


async def test_templates_of_the_application(api: Api, box: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "welcome.subject").write_text("Welcome, {{ name }}\n")
    (tmp_path / "welcome.txt").write_text("Hello {{ name }}\n")
    templates = Templates(tmp_path)
    await api(outbox.enqueue, WHO, "welcome", {"name": "Ann"}, keyring=RING, templates=templates)
    await api(outbox.enqueue, WHO, "signin", CODE, keyring=RING, templates=templates)
    assert await deliver(api, box.settings()) == Delivery(sent=2)
    assert box.mails[0].message.get_content_type() == "text/plain"
    assert box.mails[0].part("plain") == "Hello Ann\r\n"
    assert box.mails[1].message.is_multipart()


@pytest.mark.parametrize(
    ("template", "context"),
    [
        ("signin", {}),
        ("signin", {"app": "Example"}),
        ("signin", None),
        ("nothing", CODE),
        ("layout", CODE),
        ("../mail/signin", CODE),
        ("signin.txt", CODE),
        ("signin", {"app": "Example", "code": "x" * 1_000_000}),
        ("signin", {"app": "Example", "code": "\ud800"}),
        ("signin", {7: "x"}),
        ("signin", [("app", "Example")]),
    ],
)
async def test_what_cannot_be_rendered_is_not_queued(
    api: Api, sql: Sql, template: str, context: dict[str, Any] | None
) -> None:
    before = sql.dump()
    with pytest.raises(InvalidInput):
        await api(outbox.enqueue, WHO, template, context, keyring=RING)
    assert sql.dump() == before


async def test_long_mail(api: Api, box: Mailbox) -> None:
    long = "x" * 5_000 + "\n.\n.." + "\u00e4" * 100_000
    await queue(api, context={"app": "Example", "code": long})
    assert await deliver(api, box.settings()) == Delivery(sent=1)
    assert long.replace("\n", "\r\n") in box.mails[0].part("plain")
    assert max(len(line) for line in box.mails[0].data.split(b"\r\n")) <= 998


async def test_purge(api: Api, sql: Sql, box: Mailbox) -> None:
    await queue(api)
    await queue(api)
    assert await deliver(api, box.settings(), batch=1) == Delivery(sent=1)
    sql.elapse(FAST.mail_lifetime + FAST.mail_kept - MINUTE)
    counts = {each.table_name: each.deleted for each in await api(maintenance.purge)}
    assert counts["authsql_outbox"] == 0
    sql.elapse(MINUTE)
    found = {each.table_name: each.expired_rows for each in await api(maintenance.backlog)}
    assert found["authsql_outbox"] == 2
    counts = {each.table_name: each.deleted for each in await api(maintenance.purge)}
    assert counts["authsql_outbox"] == 2


async def test_what_an_operator_sees(api: Api, sql: Sql, box: Mailbox) -> None:
    names = ("sent", "leased", "failed", "due", "expired")
    queued = {name: await queue(api, f"{name}@example.org") for name in names}
    assert await deliver(api, box.settings(), batch=1) == Delivery(sent=1)
    [leased, failed] = await lease(api, batch=2)
    await api(outbox.mark_failed, failed.id, failed.lease_id, "busy")
    sql("UPDATE authsql_outbox SET expires_at = created_at WHERE id = %s", queued["expired"].id)
    found = sql("SELECT recipient, state, attempts, last_error FROM authsql_pending_mail ORDER BY created_at")
    assert [tuple(each) for each in found] == [
        ("leased@example.org", "leased", 1, None),
        ("failed@example.org", "waiting", 1, "busy"),
        ("due@example.org", "due", 0, None),
        ("expired@example.org", "expired", 0, None),
    ]
    assert leased.id == queued["leased"].id


@pytest.mark.parametrize(
    "change",
    [
        "sent_at = created_at",
        "failed_at = created_at",
        "body = NULL",
        "next_attempt_at = NULL",
        "sent_at = created_at, next_attempt_at = NULL",
        "sent_at = created_at, failed_at = created_at, next_attempt_at = NULL, body = NULL",
        "sent_at = created_at, next_attempt_at = NULL, body = NULL, lease_id = id",
        "purge_at = created_at",
        "attempts = -1",
    ],
)
async def test_states_that_there_are_not(api: Api, sql: Sql, change: str) -> None:
    await queue(api)
    with pytest.raises(Exception, match=r"authsql_outbox_(state|purge_at|attempts)_check"):
        sql(f"UPDATE authsql_outbox SET {change}")


async def test_a_timeout_that_a_lease_cannot_hold(api: Api, sql: Sql, box: Mailbox) -> None:
    await queue(api)
    before = sql.dump()
    with pytest.raises(InvalidInput):
        await deliver(api, box.settings(timeout=30.0))
    assert sql.dump() == before
    assert await deliver(api, box.settings(timeout=25.0)) == Delivery(sent=1)


async def test_message_by_another_key(api: Api) -> None:
    await queue(api)
    [mail] = await lease(api)
    with pytest.raises(CannotDecrypt):
        outbox.message(mail, sender=FROM, keyring=Keyring({"2026": bytes(32)}, "2026"))


async def test_an_expiry_that_has_passed(api: Api, sql: Sql, box: Mailbox) -> None:
    queued = await queue(api, expires_at=sql.one(f"SELECT {sql.now}") - SECOND)
    assert await deliver(api, box.settings()) == Delivery(expired=1)
    assert row(sql, queued.id)["body"] is None
