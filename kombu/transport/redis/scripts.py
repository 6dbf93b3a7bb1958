"""The scripts of ``scripts.lua`` by name, each behind the helpers that it needs."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_PART = re.compile(r"^--@ (helper|script) (\w+)(?:: ([\w ]+))?$", re.MULTILINE)


class Script(NamedTuple):
    """Its source, and the name that a server knows it by once it has seen it."""

    source: bytes
    sha: bytes


def script(name: str) -> Script:
    """The part of that name, complete."""
    parts = _parts()
    helpers, text = parts["script", name]
    source = "\n".join([*(parts["helper", helper][1] for helper in helpers), text]).encode()
    return Script(source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())


@cache
def _parts() -> dict[tuple[str, str], tuple[list[str], str]]:
    """Kind and name -> the helpers that it needs, and its text."""
    text = files(__package__).joinpath("scripts.lua").read_text(encoding="utf-8")
    heads = list(_PART.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return {
        (head[1], head[2]): ((head[3] or "").split(), text[head.end() : end].strip() + "\n")
        for head, end in zip(heads, ends, strict=True)
    }


PUT = script("put")
PUT_ONE = script("put_one")
MOVE = script("move")
CLAIM = script("claim")
SETTLE = script("settle")
DUE = script("due")
COUNTS = script("counts")
PURGE = script("purge")
SURPLUS = script("surplus")
EXPIRED = script("expired")
LOOK = script("look")
BROWSE = script("browse")
CHOOSE = script("choose")
PAUSE = script("pause")
ATTEND = script("attend")
LEAVE = script("leave")
ATTENDING = script("attending")
OVER = script("over")
CHANGE = script("change")
CREATE = script("create")
FADE = script("fade")
BURY = script("bury")
HOLDS = script("holds")
ROOM = script("room")
