"""What is built is what is used: the wheel holds the SQL, and works away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import authsql

ROOT = Path(__file__).parents[2]
SQL = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "sql").rglob("*.sql"))

SCRIPT = """
import json
from pathlib import Path
import authsql
from authsql._migration_files import migration_files
from authsql._statements import DIALECTS, sql_root, statements
print(json.dumps({
    "package": str(Path(authsql.__file__).resolve().parent),
    "sql": str(sql_root()),
    "statements": {dialect: len(statements(dialect)) for dialect in DIALECTS},
    "migrations": {dialect: len(migration_files(dialect)) for dialect in DIALECTS},
}))
"""


@dataclass(frozen=True)
class Built:
    """A wheel, a source distribution, and a folder that the wheel is installed in."""

    wheel: Path
    sdist: Path
    installed: Path

    def run(self, *arguments: str) -> str:
        """Run Python with the installed wheel, in a folder that is not the checkout."""
        # -S leaves out the .pth file by which the checkout itself is installed.
        libraries = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        path = os.pathsep.join([str(self.installed), *dict.fromkeys(libraries)])
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AUTHSQL"))
        }
        return subprocess.run(
            [sys.executable, "-S", *arguments],
            cwd=self.installed.parent,
            env={**kept, "PYTHONPATH": path, "NO_COLOR": "1"},
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("packaging")
    # The wheel is made of the source distribution, as an installer without wheels would make it.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    installed = folder / "site"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(installed), str(wheel)]
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *install], check=True, timeout=300
    )
    return Built(wheel, sdist, installed)


def test_the_wheel_holds_the_sql(built: Built) -> None:
    names = set(zipfile.ZipFile(built.wheel).namelist())
    assert {f"authsql/{name}" for name in SQL} <= names
    assert len(SQL) > 50
    data = {"modules.toml", "checksums.txt", "postgres/catalog.json", "mysql/catalog.json"}
    assert {f"authsql/sql/{name}" for name in data} <= names
    assert "authsql/py.typed" in names
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "authsql").rglob("*.py")}
    assert modules <= names
    assert {name.partition("/")[0] for name in names} == {
        "authsql",
        f"authsql-{authsql.__version__}.dist-info",
    }


def test_the_source_distribution_holds_what_is_tested(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(SQL) <= names
    assert {"authsql/py.typed", "pyproject.toml", "README.md", "LICENSE", "tests/conftest.py"} <= names


def test_sql_is_found_in_the_package(built: Built) -> None:
    found = json.loads(built.run("-c", SCRIPT))
    package = Path(found["package"])
    assert package == (built.installed / "authsql").resolve()
    assert Path(found["sql"]) == package / "sql"
    assert found["statements"]["postgres"] > 40
    assert found["statements"]["mysql"] > found["statements"]["postgres"]
    numbers = {
        dialect: len(list((ROOT / "sql" / dialect).glob("[0-9]*.rollback.sql")))
        for dialect in found["migrations"]
    }
    assert found["migrations"] == numbers


def test_the_command(built: Built) -> None:
    assert built.run("-m", "authsql", "--version").strip() == f"authsql {authsql.__version__}"
    assert "--database" in built.run("-m", "authsql", "status", "--help")


def test_the_templates_of_mail(built: Built) -> None:
    """They are data, which a build forgets easily: each is in both, and found where it is installed."""
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "authsql" / "templates").rglob("*.*")}
    assert len(templates) > 30
    assert templates <= set(zipfile.ZipFile(built.wheel).namelist())
    with tarfile.open(built.sdist) as archive:
        assert templates <= {name.partition("/")[2] for name in archive.getnames()}
    rendered = built.run(
        "-c",
        "from authsql import mail_templates, outbox\n"
        "found = mail_templates.packaged().render('signin', {'app': 'Example', 'code': '271828'})\n"
        "print(outbox.__file__, found.subject, found.text, found.html)",
    )
    assert str(built.installed) in rendered
    assert rendered.count("271828") == 2
    assert "--smtp" in built.run("-m", "authsql", "mail", "--help")
