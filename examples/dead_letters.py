"""Try again later, and set aside what never works.

``requeue(delay=…)`` gives a failed message back for another attempt. ``x-delivery-limit`` is how often it may come back
before it is moved to the dead-letter exchange; the header ``x-death`` then says where it was and why it died.

Prints::

    attempt 1: the shop is closed
    attempt 2: the shop is closed
    attempt 3: the shop is closed
    set aside: {'order': 7}, died in 'orders' of delivery_limit
"""

import sys
from typing import Any

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import KombuError

graveyard = Exchange("graveyard", "fanout")
failed = Queue("failed", graveyard)
orders = Queue("orders", queue_arguments={"x-dead-letter-exchange": "graveyard", "x-delivery-limit": 2})


def ship(order: dict[str, Any]) -> None:
    raise RuntimeError("the shop is closed")


def process(body: dict[str, Any], message: Message) -> None:
    try:
        ship(body)
        message.ack()
    except RuntimeError as error:
        print(f"attempt {message.delivery_info['delivery_count']}: {error}")
        message.requeue(delay=0.05)


def main(url: str = "memory://") -> None:
    dead: list[Message] = []
    with Connection(url) as connection:
        connection.Producer().publish({"order": 7}, routing_key="orders", declare=[failed, orders])
        with (
            connection.Consumer(orders, callbacks=[process]),
            connection.Consumer(failed, on_message=dead.append),
        ):
            while not dead:
                connection.drain_events(timeout=5)
            death = dead[0].headers["x-death"][0]
            print(f"set aside: {dead[0].payload}, died in {death['queue']!r} of {death['reason']}")
            dead[0].ack()
        for entity in (orders, failed, graveyard):
            entity(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
