"""The examples do what they say: each is run, and prints what its docstring promises."""

from __future__ import annotations

import ast
import os
import runpy
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from kombu.transport.memory import MemoryStore
from tests.memory import declared

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples"
EXAMPLES = sorted(path for path in FOLDER.glob("*.py") if not path.stem.startswith("own_transport"))
"""All but the transport of one's own, which has tests of its own."""

IN_DATABASES = [path for path in EXAMPLES if path.stem.startswith("sqlalchemy_")]
"""Those that need a database, of SQLite's unless they are told another."""

ANYWHERE = [path for path in EXAMPLES if path not in IN_DATABASES]

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


def described(example: Path) -> str:
    return ast.get_docstring(ast.parse(example.read_text("utf-8"))) or ""


def promised(example: Path) -> str:
    """What it prints, as it says itself."""
    _, found, lines = described(example).partition("Prints::\n\n")
    assert found, f"{example.name} does not say what it prints"
    return dedent(lines) + "\n"


def run(example: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a user would, from some other folder."""
    return subprocess.run(
        [sys.executable, "-W", "error", example, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
    )


def left_in(database: Path) -> list[tuple[str]]:
    """Tables of its own, and what is declared in Kombu's."""
    with closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '[ks]*_*'")
        named = "SELECT name FROM kombu_queue UNION ALL SELECT name FROM kombu_exchange WHERE name <> ''"
        return [*tables, *connection.execute(named)]


def test_there_are_more_than_a_few() -> None:
    assert len(EXAMPLES) >= 20


@each_example
def test_it_prints_what_it_says(example: Path, tmp_path: Path) -> None:
    said = run(example, tmp_path)
    assert (said.stderr, said.stdout, said.returncode) == ("", promised(example), 0)


@pytest.mark.parametrize("example", ANYWHERE, ids=lambda path: path.stem)
def test_it_leaves_nothing_behind_and_may_run_again(
    example: Path,
    name: str,
    store: MemoryStore,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(FOLDER)
    main = runpy.run_path(str(example))["main"]
    before = set(threading.enumerate())
    for _ in range(2):
        main(f"memory://{name}")
        assert capsys.readouterr().out == promised(example)
        assert declared(store) == ([], [])
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("example", IN_DATABASES, ids=lambda path: path.stem)
def test_in_a_database_it_leaves_nothing_behind_and_may_run_again(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(example))["main"]
    url = f"sqla+sqlite:///{tmp_path / 'shop.sqlite3'}"
    before = set(threading.enumerate())
    for _ in range(2):
        main(url)
        assert capsys.readouterr().out == promised(example)
        assert left_in(tmp_path / "shop.sqlite3") == []
    assert set(threading.enumerate()) <= before


@each_example
def test_it_says_in_one_line_that_a_url_is_wrong(example: Path, tmp_path: Path) -> None:
    said = run(example, tmp_path, "nowhere://broker")
    (line,) = said.stderr.splitlines()
    assert line.startswith("UnknownTransport: no transport 'nowhere'")
    assert said.returncode == 1


def test_a_wrong_url_does_not_show_its_password(tmp_path: Path) -> None:
    said = run(FOLDER / "overview.py", tmp_path, "memory://me:secret@broker:port/")
    assert said.returncode == 1
    assert "port" in said.stderr
    assert "secret" not in said.stdout + said.stderr


@each_example
def test_it_is_short_and_begins_with_a_title(example: Path) -> None:
    title, blank, *_ = described(example).splitlines()
    assert title.endswith(".")
    assert blank == ""
    assert len(example.read_text("utf-8").splitlines()) < 60


@each_example
def test_it_uses_public_names_only(example: Path) -> None:
    tree = ast.parse(example.read_text("utf-8"))
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in (*(node.module or "").split("."), *(alias.name for alias in node.names))
    }
    assert not {each for each in attributes | imported if each.startswith("_") and not each.startswith("__")}


def test_the_readme_lists_them_all_by_their_titles() -> None:
    lines = (FOLDER / "README.md").read_text("utf-8").splitlines()
    expected = [f"| [{each.name}]({each.name}) | {described(each).splitlines()[0]} |" for each in EXAMPLES]
    assert sorted(line for line in lines if line.startswith("| [") and "own_transport" not in line) == expected
