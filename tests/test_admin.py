"""The admin pages: what they show, to whom, and what their actions do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from kombu import Exchange, Message, Queue
from kombu_django import consumer, publish
from kombu_django.models import Message as Row
from kombu_django.models import Outbox, Worker
from kombu_django.models import Queue as QueueRow
from kombu_django.store import DjangoStore
from tests.flows import carry, consume, declare, waiting
from tests.pages import act, actions, cells, listing, logged_in, shown, staff, text

shop = Exchange("shop", "topic")
HOSTILE = "<script>alert('x')</script>"


class OutOfStock(Exception):
    """Why the handler of ``orders`` refuses a message."""


@pytest.fixture(autouse=True)
def _users(tables: None, registered: None) -> Iterator[None]:
    yield
    User.objects.all().delete()


@pytest.fixture
def root() -> Client:
    """A superuser's browser."""
    return logged_in(User.objects.create_superuser("root"))


@pytest.fixture
def orders() -> list[Any]:
    """A consumer that refuses what is not sold; what it was given is in the list."""
    seen: list[Any] = []

    @consumer(Queue("orders", shop, routing_key="order.*"), retries=0)
    def handle(body: Any, message: Message) -> None:
        seen.append(body)
        if body == "unicorn":
            raise OutOfStock("no unicorns left")

    return seen


@pytest.fixture
def dead(orders: list[Any]) -> Row:
    """A message that the consumer refused, as it lies in the dead-letter queue."""
    order("unicorn")
    consume()
    return Row.objects.get(queue__name="orders.dead")


@pytest.fixture
def refused() -> Outbox:
    """A message that the relay could not hand to its broker."""
    publish({"id": 1}, exchange="shpo", routing_key="order.created", using="far")
    carry()
    return Outbox.objects.get()


def test_a_stranger_is_sent_to_the_login() -> None:
    for page in ("queue", "message", "outbox", "worker"):
        response = Client().get(listing(page))
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


def test_staff_without_permission_sees_nothing_and_changes_nothing(dead: Row) -> None:
    client = staff()
    assert client.get(listing("message")).status_code == 403
    assert client.get(shown(dead)).status_code == 403
    assert act(client, "discard", dead).status_code == 403
    assert waiting("orders.dead") == 1


def test_who_may_only_look_gets_no_actions(dead: Row) -> None:
    client = staff("view_message")
    assert "no unicorns left" in text(client.get(listing("message")))
    assert actions(client, "message") == set()
    act(client, "requeue", dead)
    act(client, "discard", dead)
    assert waiting("orders.dead") == 1


def test_each_action_asks_for_its_own_permission(dead: Row) -> None:
    assert actions(staff("view_message", "change_message"), "message") == {"requeue"}
    assert actions(staff("view_message", "delete_message"), "message") == {"discard"}
    act(staff("view_message", "change_message"), "discard", dead)
    assert waiting("orders.dead") == 1


def test_nobody_adds_edits_or_deletes_rows_by_a_form(root: Client, dead: Row, refused: Outbox) -> None:
    for row in (dead, refused, dead.queue):
        assert root.get(reverse(f"admin:kombu_django_{row._meta.model_name}_add")).status_code == 403
        assert root.post(shown(row), {"head": "{}"}).status_code == 403
        assert root.post(f"{shown(row)[: -len('change/')]}delete/", {"post": "yes"}).status_code == 403
        row.refresh_from_db()


def test_who_may_all_has_the_actions_and_no_others(root: Client, dead: Row, refused: Outbox) -> None:
    assert actions(root, "message") == {"requeue", "discard"}
    assert actions(root, "outbox") == {"try_again", "discard"}
    assert actions(root, "queue") == {"pause", "resume"}
    assert actions(root, "worker") == set()


def test_a_paused_queue_keeps_its_messages_until_it_is_resumed(root: Client, orders: list[Any]) -> None:
    declare()
    queue = QueueRow.objects.get(name="orders")
    assert "1 queue paused" in text(act(root, "pause", queue))
    order("horse")
    consume()
    assert (orders, waiting("orders")) == ([], 1)
    assert "1 queue resumed" in text(act(root, "resume", queue))
    consume()
    assert (orders, waiting("orders")) == (["horse"], 0)


def test_pausing_asks_for_the_permission_to_change_queues(orders: list[Any]) -> None:
    declare()
    queue = QueueRow.objects.get(name="orders")
    looker = staff("view_queue")
    assert actions(looker, "queue") == set()
    act(looker, "pause", queue)
    assert not QueueRow.objects.filter(paused=True).exists()
    act(staff("view_queue", "change_queue"), "pause", queue)
    assert QueueRow.objects.get(paused=True).name == "orders"


def test_looking_changes_nothing(root: Client, dead: Row, refused: Outbox) -> None:
    before = everything()
    for page in ("queue", "message", "outbox", "worker"):
        assert root.get(listing(page)).status_code == 200
    for row in (dead, refused, dead.queue):
        assert root.get(shown(row)).status_code == 200
    for action in ("requeue", "discard"):
        root.get(listing("message"), {"action": action, "_selected_action": str(dead.pk)})
    assert everything() == before


def test_queues_show_what_they_hold(root: Client, dead: Row) -> None:
    for _ in range(3):
        order("book")
    order("later", delay=3600)
    held = DjangoStore("default").claim({"orders": 1}, 60.0)
    assert len(held) == 1
    assert cells(root.get(listing("queue")), "ready", "delayed", "leased") == {
        "orders": ["2", "1", "1"],
        "orders.dead": ["1", "0", "0"],
    }


def test_a_queue_leads_to_its_messages(root: Client, dead: Row) -> None:
    order("book")
    path = re.search(rf'"(/admin/[^"]*={dead.queue_id})">look', root.get(listing("queue")).content.decode())
    assert path
    assert cells(root.get(path[1]), "preview") == {str(dead.pk): ["unicorn"]}


def test_a_dead_letter_tells_why_and_where_from(root: Client, dead: Row) -> None:
    assert "OutOfStock: no unicorns left" in text(root.get(listing("message")))
    page = text(root.get(shown(dead)))
    assert "OutOfStock: no unicorns left" in page
    assert '"queue": "orders"' in page
    assert '"order.created"' in page
    assert "unicorn" in page


def test_hostile_names_headers_and_bodies_are_shown_as_text(root: Client) -> None:
    @consumer(Queue(f"orders{HOSTILE}", shop, routing_key="#"), retries=0)
    def handle(body: Any, message: Message) -> None:
        raise OutOfStock(body)

    publish(HOSTILE, exchange="shop", routing_key=HOSTILE, headers={HOSTILE: HOSTILE, "x-key": HOSTILE})
    consume()
    publish(HOSTILE, exchange="shop", routing_key=HOSTILE, headers={HOSTILE: HOSTILE}, correlation_id=HOSTILE)
    pages = [root.get(listing("queue")), root.get(listing("message")), *(root.get(shown(r)) for r in Row.objects.all())]
    assert len(pages) == 4
    for page in pages:
        assert "<script>alert" not in page.content.decode()
        assert "<script>alert" in text(page)


def test_hostile_outbox_rows_and_workers_are_shown_as_text(root: Client) -> None:
    publish(HOSTILE, exchange=HOSTILE, routing_key=HOSTILE, key=HOSTILE, using="far")
    carry()
    Worker.objects.create(hostname=HOSTILE, pid=1, connection=HOSTILE, queues=HOSTILE, started_at=0, seen_at=0)
    for page in (root.get(listing("outbox")), root.get(shown(Outbox.objects.get())), root.get(listing("worker"))):
        assert "<script>alert" not in page.content.decode()
        assert "<script>alert" in text(page)


def test_a_body_that_is_no_text_is_shown_in_hexadecimal(root: Client, orders: list[Any]) -> None:
    order(b"\x00\xff", serializer="raw")
    assert "00 ff" in text(root.get(shown(Row.objects.get())))


def test_a_long_body_is_cut(root: Client, orders: list[Any]) -> None:
    order("x" * 100_000)
    page = text(root.get(shown(Row.objects.get())))
    assert "x" * 10_000 in page
    assert len(page) < 60_000


def test_a_long_body_is_text_wherever_it_is_cut(root: Client, orders: list[Any]) -> None:
    order("注" * 100_000)
    assert "注" * 80 in text(root.get(listing("message")))
    assert "注" * 10_000 in text(root.get(shown(Row.objects.get())))


def test_a_requeued_dead_letter_is_in_its_own_queue_with_its_own_routing_key(root: Client, dead: Row) -> None:
    assert "1 message requeued" in text(act(root, "requeue", dead))
    assert (waiting("orders"), waiting("orders.dead")) == (1, 0)
    row = Row.objects.get()
    assert cells(root.get(listing("message")), "state", "routing_key") == {str(row.pk): ["ready", "order.created"]}


def test_a_requeued_dead_letter_is_handled_again(root: Client, dead: Row, orders: list[Any]) -> None:
    act(root, "requeue", dead)
    assert consume().dead == 1
    assert orders == ["unicorn", "unicorn"]
    again = text(root.get(shown(Row.objects.get(queue__name="orders.dead"))))
    assert '"count": 2' in again


def test_a_delayed_message_that_is_requeued_is_delivered_at_once(root: Client, orders: list[Any]) -> None:
    order("later", delay=3600)
    act(root, "requeue", Row.objects.get())
    consume()
    assert orders == ["later"]


def test_a_discarded_message_is_gone(root: Client, dead: Row) -> None:
    order("book")
    assert "1 message discarded" in text(act(root, "discard", dead))
    assert (waiting("orders"), waiting("orders.dead")) == (1, 0)


def test_a_message_in_a_consumers_hands_is_left_alone(root: Client, orders: list[Any]) -> None:
    order("book")
    store = DjangoStore("default")
    [held] = store.claim({"orders": 1}, 60.0)
    row = Row.objects.get()
    for action in ("requeue", "discard"):
        assert "1 left alone" in text(act(root, action, row))
    assert "leased" in cells(root.get(listing("message")), "state")[str(row.pk)][0]
    assert store.extend([held.lease], 60.0) == [held.lease]


def test_a_dead_letter_whose_queue_is_gone_is_left_alone(root: Client, dead: Row) -> None:
    QueueRow.objects.filter(name="orders").delete()
    DjangoStore("default").delete("orders")
    assert "1 left alone" in text(act(root, "requeue", dead))
    assert waiting("orders.dead") == 1


def test_the_outbox_shows_what_the_broker_refused_and_why(root: Client, refused: Outbox) -> None:
    publish({"id": 2}, exchange="shop", routing_key="order.created", using="far")
    states = cells(root.get(listing("outbox")), "state", "error")
    assert states[str(refused.pk)][0] == "refused"
    assert "'shpo'" in states[str(refused.pk)][1]
    assert states[str(refused.pk + 1)] == ["waiting", "-"]
    assert "'shpo'" in text(root.get(shown(refused)))


def test_what_was_refused_is_tried_again_when_its_cause_is_gone(root: Client, refused: Outbox) -> None:
    @consumer(Queue("orders", Exchange("shpo", "topic"), routing_key="order.*"), using="far")
    def handle(body: Any, message: Message) -> None: ...

    act(root, "try_again", refused)
    assert carry().relayed == 1
    assert not Outbox.objects.exists()
    assert waiting("orders", "queue") == 1


def test_only_what_was_refused_is_discarded_from_the_outbox(root: Client, refused: Outbox) -> None:
    publish({"id": 2}, exchange="shop", routing_key="order.created", using="far")
    act(root, "discard", *Outbox.objects.all())
    [left] = Outbox.objects.all()
    assert left.exchange == "shop"


def test_workers_are_shown_while_they_run(root: Client, orders: list[Any]) -> None:
    pages: list[str] = []

    @consumer(Queue("visits"))
    def look(body: Any, message: Message) -> None:
        pages.append(text(root.get(listing("worker"))))

    publish("now", routing_key="visits")
    consume()
    assert len(pages) == 1
    assert "orders, visits" in pages[0]
    assert "orders, visits" not in text(root.get(listing("worker")))


def order(what: object, **options: Any) -> None:
    publish(what, exchange="shop", routing_key="order.created", **options)


def everything() -> list[list[dict[str, object]]]:
    return [list(model.objects.order_by("pk").values()) for model in (Row, Outbox, QueueRow, Worker)]
