"""A password that is changed while it is being checked is not right any more."""

from __future__ import annotations

import threading

import pytest

from authsql import NewDevice, Policy, Reason, Refusal, VerifiedPassword, devices, passwords, users
from authsql._passwords import candidate
from tests.races.conftest import commit_once_waited_for
from tests.servers import Database, SyncConnection, rows
from tests.support import FAST

OLD, NEW = "the old password", "the new password"


def test_the_old_password_is_refused_when_the_new_one_comes_first(
    database: Database, conn: SyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is committed just when the check, which it keeps waiting, wants to note its success."""
    user = users.create(conn, "a@x.org")
    assert passwords.set(conn, user.id, OLD, policy=FAST)
    changing = database.connect(autocommit=False)
    committed: list[threading.Thread] = []

    def hash_slowly(form: str | None, password: str, policy: Policy) -> str:
        monkeypatch.setattr(passwords, "candidate", candidate)
        assert passwords.set(changing, user.id, NEW, policy=FAST)
        committed.append(commit_once_waited_for(database, changing))
        return candidate(form, password, policy)

    monkeypatch.setattr(passwords, "candidate", hash_slowly)
    found = passwords.verify(conn, user.id, OLD, policy=FAST)
    committed[0].join()
    assert isinstance(found, Refusal)
    assert found.reason is Reason.CHANGED
    assert passwords.verify(conn, user.id, NEW, policy=FAST)


@pytest.mark.only("mysql")
@pytest.mark.parametrize("known_device", [False, True])
def test_two_right_attempts_in_one_microsecond(
    database: Database, conn: SyncConnection, monkeypatch: pytest.MonkeyPatch, known_device: bool
) -> None:
    """Of two equal UPDATEs, MySQL counts the second as none."""
    user = users.create(conn, "a@x.org")
    assert passwords.set(conn, user.id, OLD, policy=FAST)
    found = devices.remember(conn, user.id)
    assert isinstance(found, NewDevice)
    device = found.token if known_device else None
    other = database.connect()
    now = rows(conn, "SELECT UNIX_TIMESTAMP(UTC_TIMESTAMP(6) + INTERVAL 1 SECOND)")[0][0]
    for each in (conn, other):
        rows(each, f"SET timestamp = {now}")
    answers: list[object] = []

    def hash_slowly(form: str | None, password: str, policy: Policy) -> str:
        monkeypatch.setattr(passwords, "candidate", candidate)
        answers.append(passwords.verify(other, user.email, OLD, device=device, policy=FAST))
        return candidate(form, password, policy)

    monkeypatch.setattr(passwords, "candidate", hash_slowly)
    answers.append(passwords.verify(conn, user.email, OLD, device=device, policy=FAST))
    assert [type(each) for each in answers] == [VerifiedPassword] * 2, answers
