"""This library in memory: ``python -m bench.ours COUNT``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench.load import message, rate, report
from kombu import Connection, Exchange, Message, Queue

EXCHANGE = Exchange("bench", "direct")
QUEUE = Queue("bench", EXCHANGE, routing_key="bench")
BATCH = 100


def main(count: int) -> None:
    with Connection("memory://") as connection:
        QUEUE.declare(channel=connection.default_channel)
        producer = connection.Producer(exchange=EXCHANGE, routing_key="bench")
        bodies = [message(number) for number in range(count)]
        rates = {"publish": rate(count, lambda: [producer.publish(body) for body in bodies])}
        seen, drain = drainer(connection, count)
        rates["drain"] = rate(count, drain)
        rates["publish in batches"] = rate(
            count, lambda: [producer.publish_many(bodies[at : at + BATCH]) for at in range(0, count, BATCH)]
        )
    report(rates, seen, count)


def drainer(connection: Connection, count: int) -> tuple[list[int], Callable[[], None]]:
    seen: list[int] = []

    def handle(body: dict[str, int], received: Message) -> None:
        seen.append(body["i"])
        received.ack()

    def drain() -> None:
        with connection.Consumer(QUEUE, callbacks=[handle], prefetch_count=BATCH):
            while len(seen) < count:
                connection.drain_events(timeout=5)

    return seen, drain


if __name__ == "__main__":
    main(int(sys.argv[1]))
