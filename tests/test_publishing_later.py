"""A message may be delivered later: after a delay, or from a moment on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kombu import Connection, Producer
from kombu.exceptions import PreconditionFailed
from tests.memory import counts


@pytest.fixture
def producer(connection: Connection, orders_queue: None) -> Producer:
    return connection.Producer(routing_key="orders")


def test_a_delay_may_be_seconds_or_a_timedelta(producer: Producer) -> None:
    assert producer.prepare("x", delay=90).delay == 90
    assert producer.prepare("x", delay=timedelta(minutes=1.5)).delay == 90


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-9))], ids=["UTC", "elsewhere"])
def test_an_eta_is_a_delay_until_then(zone: timezone, producer: Producer, name: str) -> None:
    eta = datetime.now(zone) + timedelta(hours=1)
    assert 3590 < producer.prepare("x", eta=eta).delay <= 3600
    producer.publish("x", eta=eta)
    assert (counts(name).ready, counts(name).delayed) == (0, 1)


def test_an_eta_that_has_passed_is_now(producer: Producer, name: str) -> None:
    producer.publish("x", eta=datetime.now(UTC) - timedelta(days=1))
    assert counts(name).ready == 1


def test_an_eta_without_a_time_zone_is_refused(producer: Producer) -> None:
    with pytest.raises(PreconditionFailed, match="time zone"):
        producer.publish("x", eta=datetime(2030, 1, 1))  # noqa: DTZ001


def test_a_delay_and_an_eta_are_too_much(producer: Producer) -> None:
    with pytest.raises(PreconditionFailed, match="delay and eta"):
        producer.publish("x", delay=1, eta=datetime.now(UTC))


@pytest.mark.parametrize("delay", [-1, float("inf"), float("nan"), timedelta(seconds=-1)])
def test_a_delay_that_is_no_time_is_refused(delay: float | timedelta, producer: Producer, name: str) -> None:
    with pytest.raises(PreconditionFailed, match="delay"):
        producer.publish("x", delay=delay)
    assert counts(name).total == 0
