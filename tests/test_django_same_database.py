"""Queue and application in one database: publishing and acknowledging are part of the transaction."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from kombu import Exchange, Message, Queue
from kombu.exceptions import EncodeError, MessageReturned, NotFound
from kombu_django import consumer, publish
from kombu_django.conf import get_config
from kombu_django.connections import close_all, connect
from kombu_django.models import Binding, Inbox, Worker
from kombu_django.models import Exchange as ExchangeRow
from kombu_django.models import Message as Row
from kombu_django.models import Queue as QueueRow
from kombu_django.registry import registry
from tests.flows import consume, waiting

pytestmark = pytest.mark.usefixtures("tables", "registered")

shop = Exchange("shop", "topic")


class Stop(Exception):
    """Rolls a transaction back."""


def orders() -> list[Any]:
    """Registers a consumer; what it handles is in the list."""
    seen: list[Any] = []

    @consumer(Queue("orders", shop, routing_key="order.*"))
    def handle(body: Any, message: Message) -> None:
        seen.append(body)

    return seen


def rollback() -> None:
    raise Stop


def test_a_message_published_in_a_committed_transaction_is_delivered() -> None:
    seen = orders()
    with transaction.atomic():
        publish({"id": 1}, exchange="shop", routing_key="order.created")
        assert waiting("orders") == 1
    consume()
    assert seen == [{"id": 1}]
    assert waiting("orders") == 0


def test_a_message_published_in_a_rolled_back_transaction_is_never_delivered() -> None:
    seen = orders()
    publish({"id": 0}, exchange="shop", routing_key="order.created")
    with pytest.raises(Stop), transaction.atomic():
        publish({"id": 1}, exchange="shop", routing_key="order.created")
        rollback()
    consume()
    assert seen == [{"id": 0}]


def test_a_savepoint_that_is_rolled_back_takes_only_its_own_messages() -> None:
    seen = orders()
    with transaction.atomic():
        publish({"id": 1}, exchange="shop", routing_key="order.created")
        with pytest.raises(Stop), transaction.atomic():
            publish({"id": 2}, exchange="shop", routing_key="order.created")
            rollback()
    consume()
    assert seen == [{"id": 1}]


def test_what_a_rolled_back_transaction_declared_is_declared_again() -> None:
    seen = orders()
    with pytest.raises(Stop), transaction.atomic():
        publish({"id": 1}, exchange="shop", routing_key="order.created")
        rollback()
    assert not QueueRow.objects.exists()
    publish({"id": 2}, exchange="shop", routing_key="order.created")
    consume()
    assert seen == [{"id": 2}]


def test_the_topology_is_read_once_when_the_transaction_that_declared_it_has_committed(
    django_queries: list[str],
) -> None:
    orders()
    with transaction.atomic():
        publish({"id": 1}, exchange="shop", routing_key="order.created")
    publish({"id": 2}, exchange="shop", routing_key="order.created")
    django_queries.clear()
    publish({"id": 3}, exchange="shop", routing_key="order.created")
    assert len(django_queries) == 1
    assert django_queries[0].startswith("INSERT INTO kombu_message")


def test_a_binding_that_somebody_removed_is_there_again_for_the_next_message() -> None:
    seen = orders()
    publish({"id": 1}, exchange="shop", routing_key="order.created")
    with connect(get_config()) as other:
        other.default_channel.queue_unbind("orders", "shop", "order.*")
    publish({"id": 2}, exchange="shop", routing_key="order.created")
    consume()
    assert seen == [{"id": 1}, {"id": 2}]


def test_emptied_tables_are_declared_anew_for_the_next_message() -> None:
    seen = orders()
    publish({"id": 1}, exchange="shop", routing_key="order.created")
    for model in (Row, Binding, QueueRow, ExchangeRow):
        model.objects.all().delete()
    publish({"id": 2}, exchange="shop", routing_key="order.created")
    consume()
    assert seen == [{"id": 2}]


def test_effects_and_acknowledgement_are_one_transaction() -> None:
    @consumer(Queue("orders", shop, routing_key="order.*"), retries=0)
    def handle(body: Any, message: Message) -> None:
        effect(body)
        if body == "bad":
            raise Stop

    for body in ("good", "bad"):
        publish(body, exchange="shop", routing_key="order.created")
    consumed = consume()
    assert effects() == ["good"]
    assert (consumed.handled, consumed.dead) == (1, 1)
    assert (waiting("orders"), waiting("orders.dead")) == (0, 1)


def test_a_handler_whose_lease_was_lost_leaves_no_effect() -> None:
    """Another consumer took the message while this one was in its handler: that one's effects count."""

    @consumer(Queue("orders", shop, routing_key="order.*"))
    def handle(body: Any, message: Message) -> None:
        effect(f"{body} {message.delivery_info['delivery_count']}")
        if message.delivery_info["delivery_count"] == 1:
            Row.objects.update(lease_token=1, available_at=0)

    publish("one", exchange="shop", routing_key="order.created")
    consumed = consume()
    assert effects() == []
    assert consumed.handled == 0
    assert waiting("orders") == 1


def test_a_handler_that_is_not_atomic_runs_outside_a_transaction() -> None:
    inside: list[bool] = []

    @consumer(Queue("orders", shop, routing_key="order.*"), atomic=False)
    def handle(body: Any, message: Message) -> None:
        inside.append(connection.in_atomic_block)

    publish(1, exchange="shop", routing_key="order.created")
    consume()
    assert inside == [False]
    assert waiting("orders") == 0


def test_a_handler_may_settle_its_message_itself() -> None:
    @consumer(Queue("orders", shop, routing_key="order.*"))
    def handle(body: Any, message: Message) -> None:
        if body == "later":
            message.requeue(delay=3600)
        else:
            message.reject(because="not mine")

    publish("later", exchange="shop", routing_key="order.created")
    publish("never", exchange="shop", routing_key="order.created")
    consume()
    assert (waiting("orders"), waiting("orders.dead")) == (1, 1)


def test_a_message_published_by_a_handler_that_fails_is_never_delivered() -> None:
    @consumer(Queue("orders", shop, routing_key="order.*"), retries=0)
    def handle(body: Any, message: Message) -> None:
        publish("invoice", exchange="shop", routing_key="invoice.created")
        raise Stop

    seen: list[Any] = []

    @consumer(Queue("invoices", shop, routing_key="invoice.*"))
    def invoice(body: Any, message: Message) -> None:
        seen.append(body)

    publish("order", exchange="shop", routing_key="order.created")
    consume()
    assert seen == []


def test_a_body_that_cannot_be_serialised_stores_nothing_and_names_the_place() -> None:
    orders()
    with pytest.raises(EncodeError, match="lines"):
        publish({"lines": [object()]}, exchange="shop", routing_key="order.created")
    assert not Row.objects.exists()


def test_an_unknown_exchange_is_an_error_and_not_a_lost_message() -> None:
    orders()
    with pytest.raises(NotFound, match="'shpo'"):
        publish(1, exchange="shpo", routing_key="order.created")


def test_a_mandatory_message_that_nobody_wants_is_an_error() -> None:
    orders()
    with pytest.raises(MessageReturned, match=r"'shop'.*'unwanted'"):
        publish(1, exchange="shop", routing_key="unwanted", mandatory=True)


def test_a_delayed_message_waits() -> None:
    seen = orders()
    publish(1, exchange="shop", routing_key="order.created", delay=3600)
    consume()
    assert seen == []
    assert waiting("orders") == 1


def test_a_key_travels_with_the_message() -> None:
    headers: list[Any] = []

    @consumer(Queue("orders", shop, routing_key="order.*"))
    def handle(body: Any, message: Message) -> None:
        headers.append(message.headers)

    publish(1, exchange="shop", routing_key="order.created", key=42)
    consume()
    assert headers == [{"x-key": "42"}]


def test_who_consumes_can_be_seen_while_it_does() -> None:
    rows: list[str] = []

    @consumer(Queue("orders", shop, routing_key="order.*"))
    def handle(body: Any, message: Message) -> None:
        rows.extend(Worker.objects.values_list("queues", flat=True))

    publish(1, exchange="shop", routing_key="order.created")
    consume()
    assert rows == ["orders"]
    assert not Worker.objects.exists()


def effect(text: str) -> None:
    """Something that a handler writes into the application's database."""
    Inbox.objects.create(message_id=text, queue="effect", received_at=0)


def effects() -> list[str]:
    return list(Inbox.objects.filter(queue="effect").values_list("message_id", flat=True))


def test_bindings_that_differ_only_in_their_arguments_are_all_declared() -> None:
    """The first is there already, as from the version of the code before: the second must not be missed."""
    files = Exchange("files", "headers")
    pdf, zipped = (files.binding(arguments={"type": kind}) for kind in ("pdf", "zip"))
    seen: list[Any] = []

    @consumer(Queue("archive", bindings=[pdf]))
    def before(body: Any, message: Message) -> None: ...

    publish("old", exchange="files", headers={"type": "pdf"})
    registry.clear()
    close_all()

    @consumer(Queue("archive", bindings=[pdf, zipped]))
    def handle(body: Any, message: Message) -> None:
        seen.append(body)

    publish("new", exchange="files", headers={"type": "zip"})
    consume()
    assert seen == ["old", "new"]
