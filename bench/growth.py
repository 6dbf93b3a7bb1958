"""Memory over many messages, in memory: ``python growth.py COUNT`` (ours and the predecessor's alike).

Rounds of a thousand are published and consumed; what the process holds is looked at in the beginning, after the first
tenth, in the middle and at the end.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from load import message

from kombu import Connection, Exchange, Queue

ROUND = 1000


def main(count: int) -> None:
    exchange = Exchange("growth", "direct")
    queue = Queue("growth", exchange, routing_key="growth")
    seen = 0

    def handle(body, received) -> None:  # type: ignore[no-untyped-def]
        nonlocal seen
        seen += 1
        received.ack()

    looks = {"start": resident()}
    with Connection("memory://") as connection:
        queue(connection.default_channel).declare()
        producer = connection.Producer(exchange=exchange, routing_key="growth")
        with connection.Consumer(queue, callbacks=[handle]):
            for number in range(count // ROUND):
                for serial in range(ROUND):
                    producer.publish(message(number * ROUND + serial))
                while seen < (number + 1) * ROUND:
                    connection.drain_events(timeout=5)
                for name, part in (("tenth", 10), ("middle", 2), ("end", 1)):
                    if number + 1 == count // ROUND // part:
                        looks[name] = resident()
    print(json.dumps(looks))


def resident() -> float:
    """MiB that the process holds (Linux: /proc/self/status)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))
