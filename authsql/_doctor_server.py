"""Checks of the server, of the connection to it and of what a session gets from its settings."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from ipaddress import ip_address

from authsql._doctor_context import Context, Finding, Severity
from authsql._statements import Dialect

OK, INFO, WARNING, ERROR = Severity

TESTED: dict[Dialect, tuple[str, tuple[tuple[int, ...], ...]]] = {
    "postgres": ("PostgreSQL", ((15,), (17,), (18,))),
    "mysql": ("MySQL", ((9, 7),)),
}
"""The versions that the tests run on (tests/engine/matrix). What lies between two is taken to be as good."""
LEAST: dict[Dialect, tuple[int, ...]] = {"postgres": (15,), "mysql": (8, 0, 19)}
"""Before this one, a statement is not understood."""
DRIVERS: dict[Dialect, tuple[str, str, tuple[int, ...]]] = {
    "postgres": ("psycopg", "psycopg", (3, 2)),
    "mysql": ("mysql-connector-python", "mysql.connector", (9, 1)),
}
NEAR, FAR = timedelta(seconds=5), timedelta(minutes=1)
"""Up to there, two clocks agree; beyond, they do not."""


def server(context: Context) -> Iterator[Finding]:
    """Version and kind of the server; whether it can be written to."""
    name, tested = TESTED[context.dialect]
    first, last = tested[0], tested[-1]
    product, text = str(context.server["product"]), str(context.server["version"])
    version, told = numbers(text), f"{name} {text}"
    if "mariadb" in product.lower():
        yield Finding(
            "server", ERROR, f"MariaDB ({text}) is not supported", "it lacks BIN_TO_UUID and UUID_TO_BIN"
        )
    elif version < LEAST[context.dialect]:
        yield Finding(
            "server", ERROR, f"{told} is too old", f"at least {name} {dotted(LEAST[context.dialect])}"
        )
    elif version[: len(first)] < first or version[: len(last)] > last:
        known = ", ".join(dotted(one) for one in tested)
        yield Finding("server", WARNING, f"{told} is not tested", f"the tests run on {name} {known}")
    else:
        yield Finding("server", OK, told)
    if context.server.get("replica") or context.server.get("super_read_only"):
        yield Finding("server", WARNING, "a replica, or read-only: nothing can be written here")
    elif context.server.get("read_only"):
        yield Finding("server", WARNING, "sessions are read-only by default: operations that write fail")


def driver(context: Context) -> Iterator[Finding]:
    """Version of the driver, and whether it is the fast one."""
    package, module, least = DRIVERS[context.dialect]
    version = metadata.version(package)
    if context.dialect == "postgres":
        kind = str(importlib.import_module("psycopg.pq").__impl__)
        slow, advice = kind == "python", "pip install 'psycopg[binary]', or [c]"
    else:
        pure = importlib.import_module(f"{module}.connection").MySQLConnection
        slow = isinstance(context.connection, pure)
        kind = "pure Python" if slow else "C extension"
        advice = (
            "its C extension was not loaded: another version of the driver may have it for this system,"
            " or use_pure is set"
        )
    told = f"{package} {version}, {kind}"
    if numbers(version) < least:
        yield Finding("driver", ERROR, f"{told}: too old", f"at least {dotted(least)}")
    elif slow:
        yield Finding("driver", WARNING, f"{told}: the slow one", advice)
    else:
        yield Finding("driver", OK, told)


def tls(context: Context) -> Iterator[Finding]:
    """Whether others can read the connection: passwords and tokens go over it."""
    found = next(iter(context.ask("doctor.tls")), {})
    if found.get("encrypted"):
        yield Finding("tls", OK, f"{found['version']}, {found['cipher']}")
    elif is_local(context.target.host):
        yield Finding("tls", OK, "none, and the server is on this machine")
    else:
        option = (
            "sslmode=verify-full" if context.dialect == "postgres" else "ssl_ca=FILE&ssl_verify_cert=true"
        )
        yield Finding(
            "tls",
            WARNING,
            f"the connection to {context.target.host} is not encrypted",
            f"add {option} to the URL",
        )


def clock(context: Context) -> Iterator[Finding]:
    """Whether the clocks of the database and of this machine agree. The database's decides."""
    before = datetime.now(UTC)
    there: datetime = context.ask("doctor.clock")[0]["now"]
    after = datetime.now(UTC)
    if there.tzinfo is None:
        there = there.replace(tzinfo=UTC)
    # Somewhere between the two readings of ours.
    apart = max(before - there, there - after, timedelta())
    told = f"the clocks of the database and of this machine are {apart.total_seconds():.1f} s apart"
    if apart <= NEAR:
        yield Finding("clock", OK, told)
    else:
        advice = "set both by NTP: the database judges expiry, this machine dates new ids"
        yield Finding("clock", WARNING if apart <= FAR else ERROR, told, advice)


def session(context: Context) -> Iterator[Finding]:
    """What sessions get from the settings of the server, the database or the user."""
    found = context.server
    zone = found["time_zone"]
    yield Finding("time zone", OK, f"{zone} in this session, on which nothing depends: times are UTC")
    yield from _encoding(context)
    isolation = str(found["isolation"]).upper().replace("-", " ")
    if isolation == "SERIALIZABLE" or (isolation == "REPEATABLE READ" and context.dialect == "postgres"):
        yield Finding(
            "isolation",
            INFO,
            f"{isolation}: in a transaction of the caller, RetryTransaction is raised more often",
        )
    elif isolation == "READ UNCOMMITTED" and context.dialect == "mysql":
        advice = "transaction_isolation = REPEATABLE-READ or READ-COMMITTED"
        yield Finding("isolation", WARNING, f"{isolation}: reads what may be rolled back", advice)
    else:
        yield Finding("isolation", OK, isolation)
    if not found["enforces"]:
        setting = (
            "session_replication_role is replica: no trigger fires, and no foreign key is kept"
            if context.dialect == "postgres"
            else "foreign_key_checks is off: no foreign key is kept"
        )
        advice = "a setting of the server, the database or the user: take it back"
        yield Finding("constraints", ERROR, setting, advice)
    if context.dialect == "mysql":
        mode = str(found["sql_mode"])
        if "STRICT_TRANS_TABLES" in mode or "STRICT_ALL_TABLES" in mode:
            yield Finding("sql_mode", OK, "strict")
        else:
            advice = "add STRICT_TRANS_TABLES to sql_mode"
            yield Finding("sql_mode", ERROR, "not strict: what does not fit is cut, not refused", advice)


def _encoding(context: Context) -> Iterator[Finding]:
    encoding = str(context.server["encoding"])
    if context.dialect == "mysql":
        # The connection is ours, and has it. The tables bring their own.
        yield Finding("encoding", OK if encoding == "utf8mb4" else WARNING, f"the connection has {encoding}")
    elif encoding != "UTF8":
        advice = "make the database with ENCODING 'UTF8'"
        yield Finding("encoding", ERROR, f"the database has {encoding}", advice)
    elif not context.server["folds_case"]:
        yield Finding(
            "encoding",
            WARNING,
            "LC_CTYPE knows ASCII letters only: JOSÉ@x.org and josé@x.org are two accounts",
            "make the database with a LC_CTYPE of UTF-8, or the locale C.UTF-8: see sql/README.md",
        )
    else:
        yield Finding("encoding", OK, "UTF8, and upper and lower case beyond ASCII are known")


def numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in found[0].split(".")) if found else ()


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def is_local(host: str | None) -> bool:
    """Tell whether a host is this machine: a socket, or an address of its own."""
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
