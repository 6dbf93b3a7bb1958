"""A program that moves a queue, and says after each batch how far it is; to be killed, and started again.

``python -m tests.moving_along SOURCE_URL TARGET_URL``
"""

from __future__ import annotations

import sys

from kombu import Connection
from kombu.moving import move

BATCH = 20
LEASE = 1.0
"""Seconds until what a killed one held comes back."""


def main(source: str, target: str) -> None:
    options = {"lease": LEASE}
    with Connection(source, transport_options=options) as here, Connection(target, transport_options=options) as there:
        move(here, "orders", there, batch=BATCH, progress=say)


def say(count: int) -> None:
    sys.stdout.write(f"{count}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
