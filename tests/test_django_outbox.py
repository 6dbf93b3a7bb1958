"""The queue elsewhere: outbox on the way out, inbox on the way in."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from kombu import Exchange, Message, Queue
from kombu.exceptions import PreconditionFailed
from kombu.transport.base import Publication
from kombu_django import consumer, outbox, publish
from kombu_django.conf import get_config
from kombu_django.connections import connect
from kombu_django.models import Inbox, Outbox
from kombu_django.models import Message as Row
from tests.flows import carry, consume, relay, waiting

pytestmark = pytest.mark.usefixtures("tables", "registered")

shop = Exchange("shop", "topic")


class Stop(Exception):
    """Rolls a transaction back."""


def orders() -> list[Any]:
    seen: list[Any] = []

    @consumer(Queue("orders", shop, routing_key="order.*"), using="far")
    def handle(body: Any, message: Message) -> None:
        seen.append(body)

    return seen


def order(body: object, **options: Any) -> None:
    publish(body, exchange="shop", routing_key="order.created", using="far", **options)


def test_a_message_goes_through_the_outbox_to_its_consumer() -> None:
    seen = orders()
    with transaction.atomic():
        order({"id": 1})
    assert Outbox.objects.count() == 1
    assert waiting("orders", "queue") == 0
    assert carry().relayed == 1
    assert not Outbox.objects.exists()
    consume("far")
    assert seen == [{"id": 1}]


def test_a_rolled_back_message_never_leaves() -> None:
    seen = orders()
    with pytest.raises(Stop), transaction.atomic():
        order(1)
        raise Stop
    carry()
    consume("far")
    assert seen == []


def test_messages_leave_in_the_order_they_were_written() -> None:
    seen = orders()
    for number in range(450):
        order(number)
    assert carry().relayed == 450
    consume("far")
    assert seen == list(range(450))


def test_a_relay_that_dies_between_storing_and_removing_makes_no_effect_happen_twice() -> None:
    seen = orders()
    order(1)
    config = get_config("far")
    with relay() as dying:
        rows = outbox.claim(config, 10, lease=30.0)
        dying._link.channel.publish_batch([row.publication for row in rows])
    Outbox.objects.update(available_at=0)
    assert carry().relayed == 1
    assert waiting("orders", "queue") == 2
    assert consume("far").duplicates == 1
    assert seen == [1]
    assert waiting("orders", "queue") == 0


def test_a_redelivery_after_a_crash_before_the_acknowledgement_is_harmless() -> None:
    """The handler's transaction committed, the acknowledgement was never written."""
    seen = orders()
    order(1)
    carry()
    [row] = Row.objects.using("queue")
    consume("far")
    row.pk = None
    row.lease_token, row.available_at = None, 0
    row.save(using="queue")
    consumed = consume("far")
    assert (consumed.handled, consumed.duplicates) == (0, 1)
    assert seen == [1]


def test_an_effect_that_fails_leaves_no_inbox_row_and_is_tried_again() -> None:
    counts: list[int] = []

    @consumer(Queue("orders", shop, routing_key="order.*"), using="far", retries=1)
    def handle(body: Any, message: Message) -> None:
        counts.append(message.delivery_info["delivery_count"])
        raise Stop

    order(1)
    carry()
    assert consume("far").retried == 1
    assert not Inbox.objects.exists()
    Row.objects.using("queue").update(available_at=0)
    assert consume("far").dead == 1
    assert counts == [1, 2]
    assert waiting("orders.dead", "queue") == 1


def test_only_one_relay_works_at_a_time() -> None:
    orders()
    for number in range(3):
        order(number)
    config = get_config("far")
    first = outbox.claim(config, 2, lease=30.0)
    assert [row.publication.content.body for row in first] == [b"0", b"1"]
    assert outbox.claim(config, 2, lease=30.0) == []
    assert outbox.done(config, first) == 2
    assert len(outbox.claim(config, 2, lease=30.0)) == 1


def test_a_relay_that_lost_its_claim_removes_nothing() -> None:
    orders()
    order(1)
    config = get_config("far")
    late = outbox.claim(config, 10, lease=30.0)
    Outbox.objects.update(available_at=0)
    taken_over = outbox.claim(config, 10, lease=30.0)
    assert outbox.done(config, late) == 0
    assert outbox.done(config, taken_over) == 1


def test_a_message_that_the_broker_refuses_is_put_aside_with_the_reason_and_the_others_go_on() -> None:
    seen = orders()
    order(1)
    publish(2, exchange="shpo", routing_key="order.created", using="far")
    order(3)
    carried = carry()
    assert (carried.relayed, carried.failed) == (2, 1)
    consume("far")
    assert seen == [1, 3]
    [refused] = Outbox.objects.all()
    assert "no exchange 'shpo'" in refused.error
    with connect(get_config("far")) as other:
        other.default_channel.exchange_declare("shpo", "topic")
    assert outbox.try_again(Outbox.objects.all()) == 1
    assert carry().relayed == 1


@override_settings(KOMBU={"far": {"URL": "tests.brokers.Unreachable://"}, "default": {"URL": "django://default"}})
def test_while_the_broker_is_away_messages_wait_and_say_why() -> None:
    publish(1, using="far")
    with relay() as made:
        assert made.step()
        assert not made.step()
    [row] = Outbox.objects.all()
    assert "nobody is there" in row.error
    assert (row.attempts, row.failed_at, row.lease_token) == (1, None, None)


@pytest.mark.parametrize("key", ["k" * 256, "a\x00b"])
def test_names_that_no_broker_takes_are_refused_before_they_are_stored(key: str) -> None:
    with pytest.raises(PreconditionFailed, match="routing_key"):
        publish(1, routing_key=key, using="far")
    assert not Outbox.objects.exists()


def test_a_delay_counts_from_publishing() -> None:
    orders()
    order(1, delay=3600)
    Outbox.objects.update(due_at=0)
    [row] = outbox.claim(get_config("far"), 1, lease=30.0)
    assert isinstance(row.publication, Publication)
    assert row.publication.delay == 0


def test_without_outbox_a_message_goes_at_once_whatever_becomes_of_the_transaction() -> None:
    settings = {"far": {"URL": "django://queue", "OUTBOX": False}, "default": {"URL": "django://default"}}
    with override_settings(KOMBU=settings):
        seen = orders()
        with pytest.raises(Stop), transaction.atomic():
            order(1)
            raise Stop
        consume("far")
    assert seen == [1]
