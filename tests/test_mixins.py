"""A ConsumerMixin consumes until it is told to stop, whatever its broker does meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import ConnectionError, NotFound, OperationalError
from kombu.mixins import ConsumerMixin, ConsumerProducerMixin
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import Delivery
from kombu.utils.limits import TokenBucket
from tests.memory import PATIENCE, Connect, counts, publish, take, transport_over

pytestmark = pytest.mark.usefixtures("orders_queue")

orders = Queue("orders")


class Broker:
    """Queues in memory that can be cut off from all who use them through :attr:`transport`."""

    def __init__(self, name: str) -> None:
        self.attempts = 0
        self._down = False
        self._handles: list[MemoryStore] = []
        broker = self

        class Fragile(MemoryStore):
            def open(self) -> None:
                broker.attempts += 1
                broker.must_be_up(OperationalError("nobody answers"))
                broker._handles.append(self)

            def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
                broker.must_be_up(ConnectionError("the broker is gone"))
                return super().claim(wants, lease)

        self.transport = transport_over(lambda: Fragile(name))

    def must_be_up(self, error: Exception) -> None:
        if self._down:
            raise error

    def cut(self) -> None:
        self._down = True
        for handle in self._handles:
            handle.wake()

    def restore(self) -> None:
        self._down = False


@pytest.fixture
def broker(name: str) -> Broker:
    return Broker(name)


class Worker(ConsumerMixin):
    """Takes from ``orders`` and notes what happens to it; stops after ``enough`` bodies."""

    def __init__(self, connection: Connection, enough: int = 1, queue: Queue = orders, **consumer: Any) -> None:
        self.connection = connection
        self.queue = queue
        self.enough = enough
        self.consumer = consumer
        self.bodies: list[Any] = []
        self.story: list[str] = []
        self.connection_failed = threading.Event()
        self.consuming = threading.Event()

    def get_consumers(self, Consumer: Any, channel: Any) -> Sequence[Any]:
        return [Consumer(queues=[self.queue], callbacks=[self.on_order], **self.consumer)]

    def on_order(self, body: Any, message: Message) -> None:
        message.ack()
        self.bodies.append(body)
        self.should_stop = len(self.bodies) >= self.enough

    def on_connection_revived(self) -> None:
        self.story.append("revived")

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **options: Any) -> None:
        self.story.append(f"ready {options}" if options else "ready")
        self.consuming.set()

    def on_consume_end(self, connection: Any, channel: Any) -> None:
        self.story.append("end")

    def on_connection_error(self, exc: Exception, interval: float) -> None:
        super().on_connection_error(exc, interval)
        self.connection_failed.set()


@contextmanager
def running(worker: ConsumerMixin) -> Iterator[threading.Thread]:
    """The worker in a thread of its own, which has to end by itself or be stopped within the block."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
        thread.join(PATIENCE)
        assert not thread.is_alive(), "it did not stop"
    finally:
        worker.should_stop = True
        thread.join(PATIENCE)


def test_it_consumes_until_it_is_told_to_stop(connection: Connection) -> None:
    publish(connection, 1, 2, 3)
    worker = Worker(connection, enough=2)
    worker.run()
    assert worker.bodies == [1, 2]
    assert take(connection).payload == 3


def test_it_uses_a_connection_of_its_own(name: str) -> None:
    unused = Connection(f"memory://{name}")
    with Connection(f"memory://{name}") as other:
        publish(other, 1)
    Worker(unused).run()
    assert not unused.connected


def test_it_tells_what_happens_in_order(connection: Connection) -> None:
    class Surrounded(Worker):
        @contextmanager
        def extra_context(self, connection: Connection, channel: object) -> Iterator[None]:
            self.story.append("entered")
            yield
            self.story.append("left")

        def on_iteration(self) -> None:
            self.story.append("iteration")

    publish(connection, 1)
    worker = Surrounded(connection)
    worker.run(colour="red")
    assert worker.story == ["revived", "entered", "ready {'colour': 'red'}", "iteration", "left", "end"]


def test_an_idle_one_stops_when_another_thread_says_so(connection: Connection) -> None:
    worker = Worker(connection)
    with running(worker):
        assert worker.consuming.wait(PATIENCE)
        worker.should_stop = True
    assert worker.story[-1] == "end"


def test_it_survives_that_its_broker_goes_away(broker: Broker, connect: Connect) -> None:
    worker = Worker(connect(transport=broker.transport), enough=2)
    with running(worker):
        publish(connect(), "before")
        assert worker.consuming.wait(PATIENCE)
        broker.cut()
        assert worker.connection_failed.wait(PATIENCE)
        publish(connect(), "meanwhile")
        broker.restore()
    assert worker.bodies == ["before", "meanwhile"]
    assert worker.story == ["revived", "ready", "end", "revived", "ready", "end"]


def test_what_was_not_settled_when_the_broker_went_away_comes_again(broker: Broker, connect: Connect) -> None:
    class Interrupted(Worker):
        def on_order(self, body: Any, message: Message) -> None:
            if not message.delivery_info["redelivered"]:
                raise ConnectionError("the broker went away while this was handled")
            super().on_order(body, message)

    publish(connect(), 1)
    worker = Interrupted(connect(transport=broker.transport))
    worker.run()
    assert worker.bodies == [1]


def test_it_waits_for_a_broker_that_is_not_there_yet(broker: Broker, connect: Connect) -> None:
    broker.cut()
    publish(connect(), 1)
    worker = Worker(connect(transport=broker.transport))
    with running(worker):
        assert worker.connection_failed.wait(PATIENCE)
        assert worker.story == []
        broker.restore()
    assert worker.bodies == [1]


def test_it_gives_up_connecting_when_it_has_tried_often_enough(broker: Broker, connect: Connect) -> None:
    broker.cut()
    worker = Worker(connect(transport=broker.transport))
    worker.connect_max_retries = 0
    with pytest.raises(OperationalError, match="nobody answers"):
        worker.run()
    assert broker.attempts == 1


def test_it_stops_while_it_waits_for_its_broker(broker: Broker, connect: Connect) -> None:
    class Impatient(Worker):
        def on_connection_error(self, exc: Exception, interval: float) -> None:
            self.should_stop = True

    broker.cut()
    Impatient(connect(transport=broker.transport)).run()
    assert broker.attempts == 1


def test_it_begins_anew_no_more_often_than_its_limit_says(connect: Connect) -> None:
    class Limit(TokenBucket[object]):
        """Gives one token, then says that the next one is an eternity away."""

        asked = 0

        def expected_time(self, tokens: float = 1) -> float:
            self.asked += 1
            if self.asked > 1:
                worker.should_stop = True
                return 3600.0
            return 0.0

    class Flapping(Worker):
        restart_limit = Limit(1)

        def on_iteration(self) -> None:
            raise ConnectionError("cut again")

    worker = Flapping(connect())
    worker.run()
    assert worker.story == ["revived", "ready", "end"]


def test_the_error_of_a_callback_ends_it_and_the_message_goes_back(connection: Connection, name: str) -> None:
    class Broken(Worker):
        def on_order(self, body: Any, message: Message) -> None:
            raise ZeroDivisionError

    publish(connection, 1)
    with pytest.raises(ZeroDivisionError):
        Broken(connection).run()
    assert counts(name).ready == 1


def test_a_queue_that_is_deleted_under_it_ends_it_with_an_error(connection: Connection, connect: Connect) -> None:
    class Unlucky(Worker):
        def on_consume_ready(self, *args: Any, **options: Any) -> None:
            orders(connect()).delete()

    with pytest.raises(NotFound, match="orders"):
        Unlucky(connection).run()


def undecodable(connection: Connection) -> None:
    publish(connection, b"{", content_type="application/json", content_encoding="utf-8")


def test_what_cannot_be_decoded_is_dead_lettered_and_logged(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    orders(connection).delete()
    to_dead = Queue("orders", queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    to_dead(connection).declare()
    Queue("dead")(connection).declare()
    undecodable(connection)
    publish(connection, "good")
    worker = Worker(connection, queue=to_dead)
    worker.run()
    assert worker.bodies == ["good"]
    dead = take(connection, "dead")
    assert dead.body == b"{"
    assert "x-rejected-because" in dead.headers
    assert "queue 'orders', application/json, cannot be decoded" in caplog.text


@pytest.mark.parametrize("no_ack", [False, True])
def test_where_nobody_keeps_dead_letters_it_is_put_into_a_queue_for_them(
    connection: Connection, caplog: pytest.LogCaptureFixture, no_ack: bool
) -> None:
    undecodable(connection)
    publish(connection, "good")
    worker = Worker(connection, no_ack=no_ack)
    worker.run()
    assert worker.bodies == ["good"]
    dead = take(connection, "orders.dead")
    assert (dead.body, dead.content_type) == (b"{", "application/json")
    assert "not JSON" in dead.headers["x-rejected-because"]
    assert "put into queue 'orders.dead'" in caplog.text


def test_where_it_cannot_be_put_anywhere_it_stays(
    connection: Connection, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    Queue("orders.dead", queue_arguments={"x-max-length": 0, "x-overflow": "reject-publish"})(connection).declare()
    undecodable(connection)
    publish(connection, "good")
    Worker(connection).run()
    assert "not settled" in caplog.text
    assert take(connection).body == b"{"


def test_a_consumer_may_have_its_own_way_with_what_cannot_be_decoded(connection: Connection) -> None:
    mine: list[bytes] = []

    def take_it(message: Message, exc: Exception) -> None:
        mine.append(message.body if isinstance(message.body, bytes) else b"")
        message.ack()

    undecodable(connection)
    publish(connection, "good")
    Worker(connection, on_decode_error=take_it).run()
    assert mine == [b"{"]


def test_consuming_can_end_after_some_messages_or_some_time(connection: Connection) -> None:
    publish(connection, 1, 2, 3)
    worker = Worker(connection, enough=9)
    assert sum(1 for _ in worker.consume(limit=2)) == 2
    with pytest.raises(TimeoutError):
        list(worker.consume(limit=None, timeout=0.02, safety_interval=0.01))
    assert worker.bodies == [1, 2, 3]


def test_a_class_that_does_not_say_what_to_consume_is_told_how(connection: Connection) -> None:
    class Silent(ConsumerMixin):
        pass

    silent = Silent()
    silent.connection = connection
    with pytest.raises(NotImplementedError, match=r"get_consumers\(self, Consumer, channel\)"):
        silent.run()


def test_errors_of_the_connection_can_be_ignored(connection: Connection) -> None:
    def fail(error: Exception) -> Callable[[], object]:
        def call() -> object:
            raise error

        return call

    worker = Worker(connection)
    assert worker.maybe_conn_error(fail(ConnectionError("lost"))) is None
    assert worker.maybe_conn_error(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        worker.maybe_conn_error(fail(ZeroDivisionError()))
    assert worker.connection_errors == connection.connection_errors
    assert worker.channel_errors == connection.channel_errors


def test_no_password_is_logged(connection: Connection, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    publish(connection, 1)
    Worker(Connection(f"memory://anna:secret@{name}")).run()
    assert "connected to" in caplog.text
    assert "secret" not in caplog.text


class Answering(ConsumerProducerMixin):
    """Answers each order, and notes the connections it does that on."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.publishing: list[Connection] = []
        self.consuming: list[Connection] = []

    def get_consumers(self, Consumer: Any, channel: Any) -> Sequence[Any]:
        return [Consumer(queues=[orders], callbacks=[self.on_order])]

    def on_consume_ready(self, connection: Any, channel: Any, consumers: Any, **options: Any) -> None:
        self.consuming.append(connection)

    def on_order(self, body: Any, message: Message) -> None:
        self.producer.publish(body * 2, exchange=Exchange(""), routing_key="answers", retry=True)
        self.publishing.append(self.producer_connection)
        message.ack()
        self.should_stop = body == 2


def test_callbacks_publish_on_a_second_connection(connection: Connection) -> None:
    Queue("answers")(connection).declare()
    publish(connection, 1, 2)
    worker = Answering(connection)
    worker.run()
    assert [take(connection, "answers").payload for _ in range(2)] == [2, 4]
    assert worker.publishing[0] is worker.publishing[1]
    assert worker.publishing[0] is not worker.consuming[0]
    assert not any(each.connected for each in worker.publishing + worker.consuming)


def test_the_second_connection_is_not_opened_before_it_is_used(connection: Connection) -> None:
    class Quiet(Answering):
        def on_order(self, body: Any, message: Message) -> None:
            message.ack()
            self.should_stop = True

    publish(connection, 1)
    worker = Quiet(connection)
    worker.run()
    assert worker._producer_connection is None
