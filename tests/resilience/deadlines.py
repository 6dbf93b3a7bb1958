"""Promises about time: when the server says nothing any more, whatever was given a limit ends, and says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
    "publish": lambda connection, queue: _producer(connection, queue).publish("late", timeout=LIMIT),
    "publish with confirm_timeout": lambda connection, queue: _producer(connection, queue).publish(
        "late", confirm_timeout=LIMIT
    ),
    "publish again and again": lambda connection, queue: _producer(connection, queue).publish(
        "late", retry=True, retry_policy=AT_ONCE, timeout=LIMIT
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
    @pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
    def test_a_call_ends_when_the_server_says_nothing_any_more(self, call: Call) -> None:
        """On a connection that consumes, publishes, and owes an acknowledgement; it is good again afterwards."""
        proxy, queue = self.proxy(), Queue(self.queue())
        before, after = self.some(2)
        self.ledger.uncertain.add("late")
        self.publish(queue.name, before)
        connection = self.connect_through(proxy)
        consumer = connection.Consumer(queue, on_message=self._acknowledge)
        consumer.consume()
        connection.drain_events(timeout=LONG)
        proxy.fall_silent()
        self.ends_in_time(lambda: call(connection, queue))
        proxy.fall_silent(False)
        connection.collect()
        self.ends_in_time(
            lambda: _producer(connection, queue).publish(after, retry=True, retry_policy=AT_ONCE, timeout=LONG)
        )
        self.ledger.confirmed.add(after)
        with self.consuming(self.direct, queue.name):
            self.check()

    def _acknowledge(self, message: Message) -> None:
        self.ledger.deliver(message)
        message.ack()

    def connect_through(self, proxy: Proxy) -> Connection:
        connection = Connection(self.through(proxy), transport_options=self.options)
        self.stack.callback(connection.collect)
        return connection
