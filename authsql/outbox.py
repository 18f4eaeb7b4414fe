"""Mail, queued in the transaction that calls for it and sent afterwards, at least once.

    with conn.transaction():
        issued = otps.issue(conn, email, "signin", key=key)
        if issued:
            outbox.enqueue(conn, email, "signin", {"app": "Example", "code": issued.code},
                           keyring=keyring, expires_at=issued.expires_at)

    outbox.deliver(conn, Smtp.from_url(url), sender="Example <no-reply@example.org>", keyring=keyring)

A mail is rendered when it is queued: a mistake in a template shows where it is made, and whoever sends needs
neither templates nor context. What it says is encrypted under a key of the keyring, bound to the row and its
recipient, and wiped once the mail was sent or given up. The command `authsql mail` is a sender.

Any number of senders may run. Each leases what it takes; a mail is sent twice only if a sender dies, or is
cut off from the database, between the mail server's answer and `mark_sent`. Both have the same Message-ID.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from time import monotonic
from uuid import UUID, uuid4

from authsql import _input, _mail
from authsql._driver import Compute, Query
from authsql._ids import uuid7
from authsql._operation import Steps, operation
from authsql.errors import InvalidInput, RetryTransaction
from authsql.keyring import Keyring
from authsql.mail_templates import Templates, packaged
from authsql.models import Delivery, LeasedMail, QueuedMail, from_row
from authsql.policy import DEFAULT, Policy
from authsql.smtp import Smtp, Unreachable, describe, mailbox, sender_mailbox

_LATE, _EXPIRED = "out of time", "expired"


@operation()
def enqueue(
    recipient: str,
    template: str,
    context: Mapping[str, object] | None = None,
    *,
    keyring: Keyring,
    expires_at: datetime | None = None,
    dedup_key: str | None = None,
    templates: Templates | None = None,
    policy: Policy = DEFAULT,
) -> Steps[QueuedMail]:
    """Queue a mail in the caller's transaction: it is sent if that commits, and only then.

    template and context: see `mail_templates`. From expires_at on it is of no use and not sent, for example
    when its code has expired; without one, `policy.mail_lifetime` from now. dedup_key is what the application
    calls this mail: a second one of that name is not queued for as long as the first is remembered
    (`policy.mail_kept` after its end). Raises InvalidInput for a recipient that is not one plain address, a
    template that there is not, or a context that lacks something.
    """
    ring = _mail.checked_keyring(keyring)
    if templates is not None and not isinstance(templates, Templates):
        raise InvalidInput("templates is a Templates")
    address = _input.email(recipient)
    mailbox(address)
    mail_id, values = uuid7(), {} if context is None else context
    parameters: dict[str, object] = {
        "id": mail_id,
        "recipient": address,
        "template": _input.word("template", template),
        "key_name": ring.current,
        "dedup_hash": _mail.dedup_hash(dedup_key),
        "expires_at": _input.optional_time("expires_at", expires_at),
        "lifetime": policy.mail_lifetime,
        "kept": policy.mail_kept,
    }
    parameters["body"] = yield Compute(
        lambda: _mail.seal(ring, mail_id, address, (templates or packaged()).render(template, values))
    )
    # Twice: the one that is in the way may be purged between the statements.
    for _ in range(2):
        row = (yield Query("outbox.enqueue", parameters)).row
        if row is not None:
            return QueuedMail(row["id"])
        row = (yield Query("outbox.duplicate", {"dedup_hash": parameters["dedup_hash"]})).row
        if row is not None:
            return QueuedMail(row["id"], duplicate=True)
    raise RetryTransaction(RetryTransaction.__doc__)


@operation(counted=True)
def lease(*, batch: int = 20, policy: Policy = DEFAULT) -> Steps[tuple[LeasedMail, ...]]:
    """Take at most batch mails that are due, for `policy.mail_lease`. `deliver` does this and the rest.

    No other sender gets them until the lease ends. Say of each how it went: `mark_sent`, `mark_failed`. The
    attempts are counted here. Mail that is of no use any more is given up and wiped. Commits on its own:
    raises TransactionOpen in an open transaction.
    """
    taken, _ = yield from _lease(batch, policy)
    return taken


@operation(counted=True)
def mark_sent(mail_id: UUID, lease_id: UUID) -> Steps[bool]:
    """Note that a leased mail was sent, and wipe what it said. False if the lease is another's by now, and
    the mail may be sent twice. Raises TransactionOpen in an open transaction.
    """
    return (yield from _sent(_input.uuid("mail_id", mail_id), _input.uuid("lease_id", lease_id)))


@operation(counted=True)
def mark_failed(
    mail_id: UUID, lease_id: UUID, error: str, *, final: bool = False, policy: Policy = DEFAULT
) -> Steps[bool]:
    """Note that a leased mail could not be sent, and why: up to 200 characters, without a secret in them.

    It is due again after `policy.mail_retry_base`, twice as long with each further attempt, at most
    `policy.mail_retry_max`; with final, never: it is given up, and what it said is wiped. False if the
    lease is another's by now. Raises TransactionOpen in an open transaction.
    """
    ids = _input.uuid("mail_id", mail_id), _input.uuid("lease_id", lease_id)
    text, given_up = _input.text("error", error, 200), _input.boolean("final", final)
    return (yield from _failed(*ids, text, given_up, policy))


@operation(counted=True)
def deliver(
    send: Smtp | Callable[[EmailMessage], object],
    *,
    sender: str,
    keyring: Keyring,
    batch: int = 20,
    progress: Callable[[str], object] | None = None,
    policy: Policy = DEFAULT,
) -> Steps[Delivery]:
    """Send at most batch mails that are due. Call it again while it sends any.

    send is a mail server, or a function that takes an `EmailMessage`: it returns when the mail is taken,
    raises `MailRejected` for one that never will be, and anything else for one to be tried again. sender is
    whom the mail is from. progress is told a line for each mail: its id, its template, how it went.

    On an asynchronous connection the mail is sent from a thread. Commits on its own, and no transaction is
    open while mail is sent: raises TransactionOpen in an open one.
    """
    origin, ring = sender_mailbox(sender), _mail.checked_keyring(keyring)
    line, hand_in = _mail.way_out(send, policy)
    tell = _mail.function("progress", _mail.silent if progress is None else progress)
    began = monotonic()
    mails, expired = yield from _lease(batch, policy)
    counts = {"sent": 0, "postponed": 0, "failed": 0}
    gave_up = ""
    try:
        for mail in mails:
            # What is begun in the first half of the lease is done with before its end.
            elapsed = timedelta(seconds=monotonic() - began)
            if elapsed > policy.mail_lease / 2:
                gave_up = gave_up or _LATE
            error, final = gave_up, False
            # By the database's clock it was taken at the beginning of its lease.
            if mail.leased_until - policy.mail_lease + elapsed >= mail.expires_at:
                error = error or _EXPIRED
            if not error:
                try:
                    yield Compute(partial(hand_in, _mail.build(mail, origin, ring)))
                except Exception as raised:  # noqa: BLE001  # whatever it is, the mail stays
                    error, final = describe(raised)
                    gave_up = error if isinstance(raised, Unreachable) else ""
            if error:
                yield from _failed(mail.id, mail.lease_id, error, final, policy)
            else:
                yield from _sent(mail.id, mail.lease_id)
            outcome = "failed" if final else "postponed" if error else "sent"
            counts[outcome] += 1
            tell(f"{outcome} {mail.id} {mail.template}" + (f": {error}" if error else ""))
        if line:
            yield Compute(line.quit)
    finally:
        if line:
            line.close()
    return Delivery(**counts, expired=expired)


def message(mail: LeasedMail, *, sender: str, keyring: Keyring) -> EmailMessage:
    """The mail as it is to be sent. No connection is needed. Raises `keyring.CannotDecrypt`."""
    return _mail.build(mail, sender_mailbox(sender), _mail.checked_keyring(keyring))


def _lease(batch: int, policy: Policy) -> Steps[tuple[tuple[LeasedMail, ...], int]]:
    """What was taken, oldest first, and how many were given up because their time is over."""
    size = _input.integer("batch", batch, 1, 1000)
    expired: int = (yield Query("outbox.drop_expired", {})).count
    parameters = {"lease_id": uuid4(), "batch": size, "lease": policy.mail_lease}
    rows = (yield Query("outbox.lease", parameters)).rows
    return tuple(sorted((from_row(LeasedMail, row) for row in rows), key=lambda mail: mail.id)), expired


def _sent(mail_id: UUID, lease_id: UUID) -> Steps[bool]:
    count: int = (yield Query("outbox.mark_sent", {"id": mail_id, "lease_id": lease_id})).count
    return count > 0


def _failed(mail_id: UUID, lease_id: UUID, error: str, final: bool, policy: Policy) -> Steps[bool]:
    parameters = {
        "id": mail_id,
        "lease_id": lease_id,
        "error": error,
        "final": final,
        "retry_base": policy.mail_retry_base,
        "retry_max": policy.mail_retry_max,
    }
    count: int = (yield Query("outbox.mark_failed", parameters)).count
    return count > 0
