"""The application in one database, the queues in another, and a router that has its own mind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models import Model
from django.test import Client, override_settings

from kombu import Message, Queue
from kombu_django import consumer, publish
from kombu_django.models import Message as Row
from kombu_django.models import Worker
from tests.flows import carry, consume, waiting
from tests.pages import act, cells, listing, logged_in, shown, text

pytestmark = pytest.mark.usefixtures("tables", "registered")


class KombuIn:
    """Sends the library's models to one database, all else to ``default``."""

    alias: str

    def db_for_read(self, model: type[Model], **_: object) -> str | None:
        return self.alias if model._meta.app_label == "kombu_django" else None

    db_for_write = db_for_read

    def allow_relation(self, first: Model, second: Model, **_: object) -> bool | None:
        return True


class KombuInQueue(KombuIn):
    alias = "queue"


class KombuInDefault(KombuIn):
    alias = "default"


@pytest.fixture(params=[KombuInQueue, KombuInDefault, None], ids=["as the URL", "not as the URL", "no router"])
def routed(request: pytest.FixtureRequest) -> Iterator[None]:
    routers = [request.param()] if request.param else []
    with override_settings(DATABASE_ROUTERS=routers):
        yield


@pytest.fixture
def in_queue(routed: None) -> Iterator[None]:
    """Messages are published and handled in transactions of the queue's database."""
    with override_settings(KOMBU={"default": {"URL": "django://queue", "DATABASE": "queue"}}):
        yield


@pytest.fixture
def by_outbox(routed: None) -> Iterator[None]:
    """Messages are published and handled in transactions of the application's."""
    with override_settings(KOMBU={"default": {"URL": "django://queue"}}):
        yield


@pytest.fixture
def root() -> Iterator[Client]:
    """A superuser's browser."""
    yield logged_in(User.objects.create_superuser("root"))
    User.objects.all().delete()


@pytest.fixture
def seen() -> list[Any]:
    """What the consumer of orders has handled."""
    found: list[Any] = []

    @consumer(Queue("orders"), retries=0)
    def handle(body: Any, message: Message) -> None:
        assert [worker.queues for alias in ("default", "queue") for worker in Worker.objects.using(alias)] == ["orders"]
        found.append(body)
        if body == "unicorn":
            raise ValueError("no unicorns left")

    return found


def test_messages_go_to_the_database_of_the_url(in_queue: None, seen: list[Any]) -> None:
    publish(1, routing_key="orders")
    assert (waiting("orders", "queue"), waiting("orders", "default")) == (1, 0)
    consume()
    assert (seen, waiting("orders", "queue")) == ([1], 0)
    assert not any(Worker.objects.using(alias).exists() for alias in ("default", "queue"))


def test_through_the_outbox_too(by_outbox: None, seen: list[Any]) -> None:
    publish(1, routing_key="orders")
    carry("default")
    assert (waiting("orders", "queue"), waiting("orders", "default")) == (1, 0)
    consume()
    assert (seen, waiting("orders", "queue")) == ([1], 0)
    assert not any(Worker.objects.using(alias).exists() for alias in ("default", "queue"))


def test_commands_look_at_the_database_of_the_url(in_queue: None, seen: list[Any]) -> None:
    publish(1, routing_key="orders")
    said = StringIO()
    call_command("kombu_queues", "--json", stdout=said)
    assert {each["queue"]: each["ready"] for each in json.loads(said.getvalue())} == {"orders": 1, "orders.dead": 0}
    call_command("kombu_consume", once=True, stdout=StringIO())
    assert seen == [1]
    call_command("kombu_prune", stdout=StringIO())


def test_the_admin_shows_the_database_of_the_url(in_queue: None, seen: list[Any], root: Client) -> None:
    publish("unicorn", routing_key="orders")
    consume()
    [dead] = Row.objects.using("queue").filter(queue__name="orders.dead")
    assert cells(root.get(listing("queue")), "ready") == {"orders": ["0"], "orders.dead": ["1"]}
    page = root.get(listing("message"))
    assert "orders.dead" in text(page)
    assert f"queue__id__exact={dead.queue_id}" in page.content.decode(), "the filter offers the queues of this database"
    assert "no unicorns left" in text(root.get(shown(dead)))
    assert "orders.dead" in text(root.get(shown(dead)))
    assert "1 message requeued" in text(act(root, "requeue", dead))
    assert waiting("orders", "queue") == 1
