"""From what a user presents to the parameters of the statement that spends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authsql import _input
from authsql._driver import Query
from authsql._operation import Steps
from authsql._tokens import LINK_PREFIX, code_digest, digest, read
from authsql.errors import InvalidInput
from authsql.models import Reason, Refusal
from authsql.policy import Policy
from authsql.proofs import Code, Link, Proof


def opened(
    proof: Proof, purpose: str, policy: Policy, *, bound: bool = False
) -> Steps[dict[str, Any] | Refusal]:
    """Subject, purpose, issue_id and hashes of a proof, and the e-mail as it was typed. For a link, the
    subject is asked of the database. bound: it must have its issue_id.
    """
    match proof:
        case Code() | Link() if bound and proof.issue_id is None:
            raise InvalidInput("the proof has its issue_id, kept by the browser that asked for the code")
        case Code():
            return of_code(proof, purpose, policy)
        case Link():
            return (yield from _with_subject(of_link(proof, purpose)))
    raise InvalidInput("a proof is an authsql.Code or an authsql.Link")


def of_code(proof: Code, purpose: str, policy: Policy) -> dict[str, Any] | Refusal:
    """Subject, purpose, issue_id and hash of a code."""
    secret = _input.key(proof.key)
    issue_id = _input.optional_uuid("issue_id", proof.issue_id)
    if not isinstance(proof.code, str):
        raise InvalidInput("code is a string")
    try:
        subject = _input.subject(proof.subject)
    except InvalidInput:
        if isinstance(proof.subject, str):
            return Refusal(Reason.UNKNOWN)
        raise
    code = proof.code
    if len(code) != policy.code_digits or not (code.isascii() and code.isdigit()):
        return Refusal(Reason.MALFORMED)
    return {
        "subject": subject,
        "purpose": purpose,
        "issue_id": issue_id,
        "code_hash": code_digest(secret, purpose, subject, code),
        "link_hash": None,
        "email": proof.subject,
    }


def of_link(proof: Link, purpose: str) -> dict[str, Any] | Refusal:
    """Purpose, issue_id and hash of a link."""
    expected = _input.optional_uuid("issue_id", proof.issue_id)
    parts = read(LINK_PREFIX, proof.token, 1)
    if parts is None:
        return Refusal(Reason.MALFORMED)
    issue_id, (secret,) = parts
    if expected is not None and expected != issue_id:
        return Refusal(Reason.UNKNOWN)
    return {"issue_id": issue_id, "purpose": purpose, "link_hash": digest(secret)}


def _with_subject(parameters: dict[str, Any] | Refusal) -> Steps[dict[str, Any] | Refusal]:
    if isinstance(parameters, Refusal):
        return parameters
    row = (yield Query("accounts.find_link", parameters)).row
    if row is None or row["state"] != "live":
        return refusal_of(row, counted=False)
    return {**parameters, "subject": row["subject"], "code_hash": None, "email": row["subject"]}


def refusal_of(row: Mapping[str, Any] | None, *, counted: bool) -> Refusal:
    """Why a proof was not accepted. counted: it was a code, whose attempts are counted."""
    if row is None:
        return Refusal(Reason.UNKNOWN)
    left = row["attempts_left"] if counted and row["state"] == "wrong" else None
    return Refusal(Reason(row["state"]), attempts_left=left)
