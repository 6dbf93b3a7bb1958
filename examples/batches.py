"""Publish many messages at once.

``publish_many`` sends one message for each body, ``batch()`` gathers messages of any kind and sends them at the end of
its block, in one go instead of one round trip each. A block that raises publishes nothing.

Prints::

    1000 numbers, then 1002
    a failed batch leaves 1002
"""

import sys

from kombu import Connection, Queue
from kombu.exceptions import KombuError

numbers = Queue("numbers")


def main(url: str = "memory://") -> None:
    with Connection(url) as connection:
        producer = connection.Producer(routing_key="numbers")
        waiting = numbers(connection)

        def count() -> int:
            return waiting.queue_declare(passive=True).message_count

        producer.publish_many(range(1000), declare=[numbers])
        before = count()

        with producer.batch() as batch:
            batch.publish(1000, priority=5)
            batch.publish("one thousand and one", headers={"language": "en"})
        print(f"{before} numbers, then {count()}")

        try:
            with producer.batch() as batch:
                batch.publish(1002)
                batch.publish(int("one thousand and three"))
        except ValueError:
            print("a failed batch leaves", count())
        waiting.delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
