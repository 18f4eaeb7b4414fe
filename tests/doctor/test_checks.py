"""Checks of the doctor that no server here fails: with answers made up for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from authsql import _doctor_rights, _doctor_schema, _doctor_server, _mysql_grants
from authsql._doctor_context import Context, Finding, Severity
from authsql._doctor_server import is_local, numbers
from authsql._statements import DIALECTS, Dialect
from authsql._url import DatabaseURL
from tests.support import DAY, HOUR

OK, INFO, WARNING, ERROR = Severity
STRICT = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES"
POSTGRES = {
    "product": "PostgreSQL 18.6",
    "version": "18.6 (Debian)",
    "encoding": "UTF8",
    "time_zone": "Asia/Tokyo",
    "isolation": "read committed",
    "read_only": False,
    "replica": False,
    "folds_case": True,
    "enforces": True,
}
MYSQL = {
    "product": "9.7.4 MySQL Community Server",
    "version": "9.7.4",
    "encoding": "utf8mb4",
    "time_zone": "SYSTEM",
    "isolation": "REPEATABLE-READ",
    "read_only": 0,
    "super_read_only": 0,
    "sql_mode": STRICT,
    "enforces": 1,
    "event_scheduler": "ON",
    "log_bin": 1,
    "trusts_creators": 1,
}


class Patient:
    """A context whose answers are given."""

    def __init__(self, dialect: Dialect, host: str = "db.example.org", **answers: Any) -> None:
        self.dialect = dialect
        self.target = DatabaseURL(dialect, host=host, database="app")
        self.connection = object()
        self.server = (POSTGRES if dialect == "postgres" else MYSQL) | answers.pop("server", {})
        self.applied = ["purge", "purge_runs"]
        self.tables = {"authsql_purge_overview"}
        self.status: list[Any] = []
        self.knows_migrations = True
        self.granted: list[str] = answers.pop("granted", [])
        self.grants: set[str] = answers.pop("grants", {"EVENT"})
        self.answers = answers

    def ask(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.answers[name.partition(".")[2]]
        return found


def run(check: Callable[[Context], Iterator[Finding]], patient: Patient) -> dict[str, Severity]:
    return {f"{f.check}: {f.message}": f.severity for f in check(cast("Context", patient))}


@pytest.mark.parametrize(
    ("dialect", "server", "severity", "told"),
    [
        ("postgres", {}, OK, "PostgreSQL 18.6"),
        ("postgres", {"version": "15.1"}, OK, "PostgreSQL 15.1"),
        ("postgres", {"version": "14.9"}, ERROR, "too old"),
        ("postgres", {"version": "19beta1"}, WARNING, "not tested"),
        ("postgres", {"replica": True}, WARNING, "replica"),
        ("postgres", {"read_only": True}, WARNING, "read-only by default"),
        ("mysql", {}, OK, "MySQL 9.7.4"),
        ("mysql", {"version": "8.4.3"}, WARNING, "not tested"),
        ("mysql", {"version": "9.8.0"}, WARNING, "not tested"),
        ("mysql", {"version": "8.0.18"}, ERROR, "too old"),
        ("mysql", {"version": "11.8.6-MariaDB", "product": "11.8.6-MariaDB"}, ERROR, "MariaDB"),
        ("mysql", {"super_read_only": 1, "read_only": 1}, WARNING, "replica"),
    ],
)
def test_server(dialect: Dialect, server: dict[str, Any], severity: Severity, told: str) -> None:
    found = run(_doctor_server.server, Patient(dialect, server=server))
    assert [each for message, each in found.items() if told in message] == [severity], found


@pytest.mark.parametrize(
    ("dialect", "server", "wanted"),
    [
        ("postgres", {"encoding": "SQL_ASCII"}, {"encoding": ERROR}),
        ("postgres", {"folds_case": False}, {"encoding": WARNING}),
        ("postgres", {"isolation": "serializable"}, {"isolation": INFO}),
        ("mysql", {"isolation": "READ-UNCOMMITTED"}, {"isolation": WARNING}),
        ("mysql", {"sql_mode": "NO_ENGINE_SUBSTITUTION"}, {"sql_mode": ERROR}),
        ("mysql", {"sql_mode": "STRICT_ALL_TABLES"}, {}),
        ("mysql", {"encoding": "latin1"}, {"encoding": WARNING}),
        ("postgres", {"enforces": False}, {"constraints": ERROR}),
        ("mysql", {"enforces": 0}, {"constraints": ERROR}),
        ("postgres", {}, {}),
        ("mysql", {}, {}),
    ],
)
def test_session(dialect: Dialect, server: dict[str, Any], wanted: dict[str, Severity]) -> None:
    found = _doctor_server.session(cast("Context", Patient(dialect, server=server)))
    assert {f.check: f.severity for f in found if f.severity is not OK} == wanted


def test_tls() -> None:
    bare: list[dict[str, Any]] = [{"encrypted": False, "version": None, "cipher": None}]
    for kind in DIALECTS:
        assert list(run(_doctor_server.tls, Patient(kind, tls=bare)).values()) == [WARNING]
        assert list(run(_doctor_server.tls, Patient(kind, "127.0.0.1", tls=bare)).values()) == [OK]
    good: list[dict[str, Any]] = [{"encrypted": 1, "version": "TLSv1.3", "cipher": "AES"}]
    assert run(_doctor_server.tls, Patient("mysql", tls=good)) == {"tls: TLSv1.3, AES": OK}
    assert is_local("/run/postgresql")
    assert is_local(None)
    assert is_local("::1")
    assert not is_local("10.0.0.1")
    assert not is_local("db.example.org")


@pytest.mark.parametrize(
    ("apart", "severity"), [(0, OK), (-3, OK), (30, WARNING), (-30, WARNING), (600, ERROR), (-600, ERROR)]
)
def test_clock(apart: int, severity: Severity) -> None:
    there = datetime.now(UTC) + timedelta(seconds=apart)
    for now in (there, there.replace(tzinfo=None)):
        assert list(run(_doctor_server.clock, Patient("mysql", clock=[{"now": now}])).values()) == [severity]


def test_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(run(_doctor_server.driver, Patient("mysql")).values()) == [OK]
    monkeypatch.setattr("psycopg.pq.__impl__", "python")
    assert list(run(_doctor_server.driver, Patient("postgres")).values()) == [WARNING]
    monkeypatch.setattr("importlib.metadata.version", lambda _: "3.1.9")
    assert list(run(_doctor_server.driver, Patient("postgres")).values()) == [ERROR]


def test_pg_cron() -> None:
    def look(installed: bool, visible: bool, *jobs: dict[str, Any]) -> dict[str, Severity]:
        there = [{"installed": installed, "visible": visible}]
        return run(_doctor_schema.scheduler, Patient("postgres", scheduler=there, jobs=list(jobs)))

    job = {"name": "authsql_purge_public", "schedule": "* * * * *", "active": True}
    assert list(look(False, False).values()) == [INFO]
    assert list(look(True, False).values()) == [WARNING]
    assert list(look(True, True).values()) == [WARNING]
    assert look(True, True, job) == {"scheduler: pg_cron job authsql_purge_public, * * * * *": OK}
    assert list(look(True, True, job | {"active": False}).values()) == [WARNING]


def test_event_scheduler() -> None:
    event = {"name": "authsql_purge_otps", "schedule": "1 MINUTE", "status": "ENABLED"}
    for state, severity in (("ON", OK), ("OFF", WARNING), ("DISABLED", WARNING)):
        patient = Patient("mysql", server={"event_scheduler": state}, scheduler=[event])
        assert list(run(_doctor_schema.scheduler, patient).values()) == [severity]
    patient = Patient("mysql", scheduler=[event | {"status": "SLAVESIDE_DISABLED"}])
    assert list(run(_doctor_schema.scheduler, patient).values()) == [WARNING]
    assert list(run(_doctor_schema.scheduler, Patient("mysql", grants=set())).values()) == [INFO]


def test_last_runs() -> None:
    now = datetime(2026, 5, 5, 12, tzinfo=UTC)
    job = {"name": "authsql_purge_public", "schedule": "* * * * *", "active": True}
    event = {"name": "authsql_purge_otps", "schedule": "1 MINUTE", "status": "ENABLED"}

    def look(dialect: Dialect, *ages: timedelta | None, on: bool = True, **more: Any) -> dict[str, Severity]:
        """Two tables, last purged so long ago; noted for ten days."""
        zone = UTC if dialect == "postgres" else None
        row = {"expired_rows": 0, "lag_seconds": 0}
        tables = [
            {"table_name": name, "last_run_at": age and (now - age).replace(tzinfo=zone), **row}
            for name, age in zip(("authsql_otps", "authsql_users"), ages, strict=True)
        ]
        answers: dict[str, Any] = {
            "backlog": tables,
            "runs": [{"now": now.replace(tzinfo=zone), "noted_since": (now - 10 * DAY).replace(tzinfo=zone)}],
            "scheduler": [{"installed": on, "visible": on}] if dialect == "postgres" else [event],
            "jobs": [job],
            "server": {} if dialect == "postgres" else {"event_scheduler": "ON" if on else "OFF"},
        }
        found = run(_doctor_schema.backlog, Patient(dialect, **(answers | more)))
        assert found.pop("purge: no expired row waits for long") is OK
        return found

    for dialect in DIALECTS:
        told = {"purge: last run: 2026-05-05 09:00:00 UTC, or later for some tables": OK}
        assert look(dialect, 3 * HOUR, HOUR) == told
        told = {"purge: last run: 2026-04-30 12:00:00 UTC, or later for some tables": OK}
        assert look(dialect, 5 * DAY, HOUR, on=False) == told, "by cron, and the lag says how it goes"
        told["purge: the scheduler is on, and has not purged authsql_otps for 5 days"] = WARNING
        assert look(dialect, 5 * DAY, HOUR) == told
        assert look(dialect, None, None, on=False) == {"purge: no run is known yet": INFO}
        assert look(dialect, None, HOUR) == {
            "purge: the scheduler is on, and has not purged authsql_otps for 10 days": WARNING,
            "purge: no run is known for authsql_otps": INFO,
            "purge: last run: 2026-05-05 11:00:00 UTC, or later for some tables": OK,
        }
    assert WARNING not in look("postgres", 5 * DAY, HOUR, jobs=[job | {"active": False}]).values()
    # An event is a table's own: that of the other one is not there.
    assert WARNING not in look("mysql", HOUR, 5 * DAY).values()
    assert WARNING not in look("mysql", 5 * DAY, HOUR, scheduler=[event | {"status": "DISABLED"}]).values()
    assert WARNING not in look("mysql", 5 * DAY, HOUR, grants=set()).values()


def test_a_binary_log_that_trusts_nobody() -> None:
    server = {"trusts_creators": 0}
    patient = Patient(
        "mysql",
        server=server,
        role=[{"name": "a@%"}],
        inactive_roles=[],
        granted=["GRANT ALL PRIVILEGES ON `app`.* TO `a`@`%`"],
        grants={*_mysql_grants.MIGRATING},
    )
    found = run(_doctor_rights.rights, patient)
    assert [message for message in found if "1419" in message]
    patient.server = patient.server | {"log_bin": 0}
    assert not [message for message in run(_doctor_rights.rights, patient) if "1419" in message]


def test_numbers() -> None:
    assert numbers("18.6 (Debian 18.6-3)") == (18, 6)
    assert numbers("none") == ()
