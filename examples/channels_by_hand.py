"""Open and close channels by hand.

A connection carries several channels. What is unsettled belongs to the channel that received it: here one channel
takes a message and is closed without settling it, and the message goes back to its queue for the other one.

Prints::

    the first channel holds invoice 1
    the second channel gets it, delivered before: True
    open: False False
"""

import sys

from kombu import Connection, Producer, Queue
from kombu.exceptions import KombuError


def main(url: str = "memory://") -> None:
    connection = Connection(url)
    try:
        first, second = connection.channel(), connection.channel()
        invoices = Queue("invoices")
        invoices(first).declare()
        Producer(first, routing_key="invoices").publish("invoice 1")

        message = invoices(first).get()
        if message is not None:
            print("the first channel holds", message.payload)
        first.close()

        message = invoices(second).get()
        if message is not None:
            print("the second channel gets it, delivered before:", message.delivery_info["redelivered"])
            message.ack()
        second.close()
        print("open:", first.is_open, second.is_open)
        invoices(connection).delete()
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
