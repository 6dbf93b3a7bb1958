"""A process that holds a message when SIGKILL ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from importlib import import_module
from selectors import EVENT_READ, DefaultSelector
from typing import IO

from kombu.connection import Connection
from kombu.entity import Queue

HOLDING = b"holding\n"


def hold_and_be_killed(
    url: str, queue: str, options: Mapping[str, object], patience: float, setup: str | None = None
) -> None:
    """Returns when another process has taken a message from ``queue`` and was killed, the message unsettled.

    ``options`` are its transport options; ``setup`` is what it calls first, as ``"module:function"``. Fails when it
    has no message within ``patience`` seconds.
    """
    given = json.dumps({"url": url, "queue": queue, "options": dict(options), "setup": setup})
    command = [sys.executable, "-c", f"from {__name__} import main; main({given!r})"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as process:  # noqa: S603 - our own
        try:
            assert process.stdout is not None
            said = _first_line(process.stdout, patience)
        finally:
            process.kill()
    assert said == HOLDING, f"the other process said {said!r}, not that it holds a message"
    assert process.returncode == -signal.SIGKILL


def _environment() -> dict[str, str]:
    """Ours, with the places where this process finds its modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _first_line(stream: IO[bytes], patience: float) -> bytes:
    with closing(DefaultSelector()) as selector:
        selector.register(stream, EVENT_READ)
        return stream.readline() if selector.select(patience) else b""


def main(given: str) -> None:
    """Consume one message, say so, and wait for the end."""
    order = json.loads(given)
    if order["setup"]:
        module, _, function = order["setup"].partition(":")
        getattr(import_module(module), function)()
    connection = Connection(order["url"], transport_options=order["options"])
    connection.default_channel.basic_qos(prefetch_count=1)
    Queue(order["queue"])(connection).consume(callback=lambda message: _say(HOLDING))
    while True:
        connection.drain_events()


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
