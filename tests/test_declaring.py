"""What is declared exists for everybody and means what it says; what cannot be kept is refused, naming it."""

from __future__ import annotations

import pytest

from kombu import Exchange, Queue
from kombu.exceptions import AccessRefused, NotBoundError, NotFound, NotSupported, PreconditionFailed
from kombu.transport.base import Channel
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import Options, VirtualConnection
from kombu.transport.virtual.store import QueueSpec
from tests.memory import Connect, declared, publish


def test_what_one_connection_declares_all_see(connect: Connect) -> None:
    mine, other = connect().channel(), connect().channel()
    mine.exchange_declare("shop", "topic")
    mine.queue_declare("orders")
    other.exchange_declare("shop", passive=True)
    assert other.queue_declare("orders", passive=True) == ("orders", 0, 0)


def test_declaring_the_same_again_changes_nothing(connect: Connect, store: MemoryStore) -> None:
    seen = []
    for channel in (connect().channel(), connect().channel()):
        channel.exchange_declare("shop", "topic", arguments={"alternate-exchange": "rest"})
        channel.queue_declare("orders", arguments={"x-max-priority": 5})
        channel.queue_bind("orders", "shop", "order.*")
        seen.append(store.topology())
    assert seen[0] == seen[1]


def test_declaring_a_queue_answers_how_much_waits_and_who_consumes(connect: Connect) -> None:
    connection = connect()
    channel = connection.channel()
    channel.queue_declare("orders")
    publish(connection, "a", "b")
    channel.basic_consume("orders", callback=print)
    assert channel.queue_declare("orders") == ("orders", 2, 1)


def test_a_queue_without_a_name_gets_one(channel: Channel, store: MemoryStore) -> None:
    names = {channel.queue_declare("").queue for _ in range(3)}
    assert len(names) == 3
    assert set(store.topology().queues) == names


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"arguments": {"x-max-priority": 9}}, "x-max-priority"),
        ({"arguments": {}}, "x-max-priority"),
        ({"arguments": {"x-max-priority": 5, "x-message-ttl": 1000}}, "x-message-ttl"),
        ({"arguments": {"x-max-priority": 5}, "durable": False}, "durable"),
    ],
)
def test_a_queue_declared_differently_is_refused_naming_the_difference(
    change: dict[str, object], difference: str, connect: Connect
) -> None:
    connect().channel().queue_declare("orders", arguments={"x-max-priority": 5})
    with pytest.raises(PreconditionFailed, match=f"'orders'.*{difference}"):
        connect().channel().queue_declare("orders", **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"type": "fanout"}, "type is 'topic', not 'fanout'"),
        ({"type": "topic", "durable": False}, "durable is True, not False"),
        ({"type": "topic", "arguments": {"alternate-exchange": "rest"}}, "alternate-exchange"),
    ],
)
def test_an_exchange_declared_differently_is_refused_naming_the_difference(
    change: dict[str, object], difference: str, channel: Channel
) -> None:
    channel.exchange_declare("shop", "topic")
    with pytest.raises(PreconditionFailed, match=f"'shop'.*{difference}"):
        channel.exchange_declare("shop", **change)  # type: ignore[arg-type]


def test_after_a_refusal_the_channel_goes_on(channel: Channel) -> None:
    with pytest.raises(NotSupported):
        channel.queue_declare("orders", arguments={"x-no-such": 1})
    assert channel.queue_declare("orders").queue == "orders"


def test_passive_only_looks(channel: Channel, store: MemoryStore) -> None:
    with pytest.raises(NotFound, match="'orders'"):
        channel.queue_declare("orders", passive=True)
    with pytest.raises(NotFound, match="'shop'"):
        channel.exchange_declare("shop", passive=True)
    assert declared(store) == ([], [])


def test_passive_does_not_compare(channel: Channel) -> None:
    channel.queue_declare("orders", arguments={"x-max-priority": 5})
    channel.exchange_declare("shop", "topic")
    assert channel.queue_declare("orders", passive=True).queue == "orders"
    channel.exchange_declare("shop", "direct", passive=True)


@pytest.mark.parametrize("argument", ["x-queue-type", "x-no-such"])
def test_a_queue_argument_that_is_not_kept_is_refused_naming_it_and_the_transport(
    argument: str, channel: Channel, store: MemoryStore
) -> None:
    with pytest.raises(NotSupported, match=f"'orders'.*'memory'.*'{argument}'"):
        channel.queue_declare("orders", arguments={argument: 1})
    assert declared(store) == ([], [])


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("x-message-ttl", -1),
        ("x-message-ttl", "1000"),
        ("x-message-ttl", 1.5),
        ("x-message-ttl", True),
        ("x-message-ttl", None),
        ("x-max-priority", -1),
        ("x-max-priority", 256),
        ("x-delivery-limit", -1),
        ("x-delivery-limit", "3"),
        ("x-dead-letter-exchange", 5),
        ("x-dead-letter-exchange", None),
        ("x-dead-letter-routing-key", 5),
    ],
)
def test_a_queue_argument_with_a_senseless_value_is_refused_naming_it(
    argument: str, value: object, channel: Channel, store: MemoryStore
) -> None:
    with pytest.raises(PreconditionFailed, match=f"'orders'.*{argument}"):
        channel.queue_declare("orders", arguments={"x-dead-letter-exchange": "dlx", argument: value})
    assert declared(store) == ([], [])


def test_a_dead_letter_routing_key_alone_is_refused(channel: Channel) -> None:
    """It would lead nowhere, and whoever wrote it expects otherwise (https://www.rabbitmq.com/docs/dlx)."""
    with pytest.raises(PreconditionFailed, match="x-dead-letter-routing-key"):
        channel.queue_declare("orders", arguments={"x-dead-letter-routing-key": "dead"})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"type": "x-consistent-hash"}, "'x-consistent-hash'"),
        ({"type": ""}, "type"),
        ({"arguments": {"x-delayed-type": "direct"}}, "'x-delayed-type'"),
    ],
)
def test_an_exchange_that_cannot_be_kept_is_refused_naming_why_and_the_transport(
    options: dict[str, object], named: str, channel: Channel, store: MemoryStore
) -> None:
    with pytest.raises(NotSupported, match=rf"(?=.*'shop')(?=.*'memory')(?=.*{named})"):
        channel.exchange_declare("shop", **options)  # type: ignore[arg-type]
    assert declared(store) == ([], [])


def test_an_alternate_exchange_that_is_no_name_is_refused(channel: Channel) -> None:
    with pytest.raises(PreconditionFailed, match="alternate-exchange"):
        channel.exchange_declare("shop", arguments={"alternate-exchange": 5})


@pytest.mark.parametrize("bad", ["n" * 256, "nul\x00inside", "half \ud800"])
def test_names_that_no_broker_takes_are_refused(bad: str, channel: Channel, store: MemoryStore) -> None:
    with pytest.raises(PreconditionFailed, match="name"):
        channel.queue_declare(bad)
    with pytest.raises(PreconditionFailed, match="name"):
        channel.exchange_declare(bad)
    assert declared(store) == ([], [])


def test_the_longest_name_is_taken(channel: Channel) -> None:
    channel.exchange_declare("e" * 255)
    channel.queue_declare("q" * 255)
    channel.queue_bind("q" * 255, "e" * 255, "k" * 255)
    with pytest.raises(PreconditionFailed, match="255"):
        channel.queue_bind("q" * 255, "e" * 255, "k" * 256)


def test_the_default_exchange_cannot_be_declared(channel: Channel) -> None:
    with pytest.raises(AccessRefused, match="default exchange"):
        channel.exchange_declare("")


@pytest.mark.parametrize("type", ["direct", "fanout", "topic", "headers"])
def test_the_exchanges_that_amqp_predeclares_are_there(type: str, channel: Channel) -> None:
    """AMQP 0-9-1, section 3.1.3: ``amq.`` and the type; ``Exchange("amq.topic").declare()`` trusts in that."""
    Queue("orders", Exchange(f"amq.{type}", type), routing_key="k").declare(channel=channel)
    channel.exchange_declare(f"amq.{type}", type, passive=True)


def test_binding_needs_both_ends(channel: Channel) -> None:
    channel.exchange_declare("shop")
    channel.queue_declare("orders")
    with pytest.raises(NotFound, match="exchange 'missing'"):
        channel.queue_bind("orders", "missing", "k")
    with pytest.raises(NotFound, match="queue 'missing'"):
        channel.queue_bind("missing", "shop", "k")
    with pytest.raises(NotFound, match="exchange 'orders'"):
        channel.exchange_bind("orders", "shop", "k")
    with pytest.raises(NotFound, match="exchange 'missing'"):
        channel.exchange_bind("shop", "missing", "k")


def test_a_headers_binding_with_an_unknown_rule_is_refused(channel: Channel) -> None:
    channel.exchange_declare("files", "headers")
    channel.queue_declare("pdfs")
    with pytest.raises(PreconditionFailed, match="x-match"):
        channel.queue_bind("pdfs", "files", arguments={"x-match": "some", "type": "pdf"})


def test_who_comes_second_in_a_race_is_told_of_the_difference(name: str) -> None:
    class Beaten(MemoryStore):
        """Another process declares just after we looked and just before we declare."""

        def declare(self, queue: QueueSpec) -> None:
            super().declare(QueueSpec(name=queue.name, arguments={"x-max-priority": 9}))
            super().declare(queue)

    channel = VirtualConnection(Beaten(name), Options()).channel()
    assert channel.queue_declare("same", arguments={"x-max-priority": 9}).queue == "same"
    with pytest.raises(PreconditionFailed, match=r"'different'.*x-max-priority"):
        channel.queue_declare("different", arguments={"x-max-priority": 5})


def test_a_closed_channel_refuses_to_declare(channel: Channel) -> None:
    channel.close()
    for attempt in (
        lambda: channel.queue_declare("orders"),
        lambda: channel.exchange_declare("shop"),
        lambda: channel.queue_bind("orders", "shop"),
        lambda: channel.queue_delete("orders"),
    ):
        with pytest.raises(NotBoundError, match="closed"):
            attempt()
