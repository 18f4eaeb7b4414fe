"""Database URLs: read, shown without a password, found where a user may have written them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from yoyo.connections import parse_uri

from authsql._url import (
    SCHEMES,
    DatabaseURL,
    DriverMissing,
    InvalidDatabaseURL,
    connect,
    connect_async,
    database_url,
)
from authsql._yoyo import from_yoyo

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_scheme(scheme: str) -> None:
    url = DatabaseURL.parse(f"{scheme}://ann:secret@db.example.org:1234/app")
    assert url == DatabaseURL(SCHEMES[scheme], "db.example.org", 1234, "ann", "secret", "app")
    assert url.yoyo == {"postgres": "postgresql+psycopg", "mysql": "mysql+connector"}[url.dialect]


def test_escapes() -> None:
    url = DatabaseURL.parse("mysql://a%40b:p%2F%23%3A@h/d%20b")
    assert (url.user, url.password, url.database) == ("a@b", "p/#:", "d b")


def test_an_at_sign_in_the_password() -> None:
    assert DatabaseURL.parse("mysql://ann:p@w@h/app").password == "p@w"


def test_ipv6() -> None:
    url = DatabaseURL.parse("postgresql://[::1]:5433/app")
    assert (url.host, url.port) == ("::1", 5433)
    assert str(url) == "postgresql://[::1]:5433/app"


@pytest.mark.parametrize(
    "text", ["postgresql://postgres:@/postgres?host=/Run/Pg", "postgresql://postgres:@%2FRun%2FPg/postgres"]
)
def test_unix_socket_of_postgres(text: str) -> None:
    url = DatabaseURL.parse(text)
    assert url.arguments() == {
        "host": "/Run/Pg",
        "user": "postgres",
        "password": "",
        "dbname": "postgres",
        "client_encoding": "utf8",
        "autocommit": True,
    }
    assert str(url) == "postgresql://postgres@/postgres?host=/Run/Pg"


def test_unix_socket_of_mysql() -> None:
    assert DatabaseURL.parse("mysql://root@/app?unix_socket=/run/mysqld.sock").arguments() == {
        "unix_socket": "/run/mysqld.sock",
        "user": "root",
        "database": "app",
        "charset": "utf8mb4",
        "autocommit": True,
    }


def test_options_of_mysql_have_types() -> None:
    arguments = DatabaseURL.parse(
        "mysql://h/app?ssl_ca=/ca.pem&ssl_verify_cert=true&ssl_disabled=False&connection_timeout=5&charset=latin1"
    ).arguments()
    assert arguments["ssl_ca"] == "/ca.pem"
    assert arguments["ssl_verify_cert"] is True
    assert arguments["ssl_disabled"] is False
    assert arguments["connection_timeout"] == 5
    assert arguments["charset"] == "utf8mb4"


def test_options_of_postgres() -> None:
    url = DatabaseURL.parse(
        "postgresql:///?dbname=app&user=ann&password=secret&sslmode=require&schema=Auth&port=1"
    )
    assert (url.database, url.user, url.password, url.schema) == ("app", "ann", "secret", "Auth")
    assert url.arguments() == {
        "dbname": "app",
        "user": "ann",
        "password": "secret",
        "sslmode": "require",
        "port": "1",
        "client_encoding": "utf8",
        "autocommit": True,
    }


def test_no_password_is_shown() -> None:
    url = DatabaseURL.parse("postgresql://ann:hush1@h/app?sslpassword=hush2&schema=s")
    for text in (str(url), repr(url), f"{url}"):
        assert "hush" not in text
    assert str(url) == "postgresql://ann@h/app?schema=s"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann:hu/sh@h/app",
        "postgresql://ann:hu#sh@h/app",
        "postgresql://ann:hu?sh@h/app",
        "postgresql://ann:[hush@h/app",
        "postgresql://ann:hush@h:hush/app",
        "mysql://ann:hush@h",
        "mysql://ann:hush@h/",
        "ann:hush@h/app",
        "hush",
        "oracle://ann:hush@h/app",
        "",
    ],
)
def test_what_cannot_be_read_is_not_quoted(text: str) -> None:
    with pytest.raises(InvalidDatabaseURL) as raised:
        DatabaseURL.parse(text)
    assert "hu" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_an_unknown_scheme_lists_the_known() -> None:
    with pytest.raises(InvalidDatabaseURL, match=r"unknown scheme 'sqlite'.*postgresql, postgres.*mysql"):
        DatabaseURL.parse("sqlite:///app.db")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://ann:p%40w@h:1/app?schema=s&sslmode=disable",
        "postgresql+psycopg://postgres:@/postgres?host=/run/pg",
        "mysql+connector://ann:p%40w@h:1/app?ssl_disabled=true",
    ],
)
def test_yoyo_reads_it_the_same(text: str) -> None:
    assert from_yoyo(parse_uri(text)) == DatabaseURL.parse(text)


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [("postgresql://h/app", "psycopg", "postgres"), ("mysql://h/app", "mysql.connector", "mysql")],
)
async def test_a_missing_driver(url: str, driver: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(DriverMissing, match=rf"pip install 'authsql\[{extra}\]'"):
        connect(url)
    with pytest.raises(DriverMissing, match=rf"pip install 'authsql\[{extra}\]'"):
        await connect_async(url)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without settings; the current folder is one in it."""
    folder = tmp_path / "src" / "deep"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("AUTHSQL_DATABASE_URL", raising=False)
    return tmp_path


def test_the_option_comes_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pyproject.toml").write_text('[tool.authsql]\ndatabase = "mysql://project/app"\n')
    assert database_url() == "mysql://project/app"
    monkeypatch.setenv("AUTHSQL_DATABASE_URL", "mysql://environment/app")
    assert database_url(None) == "mysql://environment/app"
    assert database_url("mysql://option/app") == "mysql://option/app"


def test_no_database_url(project: Path) -> None:
    for name in ("--database", "AUTHSQL_DATABASE_URL", r"\[tool.authsql\] database"):
        with pytest.raises(InvalidDatabaseURL, match=name):
            database_url()


def test_a_nearer_project_hides_a_farther_one(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.authsql]\ndatabase = "mysql://project/app"\n')
    (project / "src" / "pyproject.toml").touch()
    with pytest.raises(InvalidDatabaseURL, match="which database"):
        database_url()


@pytest.mark.parametrize("text", ["[tool.authsql]\ndatabase = 'hush", "[tool.authsql]\ndatabase = 5\n"])
def test_a_broken_project_file(text: str, project: Path) -> None:
    (project / "pyproject.toml").write_text(text)
    with pytest.raises(InvalidDatabaseURL, match=r"pyproject\.toml") as raised:
        database_url()
    assert "hush" not in str(raised.value)
