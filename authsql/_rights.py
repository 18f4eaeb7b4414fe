"""Rights on tables, views and routines: those of the roles in `optional/roles.sql`, and how two sets differ.

That file is the only list there is of what an application needs: what `authsql doctor` expects is read there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TypeAlias

from authsql._statements import Dialect, sql_root

Rights: TypeAlias = "Mapping[tuple[str, str], frozenset[str]]"
"""By object and verb the columns, or WHOLE. A routine's name ends in (); DATABASE is an object, too."""
WHOLE = frozenset({"*"})
DATABASE = "the whole database"

_NAME = r'(?:`(?:[^`]|``)*`|"(?:[^"]|"")*"|[\w$*]+)'
_VERB = re.compile(rf"([A-Z][A-Z_ ]*?)\s*(?:\(\s*({_NAME}(?:\s*,\s*{_NAME})*)\s*\))?\s*(?:,\s*|$)")
_NAMES = re.compile(_NAME)
_SKIPPED = re.compile(r"--[^\n]*|\$\$.*?\$\$", re.DOTALL)
_GRANT = re.compile(
    r"\bGRANT\s+([^;]+?)\s+ON\s+(?:(TABLE|FUNCTION|PROCEDURE)\s+)?([^;]+?)\s+TO\s+([^;]+?)\s*;"
)
_ARGUMENTS = re.compile(r"\([^)]*\)")
# The order in which they are told; what is not here comes after.
_ORDER = ("SELECT", "INSERT", "UPDATE", "DELETE")


def verbs(text: str) -> dict[str, frozenset[str]]:
    """Read what stands between GRANT and ON: the verbs, each with its columns, or WHOLE."""
    found: dict[str, frozenset[str]] = {}
    for verb, columns in _VERB.findall(text):
        named = frozenset(plain(name) for name in _NAMES.findall(columns)) or WHOLE
        found[verb] = _joined(found.get(verb, frozenset()), named)
    return found


def plain(name: str) -> str:
    """A name without its quotes."""
    quote = name[:1]
    return name[1:-1].replace(quote * 2, quote) if quote in {"`", '"'} else name


def parse(text: str) -> dict[str, Rights]:
    """Read the statements GRANT of a file like `optional/roles.sql`: the rights of each role."""
    found: dict[str, dict[tuple[str, str], frozenset[str]]] = {}
    for given, kind, objects, roles in _GRANT.findall(_SKIPPED.sub("", text)):
        ending = "()" if kind in {"FUNCTION", "PROCEDURE"} else ""
        for name in _ARGUMENTS.sub("", objects).split(","):
            for role in roles.split(","):
                rights = found.setdefault(role.strip(), {})
                for verb, columns in verbs(given).items():
                    key = (name.strip() + ending, verb)
                    rights[key] = _joined(rights.get(key, frozenset()), columns)
    return dict(found)


@cache
def of_role(dialect: Dialect, role: str) -> Rights:
    """The rights of a role of `optional/roles.sql`. Raises KeyError if the file gives it none."""
    text = (sql_root() / dialect / "optional" / "roles.sql").read_text(encoding="utf-8")
    return parse(text)[role]


def objects(catalog: Mapping[str, Mapping[str, str]]) -> dict[str, set[str]]:
    """By the names that rights have, tables, views and routines of a catalog (authsql/_catalog.py), each with
    its columns. Without views that a right on is no good for, as they work with the caller's on the tables.
    """
    found: dict[str, set[str]] = {}
    for key, attributes in catalog.items():
        kind, _, name = key.partition(" ")
        if kind == "view" and attributes.get("security") == "INVOKER":
            continue
        if kind in {"table", "view"}:
            found.setdefault(name, set())
        elif kind == "routine":
            found.setdefault(f"{name.partition('(')[0]}()", set())
        elif kind == "column":
            table, _, column = name.partition(".")
            found.setdefault(table, set()).add(column)
    return found


def plus(*each: Rights) -> Rights:
    """What they give together."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for rights in each:
        for key, columns in rights.items():
            found[key] = _joined(found.get(key, frozenset()), columns)
    return found


def minus(more: Rights, less: Rights, columns: Mapping[str, Iterable[str]]) -> Rights:
    """What the first gives and the second does not. `columns` are those of each object, to tell a right on
    the whole of it from one on some of them.
    """
    found: dict[tuple[str, str], frozenset[str]] = {}
    for key, those in more.items():
        others = less.get(key, frozenset())
        if "*" in others:
            continue
        rest = those - others
        if "*" in those and others:
            known = frozenset(columns.get(key[0], ()))
            rest = known - others if known else WHOLE
        if rest:
            found[key] = rest
    return found


def on(rights: Rights, names: Iterable[str]) -> Rights:
    """Those of the rights that are on some objects."""
    wanted = set(names)
    return {key: columns for key, columns in rights.items() if key[0] in wanted}


def fitting(rights: Rights, columns: Mapping[str, Iterable[str]]) -> Rights:
    """Those that can be given where there are these objects, with these columns."""
    there = {
        key: those if "*" in those else those & frozenset(columns[key[0]])
        for key, those in on(rights, columns).items()
    }
    return {key: those for key, those in there.items() if those}


def told(rights: Rights) -> str:
    """Rights in words. Tables with the same ones are put together."""
    by_object: dict[str, list[str]] = {}
    for (name, verb), columns in sorted(rights.items(), key=lambda item: _place(item[0][1])):
        some = "" if "*" in columns else f" ({', '.join(sorted(columns))})"
        by_object.setdefault(name, []).append(verb + some)
    by_words: dict[str, list[str]] = {}
    for name, words in sorted(by_object.items()):
        by_words.setdefault(", ".join(words), []).append(name)
    return "; ".join(f"{words} on {', '.join(names)}" for words, names in by_words.items())


def _joined(some: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    together = some | others
    # The whole is more than any columns.
    return WHOLE if "*" in together else together


def _place(verb: str) -> tuple[int, str]:
    return (_ORDER.index(verb) if verb in _ORDER else len(_ORDER), verb)
