"""Let one consumer at a time work on a queue, with another standing by.

A queue with ``x-single-active-consumer`` gives everything to the consumer that came first, so the order is kept. When
that one ends, by itself or with its connection, the next one goes on.

Prints::

    second stands by
    first: ['open', 'pay']
    second: ['ship', 'close']
"""

import sys

from kombu import Connection, Message, Queue
from kombu.exceptions import KombuError

steps = Queue("steps", queue_arguments={"x-single-active-consumer": True})


class Worker:
    def __init__(self, url: str) -> None:
        self.done: list[str] = []
        self.connection = Connection(url)
        self.consumer = self.connection.Consumer(steps, callbacks=[self.work])
        self.consumer.consume()

    def work(self, step: str, message: Message) -> None:
        self.done.append(step)
        message.ack()

    def run(self, steps: int) -> list[str]:
        while len(self.done) < steps:
            self.connection.drain_events(timeout=5)
        return self.done


def main(url: str = "memory://") -> None:
    with Connection(url) as connection:
        producer = connection.Producer(routing_key="steps")
        first, second = Worker(url), Worker(url)
        producer.publish_many(["open", "pay"])
        try:
            second.connection.drain_events(timeout=0.3)
        except TimeoutError:
            print("second stands by")
        print("first:", first.run(2))
        first.connection.close()
        producer.publish_many(["ship", "close"])
        print("second:", second.run(2))
        second.connection.close()
        steps(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
