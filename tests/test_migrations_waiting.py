"""Messages that wait in tables of an older state come through its migrations: all of them, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy import Column, MetaData, Table, insert

from kombu import Connection, Consumer, Message, Queue

if TYPE_CHECKING:
    from tests.doors import Doors

pytest_plugins = ["tests.doors"]

ORDERS = Queue("orders", max_priority=3)
STORED = 1795526453212018
WAITING = 250
ROWS: dict[str, list[dict[str, object]]] = {
    "exchange": [
        {"id": 1, "name": "", "type": "direct", "durable": True, "version": 1516714945787526070},
        {"id": 2, "name": "shop", "type": "topic", "durable": True, "version": 0},
    ],
    "queue": [
        {"id": 1, "name": "orders", "durable": True, "exclusive": False, "arguments": '{"x-max-priority":3}'},
        {"id": 2, "name": "bytes", "durable": True, "exclusive": False},
    ],
    "binding": [
        {
            "id": 1,
            "digest": "7b7e6dbb28c3627beee74b5f62d217bd2020f5256fea73ffc3babac68e98ae78",
            "source": "shop",
            "destination": "orders",
            "to_exchange": False,
            "routing_key": "order.*",
        },
    ],
}
"""As the first state's release wrote them."""


class Seen(NamedTuple):
    body: Any
    routing_key: str | None
    headers: dict[str, Any]
    redelivered: bool


def messages() -> Iterator[dict[str, object]]:
    """One after the other to orders, every tenth of the highest priority; one is leased by a process that has died;
    and one of bytes."""
    for number in range(WAITING):
        urgent = number % 10 == 0
        extra = ',"correlation_id":"c-2","headers":{"who":"größe"},"priority":3' if urgent else ""
        died = number == 7
        yield row(
            1,
            f'{{"id":{number}}}'.encode(),
            '{"exchange":"shop","routing_key":"order.made","properties":{"content_type":"application/json",'
            '"content_encoding":"utf-8","delivery_mode":2,"message_id":"270bf741-fa2c-4c3c-b70a-f50c37a289b6"'
            f"{extra}}}}}",
            STORED + number,
            priority=3 if urgent else 0,
            delivery_count=int(died),
            lease_token=7836522012620407456 if died else None,
        )
    yield row(
        2,
        b"\x00\xff'%",
        '{"exchange":"","routing_key":"bytes","properties":{"content_type":"application/octet-stream",'
        '"content_encoding":"binary","delivery_mode":2,"message_id":"47c982ec-1343-4d17-9fae-81663c87c7a1"}}',
        STORED,
    )


def row(queue: int, body: bytes, head: str, at: int, **more: object) -> dict[str, object]:
    times = {"available_at": at - 10**15, "due_at": at - 10**15, "stored_at": at - 10**15, "expires_at": None}
    counts = {"priority": 0, "delivery_count": 0, "lease_token": None}
    return {"queue_id": queue, "head": head, "body": body, **times, **counts, **more}


@pytest.mark.parametrize("move_by", ["migrate", "upgrade"])
@pytest.mark.parametrize("made_by", ["migrate", "upgrade"])
def test_messages_of_the_first_state_are_delivered_in_the_newest(made_by: str, move_by: str, doors: Doors) -> None:
    """Through the other door than their tables came by last."""
    getattr(doors, made_by)("0001" if made_by == "migrate" else "kombu_0001")
    fill(doors)
    getattr(doors, move_by)()
    assert doors.look(lambda c: c.exec_driver_sql("SELECT * FROM kombu_queue WHERE refuses OR paused").fetchall()) == []
    with Connection(doors.sqla if move_by == "migrate" else doors.django) as connection:
        seen = take(connection, ORDERS, WAITING)
        urgent = [number for number in range(WAITING) if number % 10 == 0]
        assert [each.body["id"] for each in seen] == urgent + [n for n in range(WAITING) if n not in urgent]
        assert {each.routing_key for each in seen} == {"order.made"}
        assert [each.body["id"] for each in seen if each.headers == {"who": "größe"}] == urgent
        assert [each.body["id"] for each in seen if each.redelivered] == [7]
        assert [each.body for each in take(connection, Queue("bytes"), 1)] == [b"\x00\xff'%"]
        connection.Producer().publish({"id": "new"}, "order.made", exchange="shop")
        assert [each.body["id"] for each in take(connection, ORDERS, 1)] == ["new"]
    assert doors.look(lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM kombu_message").scalar()) == 0


def fill(doors: Doors) -> None:
    with doors.engine.begin() as connection:
        for name, rows in {**ROWS, "message": list(messages())}.items():
            there = Table(f"kombu_{name}", MetaData(), autoload_with=connection)
            connection.execute(insert(there), [completed(there, each) for each in rows])


def completed(table: Table, given: dict[str, object]) -> dict[str, object]:
    """With what is the same in all of that state's rows."""
    usual: dict[str, object] = {"auto_delete": False, "arguments": "{}"}

    def value(column: Column[Any]) -> object:
        return given[column.name] if column.name in given else usual[column.name]

    return {column.name: value(column) for column in table.columns if column.name in given or column.name in usual}


def take(connection: Connection, queue: Queue, count: int) -> list[Seen]:
    seen: list[Seen] = []

    def handle(body: Any, message: Message) -> None:
        info = message.delivery_info
        seen.append(Seen(body, info["routing_key"], message.headers, info["redelivered"]))
        message.ack()

    with Consumer(connection, queue, callbacks=[handle], accept=None):
        while len(seen) < count:
            connection.drain_events(timeout=30)
    return seen
