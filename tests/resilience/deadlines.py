"""Promises about time: when the server says nothing any more, whatever was given a limit ends, and says so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kombu import Connection, Message, Producer, Queue
from tests.background import LONG
from tests.proxy import Proxy
from tests.resilience.case import ResilienceCase
from tests.resilience.workers import AT_ONCE

LIMIT = 0.5
"""Seconds that callers give."""

Call = Callable[[Connection, Queue], object]

CALLS: dict[str, Call] = {
    "drain": lambda connection, _: connection.drain_events(timeout=LIMIT),
    "publish": lambda connection, queue: _producer(connection, queue).publish("late 1", timeout=LIMIT),
    "publish with confirm_timeout": lambda connection, queue: _producer(connection, queue).publish(
        "late 2", confirm_timeout=LIMIT
    ),
    "publish again and again": lambda connection, queue: _producer(connection, queue).publish(
        "late 3", retry=True, retry_policy=AT_ONCE, timeout=LIMIT
    ),
    "get": lambda connection, queue: queue(connection).get(),
    "declare": lambda connection, queue: queue(connection).declare(),
    "settle": lambda connection, _: connection.close(),
    "give up": lambda connection, _: connection.collect(),
    "connect": lambda connection, _: connection.clone(connect_timeout=LIMIT).connect(),
    "connect again and again": lambda connection, _: connection.clone().ensure_connection(timeout=LIMIT),
    "ensure": lambda connection, queue: connection.ensure(
        connection, lambda: connection.drain_events(timeout=LIMIT), timeout=LIMIT
    )(),
}


def _producer(connection: Connection, queue: Queue) -> Producer:
    return connection.Producer(routing_key=queue.name)


class Deadlines(ResilienceCase):
    def test_whatever_has_a_limit_ends_when_the_server_says_nothing_any_more(self) -> None:
        """Each call on a connection of its own that has consumed and owes an acknowledgement, all at the same time;
        each connection is good again afterwards."""
        proxy, queue = self.proxy(), Queue(self.queue())
        self.ledger.uncertain |= {"late 1", "late 2", "late 3"}
        self.publish(queue.name, *self.some(2 * len(CALLS)))  # one for each, and one that it may be sent ahead
        connections = {name: self.connect_through(proxy, queue) for name in CALLS}
        proxy.fall_silent()
        self.all_end_in_time({name: partial(CALLS[name], connections[name], queue) for name in CALLS})
        proxy.fall_silent(False)
        self.all_end_in_time({name: partial(self.publish_again, connections[name], queue) for name in CALLS})
        with self.consuming(self.direct, queue.name):
            self.check()

    def connect_through(self, proxy: Proxy, queue: Queue) -> Connection:
        connection = Connection(self.through(proxy), **self.settings)
        self.stack.callback(connection.collect)
        connection.Consumer(queue, on_message=self.acknowledge, prefetch_count=1).consume()
        connection.drain_events(timeout=LONG)
        return connection

    def acknowledge(self, message: Message) -> None:
        self.ledger.deliver(message)
        message.ack()

    def publish_again(self, connection: Connection, queue: Queue) -> None:
        (body,) = self.some()
        connection.collect()
        _producer(connection, queue).publish(body, retry=True, retry_policy=AT_ONCE, timeout=LONG)
        self.ledger.confirmed.add(body)
