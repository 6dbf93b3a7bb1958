"""Names that AMQP allows and careless SQL does not survive: in queues, exchanges and routing keys."""

from __future__ import annotations

from typing import Any

import pytest

from kombu import Exchange, Message, Queue
from kombu.exceptions import NotFound, PreconditionFailed
from kombu.testing.case import ALIKE_NAMES, HOSTILE_NAMES
from tests.memory import PATIENCE
from tests.places import WITH_EVERY_DRIVER, Place

pytestmark = pytest.mark.parametrize("place", WITH_EVERY_DRIVER, indirect=True)

NAMES = (*HOSTILE_NAMES, "%(queue)s %%s %", "NULL", "\\'; --", "注" * 255, "📦" * 255, "\u200bé\u0301 ")


def test_a_message_finds_its_way_whatever_the_names_are(place: Place) -> None:
    seen: list[tuple[Any, str, str]] = []

    def handle(message: Message) -> None:
        info = message.delivery_info
        seen.append((message.payload, info["exchange"], info["routing_key"]))
        message.ack()

    with place.connect() as connection:
        queues = [Queue(name, Exchange(name, "direct"), name) for name in NAMES]
        for queue in queues:
            queue(connection).declare()
        producer = connection.Producer()
        for name in NAMES:
            producer.publish(name, name, exchange=name, headers={name: name})
        with connection.Consumer(queues, on_message=handle, prefetch_count=1):
            while len(seen) < len(NAMES):
                connection.drain_events(timeout=PATIENCE)
    assert sorted(seen) == sorted((name, name, name) for name in NAMES)
    assert place.bodies() == []


@pytest.mark.parametrize("type", ["topic", "headers", "fanout"])
def test_every_kind_of_exchange_takes_them(place: Place, type: str) -> None:
    with place.connect() as connection:
        for name in NAMES:
            exchange = Exchange(f"{type} {name}"[:255], type)
            key = {"topic": f"{name}.#"[:255], "headers": "", "fanout": name}[type]
            bound = Queue(name, exchange, key, binding_arguments={name: name} if type == "headers" else None)(
                connection
            )
            bound.declare()
            sent = f"{name}.x"[:255]
            connection.Producer().publish(
                name, sent, exchange=exchange, headers={name: name}, mandatory=type != "topic"
            )
            bound.delete()
            with pytest.raises(NotFound):
                connection.channel().basic_get(name)


def test_names_that_look_alike_are_different(place: Place) -> None:
    with place.connect() as connection:
        for name in ALIKE_NAMES:
            Queue(name, Exchange(name, "direct"), name)(connection).declare()
        for name in ALIKE_NAMES:
            connection.Producer().publish(name, name, exchange=name, mandatory=True)
        for name in ALIKE_NAMES:
            found = Queue(name)(connection).get(no_ack=True)
            assert found is not None
            assert (found.payload, Queue(name)(connection).get()) == (name, None)


def test_a_queue_that_is_purged_or_deleted_leaves_the_others_alone(place: Place) -> None:
    with place.connect() as connection:
        for name in NAMES:
            Queue(name)(connection).declare()
            connection.Producer().publish(name, name)
        for number, name in enumerate(NAMES):
            queue = Queue(name)(connection)
            assert (queue.purge() if number % 2 else queue.delete()) == 1
            assert place.bodies() == list(NAMES[number + 1 :])


def test_a_longer_name_is_refused_where_it_is_declared(place: Place) -> None:
    name = "注" * 256
    with place.connect() as connection:
        for entity in (Queue(name), Exchange(name, "direct"), Queue("orders", Exchange("shop"), name)):
            with pytest.raises(PreconditionFailed, match="255 characters"):
                entity(connection).declare()
        with pytest.raises(PreconditionFailed, match="255 characters"):
            connection.Producer().publish("x", name)
