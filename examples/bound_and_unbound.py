"""Bind an exchange to a channel; what is not bound describes only.

An ``Exchange`` or a ``Queue`` is a description, made once and shared by the whole program. Calling it with a channel
or a connection gives a bound copy that can declare, publish and delete; without one they raise ``NotBoundError``.

Prints::

    NotBoundError: <Exchange 'media' (direct)> is not bound to a channel: call it with one, as in entity(channel)
    bound: True, the description still: False
    got {'name': 'holiday.avi'}
"""

import sys

from kombu import Connection, Exchange, Queue
from kombu.exceptions import KombuError, NotBoundError

media = Exchange("media", "direct")
video = Queue("video", media, routing_key="video")


def main(url: str = "memory://") -> None:
    try:
        media.declare()
    except NotBoundError as error:
        print(f"NotBoundError: {error}")

    with Connection(url) as connection:
        channel = connection.channel()
        bound = media(channel)
        bound.declare()
        print(f"bound: {bound.is_bound}, the description still: {media.is_bound}")

        queue = video(channel)
        queue.declare()
        bound.publish(bound.Message({"name": "holiday.avi"}), routing_key="video")
        message = queue.get()
        if message is not None:
            print("got", message.payload)
            message.ack()
        channel.close()
        for entity in (video, media):
            entity(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
