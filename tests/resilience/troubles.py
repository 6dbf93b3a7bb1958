"""What may befall the connections between clients and their server."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.proxy import Proxy

STALL = 0.3
"""Seconds."""
LATENCY = 0.02
"""Seconds for each time that somebody says something."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """``strike`` lets it happen; ``heal`` ends it where it lasts and is not over by itself."""

    name: str
    strike: Callable[[Proxy], object]
    heal: Callable[[Proxy], object] = lambda _: None
    harmless: bool = False
    """No connection is lost."""


def _stall(proxy: Proxy) -> None:
    proxy.fall_silent()
    time.sleep(STALL)
    proxy.fall_silent(False)


TROUBLES = [
    Trouble("reset", Proxy.cut),
    Trouble("closed by the server", Proxy.say_goodbye),
    Trouble("closed towards the server", Proxy.hang_up_on_the_server),
    Trouble("lost", lambda proxy: proxy.lose("client", "server")),
    Trouble("lost towards the server", lambda proxy: proxy.lose("client")),
    Trouble("lost towards the client", lambda proxy: proxy.lose("server")),
    Trouble("stalled", _stall, harmless=True),
    Trouble("slow", lambda proxy: proxy.slow_down(LATENCY), lambda proxy: proxy.slow_down(0.0), harmless=True),
]

in_every_trouble = pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name.replace(" ", "-"))
