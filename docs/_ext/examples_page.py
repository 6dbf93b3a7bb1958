"""Shows every program in ``examples/`` on one page: a new file appears by itself, under its first docstring line."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = "guide/examples"


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", add_examples)
    app.connect("env-get-outdated", lambda *given: [PAGE])
    return {"parallel_read_safe": True}


def add_examples(app: Any, docname: str, source: list[str]) -> None:
    """The page's own text is its introduction."""
    if docname == PAGE:
        source[0] += "".join(map(section, sorted(EXAMPLES.glob("*.py"))))


def section(example: Path) -> str:
    title = title_of(example)
    return (
        f"\n{title}\n{'-' * len(title)}\n\n"
        f"``examples/{example.name}``\n\n"
        f".. literalinclude:: ../../examples/{example.name}\n   :language: python\n"
    )


def title_of(example: Path) -> str:
    """The first line of its docstring. Raises ValueError where it has none."""
    docstring = ast.get_docstring(ast.parse(example.read_text()))
    if not docstring:
        raise ValueError(f"{example} has no docstring: its first line is the title in the documentation")
    return docstring.splitlines()[0].rstrip(".:")
