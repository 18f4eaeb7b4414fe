"""Checks of the migrations, of what they made, and of the purge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from yoyo.migrations import get_migration_hash

from authsql import _catalog, _checksums
from authsql._doctor_context import Context, Finding, Severity, listed
from authsql._modules import among

if TYPE_CHECKING:
    from authsql._catalog import Difference

OK, INFO, WARNING, ERROR = Severity
LAG = 3600
"""Seconds that expired rows may wait before somebody should know."""
STALE = 90_000
"""Seconds within which a scheduler should have purged each table, be it set to once a day."""
# MySQL shows these only to who has a right on them.
_SEEN_BY = {
    "trigger": {"TRIGGER"},
    "event": {"EVENT"},
    "view": {"SHOW_VIEW"},
    "routine": {"EXECUTE", "CREATE_ROUTINE", "ALTER_ROUTINE", "SHOW_ROUTINE"},
}
# Attributes of few values, none of which anybody can put a secret into.
_SHOWN = {
    *("collation", "charset", "data_access", "delete_rule", "enabled", "enforced", "engine", "event"),
    *("generated", "is_deterministic", "is_unique", "language", "not_null", "nullable", "on_completion"),
    *("parallel", "persistence", "public_executes", "row_security", "search_path_fixed", "security"),
    *("security_definer", "strict", "timing", "type", "update_rule", "valid", "validated", "visible"),
    "volatility",
}


def files(context: Context) -> Iterator[Finding]:
    """Whether the installed migration files are those that were released."""
    released = {path: digest for path, digest in _checksums.released().items() if _of(path, context)}
    present = _checksums.present(context.dialect)
    changed = [path for path in released if path in present and present[path] != released[path]]
    gone = sorted(_checksums.wanted(context.dialect) - present.keys())
    new = [path for path in present if path not in released and not path.endswith(".rollback.sql")]
    advice = "install authsql anew; what is to change is a new migration"
    if changed:
        yield Finding("files", ERROR, f"changed since they were released: {listed(changed)}", advice)
    if gone:
        yield Finding("files", ERROR, f"missing: {listed(gone)}", advice)
    if not changed and not gone:
        yield Finding("files", OK, f"{len(released)} migration files are as they were released")
    if new:
        yield Finding("files", INFO, f"not released yet: {listed(new)}")


def applied(context: Context) -> Iterator[Finding]:
    """Which migrations the database has."""
    if not context.knows_migrations:
        told = "authsql_schema_version cannot be read: which are applied is not known"
        yield Finding("migrations", INFO, told, "ask as owner, or as authsql_reader: authsql optional roles")
        return
    by_state: dict[str, list[str]] = {}
    for migration in context.status:
        by_state.setdefault(migration.state, []).append(migration.id)
    have, pending = by_state.get("applied", []), by_state.get("pending", [])
    if "interrupted" in by_state:
        names = listed(by_state["interrupted"])
        yield Finding("migrations", ERROR, f"interrupted half-way: {names}", "authsql migrate finishes it")
    elif not have:
        yield Finding("migrations", ERROR, "none is applied", "authsql migrate")
    elif pending:
        advice = "authsql migrate; or they were left out on purpose, by --only"
        yield Finding("migrations", WARNING, f"{len(have)} applied, pending: {listed(pending)}", advice)
    else:
        yield Finding("migrations", OK, f"all {len(have)} are applied")
    if "unknown" in by_state:
        names = listed(by_state["unknown"])
        yield Finding("migrations", WARNING, f"of a later authsql: {names}", "use that version")
    table = among([m.name for m in context.status if m.state != "unknown"])
    for name in context.applied:
        if lacking := table.closure([name]) - set(context.applied):
            told = f"{name} is applied and needs {listed(sorted(lacking))}, which is not"
            yield Finding("migrations", ERROR, told, "authsql migrate")


def yoyo(context: Context) -> Iterator[Finding]:
    """Whether yoyo's books agree."""
    if not (context.knows_migrations and context.may_see("_yoyo_migration")):
        return
    marked: set[str] = set()
    if "_yoyo_migration" in context.tables:
        marked = {str(row["migration_hash"]) for row in context.ask("doctor.books")}
    known = [(m, get_migration_hash(m.id) in marked) for m in context.status if m.state != "unknown"]
    unmarked = [m.id for m, is_marked in known if m.state == "applied" and not is_marked]
    overmarked = [m.id for m, is_marked in known if m.state != "applied" and is_marked]
    if unmarked and marked:
        told = f"yoyo does not know that these are applied: {listed(unmarked)}"
        yield Finding("yoyo", WARNING, told, "authsql migrate puts its books right")
    elif unmarked:
        told = "it has no books here: applied by psql or mysql"
        yield Finding("yoyo", INFO, told, "authsql migrate makes them, should a yoyo be used")
    if overmarked:
        told = f"yoyo takes these for applied, and they are not: {listed(overmarked)}"
        yield Finding("yoyo", WARNING, told, "authsql migrate puts its books right")
    if "yoyo_lock" in context.tables:
        for row in context.ask("migrations.yoyo_lock_holder"):
            told = f"locked since {row['seconds']} s by process {row['pid']}"
            advice = "if that process is gone: authsql migrate --break-lock"
            yield Finding("yoyo", WARNING, told, advice)


_RESTORED = 'sql/README.md, "After a restore"'
_UNLOGGED = ("table authsql_rate_limits", (("persistence", "u", "p"),))


def drift(context: Context) -> Iterator[Finding]:
    """Whether the catalog says what the applied migrations made, object by object."""
    have = context.applied
    blurred = any(m.state in {"interrupted", "unknown"} for m in context.status)
    if blurred or not context.knows_migrations:
        yield Finding("catalog", INFO, "not compared, for what is said of the migrations")
        return
    if not _catalog.known(context.dialect, have):
        yield Finding("catalog", INFO, "not compared: a migration is not in the snapshot (make catalog)")
        return
    every = _catalog.kinds(context.dialect)
    looked = [kind for kind in every if _can_see(context, kind)]
    if len(looked) < len(every):
        hidden = [kind for kind in every if kind not in looked]
        yield Finding("catalog", INFO, f"not compared, for lack of a right to see them: {listed(hidden)}")
    wanted = {
        name: attributes
        for name, attributes in _catalog.expected(context.dialect, have).items()
        if name.partition(" ")[0] in looked
    }
    found = _catalog.read(context.dialect, context.ask, looked)
    for name in wanted.keys() & found.keys():
        if name.startswith("routine ") and "body" not in found[name]:
            # MySQL shows the body to its definer, and to who has SHOW_ROUTINE.
            wanted[name] = {key: value for key, value in wanted[name].items() if key != "body"}
    differences = _catalog.compare(wanted, found)
    for difference in differences:
        yield _drifted(difference)
    if looked and not differences:
        yield Finding("catalog", OK, f"{len(wanted)} objects are as the migrations made them")


def _can_see(context: Context, kind: str) -> bool:
    return context.dialect == "postgres" or bool(_SEEN_BY.get(kind, {"SELECT"}) & context.grants)


def _drifted(difference: Difference) -> Finding:
    if difference.kind == "missing":
        advice = "somebody dropped it: make it as the migration does"
        return Finding("catalog", ERROR, f"missing: {difference.object}", advice)
    if difference.kind == "extra":
        is_index = difference.object.startswith("index ")
        told = f"not of authsql: {difference.object}"
        return Finding("catalog", INFO if is_index else WARNING, told)
    parts = [_apart(*each) for each in difference.attributes]
    only_words = {name for name, _, _ in difference.attributes} == {"comment"}
    # docs/decisions/0011 says what that is good for.
    only_words |= (difference.object, difference.attributes) == _UNLOGGED
    told = f"different: {difference.object}: {'; '.join(parts)}"
    undo = None
    if ("public_executes", "true", "false") in difference.attributes:
        undo = f"take it from everybody (REVOKE EXECUTE ... FROM PUBLIC): {_RESTORED}"
    return Finding("catalog", INFO if only_words else ERROR, told, undo)


def _apart(name: str, here: str, there: str) -> str:
    """What is different, in words. A text that somebody wrote into the database may hold a secret, and is not
    told.
    """
    if name in _SHOWN and not {"'", '"'} & {*here}:
        return f"{name} is {here!r}, not {there!r}"
    if not here:
        return f"{name} is not there"
    if not there:
        return f"{name} is there, and is not authsql's"
    position = _catalog.parts_at(here, there)
    return f"{name} differs from the shipped one from character {position} on"


def triggers(context: Context) -> Iterator[Finding]:
    """PostgreSQL: whether triggers fire. Foreign keys are kept by triggers of the server's own."""
    if context.dialect != "postgres":
        return
    lame = context.ask("doctor.disabled_triggers")
    advice = "let them fire: ALTER TABLE ... ENABLE TRIGGER ALL; what was written meanwhile was not checked"
    if keys := [row["name"] for row in lame if row["is_foreign_key"]]:
        told = f"foreign keys that nothing keeps, as their triggers are disabled: {listed(keys)}"
        yield Finding("triggers", ERROR, told, advice)
    if others := [row["name"] for row in lame if not row["is_foreign_key"]]:
        yield Finding("triggers", ERROR, f"disabled: {listed(others)}", advice)
    if not lame:
        yield Finding("triggers", OK, "none is disabled, and foreign keys are kept")


def scheduler(context: Context) -> Iterator[Finding]:
    """Whether the database purges by itself."""
    if context.knows_migrations and "purge" not in context.applied:
        yield Finding("scheduler", INFO, "the migration of the purge is not applied")
    elif context.dialect == "postgres":
        yield from _pg_cron(context)
    else:
        yield from _events(context)


def _pg_cron(context: Context) -> Iterator[Finding]:
    by_cron = "or run authsql purge from cron, or authsql purge --watch"
    found = context.ask("doctor.scheduler")[0]
    jobs = _jobs(context)
    if not found["installed"]:
        told = "pg_cron is not in this database: nothing purges by itself"
        yield Finding("scheduler", INFO, told, f"authsql optional pg_cron, {by_cron}")
    elif not jobs:
        told = "pg_cron has no job that purges, or none that this role may see"
        yield Finding("scheduler", WARNING, told, f"authsql optional pg_cron, {by_cron}")
    for job in jobs:
        told = f"pg_cron job {job['name']}, {job['schedule']}"
        if job["active"]:
            yield Finding("scheduler", OK, told)
        else:
            yield Finding("scheduler", WARNING, f"{told}: not active", "cron.alter_job(..., active => true)")


def _jobs(context: Context) -> list[dict[str, Any]]:
    found = context.ask("doctor.scheduler")[0]
    return context.ask("doctor.jobs") if found["installed"] and found["visible"] else []


def _events(context: Context) -> Iterator[Finding]:
    state = str(context.server["event_scheduler"])
    if state != "ON":
        advice = "authsql optional event_scheduler, or run authsql purge from cron, or authsql purge --watch"
        yield Finding("scheduler", WARNING, f"event_scheduler is {state}: no event runs", advice)
    if "EVENT" not in context.grants:
        yield Finding("scheduler", INFO, "events cannot be seen without the right EVENT")
        return
    events = context.ask("doctor.scheduler")
    for event in events:
        told = f"event {event['name']}, every {event['schedule']}"
        if event["status"] != "ENABLED":
            advice = f"enable it: ALTER EVENT {event['name']} ENABLE"
            yield Finding("scheduler", WARNING, f"{told}: {event['status']}", advice)
    if state == "ON" and events and all(event["status"] == "ENABLED" for event in events):
        yield Finding("scheduler", OK, f"event_scheduler is ON, {len(events)} events are enabled")


def backlog(context: Context) -> Iterator[Finding]:
    """How long expired rows wait for the purge, and when it last ran."""
    is_noted = "authsql_purge_overview" in context.tables
    if not is_noted and "authsql_expiry_backlog" not in context.tables:
        return
    tables = context.ask("maintenance.backlog" if is_noted else "doctor.backlog")
    late = False
    for table in tables:
        if table["lag_seconds"] > LAG:
            late = True
            since = _age(table["lag_seconds"])
            told = f"{table['expired_rows']} expired rows of {table['table_name']} wait, the oldest {since}"
            yield Finding("purge", WARNING, told, "authsql purge; see what is said of the scheduler")
    if not late:
        yield Finding("purge", OK, "no expired row waits for long")
    if is_noted and "purge_runs" in context.applied:
        yield from _runs(context, {row["table_name"]: _utc(row["last_run_at"]) for row in tables})


def _runs(context: Context, last: dict[str, datetime | None]) -> Iterator[Finding]:
    [times] = context.ask("doctor.runs")
    now, noted_since = _utc(times["now"]), _utc(times["noted_since"])
    scheduled = _scheduled(context, last)
    for table, at in last.items():
        # Where none is known, the scheduler has had its time since there is something to know it by.
        seconds = int((now - (at or noted_since)).total_seconds())
        if table in scheduled and seconds > STALE:
            told = f"the scheduler is on, and has not purged {table} for {_age(seconds)}"
            log = "cron.job_run_details" if context.dialect == "postgres" else "the server's error log"
            yield Finding("purge", WARNING, told, f"see {log}")
    known = [at for at in last.values() if at is not None]
    if unknown := [table for table, at in last.items() if at is None]:
        told = f"no run is known for {listed(unknown)}" if known else "no run is known yet"
        yield Finding("purge", INFO, told)
    if known:
        yield Finding("purge", OK, f"last run: {min(known):%Y-%m-%d %H:%M:%S} UTC, or later for some tables")


def _scheduled(context: Context, tables: Iterable[str]) -> set[str]:
    """The tables that the database's own scheduler is to purge, as far as that can be seen."""
    if context.dialect == "postgres":
        return set(tables) if any(job["active"] for job in _jobs(context)) else set()
    if context.server["event_scheduler"] != "ON" or "EVENT" not in context.grants:
        return set()
    events = {event["name"] for event in context.ask("doctor.scheduler") if event["status"] == "ENABLED"}
    return {table for table in tables if table.replace("authsql_", "authsql_purge_", 1) in events}


def _utc(moment: Any) -> Any:
    """A time as MySQL gives it, made one of its zone."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _of(path: str, context: Context) -> bool:
    return path.startswith(f"{context.dialect}/")


def _age(seconds: int) -> str:
    return f"{seconds // 3600} hours" if seconds < 172_800 else f"{seconds // 86_400} days"
