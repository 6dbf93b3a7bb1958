"""The promise about killed processes is proved by one that held a message: a process that held none fails it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kombu import Connection, Queue
from kombu.testing.transports.victim import hold_and_be_killed

PATIENCE = 10.0
ORDERS = Queue("orders")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a broker that processes share, with a queue ``orders``."""
    url = f"examples.own_transport.Transport:///{tmp_path}/queues.sqlite3"
    with Connection(url) as connection:
        ORDERS(connection).declare()
    return url


def test_the_process_holds_a_message_when_it_ends(url: str) -> None:
    with Connection(url) as connection:
        connection.Producer().publish(1, routing_key="orders")
        hold_and_be_killed(url, "orders", {}, PATIENCE)
        assert ORDERS(connection).get() is None


def test_a_process_that_is_given_no_message_fails_the_promise(url: str) -> None:
    with pytest.raises(AssertionError, match="not that it holds a message"):
        hold_and_be_killed(url, "orders", {}, 1.0)


def test_a_process_that_finds_no_queue_fails_the_promise(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="not that it holds a message"):
        hold_and_be_killed(url, "missing", {}, PATIENCE)
    assert "no queue 'missing'" in capfd.readouterr().err


def test_what_it_calls_first_is_called(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError):
        hold_and_be_killed(url, "orders", {}, PATIENCE, "sys:exit")
    assert "Traceback" not in capfd.readouterr().err
