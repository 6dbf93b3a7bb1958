"""Publish for later, and for a while only.

``delay`` is how long a message waits before it is delivered, ``eta`` until when; both come behind what is due now.
``expiration`` is how long it is worth delivering. What expires goes to the dead-letter exchange of its queue, here
straight into another queue, where it can be seen; without one it is dropped. Times are seconds.

Prints::

    reminders: now
    reminders: in a moment
    reminders: at a given time
    missed: offer of the day
"""

import sys
from datetime import UTC, datetime, timedelta

from kombu import Connection, Message, Queue
from kombu.exceptions import KombuError

reminders = Queue("reminders")
offers = Queue("offers", queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "missed"})
missed = Queue("missed")
queues = [reminders, offers, missed]


def main(url: str = "memory://") -> None:
    received: list[str] = []

    def process(body: str, message: Message) -> None:
        received.append(body)
        print(f"{message.delivery_info['routing_key']}: {body}")
        message.ack()

    with Connection(url) as connection:
        producer = connection.Producer()
        soon = datetime.now(UTC) + timedelta(seconds=2)
        producer.publish("at a given time", "reminders", eta=soon, declare=queues)
        producer.publish("in a moment", "reminders", delay=0.5)
        producer.publish("now", "reminders")
        with connection.Consumer(reminders, callbacks=[process]):
            while len(received) < 3:
                connection.drain_events(timeout=5)

        producer.publish("offer of the day", "offers", expiration=0.1)  # and nobody consumes from offers
        with connection.Consumer(missed, callbacks=[process]):
            connection.drain_events(timeout=5)
        for queue in queues:
            queue(connection).delete()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
