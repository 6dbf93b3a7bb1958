"""Whatever needs a channel says so where there is none; what was bound can be given another."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from kombu import Connection, Exchange, Queue, binding
from kombu.abstract import MaybeChannelBound, Object
from kombu.exceptions import NotBoundError

shop = Exchange("shop", "topic")
orders = Queue("orders", shop, routing_key="order.*", bindings=[shop.binding("stock.#")])

OF_AN_EXCHANGE: dict[str, Callable[[Exchange], object]] = {
    "declare": lambda exchange: exchange.declare(),
    "declare passively": lambda exchange: exchange.declare(passive=True),
    "bind_to": lambda exchange: exchange.bind_to("news"),
    "unbind_from": lambda exchange: exchange.unbind_from("news"),
    "publish": lambda exchange: exchange.publish("x"),
    "delete": lambda exchange: exchange.delete(),
    "channel": lambda exchange: exchange.channel,
}
OF_A_QUEUE: dict[str, Callable[[Queue], object]] = {
    "declare": lambda queue: queue.declare(),
    "queue_declare": lambda queue: queue.queue_declare(),
    "queue_bind": lambda queue: queue.queue_bind(),
    "bind_to": lambda queue: queue.bind_to("news"),
    "unbind_from": lambda queue: queue.unbind_from("news"),
    "queue_unbind": lambda queue: queue.queue_unbind(),
    "unbind": lambda queue: queue.unbind(),
    "get": lambda queue: queue.get(),
    "purge": lambda queue: queue.purge(),
    "consume": lambda queue: queue.consume(),
    "cancel": lambda queue: queue.cancel("tag"),
    "delete": lambda queue: queue.delete(),
    "channel": lambda queue: queue.channel,
    "a binding to it": lambda queue: shop.binding("a").bind(queue),
    "a binding from it": lambda queue: shop.binding("a").unbind(queue),
}


@pytest.mark.parametrize("use", OF_AN_EXCHANGE.values(), ids=OF_AN_EXCHANGE.keys())
def test_an_exchange_that_is_not_bound_says_so_and_what_to_do(use: Callable[[Exchange], object]) -> None:
    with pytest.raises(NotBoundError, match=r"<Exchange 'shop' \(topic\)> is not bound to a channel: call it with one"):
        use(shop)


@pytest.mark.parametrize("use", OF_A_QUEUE.values(), ids=OF_A_QUEUE.keys())
def test_a_queue_that_is_not_bound_says_so_and_what_to_do(use: Callable[[Queue], object]) -> None:
    with pytest.raises(NotBoundError, match=r"<Queue 'orders' .*> is not bound to a channel: call it with one"):
        use(orders)


def test_a_bound_entity_goes_on_with_another_channel(connection: Connection) -> None:
    first, second = connection.channel(), connection.channel()
    bound = orders(first)
    bound.revive(second)
    assert bound.channel is second
    assert isinstance(bound.exchange, Exchange)
    assert bound.exchange.channel is second
    assert not shop.is_bound


def test_an_entity_that_is_not_bound_is_not_revived(connection: Connection) -> None:
    entity = Exchange("shop")
    entity.revive(connection.channel())
    assert not entity.is_bound


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda entity: pickle.loads(pickle.dumps(entity))])
def test_a_copy_holds_no_channel_however_deep_it_was_given(
    copied: Callable[[Any], Any], connection: Connection
) -> None:
    source = shop(connection)
    queue = Queue("q", source, bindings=[binding(source, "a"), source.binding("b")])
    assert not any(each.exchange.is_bound for each in queue.bindings if each.exchange)
    for entity in (source, queue, queue(connection), queue.bindings[0]):
        other = copied(entity)
        assert other == entity
        assert hash(other) == hash(entity)
        assert not getattr(other, "is_bound", False)
        assert not getattr(other, "exchange", shop).is_bound


def test_a_copy_keeps_its_callback(connection: Connection) -> None:
    heard: list[str] = []
    queue = Queue("q", on_declared=lambda name, messages, consumers: heard.append(name))
    copy.copy(queue)(connection).declare()
    copy.deepcopy(queue)(connection).declare()
    assert heard == ["q", "q"]


def test_an_entity_of_ones_own_is_bound_and_described_like_ours(connection: Connection) -> None:
    class Stream(MaybeChannelBound):
        attrs = ("name", ("segments", int), ("source", None))
        segments = 1

        def when_bound(self) -> None:
            self.source = self.source.bind(self.channel)

    stream = Stream(name="s", segments="3", source=shop)
    assert stream.as_dict() == {"name": "s", "segments": 3, "source": shop}
    assert stream.as_dict(recurse=True)["source"]["type"] == "topic"
    bound = stream(connection)
    assert bound == stream
    assert bound.source.is_bound
    assert not stream.is_bound
    assert Stream(name="s").as_dict() == {"name": "s", "segments": 1, "source": None}


def test_an_object_without_attributes_is_still_one() -> None:
    assert Object(anything=1).as_dict() == {}
    assert Object() == Object()
