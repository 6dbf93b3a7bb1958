"""Route by topic, and by headers.

A topic exchange compares the words of the routing key: ``*`` stands for one word, ``#`` for any number of them. A
headers exchange looks at the headers instead: ``x-match`` says whether ``all`` of them have to be there or ``any``.

Prints::

    errors: ['shop.payment.error', 'shop.error', 'search.error']
    shop: ['shop.payment.error', 'shop.error', 'shop.started']
    printer: ['invoice']
"""

import sys

from kombu import Connection, Exchange, Queue
from kombu.exceptions import KombuError

log = Exchange("log", "topic")
documents = Exchange("documents", "headers")
errors = Queue("errors", log, routing_key="#.error")
shop = Queue("shop", log, routing_key="shop.#")
printer = Queue("printer", documents, binding_arguments={"x-match": "all", "format": "pdf", "copies": 2})


def taken(connection: Connection, queue: Queue) -> list[str]:
    """The bodies of all that waits in a queue."""
    bound = queue(connection)
    return [message.payload for message in iter(lambda: bound.get(no_ack=True), None)]


def main(url: str = "memory://") -> None:
    queues = [errors, shop, printer]
    with Connection(url) as connection:
        producer = connection.Producer()
        for key in ("shop.payment.error", "shop.error", "shop.started", "search.error", "search.started"):
            producer.publish(key, routing_key=key, exchange=log, declare=queues)
        producer.publish("invoice", exchange=documents, headers={"format": "pdf", "copies": 2})
        producer.publish("reminder", exchange=documents, headers={"format": "pdf", "copies": 1})

        for queue in queues:
            print(f"{queue.name}: {taken(connection, queue)}")
            queue(connection).delete()
        for exchange in (log, documents):
            exchange(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
