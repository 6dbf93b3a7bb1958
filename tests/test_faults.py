"""A broker in memory fails when a test says so, at the moment and in the way that it says, and at no other time."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kombu import Connection, Queue
from kombu.exceptions import ConnectionError, KombuError, OperationalError, PublishRefused, PublishUncertain
from kombu.testing.faults import Faults, Moment, faults
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import Envelope
from tests.memory import PATIENCE, Connect, counts, publish, take

pytestmark = pytest.mark.usefixtures("orders_queue")
AT_ONCE = {"interval_start": 0, "interval_step": 0, "interval_max": 0}
ENVELOPE = Envelope("{}", b"")


class Planned(OperationalError):
    """A test's own."""


def test_the_next_publishes_fail_and_store_nothing(connection: Connection, name: str) -> None:
    with faults(name) as broker:
        broker.fail("publish", Planned, times=2)
        for _ in range(2):
            with pytest.raises(Planned, match="publish failed, as the test wants it"):
                publish(connection, 1)
        publish(connection, 2)
        assert broker.pending == 0
    assert counts(name).ready == 1


def test_an_error_may_be_given_with_its_text_and_is_a_new_one_each_time(connection: Connection, name: str) -> None:
    with faults(name) as broker:
        broker.fail("publish", PublishRefused("full up"), times=2)
        raised = []
        for _ in range(2):
            with pytest.raises(PublishRefused, match="full up") as caught:
                publish(connection, 1)
            raised.append(caught.value)
    assert raised[0] is not raised[1]


def test_a_publish_may_fail_though_it_was_carried_out(connection: Connection, name: str) -> None:
    with faults(name) as broker:
        broker.fail("publish", PublishUncertain, done=True)
        with pytest.raises(PublishUncertain):
            publish(connection, 1)
    assert counts(name).ready == 1


def test_a_producer_that_tries_again_comes_through_it(connection: Connection, name: str) -> None:
    with faults(name) as broker:
        broker.fail("publish", times=3)
        publish(connection, 1, retry=True, retry_policy=AT_ONCE)
    assert counts(name).ready == 1


def test_messages_cannot_be_taken_for_a_while(connection: Connection, name: str) -> None:
    publish(connection, 1)
    with faults(name) as broker:
        broker.fail("claim")
        with pytest.raises(OperationalError, match="claim failed"):
            take(connection)
        assert take(connection).payload == 1


@pytest.mark.parametrize("done", [False, True])
def test_an_acknowledgement_that_fails_is_owed_and_written_later(connect: Connect, name: str, done: bool) -> None:
    connection = connect(transport_options={"settle_delay": 0})
    publish(connection, 1)
    with faults(name) as broker:
        broker.fail("settle", done=done)
        message = take(connection)
        with pytest.raises(OperationalError):
            message.ack()
        connection.release()
    assert counts(name).total == 0


def test_connecting_fails_as_often_as_it_is_told_to(connect: Connect, name: str) -> None:
    with faults(name) as broker:
        broker.fail("connect", times=2)
        connection, tries = connect(), list[Exception]()
        connection.ensure_connection(errback=lambda error, _: tries.append(error), interval_start=0, interval_step=0)
        assert len(tries) == 2
        assert connection.connected


def test_renewing_fails(name: str) -> None:
    store = MemoryStore(name)
    with faults(name) as broker:
        broker.fail("renew", Planned)
        with pytest.raises(Planned):
            store.extend([], 1.0)
        assert store.extend([], 1.0) == []


class TestLostConnections:
    def test_a_lost_connection_answers_nothing_until_it_is_opened_anew(self, connection: Connection, name: str) -> None:
        publish(connection, 1)
        with faults(name) as broker:
            broker.lose_connections()
            for ask in (lambda: publish(connection, 2), lambda: take(connection), lambda: connection.statistics()):
                with pytest.raises(ConnectionError, match="as the test wants it"):
                    ask()
            connection.reconnect()
            assert take(connection).payload == 1

    def test_it_stays_lost_when_the_block_has_ended(self, connection: Connection, name: str) -> None:
        connection.connect()
        with faults(name) as broker:
            broker.lose_connections()
        with pytest.raises(ConnectionError):
            publish(connection, 1)
        connection.reconnect()
        publish(connection, 1)

    @pytest.mark.parametrize(("done", "stored"), [(False, 0), (True, 1)])
    def test_it_is_lost_at_the_moment_that_was_chosen(
        self, connect: Connect, name: str, done: bool, stored: int
    ) -> None:
        publisher, other = connect(), connect()
        other.connect()
        with faults(name) as broker:
            broker.lose_connections("publish", done=done)
            with pytest.raises(ConnectionError):
                publish(publisher, 1)
            with pytest.raises(ConnectionError):
                publisher.statistics()
            assert other.statistics()["orders"].ready == stored

    def test_a_consumer_that_waits_hears_of_it_at_once(self, connection: Connection, name: str) -> None:
        heard = threading.Event()

        def consume() -> None:
            with connection.Consumer(Queue("orders"), on_message=print, auto_declare=False):
                try:
                    connection.drain_events(timeout=60 * PATIENCE)
                except ConnectionError:
                    heard.set()
                    connection.collect()

        thread = threading.Thread(target=consume)
        thread.start()
        with faults(name) as broker:
            while not heard.wait(0.01):
                broker.lose_connections()
        thread.join(PATIENCE)
        assert not thread.is_alive()


class TestTime:
    def test_a_lease_runs_out_now_and_another_consumer_has_the_message(self, connect: Connect, name: str) -> None:
        one, other = connect(), connect()
        publish(one, 1)
        held = take(one)
        with faults(name) as broker:
            broker.end_leases()
            again = take(other)
        assert again.delivery_info["delivery_count"] == 2
        again.ack()
        held.ack()
        other.release()
        one.release()
        assert counts(name).total == 0

    def test_time_passes_at_once(self, connection: Connection, name: str) -> None:
        publish(connection, "later", delay=3600)
        publish(connection, "gone", expiration=1800)
        with faults(name) as broker:
            broker.advance(3601)
            assert take(connection).payload == "later"
            with pytest.raises(ValueError, match="does not go back"):
                broker.advance(-1)
        assert counts(name).ready == 0

    def test_time_that_passed_stays_passed(self, connection: Connection, name: str) -> None:
        publish(connection, 1, delay=3600)
        for _ in range(2):
            with faults(name) as broker:
                broker.advance(1801)
        assert counts(name).ready == 1
        publish(connection, 2)
        assert [take(connection).payload for _ in range(2)] == [1, 2]

    def test_who_waits_for_a_moment_is_woken_when_it_comes(self, connect: Connect, name: str) -> None:
        connection = connect()
        publish(connection, 1, delay=3600)
        seen: list[Any] = []
        with (
            faults(name) as broker,
            connection.Consumer(
                Queue("orders"),
                callbacks=[lambda body, message: (seen.append(body), message.ack())],
                auto_declare=False,
            ),
        ):
            timer = threading.Timer(0.05, broker.advance, [3600])
            timer.start()
            connection.drain_events(timeout=PATIENCE)
            timer.join()
        assert seen == [1]

    def test_what_is_published_may_come_later(self, connection: Connection, name: str) -> None:
        with faults(name) as broker:
            broker.delay(30)
            publish(connection, "slow")
            broker.delay(0)
            publish(connection, "fast")
            assert take(connection).payload == "fast"
            assert counts(name).delayed == 1
            broker.advance(30)
            assert take(connection).payload == "slow"


class TestWithout:
    def test_nothing_stands_in_the_way_when_there_are_no_faults(self, connection: Connection, name: str) -> None:
        store = connection.connection.store  # type: ignore[attr-defined]
        assert type(store) is MemoryStore
        with faults(name) as broker:
            broker.fail("publish", times=100)
            assert type(store) is not MemoryStore
        assert type(store) is MemoryStore
        publish(connection, 1)

    def test_another_name_has_no_part_in_it(self, name: str) -> None:
        with faults(name + "x") as broker, Connection(f"memory://{name}") as connection:
            broker.fail("publish")
            publish(connection, 1)
            assert broker.pending == 1

    def test_one_block_at_a_time(self, name: str) -> None:
        with faults(name), pytest.raises(RuntimeError, match="one block at a time"), faults(name):
            pass

    def test_a_store_of_a_tests_own_does_what_it_does(self, name: str) -> None:
        class Own(MemoryStore):
            pass

        with faults(name) as broker:
            broker.lose_connections()
            assert Own(name).counts(["orders"])["orders"].total == 0


def every_moment() -> tuple[Moment, ...]:
    return ("connect", "publish", "claim", "settle", "renew")


@pytest.mark.parametrize("moment", every_moment())
def test_any_error_of_the_library_may_be_chosen(name: str, moment: Moment) -> None:
    def act(store: MemoryStore) -> None:
        match moment:
            case "connect":
                store.open()
            case "publish":
                store.put([("orders", ENVELOPE)])
            case "claim":
                store.claim({"orders": 1}, 1.0)
            case "settle":
                store.settle([])
            case "renew":
                store.extend([], 1.0)

    with faults(name) as broker:
        assert isinstance(broker, Faults)
        broker.fail(moment, KombuError("chosen"))
        with pytest.raises(KombuError, match="chosen"):
            act(MemoryStore(name))
        act(MemoryStore(name))
