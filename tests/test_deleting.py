"""What is unbound, purged or deleted is gone, with all that hangs on it; what is in use can be spared."""

from __future__ import annotations

import pytest

from kombu import Exchange, Queue
from kombu.exceptions import NotFound, PreconditionFailed
from kombu.transport.base import Channel
from kombu.transport.memory import MemoryStore
from tests.memory import Connect, declared, publish


def test_a_binding_that_is_undone_routes_no_more(connect: Connect, store: MemoryStore) -> None:
    channel = connect().channel()
    channel.exchange_declare("shop")
    channel.exchange_declare("copy", "fanout")
    channel.queue_declare("orders")
    channel.queue_bind("orders", "shop", "k")
    channel.exchange_bind("copy", "shop", "k")
    assert len(store.topology().bindings) == 2
    channel.queue_unbind("orders", "shop", "other")
    channel.exchange_unbind("copy", "shop", "k")
    assert [each.destination for each in store.topology().bindings] == ["orders"]
    channel.queue_unbind("orders", "shop", "k")
    channel.queue_unbind("orders", "shop", "k")
    assert store.topology().bindings == ()


def test_deleting_a_queue_takes_its_messages_and_bindings(connect: Connect, store: MemoryStore) -> None:
    connection = connect()
    channel = connection.channel()
    Queue("orders", Exchange("shop"), routing_key="k").declare(channel=channel)
    publish(connection, "a", "b")
    assert channel.queue_delete("orders") == 2
    assert declared(store) == (["shop"], [])
    assert store.topology().bindings == ()
    assert channel.queue_delete("orders") == 0


def test_a_queue_in_use_is_not_deleted_if_unused(connect: Connect, store: MemoryStore) -> None:
    channel = connect().channel()
    channel.queue_declare("orders")
    tag = channel.basic_consume("orders", callback=print)
    with pytest.raises(PreconditionFailed, match=r"'orders'.*1 consumer"):
        channel.queue_delete("orders", if_unused=True)
    assert "orders" in store.topology().queues
    channel.basic_cancel(tag)
    channel.queue_delete("orders", if_unused=True)
    assert "orders" not in store.topology().queues


@pytest.mark.parametrize("delay", [0.0, 3600.0])
def test_a_queue_with_messages_waiting_is_not_deleted_if_empty(
    delay: float, connect: Connect, store: MemoryStore
) -> None:
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("orders")
    publish(connection, "a", delay=delay)
    with pytest.raises(PreconditionFailed, match=r"'orders'.*1 message"):
        channel.queue_delete("orders", if_empty=True)
    assert store.counts(["orders"])["orders"].total == 1
    channel.queue_purge("orders")
    channel.queue_delete("orders", if_empty=True)
    assert "orders" not in store.topology().queues


def test_deleting_an_exchange_takes_its_bindings(channel: Channel, store: MemoryStore) -> None:
    Queue("orders", Exchange("shop"), routing_key="k").declare(channel=channel)
    with pytest.raises(PreconditionFailed, match=r"'shop'.*1 binding"):
        channel.exchange_delete("shop", if_unused=True)
    channel.exchange_delete("shop")
    assert declared(store) == ([], ["orders"])
    assert store.topology().bindings == ()


def test_purging_removes_what_nobody_holds(connect: Connect, store: MemoryStore) -> None:
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("orders")
    publish(connection, "held", "b", "c")
    held = channel.basic_get("orders")
    assert held is not None
    assert channel.queue_purge("orders") == 2
    assert store.counts(["orders"])["orders"].leased == 1
    with pytest.raises(NotFound, match="'missing'"):
        channel.queue_purge("missing")
