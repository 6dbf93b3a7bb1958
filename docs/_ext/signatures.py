"""Makes signatures readable Python: a default that is a function or a class is shown by its name."""

from __future__ import annotations

import re
from typing import Any

NAMED = re.compile(r"<(?:built-in )?(?:function|method) (\w+)[^>]*>|<class '(?:\w+\.)*(\w+)'>")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", readable)
    return {"parallel_read_safe": True}


def readable(
    app: Any, what: str, name: str, obj: object, options: object, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """The signature with names; None, no change, where there is none."""
    if signature is None:
        return None
    return NAMED.sub(lambda found: found[1] or found[2], signature).replace("<factory>", "..."), returns
