"""The documentation says what is: its programs run, its sessions answer what they show, its fragments are Python."""

from __future__ import annotations

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

import kombu
from kombu.transport.memory import MemoryStore

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.rst") if "_build" not in page.parts)
LONGEST_RUN = 60
UNDOCUMENTED = {"kombu.formats", "kombu.messaging", "kombu.preparing"}
"""How serializers are loaded, and another name of what has its page."""

BLOCK = re.compile(
    r"^(?P<indent> *)\.\. code-block:: (?P<language>\w+)\n(?P<options>(?: +:\w+:.*\n)*)\n"
    r"(?P<text>(?:(?P=indent) +.*\n|\n)+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    page: Path
    line: int
    text: str
    fragment: bool
    output: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(DOCS)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The page's Python, each with the output that is shown right after it."""
    source = page.read_text() + "\n"
    for found in BLOCK.finditer(source):
        if found["language"] == "python":
            after = BLOCK.match(source, found.end())
            shown = dedent(after["text"]).strip() if after and ":class: output" in after["options"] else None
            line = source.count("\n", 0, found.start()) + 1
            yield Block(page, line, dedent(found["text"]), ":class: fragment" in found["options"], shown)


BLOCKS = [block for page in PAGES for block in blocks(page)]
PROGRAMS = [block for block in BLOCKS if not block.fragment]
FRAGMENTS = [block for block in BLOCKS if block.fragment]
SESSIONS = [page for page in PAGES if ">>> " in page.read_text()]


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_runs_and_prints_what_is_shown(block: Block, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(block.text)
    command = [sys.executable, "-W", "error", program.name]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LONGEST_RUN, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.strip() == (block.output or "")


@pytest.mark.parametrize("page", SESSIONS, ids=lambda page: page.stem)
def test_a_session_answers_what_is_shown(page: Path) -> None:
    MemoryStore.reset()
    told: list[str] = []
    session = doctest.DocTestParser().get_doctest(page.read_text(), {}, page.name, str(page), 0)
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(session, out=told.append)
    assert session.examples
    assert not told, "".join(told)


@pytest.mark.parametrize("block", FRAGMENTS, ids=str)
def test_a_fragment_is_python_and_imports_what_exists(block: Block) -> None:
    compile(block.text, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    for module, name in imported(block.text):
        assert hasattr(importlib.import_module(module), name)


def imported(text: str) -> Iterator[tuple[str, str]]:
    """What of ours it imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("kombu", "kombu_django"):
            yield from ((node.module or "", alias.name) for alias in node.names)


def test_every_public_module_is_in_the_reference() -> None:
    public = {f"kombu.{found.name}" for found in pkgutil.iter_modules(kombu.__path__)} - UNDOCUMENTED
    pages = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.rst"))
    assert public == set(re.findall(r"automodule:: (kombu\.\w+)$", pages, re.MULTILINE))


def test_every_page_is_in_a_table_of_contents() -> None:
    listed = {
        (page.parent / entry).resolve()
        for page in PAGES
        for entry in re.findall(r"^   ([\w./-]+)$", page.read_text(), re.MULTILINE)
    }
    assert {page.with_suffix("") for page in PAGES} - listed == {DOCS / "index"}


def test_the_extras_are_those_of_the_distribution() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    page = (DOCS / "installation.rst").read_text()
    assert set(extras) == {name for name in extras if f"``{name}``" in page}


def test_every_example_has_a_section_under_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "_ext")
    examples_page = importlib.import_module("examples_page")
    source = ["Examples\n========\n"]
    examples_page.add_examples(None, examples_page.PAGE, source)
    for example in (ROOT / "examples").glob("*.py"):
        title = (ast.get_docstring(ast.parse(example.read_text())) or "").splitlines()[0].rstrip(".:")
        assert f"\n{title}\n{'-' * len(title)}\n" in source[0]
        assert f"literalinclude:: ../../examples/{example.name}\n" in source[0]


def test_an_example_without_a_docstring_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(DOCS / "_ext")
    examples_page = importlib.import_module("examples_page")
    bare = tmp_path / "bare.py"
    bare.write_text("print('no word about it')\n")
    with pytest.raises(ValueError, match=r"bare\.py has no docstring"):
        examples_page.title_of(bare)
