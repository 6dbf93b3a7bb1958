"""Send what JSON does not have, and refuse what is not wanted.

Dates and decimals come back as what they were, and so does a type that is registered. ``serializer`` chooses another
format. A consumer decodes what it accepts: JSON, unless it says more. Pickle could run code of the sender's choosing.

Prints::

    received Order(total=Decimal('19.90'), due=datetime.date(2026, 12, 24))
    received {'thumbnail': b'\\xff\\xd8'}
    ContentDisallowed: application/x-python-serialize is rejected
"""

import sys
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from importlib.util import find_spec

from kombu import Connection, Message, Queue
from kombu.exceptions import ContentDisallowed, KombuError
from kombu.utils.json import register_type

inbox = Queue("inbox", exclusive=True)
BINARY = "msgpack" if find_spec("msgpack") else "json"


@dataclass
class Order:
    total: Decimal
    due: date


register_type(Order, "order", asdict, lambda fields: Order(**fields))


def process(message: Message) -> None:
    try:
        print("received", message.payload)
        message.ack()
    except ContentDisallowed as error:
        print(f"{type(error).__name__}: {message.content_type} is rejected")
        message.reject(because=str(error))


def main(url: str = "memory://") -> None:
    with Connection(url) as connection, connection.Consumer(inbox, on_message=process, accept=["json", BINARY]):
        producer = connection.Producer(routing_key="inbox")
        producer.publish(Order(Decimal("19.90"), date(2026, 12, 24)))
        producer.publish({"thumbnail": b"\xff\xd8"}, serializer=BINARY)
        producer.publish("anything", serializer="pickle")
        for _ in range(3):
            connection.drain_events(timeout=5)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
