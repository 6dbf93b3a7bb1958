"""Name several brokers, of which one has to work.

The URLs stand in for each other, in their order. The first one here is a queue file in a folder that does not exist;
``own_transport.py`` is its transport. ``retry`` lets a publish connect anew, wherever that leads.

Prints::

    no luck with own_transport.Transport, trying the next one
    published
    got hello
"""

import sys

from kombu import Connection, Queue
from kombu.exceptions import KombuError

BROKEN = "own_transport.Transport:////no/such/folder/queues.sqlite3"
greetings = Queue("greetings")


def main(url: str = "memory://") -> None:
    with Connection([BROKEN, url]) as connection:

        def complain(error: Exception, pause: float) -> None:
            print("no luck with", BROKEN.partition(":")[0] + ", trying the next one")

        connection.ensure_connection(errback=complain, max_retries=3, timeout=10)
        connection.Producer(routing_key="greetings").publish(
            "hello", retry=True, retry_policy={"max_retries": 3}, declare=[greetings]
        )
        print("published")
        message = greetings(connection).get()
        if message is not None:
            print("got", message.payload)
            message.ack()

    with Connection(url) as connection:
        greetings(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
