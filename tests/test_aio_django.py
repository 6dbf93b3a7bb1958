"""kombu.aio in Django's async views, over ``django://``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections
from django.db.backends.signals import connection_created
from django.http import HttpRequest, JsonResponse
from django.test import AsyncClient, override_settings
from django.urls import path

from kombu import Connection, aio
from tests.aio import ORDERS, play, received
from tests.memory import PATIENCE, publish, take

pytestmark = pytest.mark.usefixtures("tables")


async def order(request: HttpRequest) -> JsonResponse:
    """An async view that publishes through the connection of its process."""
    number = json.loads(request.body)
    await kept["connection"].Producer(routing_key="orders").publish(number)
    return JsonResponse({"ordered": number})


async def next_order(request: HttpRequest) -> JsonResponse:
    """One that waits for a message."""
    async with kept["connection"].Consumer(ORDERS) as consumer:
        [number] = await received(consumer, 1)
    return JsonResponse({"order": number})


kept: dict[str, aio.Connection] = {}
urlpatterns = [path("order", order), path("next", next_order)]


@pytest.fixture
def asgi() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def queue() -> Iterator[Connection]:
    """A blocking connection to the same queues; there is one for orders."""
    with Connection("django://default") as connection:
        ORDERS(connection).declare()
        yield connection


def test_async_views_publish(asgi: None, queue: Connection) -> None:
    async def scene() -> list[Any]:
        async with aio.Connection("django://default") as kept["connection"]:
            client = AsyncClient()
            answers = await asyncio.gather(*(_post(client, number) for number in range(20)))
            assert answers == [{"ordered": number} for number in range(20)]
            async with kept["connection"].Consumer(ORDERS) as consumer:
                return await received(consumer, 20)

    assert sorted(play(scene())) == list(range(20))


async def _post(client: AsyncClient, number: int) -> Any:
    response = await client.post("/order", json.dumps(number), content_type="application/json")
    assert response.status_code == 200
    return response.json()


def test_an_async_view_waits_for_a_message_while_others_answer(asgi: None, queue: Connection) -> None:
    async def scene() -> Any:
        async with aio.Connection("django://default") as kept["connection"]:
            client = AsyncClient()
            waiting = asyncio.create_task(client.get("/next"))
            assert await _post(client, 7) == {"ordered": 7}
            async with asyncio.timeout(PATIENCE):
                return (await waiting).json()

    assert play(scene()) == {"order": 7}


def test_a_connection_serves_one_request_after_the_other_in_loops_of_their_own(asgi: None, queue: Connection) -> None:
    kept["connection"] = aio.Connection("django://default")
    for number in range(3):
        assert asyncio.run(_post(AsyncClient(), number)) == {"ordered": number}
    play(kept["connection"].close())
    assert [take(queue).payload for _ in range(3)] == [0, 1, 2]


def test_it_receives_what_a_transaction_of_the_application_published(queue: Connection) -> None:
    async def scene() -> list[Any]:
        async with aio.Connection("django://default") as connection, connection.Consumer(ORDERS) as consumer:
            waiting = asyncio.create_task(received(consumer, 2))
            await asyncio.to_thread(_publish_two)
            return await waiting

    assert play(scene()) == [1, 2]


def _publish_two() -> None:
    from django.db import transaction

    try:
        with Connection("django://default") as connection, transaction.atomic():
            publish(connection, 1, 2)
    finally:
        connections.close_all()


def test_the_database_connection_of_its_thread_is_closed_with_it(queue: Connection) -> None:
    made: list[Any] = []

    def note(connection: Any, **kwargs: Any) -> None:
        made.append(connection)

    async def scene() -> None:
        async with aio.Connection("django://default") as connection:
            await connection.Producer(routing_key="orders").publish("one")

    connection_created.connect(note)
    try:
        play(scene())
    finally:
        connection_created.disconnect(note)
    assert made
    assert [connection.connection for connection in made] == [None] * len(made)
