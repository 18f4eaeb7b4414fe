"""A password that is changed while it is being checked is not right any more."""

from __future__ import annotations

import threading
import time

import pytest

from authsql import Policy, Reason, Refusal, passwords, users
from authsql._passwords import check
from tests.servers import Database, SyncConnection, rows
from tests.support import FAST

OLD, NEW = "the old password", "the new password"

WAITING = {
    "postgres": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mysql": "SELECT COUNT(*) FROM performance_schema.data_lock_waits",
}


def test_the_old_password_is_refused_when_the_new_one_comes_first(
    database: Database, conn: SyncConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change is committed just when the check, which it keeps waiting, wants to note its success."""
    user = users.create(conn, "a@x.org")
    assert passwords.set(conn, user.id, OLD, policy=FAST)
    changing, watching = database.connect(autocommit=False), database.connect()
    committed: list[threading.Thread] = []

    def commit() -> None:
        deadline = time.monotonic() + 20
        while not rows(watching, WAITING[database.dialect])[0][0] and time.monotonic() < deadline:
            time.sleep(0.01)
        changing.commit()

    def check_slowly(stored: str | None, password: str, policy: Policy) -> bool:
        monkeypatch.setattr(passwords, "check", check)
        right = check(stored, password, policy)
        assert right
        assert passwords.set(changing, user.id, NEW, policy=FAST)
        committed.append(threading.Thread(target=commit))
        committed[0].start()
        return right

    monkeypatch.setattr(passwords, "check", check_slowly)
    found = passwords.verify(conn, user.id, OLD, policy=FAST)
    committed[0].join()
    assert isinstance(found, Refusal)
    assert found.reason is Reason.CHANGED
    assert passwords.verify(conn, user.id, NEW, policy=FAST)
