"""The message that every system carries, and how a rate is taken."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

SIZE = 256


def message(number: int) -> dict[str, Any]:
    """A JSON object of 256 bytes with a serial number."""
    body = {"i": number, "pad": ""}
    body["pad"] = "x" * (SIZE - len(json.dumps(body)))
    return body


def rate(count: int, work: Callable[[], object]) -> float:
    """Messages a second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def report(rates: dict[str, float], seen: list[int], count: int) -> None:
    """What a system's process tells the one that started it; a lost or doubled message is an error."""
    if sorted(seen) != list(range(count)):
        raise SystemExit(f"{len(seen)} messages of {count} arrived, {len(set(seen))} different")
    print(json.dumps(rates))
