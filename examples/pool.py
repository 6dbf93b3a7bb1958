"""Share connections and producers in a whole program.

``producers[connection]`` and ``connections[connection]`` lend what they keep open, to any thread, for the length of a
``with`` block. Equal connections share a pool. ``Connection.Pool`` is a pool of one's own with a limit of its own.

Prints::

    the producer comes back: True
    got hello
    ConnectionLimitExceeded
"""

import sys

from kombu import Connection, Queue, pools
from kombu.exceptions import ConnectionLimitExceeded, KombuError
from kombu.pools import connections, producers

greetings = Queue("greetings")


def main(url: str = "memory://") -> None:
    broker = Connection(url)  # names the broker; the pool's own connections are used
    with producers[broker].acquire(block=True, timeout=5) as producer:
        producer.publish("hello", routing_key="greetings", declare=[greetings])
    with producers[Connection(url)].acquire(block=True, timeout=5) as again:
        print("the producer comes back:", again is producer)

    with connections[broker].acquire(block=True, timeout=5) as connection:
        message = greetings(connection).get(no_ack=True)
        print("got", message.payload if message else "nothing")
    pools.reset()  # at the end of the program: closes all that is pooled

    own = broker.Pool(limit=1)
    with own.acquire() as connection:
        try:
            own.acquire()
        except ConnectionLimitExceeded as error:
            print(type(error).__name__)
        greetings(connection).delete()
    own.force_close_all()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except KombuError as error:
        sys.exit(f"{type(error).__name__}: {error}")
