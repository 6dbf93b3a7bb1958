"""Run a worker until it is told to stop.

``ConsumerMixin`` consumes until ``should_stop`` is set, connecting anew whenever the connection is lost. Whatever stops
the process sends it SIGTERM; the worker finishes the job in its hands and gives the others back.

Prints::

    working on job 1
    working on job 2
    stopped by SIGTERM, 1 job is left
"""

import signal
import sys
from collections.abc import Sequence

from kombu import Connection, Consumer, Message, Queue
from kombu.exceptions import KombuError
from kombu.mixins import ConsumerMixin, MakesConsumers
from kombu.transport.base import Channel

jobs = Queue("jobs")


class Worker(ConsumerMixin):
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def get_consumers(self, Consumer: MakesConsumers, channel: Channel) -> Sequence[Consumer]:
        return [Consumer([jobs], callbacks=[self.work], prefetch_count=10)]

    def work(self, number: int, message: Message) -> None:
        print("working on job", number)
        if number == 2:
            signal.raise_signal(signal.SIGTERM)  # stands in for the operating system
        message.ack()

    def stop(self, *_: object) -> None:
        self.should_stop = True


def main(url: str = "memory://") -> None:
    with Connection(url) as connection:
        connection.Producer(routing_key="jobs").publish_many([1, 2, 3], declare=[jobs])
        worker = Worker(connection)
        before = signal.signal(signal.SIGTERM, worker.stop)
        worker.run()
        signal.signal(signal.SIGTERM, before)
        left = jobs(connection).queue_declare(passive=True).message_count
        print(f"stopped by SIGTERM, {left} job is left")
        jobs(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
