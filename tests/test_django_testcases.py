"""A project's own test cases see their messages, and leave none to the next test."""

from __future__ import annotations

import time
import unittest
from collections.abc import Iterator
from typing import Any

import pytest
from django import test
from django.test import override_settings

from kombu import Connection, Message, Queue
from kombu_django import consumer, publish
from tests.flows import consume, waiting
from tests.memory import PATIENCE, take
from tests.memory import publish as put

ORDERS = Queue("orders")
LONGER_THAN_AN_ACKNOWLEDGEMENT_WAITS = 0.15


@pytest.fixture(
    params=[
        pytest.param("default", id="sqlite"),
        pytest.param("postgresql", marks=pytest.mark.server("postgresql")),
        pytest.param("mariadb", marks=pytest.mark.server("mariadb", "mysqlclient")),
    ]
)
def database(request: pytest.FixtureRequest, registered: None) -> Iterator[str]:
    name = str(request.param)
    request.getfixturevalue("tables" if name == "default" else f"{name}_tables")
    with override_settings(KOMBU={"default": {"URL": f"django://{name}", "DATABASE": name}}):
        yield name


class Shop:
    """What a project tests."""

    alias: str
    seen: list[Any]

    def test_the_runtime_consumes_what_was_published(self) -> None:
        publish(1, routing_key="orders")
        publish(2, routing_key="orders")
        assert consume().handled == 2
        assert self.seen == [1, 2]

    def test_a_consumer_of_the_tests_own_gets_its_messages(self) -> None:
        seen = []

        def handle(body: int, message: Message) -> None:
            seen.append(body)
            message.ack()

        with Connection(f"django://{self.alias}") as connection:
            ORDERS(connection).declare()
            put(connection, 1, 2)
            with connection.Consumer(ORDERS, callbacks=[handle]):
                connection.drain_events(timeout=PATIENCE)
                connection.drain_events(timeout=PATIENCE)
        assert seen == [1, 2]
        assert waiting("orders", self.alias) == 0

    def test_an_acknowledged_message_is_gone_however_long_the_test_goes_on(self) -> None:
        with Connection(f"django://{self.alias}") as connection:
            ORDERS(connection).declare()
            put(connection, 1)
            take(connection).ack()
            time.sleep(LONGER_THAN_AN_ACKNOWLEDGEMENT_WAITS)
            assert waiting("orders", self.alias) == 0

    def test_a_message_that_nobody_consumes(self) -> None:
        publish("left over", routing_key="orders")
        assert waiting("orders", self.alias) == 1

    def test_nothing_is_there_at_first(self) -> None:
        assert waiting("orders", self.alias) == 0


@pytest.mark.parametrize("kind", [test.TestCase, test.TransactionTestCase])
def test_a_test_case_sees_its_own_messages_and_no_others(
    kind: type[test.TransactionTestCase], database: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    @consumer(ORDERS)
    def handle(body: Any, message: Message) -> None:
        seen.append(body)

    case = type("ShopTests", (Shop, kind), {"databases": {database}, "alias": database, "seen": seen})
    case.available_apps = None if database == "default" else ["kombu_django"]  # type: ignore[attr-defined]
    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromTestCase(case).run(result)
    assert [text for _, text in result.errors + result.failures] == []
    assert result.testsRun == 5
    assert [each.message for each in caplog.records if each.levelname != "DEBUG"] == []
    assert waiting("orders", database) == 0
