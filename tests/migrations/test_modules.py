"""Each subject alone, copied into another repository or applied by `--only`; and the rest after it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from authsql import maintenance, passwords, refresh_tokens, sessions, users
from authsql._add import FilesDiffer, add
from authsql._migration_files import migration_files
from authsql._modules import modules, select
from authsql._rights import of_role, parse
from authsql._statements import DIALECTS, Dialect, sql_root
from authsql.doctor import Severity, examine
from authsql.migrations import migrate, rollback, status
from tests.catalog import Catalog, catalog
from tests.doctor.test_doctor import found, user
from tests.migrations.support import numbers, run, yoyo_url
from tests.migrations.test_cli import command
from tests.roles import as_role, grant
from tests.servers import Database, Server, SyncConnection, rows, rows_async
from tests.support import FAST, PASSWORD

SUBJECTS = sorted(modules("postgres").subjects)


def yoyo(what: str, database: Database, folder: Path) -> None:
    options = ["--batch", "--no-config-file", "--database", yoyo_url(database)]
    done = run("-m", "yoyo", what, *options, *(["--all"] if what == "rollback" else []), str(folder))
    assert done.returncode == 0, done.stderr


def settled(found: Catalog) -> dict[str, set[str]]:
    """A catalog without what depends on the order in which independent migrations were applied."""
    places = {"columns": 1, "triggers": 4}  # of a column in its table, of a trigger among others (MySQL)
    kept = {
        part: [[value for place, value in enumerate(row) if place != places.get(part)] for row in listed]
        for part, listed in found.items()
    }
    # MySQL writes another character set into a check when its table is altered.
    return {
        part: {re.sub(r"\b_\w+(?=\\*')", "", repr(row)) for row in listed} for part, listed in kept.items()
    }


def drift(database: Database) -> list[str]:
    """What `authsql doctor` finds in the catalog that should be otherwise."""
    catalog = [finding for finding in examine(database.url) if finding.check == "catalog"]
    return [finding.message for finding in catalog if finding.severity is not Severity.OK]


@pytest.fixture(scope="module")
def everything(server: Server) -> dict[str, set[str]]:
    """What all the migrations make in their order."""
    with server.empty() as other:
        migrate(other.url)
        return settled(catalog(other.connect()))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_one_subject_alone_and_then_the_rest(
    empty_database: Database,
    everything: dict[str, set[str]],
    tmp_path: Path,
    subject: str,
) -> None:
    """A copy, by a stock yoyo, and back; then by the command, which takes it for the same."""
    dialect, conn = empty_database.dialect, empty_database.connect()
    add(dialect, [subject], tmp_path)
    wanted = [file.number for file in select(dialect, [subject])]
    yoyo("apply", empty_database, tmp_path)
    assert numbers(conn) == wanted
    assert migrate(empty_database.url, only=[subject]) == []
    applied = catalog(conn)
    yoyo("rollback", empty_database, tmp_path)
    assert not any(catalog(conn).values())
    assert [m.number for m in migrate(empty_database.url, only=[f"auth/{subject}"])] == wanted
    assert catalog(conn) == applied
    assert drift(empty_database) == []
    migrate(empty_database.url)
    assert settled(catalog(conn)) == everything
    assert drift(empty_database) == []


def granted(conn: SyncConnection) -> str:
    """What MySQL says of the rights that one has, those of roles among them."""
    return repr(rows(conn, "SHOW GRANTS FOR CURRENT_USER USING authsql_app, authsql_reader"))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_roles_of_one_subject(empty_database: Database, subject: str) -> None:
    """They have all that there is for them, and `authsql doctor` misses nothing."""
    migrate(empty_database.url, only=[subject])
    grant(empty_database.url, "roles.sql", only=[subject])
    with user(empty_database, "authsql_app", "authsql_reader") as url:
        if empty_database.dialect == "mysql":
            rows(empty_database.connect(), f"SET DEFAULT ROLE ALL TO {urlsplit(url).username}")
        # The first one: that it may not migrate what is pending.
        _, rights = found(url, "rights")
        able = Database(url, empty_database.target)
        conn = able.connect()
        for name, verb in of_role(able.dialect, "authsql_reader"):
            with contextlib.suppress(psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
                assert verb == "SELECT"
                if able.dialect == "postgres" or f"`{able.name}`.`{name}`" in granted(conn):
                    rows(conn, f"SELECT * FROM {name} LIMIT 0")
        if able.dialect == "postgres" and subject == "purge":
            assert [each.deleted for each in maintenance.purge(conn)] == [0, 0]
        able.close_connections()
    assert rights.message.endswith(" has the rights of authsql_app and of authsql_reader, and no others")


def test_operations_work_where_only_their_subjects_are(empty_database: Database) -> None:
    """With the application's rights, too: those that there are."""
    subjects = ["refresh_tokens", "hash_isolation"]
    migrate(empty_database.url, only=subjects)
    grant(empty_database.url, "roles.sql", "authsql_app", only=subjects)
    conn = as_role(empty_database, "authsql_app").connect()
    user = users.create(conn, "ada@example.org")
    opened = sessions.create(conn, user.id, cap=2)
    assert opened
    assert sessions.validate(conn, opened.token)
    issued = refresh_tokens.issue(conn, opened.session.id)
    assert issued
    assert refresh_tokens.rotate(conn, issued.token)
    assert passwords.set(conn, user.id, PASSWORD, policy=FAST)
    assert passwords.set(conn, user.id, f"{PASSWORD}!", policy=FAST)
    assert not sessions.validate(conn, opened.token)
    migrate(empty_database.url, only=["audit"])
    grant(empty_database.url, "roles.sql", "authsql_app", only=[*subjects, "audit"])
    assert passwords.verify(conn, user.email, f"{PASSWORD}!", policy=FAST)
    assert not passwords.verify(conn, user.email, PASSWORD, policy=FAST)
    assert users.soft_delete(conn, user.id)

    migrate(empty_database.url, only=["purge"])
    done = command("purge", database=empty_database)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "authsql_sessions: 0 deleted" in done.stdout


async def test_purge_of_single_subjects_in_a_transaction(empty_database: Database) -> None:
    """What is not there is asked for first: a statement that failed would end the transaction."""
    migrate(empty_database.url, only=["purge"])
    wanted = ["authsql_otps", "authsql_sessions"]
    for autocommit in (True, False):
        conn = empty_database.connect(autocommit=autocommit)
        aconn = await empty_database.connect_async(autocommit=autocommit)
        rows(conn, "BEGIN")
        await rows_async(aconn, "BEGIN")
        user = users.create(conn, f"{autocommit}@example.org")
        assert [each.table_name for each in maintenance.purge(conn)] == wanted
        assert [each.table_name for each in await maintenance.purge(aconn)] == wanted
        assert users.get(conn, user.id) == user
        conn.commit()
        await aconn.close()
    conn = empty_database.connect(autocommit=False)
    assert [each.table_name for each in maintenance.purge(conn)] == wanted
    conn.rollback()

    migrate(empty_database.url, only=["audit"])
    assert [each.table_name for each in maintenance.purge(empty_database.connect())] == [
        *wanted,
        "authsql_users",
        "authsql_audit_log",
    ]


def test_a_subject_goes_with_what_needs_it(empty_database: Database) -> None:
    migrate(empty_database.url)
    gone = rollback(empty_database.url, only=["otp"])
    above = {file.number for file in select(empty_database.dialect, ["otps"], dependents=True)}
    assert {m.number for m in gone} == above
    assert {m.number for m in status(empty_database.url) if m.state == "pending"} == above
    assert {m.state for m in status(empty_database.url, only=["sessions"])} == {"applied"}
    assert len(migrate(empty_database.url)) == len(above)


def test_only_on_the_command_line(empty_database: Database) -> None:
    done = command("migrate", "--only", "sessions", "--dry-run", database=empty_database)
    wanted = [file.id for file in select(empty_database.dialect, ["sessions"])]
    assert done.stdout.splitlines() == [f"would apply {name}" for name in wanted]
    done = command("migrate", "--only", "sessions", "--only", "auth/role", database=empty_database)
    assert done.exit_code == 0
    assert "applying 0003.roles" in done.stdout.splitlines()
    assert command("status", "--only", "sessions", database=empty_database).exit_code == 0
    assert command("status", "--only", "otp", database=empty_database).exit_code == 1

    done = command("rollback", "--only", "passwords", "--yes", database=empty_database)
    assert done.exit_code == 0
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:2]] == [
        "0007.sessions",
        "0004.passwords",
    ]
    assert numbers(empty_database.connect()) == [1, 2, 3]
    for name in ("migrate", "status", "rollback"):
        done = command(name, "--only", "cookies", database=empty_database)
        assert done.exit_code == 2
        assert "no subject 'cookies'; known are auth (all of them)" in done.stderr
        assert "refresh_tokens" in done.stderr


@pytest.mark.parametrize("dialect", DIALECTS)
def test_add(tmp_path: Path, dialect: Dialect) -> None:
    into = tmp_path / "db" / "migrations"
    done = command("add", "auth/session", "--dialect", dialect, "--into", str(into))
    assert (done.exit_code, done.stderr) == (0, "")
    wanted = [file.id for file in select(dialect, ["sessions"])]
    names = sorted(f"{name}{end}" for name in wanted for end in (".sql", ".rollback.sql"))
    assert sorted(path.name for path in into.iterdir()) == names
    assert sum(line.startswith("written") for line in done.stdout.splitlines()) == len(names)
    assert "next: yoyo apply --database " in done.stdout
    assert "  or: authsql migrate --only auth/session" in done.stdout
    assert "-- depends: 0002.users 0004.passwords\n" in (into / "0007.sessions.sql").read_text()

    # A second time, and with more: what is there is left.
    done = command("add", "auth", "--dialect", dialect, "--into", str(into))
    assert sum(line.startswith("unchanged") for line in done.stdout.splitlines()) == len(names)
    assert len(list(into.iterdir())) == 2 * len(migration_files(dialect))
    for path in into.iterdir():
        here = (sql_root() / dialect / path.name).read_text().splitlines()
        there = path.read_text().splitlines()
        assert [
            a for a, b in zip(here, there, strict=True) if a != b and not b.startswith("-- depends: ")
        ] == []

    changed = into / "0002.users.sql"
    changed.write_text(changed.read_text() + "-- ours\n")
    (into / "0008.refresh_tokens.sql").unlink()
    done = command("add", "auth", "--dialect", dialect, "--into", str(into))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == f"authsql: there already, and different: {changed}"
    assert not (into / "0008.refresh_tokens.sql").exists()
    assert changed.read_text().endswith("-- ours\n")
    done = command("add", "auth", "--dialect", dialect, "--into", str(into), "--force")
    assert done.exit_code == 0
    assert f"replaced   {changed}" in done.stdout
    assert not changed.read_text().endswith("-- ours\n")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_optional(dialect: Dialect) -> None:
    folder = sql_root() / dialect / "optional"
    done = command("optional", "--dialect", dialect)
    assert (done.exit_code, done.stderr) == (0, "")
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == sorted(path.stem for path in folder.iterdir())
    for name in names:
        done = command("optional", name, "--dialect", dialect)
        assert (done.exit_code, done.stdout) == (0, (folder / f"{name}.sql").read_text())
    everything = command("optional", "roles", "--only", "auth", "--dialect", dialect).stdout
    assert everything.startswith("-- For a database that has of authsql only: schema_version, users, roles, ")
    assert everything.partition("\n\n")[2] == (folder / "roles.sql").read_text()
    some = command("optional", "roles.sql", "--only", "auth/session", "--dialect", dialect).stdout
    assert set(parse(some)["authsql_app"]) == {
        (f"authsql_{table}", verb)
        for table in ("users", "sessions", *(["passwords"] if dialect == "postgres" else []))
        for verb in ("SELECT", "INSERT", "UPDATE", "DELETE")
    }

    other = command("optional", "roles", "--dialect", dialect, "--prefix", "shop").stdout
    assert parse(other)["shop_app"] == of_role(dialect, "authsql_app")
    assert parse(other).keys() == {"shop_app", "shop_reader"}
    for prefix in ("x; DROP", "Shop", "", "1x", "x" * 25):
        done = command("optional", "roles", "--dialect", dialect, "--prefix", prefix)
        assert (done.exit_code, done.stdout) == (2, "")
        assert "begins no role" in done.stderr

    done = command("optional", "cookies", "--dialect", dialect)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"there is no optional file 'cookies' for {dialect}; known are " in done.stderr
    done = command("optional", "owner", "--only", "users", "--dialect", dialect)
    assert (done.exit_code, done.stdout) == (2, "")
    done = command("optional", "roles", "--only", "cookies", "--dialect", dialect)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "known are auth (all of them), schema_version, users" in done.stderr


def test_add_takes_the_dialect_of_the_configured_database(empty_database: Database, tmp_path: Path) -> None:
    assert command("add", "users", "--into", str(tmp_path), database=empty_database).exit_code == 0
    is_mysql = "ENGINE = InnoDB" in (tmp_path / "0002.users.sql").read_text()
    assert is_mysql is (empty_database.dialect == "mysql")


def test_add_that_cannot(tmp_path: Path) -> None:
    done = command("add", "cookies", "--dialect", "mysql", "--into", str(tmp_path))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "known are auth (all of them), schema_version, users" in done.stderr
    assert command("add", "auth", "--into", str(tmp_path)).exit_code == 2
    assert command("add", "auth", "--dialect", "oracle", "--into", str(tmp_path)).exit_code == 2
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    done = command("add", "users", "--dialect", "mysql", "--into", str(tmp_path / "file"))
    assert done.exit_code == 1
    assert done.stderr.startswith("authsql: cannot write to ")
    assert len(done.stderr.splitlines()) == 1


def test_files_that_differ_name_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "0002.users.sql").write_text("ours")
    with pytest.raises(FilesDiffer, match=r"0002\.users\.sql") as raised:
        add("postgres", ["users"], tmp_path)
    assert "--force" in raised.value.hint
