"""Limit how much waits in a queue.

A queue with ``max_length`` forgets its oldest message for a new one, or, with ``x-overflow`` set to ``reject-publish``,
refuses the new one: ``publish`` raises ``PublishRefused``, and the publisher knows that it has to slow down.

Prints::

    latest: [3, 4, 5]
    PublishRefused: 4
    PublishRefused: 5
    oldest: [1, 2, 3]
"""

import sys

from kombu import Connection, Queue
from kombu.exceptions import KombuError, PublishRefused

latest = Queue("latest", max_length=3)
oldest = Queue("oldest", max_length=3, queue_arguments={"x-overflow": "reject-publish"})


def show(connection: Connection, queue: Queue) -> None:
    bound = queue(connection)
    print(f"{queue.name}: {[message.payload for message in iter(lambda: bound.get(no_ack=True), None)]}")
    bound.delete()


def main(url: str = "memory://") -> None:
    with Connection(url) as connection:
        producer = connection.Producer()
        for number in range(1, 6):
            producer.publish(number, "latest", declare=[latest])
        show(connection, latest)

        for number in range(1, 6):
            try:
                producer.publish(number, "oldest", declare=[oldest])
            except PublishRefused as error:
                print(f"{type(error).__name__}: {number}")
        show(connection, oldest)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
