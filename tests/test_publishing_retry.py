"""With retry, publish goes on until the broker takes the message, on another connection where one was lost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import pytest

from kombu import Connection, Consumer, Message, Producer
from kombu.exceptions import ConnectionError, KombuError, MessageReturned, OperationalError
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import Transport
from kombu.transport.virtual.store import Envelope
from tests.memory import Connect, counts, transport_over
from tests.shop import AT_ONCE, bodies, orders, shop

pytestmark = pytest.mark.usefixtures("open_shop")


class Refusing(MemoryStore):
    """Refuses so many puts, then works; a handle may also be broken for good, as a lost connection is."""

    refusals = 0
    broken = False

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        if self.broken:
            raise ConnectionError("the connection is lost")
        if self.refusals:
            type(self).refusals -= 1
            raise OperationalError("the disk is full")
        super().put(items, version)


def refusing(name: str, refusals: int, broken_handles: int = 0) -> type[Transport]:
    class Store(Refusing):
        pass

    def make_store() -> Store:
        store = Store(name)
        store.broken = next(broken)
        return store

    Store.refusals = refusals
    broken = chain(repeat(True, broken_handles), repeat(False))
    return transport_over(make_store)


def test_without_retry_the_first_error_is_the_callers(connect: Connect, connection: Connection, name: str) -> None:
    producer = connect(transport=refusing(name, 1)).Producer(exchange=shop, routing_key="order.new")
    with pytest.raises(OperationalError, match="disk is full"):
        producer.publish("x")
    assert counts(name).total == 0
    producer.publish("y")
    assert bodies(connection) == ["y"]


def test_with_retry_it_goes_on_until_the_broker_takes_it(connect: Connect, connection: Connection, name: str) -> None:
    producer = connect(transport=refusing(name, 3)).Producer(exchange=shop, routing_key="order.new")
    producer.publish("x", retry=True, retry_policy=AT_ONCE)
    assert bodies(connection) == ["x"]


def test_with_retry_a_lost_connection_is_replaced(connect: Connect, connection: Connection, name: str) -> None:
    producer = connect(transport=refusing(name, 0, broken_handles=2)).Producer(exchange=shop, routing_key="order.new")
    producer.publish("x", retry=True, retry_policy={**AT_ONCE, "max_retries": 2})
    assert bodies(connection) == ["x"]


def test_with_retry_a_function_is_asked_for_another_channel(
    connect: Connect, connection: Connection, name: str
) -> None:
    lossy = refusing(name, 0, broken_handles=2)
    producer = Producer(lambda: connect(transport=lossy).channel(), shop, "order.new")
    producer.publish("x", retry=True, retry_policy={**AT_ONCE, "max_retries": 2})
    assert bodies(connection) == ["x"]


@pytest.mark.parametrize(("refusals", "broken_handles"), [(1, 0), (0, 1)], ids=["refused", "lost"])
def test_a_retry_does_not_silence_the_consumers_of_the_same_connection(
    refusals: int, broken_handles: int, connect: Connect, connection: Connection, name: str
) -> None:
    shared = connect(transport=refusing(name, refusals, broken_handles))
    seen: list[Message] = []
    with Consumer(shared.channel(), orders, on_message=seen.append):
        shared.Producer(exchange=shop).publish("x", "order.new", retry=True, retry_policy=AT_ONCE)
        with suppress(KombuError):  # an error would do as well: the caller then knows
            shared.drain_events(timeout=0)
            assert [message.payload for message in seen] == ["x"]


@pytest.mark.parametrize("limits", [{"retry_policy": {**AT_ONCE, "max_retries": 2}}, {"timeout": 0.0}])
def test_retries_end_with_the_last_error(
    limits: dict[str, Any], connect: Connect, connection: Connection, name: str
) -> None:
    producer = connect(transport=refusing(name, 1000)).Producer(exchange=shop, routing_key="order.new")
    with pytest.raises(OperationalError, match="disk is full"):
        producer.publish("x", retry=True, **limits)
    assert counts(name).total == 0


def test_a_refusal_is_not_tried_again(connect: Connect, connection: Connection, name: str) -> None:
    producer = connect().Producer(exchange=shop)
    with pytest.raises(MessageReturned):
        producer.publish("x", routing_key="nobody", mandatory=True, retry=True)
