"""Publish from several threads through one connection.

A connection and a producer may be shared between threads. What they publish at the same time goes out in common
batches, and ``publish`` still returns only when the broker has stored its own message. Receiving is for one thread.

Prints::

    100 orders from 4 tills, in the order of each till: True
"""

import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kombu import Connection, Message, Queue
from kombu.exceptions import KombuError

orders = Queue("orders")


def main(url: str = "memory://") -> None:
    received: dict[int, list[int]] = defaultdict(list)

    def process(body: dict[str, Any], message: Message) -> None:
        received[body["till"]].append(body["number"])
        message.ack()

    with Connection(url) as connection:
        producer = connection.Producer(routing_key="orders")
        orders(connection).declare()

        def sell(till: int) -> None:
            for number in range(25):
                producer.publish({"till": till, "number": number})

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(sell, range(4)))

        with connection.Consumer(orders, callbacks=[process]):
            for _ in range(100):
                connection.drain_events(timeout=5)
        in_order = all(numbers == list(range(25)) for numbers in received.values())
        total = sum(len(numbers) for numbers in received.values())
        print(f"{total} orders from {len(received)} tills, in the order of each till: {in_order}")
        orders(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
