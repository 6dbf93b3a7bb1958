"""Kombu's revisions are a branch beside an application's, made by the commands that the documentation shows; a revision
of the application's that got among them harms nobody. All of it happens in a copy of the package."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

import kombu_sqlalchemy
from kombu_sqlalchemy.migrating import migrations_path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "sql" / "migrations.rst").read_text()
REVISIONS = {path.name for path in migrations_path().glob("*.py")}
MODELS = """
    from sqlalchemy import Column, Integer, MetaData, Table

    target_metadata = MetaData()
    for name in open("tables").read().split():
        Table(name, target_metadata, Column("id", Integer, primary_key=True))
    """
ASTRAY = """
    import shop.models_that_are_not_here

    revision: str = '1ae1027a6acf'
    down_revision: str = 'kombu_0004'

    def upgrade() -> None:
        raise AssertionError("not Kombu's")
    """

Run = Callable[..., str]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package's folder of revisions, to be written to."""
    package = tmp_path / "site" / "kombu_sqlalchemy"
    shutil.copytree(Path(kombu_sqlalchemy.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package / "migrations" / "versions"


@pytest.fixture
def run(copy: Path, tmp_path: Path) -> Run:
    """Runs a program's module in the application's folder, with the copy; what it printed."""
    application = tmp_path / "application"
    application.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(copy.parent.parent.parent)}

    def run(*arguments: str, status: int = 0) -> str:
        ran = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=application,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ran.returncode == status, ran.stdout
        return ran.stdout

    where = run("inspect", "kombu_sqlalchemy.migrating", "--details")
    assert str(copy.parent.parent) in where, "the copy is not what is used"
    return run


@pytest.fixture
def application(run: Run, tmp_path: Path) -> Path:
    """With Alembic's files, and the lines of the documentation in them."""
    run("alembic", "init", "alembic")
    folder = tmp_path / "application"
    ini = folder / "alembic.ini"
    written = re.sub(r"(?m)^(script_location|path_separator|sqlalchemy\.url) *=.*\n", "", ini.read_text())
    [shown] = re.findall(r"(?m)^   \[alembic\]\n((?:   .+\n)+)", PAGE)
    lines = f"[alembic]\n{dedent(shown)}sqlalchemy.url = sqlite:///shop.sqlite3\n"
    ini.write_text(written.replace("[alembic]\n", lines))
    (folder / "models.py").write_text(dedent(MODELS))
    (folder / "tables").write_text("orders")
    environment = (folder / "alembic" / "env.py").read_text()
    imports = "from kombu_sqlalchemy.migrating import leave_out\nfrom models import target_metadata"
    environment = environment.replace("target_metadata = None", imports)
    environment = environment.replace("connection=connection,", "connection=connection, include_name=leave_out(),")
    (folder / "alembic" / "env.py").write_text(environment)
    return folder


def test_the_commands_of_the_documentation_write_into_the_applications_folder(
    application: Path, copy: Path, run: Run
) -> None:
    commands = [shlex.split(line) for line in re.findall(r"(?m)^   \$ (alembic .*)", PAGE)]
    assert [words[1] for words in commands] == ["upgrade", "revision", "upgrade", "revision"]
    for number, words in enumerate(commands):
        if number == 3:
            (application / "tables").write_text("orders invoices")
        run(*words)
    assert {path.name for path in copy.glob("*.py")} == REVISIONS
    first, second = sorted(
        (path.read_text() for path in (application / "alembic" / "versions").glob("*.py")),
        key=lambda text: "invoices" in text,
    )
    assert "create_table('orders'" in first
    assert "create_table('invoices'" in second
    assert "kombu" not in first + second
    assert "kombu_0004 noted in alembic_version\n" in run("kombu_sqlalchemy", "current", "sqlite:///shop.sqlite3")


def test_a_revision_of_the_applications_among_kombus_harms_nobody(application: Path, copy: Path, run: Run) -> None:
    """Alembic writes the first one there when it is not told where to."""
    url = "sqlite:///queues.sqlite3"
    run("alembic", "upgrade", "heads")
    run("alembic", "revision", "--autogenerate", "-m", "astray")
    assert {path.name for path in copy.glob("*.py")} > REVISIONS
    (copy / "0005_astray.py").write_text(dedent(ASTRAY))
    assert "no tables -> kombu_0004" in run("kombu_sqlalchemy", "upgrade", url)
    assert "kombu_0004, the newest" in run("kombu_sqlalchemy", "current", url)
    assert "orders" not in run("kombu_sqlalchemy", "sql", url)
