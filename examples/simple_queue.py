"""Put and get, as with the standard library's queues.

``SimpleQueue`` makes a durable queue from a name; what is got has to be acknowledged. ``SimpleBuffer`` is for what may
be lost: its queue goes with the connection and needs no acknowledgements. Both take the options of ``publish``.

Prints::

    2 wait
    got {'page': 1}
    got {'page': 2}
    empty
    temperature 21.5
"""

import sys
from queue import Empty

from kombu import Connection
from kombu.exceptions import KombuError


def main(url: str = "memory://") -> None:
    with Connection(url) as connection:
        with connection.SimpleQueue("pages") as pages:
            pages.put({"page": 1})
            pages.put({"page": 2}, compression="gzip")
            print(len(pages), "wait")
            for _ in range(2):
                message = pages.get(timeout=5)
                print("got", message.payload)
                message.ack()
            try:
                pages.get_nowait()
            except Empty:
                print("empty")
        for entity in (pages.queue, pages.queue.exchange):
            if entity is not None:
                entity(connection).delete()

        with connection.SimpleBuffer("readings") as readings:
            readings.put(21.5)
            print("temperature", readings.get(timeout=5).payload)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
