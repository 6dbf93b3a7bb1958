"""Ask over a queue, and wait for the answers.

The client has a queue of its own: the broker chooses its name, ``exclusive`` keeps others out and lets it go with the
connection. Each request says with ``reply_to`` where its answer goes and with ``correlation_id`` which one it answers.

Prints::

    2 ** 5 = 32
    2 ** 10 = 1024
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from kombu import Connection, Message, Queue, uuid
from kombu.common import itermessages, send_reply
from kombu.exceptions import KombuError

powers = Queue("powers", auto_delete=True)


def serve(url: str) -> None:
    with Connection(url) as connection:
        for exponent, message in itermessages(connection, None, powers, limit=2, timeout=5):
            send_reply("", message, 2**exponent)
            message.ack()


def ask(connection: Connection, exponents: list[int]) -> dict[int, int]:
    answers = Queue(exclusive=True)(connection)
    answers.declare()
    waiting = {uuid(): exponent for exponent in exponents}
    found: dict[int, int] = {}

    def process(power: int, message: Message) -> None:
        found[waiting.pop(message.properties["correlation_id"])] = power

    producer = connection.Producer(routing_key="powers")
    for request, exponent in waiting.items():
        producer.publish(exponent, correlation_id=request, reply_to=answers, declare=[powers])
    with connection.Consumer(answers, callbacks=[process], no_ack=True):
        while waiting:
            connection.drain_events(timeout=5)
    return found


def main(url: str = "memory://") -> None:
    with Connection(url) as connection, ThreadPoolExecutor(1) as pool:
        server = pool.submit(serve, url)
        for exponent, power in sorted(ask(connection, [5, 10]).items()):
            print(f"2 ** {exponent} = {power}")
        server.result()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
