"""Finds what a reference means: ``kombu.Producer`` is documented where it lives, as ``kombu.producer.Producer``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("missing-reference", at_home)
    return {"parallel_read_safe": True}


def at_home(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """The link for a name that Sphinx does not find.

    What exists and is not documented here (the standard library's), and whatever only a signature names (a type
    variable), is shown without a link. None, which is a warning, for a name that means nothing.
    """
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    meant = [(path, found) for path in spellings(node) if (found := find(path)) is not None]
    for path, found in meant:
        for name in homes(path, found, domain.objects):
            if name in domain.objects:
                return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)
    return contnode if meant or "refexplicit" not in node else None


def spellings(node: Any) -> Iterator[str]:
    """What the name may stand for, where it is used."""
    target, module, owner = node["reftarget"], node.get("py:module"), node.get("py:class")
    yield target
    if module:
        yield f"{module}.{target}"
    if module and owner:
        yield f"{module}.{owner}.{target}"


def homes(path: str, found: Any, documented: Any) -> Iterator[str]:
    """By which names the object may be documented; an attribute also as that of a base class."""
    yield _home(found)
    path_of_owner, _, attribute = path.rpartition(".")
    owner = find(path_of_owner)
    for base in owner.__mro__ if isinstance(owner, type) else ():
        entry = documented.get(_home(base))
        yield f"{entry.node_id if entry else _home(base)}.{attribute}"


def find(path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    for length in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for attribute in parts[length:]:
            found = _attribute(found, attribute)
        return found
    return None


def _attribute(owner: Any, name: str) -> Any:
    """An attribute, or the name itself of one that only its class's annotations or ``attrs`` tell of."""
    told = {**getattr(owner, "__annotations__", {}), **dict.fromkeys(getattr(owner, "attrs", ()))}
    try:
        return getattr(owner, name, name if name in told else None)
    except ImportError:  # a name that is loaded when it is used: autodoc tells of the module that cannot be
        return None


def _home(found: Any) -> str:
    return f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
