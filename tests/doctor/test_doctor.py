"""`authsql doctor` on real databases: nothing to say of a good one, and each fault is named."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

import authsql
from authsql import _doctor_schema, maintenance, otps, passwords, sessions, users
from authsql._mysql_grants import MIGRATING
from authsql._statements import sql_root
from authsql.doctor import Finding, Severity, examine
from authsql.migrations import migrate, rollback
from authsql.models import Refusal
from tests.migrations.support import yoyo
from tests.migrations.test_cli import command
from tests.migrations.test_migrate import interrupt
from tests.servers import Database, rows
from tests.support import DAY, FAST, KEY, Sql

OK, INFO, WARNING, ERROR = Severity


def found(url: str, check: str) -> list[Finding]:
    return [finding for finding in examine(url) if finding.check == check]


def said(url: str, check: str) -> dict[str, Severity]:
    return {finding.message: finding.severity for finding in found(url, check)}


def test_a_good_database(database: Database) -> None:
    findings = examine(database.url)
    assert {finding.check for finding in findings} >= {
        *("connection", "server", "driver", "tls", "clock", "time zone", "encoding", "isolation"),
        *("files", "migrations", "catalog", "scheduler", "purge", "rights"),
    }
    # The tests are superusers, and their servers' schedulers are off or on.
    bad = [f for f in findings if f.severity in {WARNING, ERROR} and f.check not in {"rights", "scheduler"}]
    assert bad == []
    assert not [f for f in findings if f.severity is ERROR]


def test_an_empty_database(empty_database: Database) -> None:
    assert said(empty_database.url, "migrations") == {"none is applied": ERROR}
    assert {f.severity for f in found(empty_database.url, "catalog")} == {OK}
    assert found(empty_database.url, "purge") == []


def test_some_are_pending(empty_database: Database) -> None:
    migrate(empty_database.url, target=8)
    (finding,) = found(empty_database.url, "migrations")
    assert finding.severity is WARNING
    assert finding.message.startswith("8 applied, pending: 0009.purge, 0010.views")
    assert {f.severity for f in found(empty_database.url, "catalog")} == {OK}
    assert said(empty_database.url, "scheduler") == {"the migration of the purge is not applied": INFO}


def both(text: str) -> dict[str, str]:
    return dict.fromkeys(("postgres", "mysql"), text)


# What is done, the beginning of what is said of it, and how bad it is.
DRIFT: dict[str, tuple[dict[str, str], dict[str, str], Severity]] = {
    "index": (
        {
            "postgres": "DROP INDEX authsql_otps_purge_at_idx",
            "mysql": "DROP INDEX authsql_otps_purge_at_idx ON authsql_otps",
        },
        both("missing: index authsql_otps.authsql_otps_purge_at_idx"),
        ERROR,
    ),
    "column": (
        {
            "postgres": "ALTER TABLE authsql_users ALTER COLUMN email DROP NOT NULL",
            "mysql": "ALTER TABLE authsql_roles ALTER COLUMN is_default SET DEFAULT TRUE",
        },
        {
            "postgres": "different: column authsql_users.email: not_null is 'false', not 'true'",
            "mysql": "different: column authsql_roles.is_default: value differs from the shipped one"
            " from character 1 on",
        },
        ERROR,
    ),
    "a column too many": (
        both("ALTER TABLE authsql_users ADD COLUMN phone VARCHAR(20)"),
        both("not of authsql: column authsql_users.phone"),
        WARNING,
    ),
    "an index of one's own": (
        both("CREATE INDEX app_name_idx ON authsql_users (name)"),
        both("not of authsql: index authsql_users.app_name_idx"),
        INFO,
    ),
    "constraint": (
        both("ALTER TABLE authsql_users DROP CONSTRAINT authsql_users_email_check"),
        both("missing: constraint authsql_users.authsql_users_email_check"),
        ERROR,
    ),
    "trigger": (
        {
            "postgres": "ALTER TABLE authsql_passwords DISABLE TRIGGER authsql_passwords_update",
            "mysql": "DROP TRIGGER authsql_passwords_update_2",
        },
        {
            "postgres": "different: trigger authsql_passwords.authsql_passwords_update: enabled is 'D'",
            "mysql": "missing: trigger authsql_passwords.authsql_passwords_update_2",
        },
        ERROR,
    ),
    "view": (
        {
            "postgres": "CREATE OR REPLACE VIEW authsql_pending_otps AS"
            " SELECT o.subject, o.purpose, o.user_id, o.attempts, o.max_attempts, o.created_at, o.expires_at,"
            " o.resend_at, o.window_count, o.window_ends_at FROM authsql_otps AS o",
            "mysql": "CREATE OR REPLACE VIEW authsql_pending_otps AS SELECT o.code_hash FROM authsql_otps o",
        },
        both("different: view authsql_pending_otps: definition differs from the shipped one from character "),
        ERROR,
    ),
    "comment": (
        {
            "postgres": "COMMENT ON TABLE authsql_users IS 'ours'",
            "mysql": "ALTER TABLE authsql_users COMMENT = 'ours'",
        },
        both("different: table authsql_users: comment differs from the shipped one from character 1 on"),
        INFO,
    ),
    "table": (
        {
            "postgres": "DROP TABLE authsql_refresh_tokens CASCADE",
            "mysql": "DROP TABLE authsql_refresh_tokens",
        },
        both("missing: table authsql_refresh_tokens"),
        ERROR,
    ),
    "what runs on a schedule": (
        {
            "postgres": "CREATE OR REPLACE FUNCTION authsql_purge_otps(batch integer DEFAULT 10000)"
            " RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
            "mysql": "ALTER EVENT authsql_purge_otps DO DELETE FROM authsql_otps",
        },
        {
            "postgres": "different: routine authsql_purge_otps(batch integer): body differs from the shipped"
            " one from character ",
            "mysql": "different: event authsql_purge_otps: body differs from the shipped one from character ",
        },
        ERROR,
    ),
}


@pytest.mark.parametrize("what", DRIFT)
def test_drift_is_named(changeable: Database, what: str) -> None:
    statement, told, severity = DRIFT[what]
    rows(changeable.connect(), statement[changeable.dialect])
    everything = found(changeable.url, "catalog")
    findings = [f for f in everything if f.message.startswith(told[changeable.dialect])]
    assert [f.severity for f in findings] == [severity], everything
    # The view over a dropped table goes with it in PostgreSQL.
    others = [f.message for f in everything if f not in findings]
    lost = ["missing: view authsql_active_sessions"]
    assert others == (lost if (what, changeable.dialect) == ("table", "postgres") else [])
    assert command("doctor", database=changeable).exit_code == (severity is ERROR)


@pytest.mark.only("postgres")
def test_disabled_triggers(changeable: Database) -> None:
    conn = changeable.connect()
    assert set(said(changeable.url, "triggers").values()) == {OK}
    rows(conn, "ALTER TABLE authsql_refresh_tokens DISABLE TRIGGER ALL")
    told = said(changeable.url, "triggers")
    (keys,) = (message for message in told if message.startswith("foreign keys that nothing keeps"))
    assert "authsql_refresh_tokens.authsql_refresh_tokens_session_id_fkey" in keys
    assert told[keys] is ERROR
    assert command("doctor", database=changeable).exit_code == 1
    rows(conn, "ALTER TABLE authsql_refresh_tokens ENABLE TRIGGER ALL")
    # Those of a table that another one refers to.
    rows(conn, "CREATE TABLE app_orders (user_id uuid REFERENCES authsql_users)")
    rows(conn, "ALTER TABLE authsql_users DISABLE TRIGGER ALL")
    told = said(changeable.url, "triggers")
    assert set(told.values()) == {ERROR}
    assert any("app_orders.app_orders_user_id_fkey" in message for message in told)
    assert any(message.startswith("disabled: authsql_users.authsql_users_") for message in told)
    rows(conn, "ALTER TABLE authsql_users ENABLE TRIGGER ALL")
    rows(conn, "ALTER TABLE authsql_passwords ENABLE REPLICA TRIGGER authsql_passwords_update")
    assert said(changeable.url, "triggers") == {"disabled: authsql_passwords.authsql_passwords_update": ERROR}


@pytest.mark.only("postgres")
def test_triggers_that_do_not_fire_in_this_database(changeable: Database) -> None:
    assert found(changeable.url, "constraints") == []
    rows(changeable.connect(), f"ALTER DATABASE {changeable.name} SET session_replication_role = replica")
    (finding,) = found(changeable.url, "constraints")
    assert finding.severity is ERROR
    assert "no foreign key is kept" in finding.message


@pytest.mark.only("postgres")
def test_rules(changeable: Database) -> None:
    conn = changeable.connect()
    rows(conn, "CREATE RULE forget AS ON INSERT TO authsql_audit_log DO INSTEAD NOTHING")
    rows(conn, "CREATE RULE copy AS ON UPDATE TO authsql_ways_in DO ALSO NOTHING")
    assert said(changeable.url, "catalog") == {
        "not of authsql: rule authsql_audit_log.forget": WARNING,
        "not of authsql: rule authsql_ways_in.copy": WARNING,
    }


@pytest.mark.only("postgres")
def test_a_function_that_everybody_may_call(changeable: Database) -> None:
    """Rights that a migration took from PUBLIC are looked at, as a dump without rights gives them back."""
    rows(changeable.connect(), "GRANT EXECUTE ON FUNCTION authsql_tg_known_devices_audit() TO PUBLIC")
    told = "different: routine authsql_tg_known_devices_audit(): public_executes is 'true', not 'false'"
    assert said(changeable.url, "catalog") == {told: ERROR}


@pytest.mark.only("postgres")
@pytest.mark.parametrize("to", ["SET search_path = evil, public, pg_temp", "RESET search_path"])
def test_a_function_that_looks_elsewhere(changeable: Database, to: str) -> None:
    """Of a path that was changed, any schema before authsql's own could be somebody's."""
    rows(changeable.connect(), f"ALTER FUNCTION authsql_tg_touch() {to}")
    told = "different: routine authsql_tg_touch(): search_path_fixed is 'false', not 'true'"
    assert said(changeable.url, "catalog") == {told: ERROR}


def test_a_need_that_is_not_there(changeable: Database) -> None:
    rows(changeable.connect(), "DELETE FROM authsql_schema_version WHERE version = 2")
    assert "roles is applied and needs users, which is not" in said(changeable.url, "migrations")


def test_a_later_version_was_here(changeable: Database) -> None:
    rows(changeable.connect(), "INSERT INTO authsql_schema_version (version, name) VALUES (9999, 'future')")
    assert said(changeable.url, "migrations")["of a later authsql: 9999.future"] is WARNING
    assert {f.severity for f in found(changeable.url, "catalog")} == {INFO}


def test_the_books_of_yoyo(changeable: Database) -> None:
    assert found(changeable.url, "yoyo") == []
    conn = changeable.connect()
    rows(conn, "DELETE FROM _yoyo_migration WHERE migration_id = '0003.roles'")
    assert said(changeable.url, "yoyo") == {"yoyo does not know that these are applied: 0003.roles": WARNING}
    rows(conn, "DELETE FROM _yoyo_migration")
    assert list(said(changeable.url, "yoyo").values()) == [INFO]
    migrate(changeable.url)
    rollback(changeable.url, target=9)
    yoyo("mark", changeable)
    assert list(said(changeable.url, "yoyo").values()) == [WARNING]
    rows(conn, "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, CURRENT_TIMESTAMP, 4711)")
    assert any("by process 4711" in message for message in said(changeable.url, "yoyo"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """An installation that a test may spoil: the package with its SQL."""
    package = Path(authsql.__file__).parent
    shutil.copytree(package, tmp_path / "authsql", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(sql_root(), tmp_path / "sql", dirs_exist_ok=True)
    return tmp_path


def examined_by(installation: Path, url: str) -> tuple[int, list[tuple[str, str, str]]]:
    """The exit status of another installation's doctor, and what it finds."""
    environment = {**os.environ, "PYTHONPATH": str(installation), "AUTHSQL_DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-m", "authsql", "doctor", "--json"],
        cwd=installation,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, [(f["check"], f["severity"], f["message"]) for f in json.loads(done.stdout)]


def test_changed_and_missing_files(database: Database, copied: Path) -> None:
    """They are told, and the database is looked at all the same."""
    folder = copied / "sql" / database.dialect
    status, before = examined_by(copied, database.url)
    assert (status, {found[1] for found in before if found[0] == "files"}) == (0, {"ok", "info"})

    # A comment after the last statement counts as a statement, so that the file could not be run.
    with (folder / "0002.users.sql").open("a", encoding="utf-8") as file:
        file.write("-- x\n")
    changed = ("files", "error", f"changed since they were released: {database.dialect}/0002.users.sql")
    status, after = examined_by(copied, database.url)
    assert (status, [found for found in after if found[1] == "error"]) == (1, [changed])
    others = {found for found in before if found[0] != "files"}
    assert {found[0] for found in others - set(after)} <= {"clock", "purge"}

    # One that was released, one that may not have been, and a rollback.
    for name in ("0005.identities.sql", "0005.identities.rollback.sql", "0024.purge_runs.sql"):
        (folder / name).unlink()
    (folder / "0003.roles.rollback.sql").unlink()
    status, after = examined_by(copied, database.url)
    names = ("0003.roles.rollback", "0005.identities.rollback", "0005.identities", "0024.purge_runs")
    gone = ("files", "error", "missing: " + ", ".join(f"{database.dialect}/{name}.sql" for name in names))
    assert (status, [found for found in after if found[1] == "error"]) == (1, [changed, gone])
    assert {found[0] for found in others - set(after)} <= {"clock", "purge"}


@pytest.mark.parametrize(
    ("name", "check"),
    [("checksums.txt", "files"), ("modules.toml", "migrations"), ("catalog.json", "catalog")],
)
def test_an_installation_that_lost_more(database: Database, copied: Path, name: str, check: str) -> None:
    folder = copied / "sql" / (database.dialect if name == "catalog.json" else "")
    (folder / name).unlink()
    status, findings = examined_by(copied, database.url)
    assert status == 1
    assert [f for f in findings if f[:2] == (check, "error") and name in f[2]]
    assert {f[0] for f in findings} >= {"server", "scheduler", "purge", "rights"} - (
        {"scheduler", "purge", "rights"} if name == "checksums.txt" else set()
    )


def test_operations_that_lack_something(empty_database: Database) -> None:
    """What is left out is named by the functions that need it, and not by the others."""
    migrate(empty_database.url, only=["sessions"])
    (finding,) = found(empty_database.url, "operations")
    assert finding.severity is INFO
    told = finding.message.partition(": ")[2].split(", ")
    assert {"otps", "refresh_tokens"} <= {name for name in told if "." not in name}
    assert "sessions.create" not in told
    assert "sessions" not in told
    assert "migrations" not in told
    migrate(empty_database.url)
    assert found(empty_database.url, "operations") == []


@pytest.mark.only("mysql")
def test_events_that_do_not_run(changeable: Database) -> None:
    rows(changeable.connect(), "ALTER EVENT authsql_purge_otps DISABLE")
    assert said(changeable.url, "scheduler")["event authsql_purge_otps, every 1 MINUTE: DISABLED"] is WARNING
    # How often it runs, and whether, is no drift.
    rows(changeable.connect(), "ALTER EVENT authsql_purge_otps ON SCHEDULE EVERY 5 MINUTE")
    assert {f.severity for f in found(changeable.url, "catalog")} == {OK}


@pytest.mark.only("mysql")
def test_an_interrupted_run(empty_database: Database) -> None:
    migrate(empty_database.url, target=2)
    interrupt(empty_database.connect(), "apply", 0)
    assert said(empty_database.url, "migrations") == {"interrupted half-way: 0003.roles": ERROR}


def test_a_backlog(changeable: Database) -> None:
    conn = changeable.connect()
    sql = Sql(changeable, conn)
    if changeable.dialect == "mysql":
        rows(conn, "ALTER EVENT authsql_purge_otps DISABLE")
    code = "'01234567890123456789012345678901'"
    columns = "subject, purpose, issue_id, code_hash, created_at, expires_at, resend_at, window_ends_at"
    past = ", ".join(sql.before(sql.now, days * DAY) for days in (4, 3, 3, 3))
    rows(conn, f"INSERT INTO authsql_otps ({columns}) VALUES ('s', 'signin', {sql.new_id}, {code}, {past})")
    told = "1 expired rows of authsql_otps wait, the oldest 3 days"
    assert said(changeable.url, "purge")[told] is WARNING
    assert DAY.total_seconds() > _doctor_schema.LAG
    # Before the migration that notes the runs, too.
    rollback(changeable.url, target=23)
    assert said(changeable.url, "purge") == {told: WARNING}


def test_the_last_run(changeable: Database) -> None:
    maintenance.purge(changeable.connect())
    told = said(changeable.url, "purge")
    assert set(told.values()) == {OK}
    assert [text for text in told if re.match(r"last run: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", text)]


@contextlib.contextmanager
def user(database: Database, *grants: str) -> Iterator[str]:
    """Make a database user with some rights; its URL for the database."""
    conn = database.connect()
    name, password = f"authsql_test_{secrets.token_hex(4)}", f"hush/{secrets.token_hex(6)}"
    parts = urlsplit(database.url)
    host = f"{parts.hostname}:{parts.port}"
    is_mysql = database.dialect == "mysql"
    rows(conn, f"CREATE USER {name} {'IDENTIFIED BY' if is_mysql else 'PASSWORD'} '{password}'")
    try:
        for grant in grants:
            rows(conn, f"GRANT {grant} TO {name}")
        yield parts._replace(netloc=f"{name}:{quote(password, safe='')}@{host}").geturl()
    finally:
        if not is_mysql:
            rows(conn, f"DROP OWNED BY {name}")
        rows(conn, f"DROP USER {name}")


@pytest.mark.only("postgres")
def test_rights_in_postgres(changeable: Database) -> None:
    assert list(said(changeable.url, "rights").values()) == [WARNING]
    rows(changeable.connect(), "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with user(changeable, "pg_read_all_data") as url:
        rollback(changeable.url, target=9)
        told = " ".join(said(url, "rights"))
        assert "may not create in schema public, and migrations are pending" in told
        # What is not there is neither too much nor lacking.
        assert "authsql_audit_log" not in told
        assert "authsql_passwords.hash" in told


@pytest.mark.only("postgres")
def test_an_owner(empty_database: Database) -> None:
    with user(empty_database, "CREATE ON SCHEMA public") as url:
        assert list(said(url, "rights").values()) == [INFO]
        migrate(url)
        (finding,) = found(url, "rights")
        assert finding.severity is INFO
        assert "right for migrations, too wide for an application" in finding.message


@pytest.mark.only("mysql")
def test_rights_in_mysql(changeable: Database) -> None:
    here = f"`{changeable.name}`.*"
    assert next(iter(said(changeable.url, "rights").values())) is WARNING
    with user(changeable, f"SELECT, INSERT, UPDATE, DELETE ON {here}") as url:
        # What it cannot see is not taken for missing.
        catalog = said(url, "catalog")
        (hidden,) = (
            message for message in catalog if message.startswith("not compared, for lack of a right")
        )
        assert sorted(hidden.partition(": ")[2].split(", ")) == ["event", "routine", "trigger", "view"]
        assert set(catalog.values()) == {INFO, OK}
    with user(changeable, f"{', '.join(MIGRATING).replace('_', ' ')} ON {here}") as url:
        assert INFO in said(url, "rights").values()
        assert WARNING not in said(url, "rights").values()
    with user(changeable, f"SELECT, DROP ON {here}") as url:
        (more,) = (f for f in found(url, "rights") if "DROP on the whole database" in f.message)
        assert more.severity is WARNING
    with user(changeable, f"ALL PRIVILEGES ON {here}") as url:
        assert {f.severity for f in found(url, "catalog")} == {OK}
    with user(changeable, f"SELECT, CREATE ON {here}") as url:
        rollback(changeable.url, target=9)
        first, *others = found(url, "rights")
        assert first.severity is WARNING
        assert "TRIGGER, EVENT, CREATE VIEW, CREATE ROUTINE, and migrations are pending" in first.message
        # What is not there is neither too much nor lacking.
        assert not [finding for finding in others if "authsql_audit_log" in finding.message]


def test_no_way_in(empty_database: Database) -> None:
    parts = urlsplit(empty_database.url)
    wrong = parts._replace(netloc=f"{parts.username}:hush@{parts.hostname}:{parts.port}").geturl()
    (finding,) = examine(wrong)
    assert (finding.check, finding.severity) == ("connection", ERROR)
    done = command("doctor", "--json", "-d", wrong)
    assert done.exit_code == 1
    assert json.loads(done.stdout)[0]["severity"] == "error"
    assert "hush" not in done.stdout + done.stderr


def test_nothing_that_is_told_is_a_secret(changeable: Database) -> None:
    where = "ALL TABLES IN SCHEMA public" if changeable.dialect == "postgres" else f"`{changeable.name}`.*"
    kept = secrets_of(changeable)
    with user(changeable, f"SELECT ON {where}") as url:
        quoted = urlsplit(url).password or ""
        assert quoted.startswith("hush%2F")
        kept.append(quoted.removeprefix("hush%2F"))
        for arguments in (["doctor"], ["doctor", "--json"], ["doctor", "--strict", "-q"]):
            for database in (url, changeable.url):
                # `command` looks for the password's beginning itself.
                done = command(*arguments, "-d", database)
                # A table of the terminal breaks its lines.
                shown = "".join((done.stdout + done.stderr).split()).replace("│", "")
                assert not [secret for secret in kept if secret in shown]
    told = " ".join(said(changeable.url, "catalog"))
    drifted = DRIFTED_BY_HAND[changeable.dialect]
    assert [name for name in drifted if f"different: {name}" in told] == [*drifted], told


# What each statement writes TOPSECRET into.
DRIFTED_BY_HAND = {
    "postgres": {
        "routine authsql_purge_otps(batch integer)": "CREATE OR REPLACE FUNCTION authsql_purge_otps(batch"
        " integer DEFAULT 10000) RETURNS bigint LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM dblink(''password=TOPSECRET''); RETURN 0; END'",
        "column authsql_users.name": "ALTER TABLE authsql_users ALTER COLUMN name SET DEFAULT 'TOPSECRET'",
        "table authsql_users": "COMMENT ON TABLE authsql_users IS 'TOPSECRET'",
        "constraint authsql_users.authsql_users_name_check": "ALTER TABLE authsql_users"
        " DROP CONSTRAINT authsql_users_name_check,"
        " ADD CONSTRAINT authsql_users_name_check CHECK (name <> 'TOPSECRET')",
        "view authsql_pending_otps": "CREATE OR REPLACE VIEW authsql_pending_otps AS"
        " SELECT o.subject, o.purpose, o.user_id, o.attempts, o.max_attempts, o.created_at, o.expires_at,"
        " o.resend_at, o.window_count, o.window_ends_at FROM authsql_otps AS o WHERE subject <> 'TOPSECRET'",
        "trigger authsql_passwords.authsql_passwords_update": "CREATE OR REPLACE TRIGGER"
        " authsql_passwords_update BEFORE UPDATE ON authsql_passwords FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger('TOPSECRET')",
    },
    "mysql": {
        "event authsql_purge_otps": "ALTER EVENT authsql_purge_otps DO"
        " DELETE FROM authsql_otps WHERE subject = 'TOPSECRET'",
        "column authsql_users.name": "ALTER TABLE authsql_users ALTER COLUMN name SET DEFAULT 'TOPSECRET'",
        "table authsql_users": "ALTER TABLE authsql_users COMMENT = 'TOPSECRET'",
        "column authsql_audit_log.ip": "ALTER TABLE authsql_audit_log MODIFY COLUMN ip ENUM('TOPSECRET')",
        "view authsql_pending_otps": "CREATE OR REPLACE VIEW authsql_pending_otps AS SELECT o.code_hash"
        " FROM authsql_otps o WHERE subject <> 'TOPSECRET'",
        "routine authsql_current_user_id": "CREATE FUNCTION authsql_current_user_id() RETURNS BINARY(16)"
        " READS SQL DATA SQL SECURITY INVOKER RETURN UNHEX(MD5('TOPSECRET'))",
    },
}


def secrets_of(database: Database) -> list[str]:
    """Fill a database, change what the migrations made, and return what nobody is to be told."""
    conn = database.connect()
    ada = users.create(conn, "ada@example.org", name="Ada Lovelace")
    assert passwords.set(conn, ada.id, "correct horse battery", policy=FAST)
    session = sessions.create(conn, ada.id)
    code = otps.issue(conn, "ada@example.org", "signin", key=KEY)
    assert not isinstance(session, Refusal)
    assert not isinstance(code, Refusal)
    if database.dialect == "mysql":
        rows(conn, "DROP FUNCTION authsql_current_user_id")
    for statement in DRIFTED_BY_HAND[database.dialect].values():
        rows(conn, statement)
    (stored,) = rows(conn, "SELECT hash FROM authsql_passwords")
    kept = [str(stored[0]), session.token, code.code, "ada@example.org", "Lovelace", "TOPSECRET"]
    for statement in ("SELECT secret_hash FROM authsql_sessions", "SELECT code_hash FROM authsql_otps"):
        kept += [bytes(value).hex() for (value,) in rows(conn, statement)]
    return kept


def test_on_the_command_line(changeable: Database) -> None:
    done = command("doctor", database=changeable)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "objects are as the migrations made them" in done.stdout
    # A superuser is a warning.
    done = command("doctor", "--strict", "--quiet", database=changeable)
    assert done.exit_code == 1
    assert "rights" in done.stdout
    assert "clock" not in done.stdout
    found = json.loads(command("doctor", "--json", database=changeable).stdout)
    assert [list(entry) for entry in found] == [["check", "severity", "message", "advice"]] * len(found)
    assert {entry["severity"] for entry in found} >= {"ok", "warning"}
    rows(changeable.connect(), "DROP VIEW authsql_purge_overview")
    done = command("doctor", "-q", database=changeable)
    assert done.exit_code == 1
    assert "missing: view authsql_purge_overview" in done.stdout
    assert command("doctor").exit_code == 2
