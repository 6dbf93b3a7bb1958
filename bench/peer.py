"""The predecessor from PyPI in memory, in an environment of its own: ``python peer.py COUNT``."""

from __future__ import annotations

import sys

from load import message, rate, report

from kombu import Connection, Exchange, Queue

EXCHANGE = Exchange("bench", "direct")
QUEUE = Queue("bench", EXCHANGE, routing_key="bench")


def main(count: int) -> None:
    seen: list[int] = []

    def handle(body: dict[str, int], received) -> None:  # type: ignore[no-untyped-def]
        seen.append(body["i"])
        received.ack()

    with Connection("memory://") as connection:
        QUEUE(connection.default_channel).declare()
        producer = connection.Producer(exchange=EXCHANGE, routing_key="bench")
        bodies = [message(number) for number in range(count)]
        rates = {"publish": rate(count, lambda: [producer.publish(body) for body in bodies])}

        def drain() -> None:
            with connection.Consumer(QUEUE, callbacks=[handle]):
                while len(seen) < count:
                    connection.drain_events(timeout=5)

        rates["drain"] = rate(count, drain)
    report(rates, seen, count)


if __name__ == "__main__":
    main(int(sys.argv[1]))
