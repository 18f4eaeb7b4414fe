"""The templates that come with authsql, and those of an application."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from jinja2.exceptions import SecurityError

from authsql import PURPOSES, InvalidInput
from authsql.mail_templates import Rendered, Templates, packaged

FOLDER = Path(__file__).parents[2] / "authsql" / "templates" / "mail"
CODES = sorted(PURPOSES)
NOTICES = ["email-changed", "email-taken", "new-device", "password-changed"]
EVERYTHING: dict[str, Any] = {
    "app": "Example",
    "code": "271828",
    "minutes": 5,
    "url": "https://example.org/code?link=314159",
    "when": datetime(2026, 11, 23, 12, 30, tzinfo=timezone(timedelta(hours=2))),
    "device": "Ann's phone",
    "ip": "192.0.2.1",
    "help": "https://example.org/help",
    "email": "new@example.org",
}


def test_all_are_here() -> None:
    names = {path.stem for path in FOLDER.glob("*.txt")}
    assert names == {*CODES, *NOTICES}
    for name in names:
        assert {path.suffix for path in FOLDER.glob(f"{name}.*")} == {".subject", ".txt", ".html"}


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("context", [EVERYTHING, {"app": "Example", "code": "271828"}], ids=["all", "least"])
def test_codes(name: str, context: dict[str, Any]) -> None:
    found = packaged().render(name, context)
    assert found.html is not None
    for text in (found.text, found.html):
        assert text.count("271828") == 1
        assert "Example" in text
        assert ("5 minutes" in text) is ("minutes" in context)
        assert ("https://example.org/code?link=314159" in text) is ("url" in context)
        assert "{" not in text.replace("{{", "{")
    assert "271828" not in found.subject, "a subject is shown on a locked screen"
    assert "Example" in found.subject
    assert "\n\n\n" not in found.text


@pytest.mark.parametrize("name", CODES)
def test_a_link_alone(name: str) -> None:
    found = packaged().render(name, {"app": "Example", "url": "https://example.org/314159"})
    assert "https://example.org/314159" in found.text
    assert '<a href="https://example.org/314159">' in str(found.html)
    assert "\n\n\n" not in found.text
    with pytest.raises(InvalidInput, match="'code' is undefined"):
        packaged().render(name, {"app": "Example"})


@pytest.mark.parametrize("name", NOTICES)
@pytest.mark.parametrize("context", [EVERYTHING, {"app": "Example"}], ids=["all", "least"])
def test_notices(name: str, context: dict[str, Any]) -> None:
    found = packaged().render(name, context)
    assert found.html is not None
    for text in (found.text, found.html):
        assert "Example" in text
        assert ("2026-11-23 10:30 UTC" in text) is ("when" in context)
        assert ("192.0.2.1" in text) is ("ip" in context)
        assert ("https://example.org/help" in text) is ("help" in context)
        assert "271828" not in text
    assert ("Ann's phone" in found.text) is ("device" in context)
    assert "\n\n\n" not in found.text
    assert found.text.endswith("\n")


@pytest.mark.parametrize("name", CODES + NOTICES)
def test_what_is_filled_in_is_text(name: str) -> None:
    evil = dict.fromkeys(EVERYTHING, "<script>'\"&{{ code }}</script>") | {"when": EVERYTHING["when"]}
    found = packaged().render(name, evil)
    assert found.html is not None
    assert "<script>" not in found.html
    assert "&lt;script&gt;&#39;&#34;&amp;{{ code }}" in found.html


@pytest.mark.parametrize("name", CODES + NOTICES)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(InvalidInput, match="'app' is undefined"):
        packaged().render(name, {"code": "271828"})


def test_subjects_are_one_line() -> None:
    app = "x\r\nBcc: eve@example.org\0\x85\u2028y\t\t z" + "w" * 500
    subject = packaged().render("signin", {"app": app, "code": "1"}).subject
    assert subject.startswith("Sign in to x Bcc: eve@example.org y z")
    assert len(subject) <= 200
    assert len(subject.splitlines()) == 1


def test_a_rendered_mail_is_not_shown() -> None:
    assert repr(packaged().render("signin", EVERYTHING)) == "Rendered()"
    assert repr(Rendered("a", "b", None)) == "Rendered()"


def write(folder: Path, **files: str) -> Templates:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return Templates(folder)


def test_an_application_has_its_own(tmp_path: Path) -> None:
    own = write(tmp_path, signin__subject="{{ app }}!", signin__txt="Gr\u00fc\u00dfe {{ code }}")
    assert own.render("signin", EVERYTHING) == Rendered("Example!", "Gr\u00fc\u00dfe 271828", None)
    assert own.render("new-device", EVERYTHING) == packaged().render("new-device", EVERYTHING)
    both = write(
        tmp_path, signin__html='{% extends "layout.html" %}{% block content %}<b>{{ x }}</b>{% endblock %}'
    )
    html = both.render("signin", {**EVERYTHING, "x": "<&>"}).html
    assert html is not None
    assert "<b>&lt;&amp;&gt;</b>" in html
    assert html.startswith("<!doctype html>")


def test_a_layout_of_its_own(tmp_path: Path) -> None:
    own = write(
        tmp_path,
        layout__html="<main>{% block content %}{% endblock %}</main>",
        hello__subject="Hello",
        hello__txt="Hello",
        hello__html='{% extends "layout.html" %}{% block content %}Hi{% endblock %}',
    )
    assert own.render("hello", {}).html == "<main>Hi</main>"


@pytest.mark.parametrize(
    "name", ["", "Signin", "../signin", "signin.txt", "nothing", "layout", "_code", "/etc/passwd", 7]
)
def test_templates_that_there_are_not(name: Any) -> None:
    with pytest.raises(InvalidInput):
        packaged().render(name, EVERYTHING)


@pytest.mark.parametrize("folder", ["no such directory", __file__])
def test_directories_that_there_are_not(folder: str) -> None:
    with pytest.raises(InvalidInput):
        Templates(folder)


def test_the_sandbox(tmp_path: Path) -> None:
    own = write(tmp_path, evil__subject="x", evil__txt="{{ ''.__class__.__mro__ }}")
    with pytest.raises(SecurityError):
        own.render("evil", {})
    own = write(tmp_path, worse__subject="x", worse__txt="{{ a.append(1) }}")
    with pytest.raises(SecurityError):
        own.render("worse", {"a": []})


def test_without_jinja() -> None:
    from tests.migrations.support import run

    script = (
        "import sys; sys.modules['jinja2'] = None\n"
        "import authsql\n"
        "from authsql.mail_templates import packaged\n"
        "try: packaged()\n"
        "except ImportError as error: print(error)\n"
    )
    assert "pip install 'authsql[mail]'" in run("-c", script).stdout
