"""Keep a producer and a consumer outside of ``with``, as attributes of an object.

Whoever opens them closes them: ``cancel`` ends a consumer, ``close`` a producer and a connection, and a second call
of any of these is harmless. A producer opens its channel when it first publishes.

Prints::

    heard hello
    connected: False
"""

import sys

from kombu import Connection, Message, Queue
from kombu.exceptions import KombuError


class Echo:
    """Publishes texts and hears them again."""

    def __init__(self, url: str) -> None:
        self.queue = Queue("echo")
        self.connection = Connection(url)
        self.producer = self.connection.Producer(routing_key=self.queue.name)
        self.consumer = self.connection.Consumer(self.queue, callbacks=[self.hear])
        self.consumer.consume()

    def say(self, text: str) -> None:
        self.producer.publish(text)
        self.connection.drain_events(timeout=5)

    def hear(self, text: str, message: Message) -> None:
        print("heard", text)
        message.ack()

    def close(self) -> None:
        self.consumer.cancel()
        self.consumer.queues[0].delete()
        self.producer.close()
        self.connection.close()


def main(url: str = "memory://") -> None:
    echo = Echo(url)
    try:
        echo.say("hello")
    finally:
        echo.close()
    print("connected:", echo.connection.connected)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
