"""Checks of whose the objects are, with whose rights views, functions, triggers and events run, and who else
may read what neither role of `optional/roles.sql` may.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from authsql._doctor_context import Context, Finding, Severity, listed
from authsql._doctor_roles import APP, READER, known_columns, readable
from authsql._explain import code, is_denied
from authsql._rights import WHOLE, Rights, minus, of_role, plus

OK, INFO, WARNING, ERROR = Severity
# An application's login is told 1045, as if it were not let in.
_NO_DEFINER = {1449, 1045}
_INVALID_VIEW = 1356
_BY_DEFINER = ("doctor.definer_of_overview", "doctor.definer_of_passwords", "doctor.definer_of_sessions")


def definers(context: Context) -> Iterator[Finding]:
    """MySQL: whether the accounts are there with whose rights views, triggers, routines and events run."""
    if context.dialect != "mysql":
        return
    found: dict[str, Counter[str]] = {}
    for row in context.ask("doctor.definers"):
        found.setdefault(str(row["definer"]), Counter())[str(row["kind"])] += 1
    if not found:
        return
    there = _accounts(context)
    if there is None:
        gone = [*found] if _lacks_definer(context) else []
    else:
        gone = [account for account in found if account not in there]
    for account in gone:
        counted = ", ".join(f"{count} {kind}s" for kind, count in sorted(found[account].items()))
        told = f"{_quoted(account)} is not there, with whose rights authsql's objects run: {counted}"
        advice = (
            f"sign-in and the purge fail (error 1449, 1045 for an application): CREATE USER"
            f" {_quoted(account)} ACCOUNT LOCK as an administrator, and grant it what who migrates needs"
            ' (sql/README.md, "Rights")'
        )
        yield Finding("definers", ERROR, told, advice)
    if not gone and _lacks_right(context):
        names = ", ".join(map(_quoted, sorted(found)))
        told = f"{names} lacks rights with which authsql's objects run"
        advice = (
            'give it what who migrates needs (sql/README.md, "Rights"): itself, or by a role that is active:'
            " SET DEFAULT ROLE ... TO ..."
        )
        yield Finding("definers", ERROR, told, advice)
    elif not gone:
        names = ", ".join(map(_quoted, sorted(found)))
        yield Finding("definers", OK, f"views, triggers, routines and events have the rights of {names}")


def owners(context: Context) -> Iterator[Finding]:
    """PostgreSQL: whether all is one owner's, who may read and change it all."""
    if context.dialect != "postgres":
        return
    by_owner: dict[str, list[str]] = {}
    for row in context.ask("doctor.owners"):
        by_owner.setdefault(str(row["owner"]), []).append(str(row["object"]))
    if not by_owner:
        return
    first, *others = sorted(by_owner, key=lambda owner: -len(by_owner[owner]))
    for owner in others:
        told = f"{owner} owns {listed(by_owner[owner])}, and {first} the rest"
        advice = f"an owner may read and change it all, whoever has which rights: ALTER ... OWNER TO {first}"
        yield Finding("owners", WARNING, told, advice)
    if not others:
        yield Finding("owners", OK, f"all is {first}'s")


def creators(context: Context) -> Iterator[Finding]:
    """PostgreSQL: who may put functions of theirs in the place of what the owner's call."""
    if context.dialect != "postgres" or not context.ask("doctor.owners"):
        return
    schema = context.ask("doctor.role")[0]["schema"]
    found = [str(row["creator"]) for row in context.ask("doctor.creators")]
    for creator in found:
        who = "everybody" if creator == "PUBLIC" else creator
        told = f"{who} may create in schema {schema}, and so have code of theirs run with the owner's rights"
        advice = f"give authsql a schema of its own, or REVOKE CREATE ON SCHEMA {schema} FROM {creator}"
        yield Finding("schema", ERROR if creator == "PUBLIC" else WARNING, told, advice)
    if not found:
        yield Finding("schema", OK, f"nobody but owners may create in schema {schema}")


def readers(context: Context) -> Iterator[Finding]:
    """Who else may read what neither role may, such as a hash: everybody, roles, accounts."""
    columns = known_columns(context)
    if not columns:
        return
    ours = plus(*(of_role(context.dialect, role) for role in (APP, READER)))
    # In MySQL, with their rights views run, and they may read it all for that.
    running = {str(row["definer"]) for row in _definers(context)}
    # By whom, and whether they may read all that there is on the server.
    by_reader: dict[tuple[str, bool], Rights] = {}
    for row in context.ask("doctor.readers"):
        reader, name, column = str(row["reader"]), row["object"], row["column_name"]
        if reader not in running:
            these = WHOLE if column is None else frozenset({str(column)})
            more = {(each, "SELECT"): these for each in (columns if name is None else [str(name)])}
            key = (reader, name is None and context.dialect == "postgres")
            by_reader[key] = plus(by_reader.get(key, {}), more)
    told = False
    for (reader, is_backup), rights in by_reader.items():
        surplus = {key: those for key, those in minus(rights, ours, columns).items() if columns.get(key[0])}
        if surplus:
            told = True
            said = f"{reader} can read what {APP} cannot: {', '.join(readable(surplus))}"
            if is_backup:
                yield Finding("readers", INFO, said, "it has pg_read_all_data: right for a backup alone")
            else:
                advice = "a hash that was read can be tried out elsewhere: REVOKE SELECT, but for a backup"
                yield Finding("readers", WARNING, said, advice)
    if not told and (context.dialect == "postgres" or _accounts(context) is not None):
        yield Finding(
            "readers",
            OK,
            "nobody else has a right to read what an application may not, on authsql's tables and views",
        )


def _definers(context: Context) -> list[dict[str, Any]]:
    return context.ask("doctor.definers") if context.dialect == "mysql" else []


def _accounts(context: Context) -> set[str] | None:
    """The accounts of the server, None if they cannot be seen."""
    try:
        return {str(row["account"]) for row in context.ask("doctor.accounts")}
    except Exception as error:
        if is_denied(error):
            return None
        raise


def _lacks_definer(context: Context) -> bool:
    """Whether a view cannot be used for that reason, of those that the connected account has a right on."""
    for name in _BY_DEFINER:
        try:
            context.ask(name)
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "mysql":
                raise
            if code(error) in _NO_DEFINER:
                return True
    return False


def _lacks_right(context: Context) -> bool:
    """Whether a view says that its definer lacks a right. Before `purge_runs`, some use the caller's."""
    if "purge_runs" not in context.applied:
        return False
    for name in _BY_DEFINER:
        try:
            context.ask(name)
        except Exception as error:
            if code(error) == _INVALID_VIEW:
                return True
            if not is_denied(error):
                raise
    return False


def _quoted(account: str) -> str:
    user, _, host = account.rpartition("@")
    return f"'{user}'@'{host}'"
