"""How Sphinx builds these pages: ``make docs``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "docs_settings")
django.setup()

import kombu  # noqa: E402 - after the path

project = "Kombu"
copyright = "2026, the Kombu developers"
author = "The Kombu developers"
version = release = kombu.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "myst_parser",
    "examples_page",
    "homes",
    "signatures",
]
exclude_patterns = ["_build", "_ext"]
suppress_warnings = [
    "myst.xref_missing",  # architecture.md and stores.md link to source files, as they are read on a code host
    "ref.python",  # a signature that says Transport may mean the class of either module: both are right
]

html_theme = "furo"
html_title = f"Kombu {version}"
html_copy_source = False
copybutton_prompt_text = ">>> |[.]{3} |[$] "
copybutton_prompt_is_regexp = True

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

nitpicky = True
nitpick_ignore = [
    ("py:meth", "bind_to"),  # said of Queue, whose docstring kombu.aio.Connection.unbind shares
]
