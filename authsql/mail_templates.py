"""What mail says: Jinja templates, rendered when a mail is queued. Needs the extra `mail`.

A template NAME is up to three files: `NAME.subject` and `NAME.txt`, and `NAME.html` if it has an HTML part.
These come with authsql, in `authsql/templates/mail/`:

- for codes, each named as the purpose: signup, signin, email-verification, email-change,
  email-change-approval, password-reset, password-change. `app` (name of the application), and `code` or `url`
  (the page that takes the link) or both; `minutes` may be given.
- notices: email-taken, password-changed, email-changed, new-device. `app`; `when` (a datetime), `device`,
  `ip`, `help` (what to do, or where), and for email-changed `email`, may be given.

An application's own directory comes first: `Templates("mail/")` takes from it each template whose `.txt` it
has, with its `.html` or without one. Its templates may extend those of authsql (`layout.html`). Languages are
a directory each. What a template names has to be in the context, or it is InvalidInput.

Templates run in Jinja's sandbox. In `.html` all values are escaped; as the address of a link (`href`) give no
value that a user chose. Subjects are put on one line.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, final

from authsql import _input
from authsql.errors import InvalidInput

SUBJECT_MAX = 200
_PACKAGED = Path(__file__).with_name("templates") / "mail"


@final
@dataclass(frozen=True, slots=True)
class Rendered:
    """A subject and a text, perhaps in HTML too. They may hold a code, and are shown in no `repr`."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str | None = field(repr=False)


class Templates:
    """The templates of authsql, or of a directory and, for what it lacks, of authsql."""

    __slots__ = ("_places",)

    def __init__(self, directory: str | Path | None = None) -> None:
        if directory is not None and not Path(directory).is_dir():
            raise InvalidInput("directory is an existing directory")
        own = [Path(directory)] if directory is not None else []
        self._places = [
            (place, _environment(tuple(dict.fromkeys((place, _PACKAGED))))) for place in [*own, _PACKAGED]
        ]

    def render(self, template: str, context: Mapping[str, object]) -> Rendered:
        """Fill a template in. Raises InvalidInput for a template that there is not, and for a context that
        lacks something.
        """
        from jinja2 import UndefinedError

        name = _input.word("template", template)
        values = _checked(context)
        for place, environment in self._places:
            if not (place / f"{name}.txt").is_file():
                continue
            has_html = (place / f"{name}.html").is_file()
            try:
                return Rendered(
                    _one_line(environment.get_template(f"{name}.subject").render(values)),
                    environment.get_template(f"{name}.txt").render(values),
                    environment.get_template(f"{name}.html").render(values) if has_html else None,
                )
            except UndefinedError as error:
                raise InvalidInput(f"the template {name} lacks something: {error.message}") from None
        raise InvalidInput("there is no such template")


@cache
def packaged() -> Templates:
    """The templates that come with authsql."""
    return Templates()


@cache
def _environment(places: tuple[Path, ...]) -> Any:
    try:
        from jinja2 import FileSystemLoader, StrictUndefined
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise ImportError("mail templates need some more packages: pip install 'authsql[mail]'") from error
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(places),
        autoescape=lambda name: bool(name and name.endswith(".html")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["utc"] = _utc
    return environment


def _checked(context: object) -> dict[str, Any]:
    if not isinstance(context, Mapping) or not all(isinstance(key, str) for key in context):
        raise InvalidInput("context is a mapping with strings as keys")
    return dict(context)


def _utc(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _one_line(subject: str) -> str:
    """A subject as a header may have it, whatever was filled in."""
    cleaned = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in subject)
    return " ".join(cleaned.split())[:SUBJECT_MAX]
