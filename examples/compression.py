"""Compress what is large.

``compression`` is an option of one message, or of a producer for all of them. It travels in a header, so a consumer
needs no option: ``payload`` is the object again. Besides gzip there are bzip2 and lzma, and where they are installed
brotli and zstd.

Prints::

    application/x-gzip: 20000 readings in less than a tenth of the bytes
    application/x-lzma: 20000 readings in less than a tenth of the bytes
"""

import sys

from kombu import Connection, Message, Queue
from kombu.exceptions import KombuError

reports = Queue("reports")


def process(message: Message) -> None:
    sent, size = len(message.body or b""), len(str(message.payload))
    few = "less than a tenth" if sent < size / 10 else "more than a tenth"
    print(f"{message.headers['compression']}: {len(message.payload)} readings in {few} of the bytes")
    message.ack()


def main(url: str = "memory://") -> None:
    readings = [20.5, 21.0, 21.5, 21.0] * 5000
    with Connection(url) as connection:
        producer = connection.Producer(routing_key="reports", compression="gzip")
        producer.publish(readings, declare=[reports])
        producer.publish(readings, compression="lzma")
        with connection.Consumer(reports, on_message=process):
            for _ in range(2):
                connection.drain_events(timeout=5)
        reports(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
