"""Publish an object and consume it.

What is published to the exchange ``media`` with the key ``video`` goes to the queue ``video``. One connection
publishes, another consumes; each of them declares what it needs, so neither has to come first.

Prints::

    received holiday.avi, 1301013 bytes
"""

import sys
from typing import Any

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import KombuError

media = Exchange("media", "direct")
video = Queue("video", media, routing_key="video")


def process(body: dict[str, Any], message: Message) -> None:
    print(f"received {body['name']}, {body['size']} bytes")
    message.ack()


def main(url: str = "memory://") -> None:
    with Connection(url) as connection:
        producer = connection.Producer(exchange=media, routing_key="video", serializer="json")
        producer.publish({"name": "holiday.avi", "size": 1301013}, declare=[video])

    with Connection(url) as connection:
        with connection.Consumer(video, callbacks=[process]):
            connection.drain_events(timeout=5)
        video(connection).delete()
        media(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
