"""The management commands, as an operator runs them."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from kombu import Message, Queue
from kombu.transport.memory import MemoryStore
from kombu.transport.memory import Transport as Memory
from kombu_django import consumer, publish
from kombu_django.conf import get_config
from kombu_django.connections import connect
from kombu_django.models import Inbox
from kombu_django.models import Message as Row
from tests.flows import declare

pytestmark = pytest.mark.usefixtures("tables", "registered")


def run(name: str, *args: str) -> str:
    out = StringIO()
    call_command(name, *args, stdout=out)
    return out.getvalue()


def orders(using: str = "default") -> list[Any]:
    seen: list[Any] = []

    @consumer(Queue("orders"), using=using)
    def handle(body: Any, message: Message) -> None:
        seen.append(body)

    return seen


def test_consume_once_handles_what_is_ready_and_says_what_it_did() -> None:
    seen = orders()
    publish(1, routing_key="orders")
    lines = run("kombu_consume", "--once").splitlines()
    assert lines == [
        "consuming: orders",
        "handled 1, redelivered 0, duplicates skipped 0, retried 0, dead-lettered 0",
    ]
    assert seen == [1]


def test_consume_without_consumers_says_how_to_write_one() -> None:
    with pytest.raises(CommandError, match=r"consumers\.py"):
        run("kombu_consume")


def test_consume_names_the_queues_that_are_known() -> None:
    orders()
    with pytest.raises(CommandError, match="no consumer of queue 'oders': there are orders"):
        run("kombu_consume", "--queues", "oders")


def test_consume_names_the_connections_that_are_known() -> None:
    orders()
    with pytest.raises(CommandError, match="no consumers of connection 'far'"):
        run("kombu_consume", "--using", "far")


def test_relay_once_empties_the_outbox_and_says_what_it_did() -> None:
    orders("far")
    publish(1, routing_key="orders", using="far")
    assert run("kombu_relay", "--once").splitlines() == ["relaying: far", "relayed 1, failed 0"]
    assert Row.objects.using("queue").count() == 1


def test_relay_of_a_connection_without_outbox_says_so() -> None:
    with pytest.raises(CommandError, match="OUTBOX"):
        run("kombu_relay", "--using", "default")


def test_queues_are_listed_with_their_counts() -> None:
    orders()
    publish(1, routing_key="orders")
    publish(2, routing_key="orders", delay=3600)
    found = {state["queue"]: state for state in json.loads(run("kombu_queues", "--json", "--using", "default"))}
    assert (found["orders"]["ready"], found["orders"]["delayed"], found["orders"]["leased"]) == (1, 1, 0)
    assert found["orders.dead"]["ready"] == 0
    assert "orders.dead" in run("kombu_queues", "--using", "default")


class RestlessStore(MemoryStore):
    """Cannot pause a queue."""

    pause = paused = None  # type: ignore[assignment]


class Restless(Memory):
    def make_store(self) -> MemoryStore:
        return RestlessStore(self.address.hostname or "")


def test_queues_of_other_transports_are_shown_too_and_paused_where_that_can_be(tmp_path: Path, name: str) -> None:
    elsewhere = {"spool": {"URL": f"filesystem:///{tmp_path}/spool"}, "here": {"URL": f"{__name__}.Restless://{name}"}}
    with override_settings(KOMBU=elsewhere):
        show_and_pause()


def show_and_pause() -> None:
    for alias in ("spool", "here"):
        with connect(get_config(alias)) as connection, connection.SimpleQueue("orders") as queue:
            queue.put(1)
    found = json.loads(run("kombu_queues", "--json"))
    assert [(each["using"], each["queue"], each["ready"], each["consumers"]) for each in found] == [
        ("spool", "orders", 1, 0),
        ("here", "orders", 1, 0),
    ]
    assert "paused" in run("kombu_queues", "--using", "spool", "--pause", "orders")
    with pytest.raises(CommandError, match="'here': its transport cannot pause"):
        run("kombu_queues", "--using", "here", "--pause", "orders")


def test_a_queue_is_paused_and_resumed_and_the_list_says_so() -> None:
    orders()
    declare()
    assert "paused" in run("kombu_queues", "--using", "default", "--pause", "orders")
    assert [each["paused"] for each in json.loads(run("kombu_queues", "--json", "--using", "default"))] == [True, False]
    assert "paused" not in run("kombu_queues", "--using", "default", "--resume", "orders")


def test_pausing_what_is_not_there_says_what_is() -> None:
    orders()
    declare()
    with pytest.raises(CommandError, match=r"no queue .ordrs.; its queues are: orders, orders\.dead"):
        run("kombu_queues", "--using", "default", "--pause", "ordrs")
    with pytest.raises(CommandError, match="--using one of default, far"):
        run("kombu_queues", "--pause", "orders")


def test_move_carries_what_waits_to_another_connection(tmp_path: Path) -> None:
    orders("far")
    with override_settings(KOMBU=moving(tmp_path)):
        with connect(get_config("near")) as near, near.SimpleQueue("orders") as queue:
            for number in range(5):
                queue.put(number)
            near.Producer().publish("later", routing_key="orders", delay=3600)
        assert run("kombu_move", "near", "orders", "far", "--limit", "2").startswith(
            "moved 2 messages from near:orders to far:orders; left there: 3 ready, 1 delayed"
        )
        assert run("kombu_move", "near", "orders", "far") == (
            "moved 3 messages from near:orders to far:orders; left there: 1 delayed\n"
        )
        with connect(get_config("far")) as far:
            assert far.statistics(["orders"])["orders"].ready == 5


def test_move_says_what_is_wrong(tmp_path: Path) -> None:
    with override_settings(KOMBU=moving(tmp_path)):
        with connect(get_config("near")) as near:
            Queue("orders")(near).declare()
        for arguments, said in (
            (("near", "orders", "far"), "moved 0 messages from near:orders to far:orders, then: no queue 'orders'"),
            (("near", "orders", "near"), "same queue"),
            (("near", "orders", "nowhere"), "no connection 'nowhere'"),
            (("near", "orders", "far", "--batch", "0"), "at least 1"),
        ):
            with pytest.raises(CommandError, match=said):
                run("kombu_move", *arguments)


def moving(folder: Path) -> dict[str, dict[str, str]]:
    return {"near": {"URL": f"filesystem:///{folder}/near"}, "far": {"URL": f"filesystem:///{folder}/far"}}


def test_prune_forgets_old_inbox_rows_only() -> None:
    Inbox.objects.create(message_id="old", queue="orders", received_at=0)
    Inbox.objects.create(message_id="new", queue="orders", received_at=2**62)
    assert run("kombu_prune", "--days", "1") == "removed 1 inbox rows\n"
    assert [row.message_id for row in Inbox.objects.all()] == ["new"]
