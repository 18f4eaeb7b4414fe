"""The flows that spend a code, all begun and ended alike, so that a test can go through every one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from authsql import Code, IssuedCode, Link, Policy, accounts, otps, users
from authsql._driver import Query
from authsql._mysql import MySQL
from authsql._postgres import Postgres
from authsql._statements import Statement
from authsql.models import User
from tests.support import FAST, KEY, Api

NEW_PASSWORD = "a new password"

PURPOSES = {
    "confirm_sign_up": "signup",
    "verify_email": "email-verification",
    "sign_in": "signin",
    "reset_password": "password-reset",
    "change_email": "email-change",
}
FLOWS = sorted(PURPOSES)

EACH = pytest.mark.parametrize("flow", FLOWS)
HOW = pytest.mark.parametrize("how", ["code", "link"])


@dataclass(frozen=True)
class Started:
    """A flow whose code is on its way."""

    flow: str
    subject: str
    issued: IssuedCode
    user: User | None

    @property
    def call(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """The operation that spends the code, with what comes before its proof and what comes by name."""
        match self.flow:
            case "change_email":
                assert self.user is not None
                return accounts.change_email, (self.user.id,), {}
            case "reset_password":
                return accounts.reset_password, (), {"password": NEW_PASSWORD, "policy": FAST}
        return getattr(accounts, self.flow), (), {}

    async def spend(self, api: Api, proof: Code | Link) -> Any:
        operation, arguments, keywords = self.call
        return await api(operation, *arguments, proof, **keywords)

    def proof(self, how: str = "code") -> Code | Link:
        """The right one."""
        return proof(how, self.subject, self.issued)

    def with_code(self, code: str) -> Code:
        return Code(self.subject, code, KEY, self.issued.issue_id)


def proof(how: str, subject: str, issued: IssuedCode) -> Code | Link:
    if how == "link":
        assert issued.link
        return Link(issued.link, issued.issue_id)
    return Code(subject, issued.code, KEY, issued.issue_id)


async def begin(
    api: Api, flow: str, subject: str = "Ann@x.org", *, user: User | None = None, policy: Policy = FAST
) -> Started:
    """Issue the code of a flow, for an account that is made if there has to be one."""
    if flow == "confirm_sign_up":
        pending = await api(accounts.sign_up, subject, "password", key=KEY, link=True, policy=policy)
        return Started(flow, subject, pending.issued, None)
    if user is None:
        user = await api(users.create, "old@x.org" if flow == "change_email" else subject)
    issued = await api(
        otps.issue, subject, PURPOSES[flow], key=KEY, user_id=user.id, link=True, policy=policy
    )
    assert isinstance(issued, IssuedCode)
    return Started(flow, subject, issued, user)


Action: TypeAlias = Callable[[], object]


def before(monkeypatch: pytest.MonkeyPatch, actions: dict[str, Action]) -> list[str]:
    """Do something just before a statement of this name is sent. Returns the names of all that were, as they
    come.
    """
    seen: list[str] = []
    of_mysql, of_postgres = MySQL._execute, Postgres.execute

    def come(name: str) -> None:
        seen.append(name)
        if name in actions:
            actions[name]()

    def execute_mysql(self: MySQL, statement: Statement, parameters: Any) -> Any:
        come(statement.name)
        return (yield from of_mysql(self, statement, parameters))

    def execute_postgres(self: Postgres, query: Query) -> Any:
        come(query.name)
        return (yield from of_postgres(self, query))

    monkeypatch.setattr(MySQL, "_execute", execute_mysql)
    monkeypatch.setattr(Postgres, "execute", execute_postgres)
    return seen
