"""What cannot be handled ends in the dead-letter queue with its reason: never lost, never a hot loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from kombu import Exchange, Message, Producer, Queue
from kombu.exceptions import OperationalError
from kombu.retry import RetryPolicy
from kombu.transport.base import Content
from kombu.transport.virtual.head import Head, decode_head
from kombu_django import consumer, publish
from kombu_django.conf import get_config
from kombu_django.connections import connect
from kombu_django.consuming import Worker
from kombu_django.models import Message as Row
from kombu_django.models import Queue as QueueRow
from kombu_django.registry import registry
from kombu_django.store import DjangoStore
from tests.flows import consume, declare, waiting

pytestmark = pytest.mark.usefixtures("tables", "registered")

shop = Exchange("shop", "topic")


def orders(**options: Any) -> list[Any]:
    seen: list[Any] = []

    @consumer(Queue("orders", shop, routing_key="order.*"), **options)
    def handle(body: Any, message: Message) -> None:
        seen.append(body)
        if body == "bad":
            raise ValueError("cannot be handled")

    declare()
    return seen


def put(body: bytes, content_type: str, content_encoding: str = "utf-8") -> None:
    """A message as a foreign program may send it."""
    with connect(get_config()) as connection:
        properties = {"content_type": content_type, "content_encoding": content_encoding}
        connection.default_channel.basic_publish(Content(body, properties), "shop", "order.created")


def dead() -> Head:
    [row] = Row.objects.filter(queue__name="orders.dead")
    return decode_head(row.head)


def test_a_body_that_is_not_what_its_type_promises_is_dead_lettered_with_the_reason() -> None:
    seen = orders()
    put(b"{not json", "application/json")
    put(b'"good"', "application/json")
    assert consume().dead == 1
    assert seen == ["good"]
    assert dead().headers["x-rejected-because"].startswith("DecodeError")
    assert dead().headers["x-death"][0]["queue"] == "orders"


def test_a_content_type_that_is_not_accepted_is_dead_lettered_with_the_way_to_accept_it() -> None:
    orders()
    put(b"cos\nsystem\n(S'true'\ntR.", "application/x-python-serialize", "binary")
    assert consume().dead == 1
    assert "ContentDisallowed" in dead().headers["x-rejected-because"]
    assert "accept" in dead().headers["x-rejected-because"]


def test_a_consumer_may_accept_more() -> None:
    seen = orders(accept=["pickle"])
    with connect(get_config()) as connection:
        Producer(connection, shop).publish({1, 2}, "order.created", serializer="pickle")
    assert consume().handled == 1
    assert seen == [{1, 2}]


def test_a_row_that_others_wrote_in_their_own_form_does_not_stop_the_consumer() -> None:
    seen = orders()
    queue = QueueRow.objects.get(name="orders")
    for head in ("", "not json", "[]", "{}", '{"properties": 3}'):
        Row.objects.create(queue=queue, available_at=0, due_at=0, stored_at=0, head=head, body=b"\xff junk")
    publish("good", exchange="shop", routing_key="order.created")
    consume()
    assert "good" in seen
    assert len(seen) + waiting("orders.dead") == 6
    assert waiting("orders") == 0


def test_a_handler_that_raises_for_ever_is_tried_as_often_as_it_says_and_then_dead_lettered() -> None:
    seen = orders(retries=2, backoff=RetryPolicy(interval_start=0, interval_step=0))
    publish("bad", exchange="shop", routing_key="order.created")
    consumed = consume()
    assert seen == ["bad"] * 3
    assert (consumed.retried, consumed.dead) == (2, 1)
    reason = dead().headers["x-rejected-because"]
    assert reason.startswith("ValueError: cannot be handled")
    assert "test_django_bad_input.py" in reason


def test_between_attempts_a_message_waits_longer_each_time() -> None:
    seen = orders()
    publish("bad", exchange="shop", routing_key="order.created")
    pauses = []
    for _ in range(3):
        Row.objects.update(available_at=0)
        consume()
        [row] = Row.objects.all()
        pauses.append(row.available_at)
    assert len(seen) == 3
    assert pauses == sorted(set(pauses))
    assert waiting("orders") == 1


def test_a_failing_message_does_not_keep_others_waiting() -> None:
    seen = orders()
    publish("bad", exchange="shop", routing_key="order.created")
    publish("good", exchange="shop", routing_key="order.created")
    consume()
    assert seen == ["bad", "good"]


def test_the_reason_of_a_dead_letter_is_json_that_people_can_read() -> None:
    orders(retries=0)
    publish("bad", exchange="shop", routing_key="order.created")
    consume()
    [row] = Row.objects.filter(queue__name="orders.dead")
    properties = json.loads(row.head)["properties"]
    assert properties["headers"]["x-first-death-reason"] == "rejected"
    assert properties["headers"]["x-death"][0]["routing-keys"] == ["order.created"]


def test_a_queue_with_a_dead_letter_exchange_of_its_own_keeps_it() -> None:
    graveyard = Queue("graveyard")
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "graveyard"}

    @consumer(Queue("orders", shop, routing_key="order.*", queue_arguments=arguments), retries=0)
    def handle(body: Any, message: Message) -> None:
        raise ValueError

    with connect(get_config()) as connection:
        graveyard.declare(channel=connection)
    publish(1, exchange="shop", routing_key="order.created")
    consume()
    assert waiting("graveyard") == 1
    assert not QueueRow.objects.filter(name="orders.dead").exists()


def test_a_queue_that_is_deleted_under_its_consumer_is_declared_again() -> None:
    seen: list[Any] = []

    @consumer(Queue("orders", shop, routing_key="order.*"), atomic=False)
    def handle(body: Any, message: Message) -> None:
        seen.append(body)
        if body == "first":
            DjangoStore("default").delete("orders")
        else:
            worker.stop()

    worker = Worker(get_config(), registry.handlers(), tick=0.05)
    bodies = iter(["first", "second"])
    worker.run(lambda: publish(next(bodies), exchange="shop", routing_key="order.created"))
    assert seen == ["first", "second"]


def test_a_message_that_could_not_be_settled_for_an_error_is_handled_again_by_the_same_worker() -> None:
    """Else the live process would renew its lease for ever, and nobody would get it."""

    class FailsOnce(RetryPolicy):
        failures: ClassVar[list[str]] = ["the database is away"]

        def delay(self, attempt: int, random: Callable[[], float] = lambda: 0.0) -> float:
            if self.failures:
                raise OperationalError(self.failures.pop())
            return 3600.0

    seen = orders(backoff=FailsOnce())
    publish("bad", exchange="shop", routing_key="order.created")
    consumed = consume()
    assert seen == ["bad", "bad"]
    assert consumed.retried == 1
