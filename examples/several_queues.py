"""Consume several queues on one channel, the urgent messages of one of them first.

One consumer takes both queues. ``max_priority`` makes ``video`` a queue that tells priorities apart, from 0, the
default, to 9. ``prefetch_count=1`` keeps the choice with the broker, until the message before is settled.

Prints::

    image cat.png
    image dog.png
    video premiere.avi
    video holiday.avi
    video outtakes.avi
"""

import sys
from typing import Any

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import KombuError

media = Exchange("media", "direct")
image = Queue("image", media, routing_key="image")
video = Queue("video", media, routing_key="video", max_priority=9)


def main(url: str = "memory://") -> None:
    received: list[str] = []

    def process(body: dict[str, Any], message: Message) -> None:
        received.append(f"{message.delivery_info['routing_key']} {body['name']}")
        message.ack()

    with Connection(url) as connection:
        channel = connection.channel()
        producer = connection.Producer(channel, media)
        for name, priority in (("holiday.avi", 5), ("outtakes.avi", 0), ("premiere.avi", 9)):
            producer.publish({"name": name}, "video", priority=priority, declare=[image, video])
        producer.publish_many([{"name": "cat.png"}, {"name": "dog.png"}], routing_key="image")

        with connection.Consumer([image, video], channel, callbacks=[process], prefetch_count=1):
            while len(received) < 5:
                connection.drain_events(timeout=5)
        for entity in (image, video, media):
            entity(channel).delete()
    print(*sorted(received, key=lambda each: each.partition(" ")[0]), sep="\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
