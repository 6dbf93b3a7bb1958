"""The helpers of kombu.common: declare once, answer, collect, ignore, limit, name."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from kombu import Connection, Exchange, Message, Producer, Queue
from kombu import common as everything
from kombu.common import (
    PREFETCH_COUNT_MAX,
    Broadcast,
    QoS,
    collect_replies,
    declaration_cached,
    declared_entities,
    entry_to_queue,
    generate_oid,
    get_node_id,
    ignore_errors,
    insured,
    maybe_declare,
    oid_from,
    revive_connection,
    send_reply,
)
from kombu.exceptions import ConnectionError, NotBoundError, NotFound, OperationalError, PreconditionFailed
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import QueueSpec
from tests.memory import PATIENCE, Connect, counts, drain, publish, take, transport_over


class Counted:
    """A queue that counts how often it was declared."""

    def __init__(self, name: str = "orders", **options: Any) -> None:
        self.times = 0
        self.queue = Queue(name, on_declared=self._count, **options)

    def _count(self, *answer: object) -> None:
        self.times += 1


def test_every_name_of_the_module_is_there() -> None:
    assert all(hasattr(everything, name) for name in everything.__all__)


def test_an_entity_is_declared_once_for_all_channels_of_a_connection(connection: Connection) -> None:
    counted = Counted()
    answers = [maybe_declare(counted.queue, channel) for channel in (connection, connection.channel(), connection)]
    assert (answers, counted.times) == ([True, False, False], 1)


def test_an_equal_entity_counts_as_declared_and_a_different_one_does_not(connection: Connection) -> None:
    assert maybe_declare(Exchange("shop", "topic"), connection)
    assert not maybe_declare(Exchange("shop", "topic"), connection)
    with pytest.raises(PreconditionFailed, match="type"):
        maybe_declare(Exchange("shop", "fanout"), connection)


def test_another_connection_declares_anew(connect: Connect) -> None:
    counted = Counted()
    assert [maybe_declare(counted.queue, connect()), maybe_declare(counted.queue, connect())] == [True, True]


def test_a_new_connection_after_a_lost_one_declares_anew(connection: Connection) -> None:
    counted = Counted()
    maybe_declare(counted.queue, connection)
    connection.reconnect()
    assert not declaration_cached(counted.queue, connection)
    assert maybe_declare(counted.queue, connection)
    assert declaration_cached(counted.queue, connection)
    assert counted.times == 2


def test_a_declaration_that_failed_is_not_remembered(connection: Connection) -> None:
    queue = Queue("orders", Exchange("shop"), queue_arguments={"x-max-priority": "many"})
    for _ in range(2):
        with pytest.raises(PreconditionFailed, match="x-max-priority"):
            maybe_declare(queue, connection)


@pytest.mark.parametrize(
    "options", [{"auto_delete": True}, {"expires": 60}, {"exchange": Exchange("e", auto_delete=True)}]
)
def test_what_the_broker_may_delete_by_itself_is_declared_every_time(
    connection: Connection, options: dict[str, Any]
) -> None:
    counted = Counted(**options)
    assert [maybe_declare(counted.queue, connection), maybe_declare(counted.queue, connection)] == [True, True]


@pytest.mark.parametrize(
    "entity", [Exchange(""), Exchange("amq.topic"), Exchange("a", no_declare=True), Queue("b", no_declare=True)]
)
def test_what_is_never_declared_is_not_said_to_be(connection: Connection, entity: Exchange | Queue) -> None:
    assert not maybe_declare(entity, connection)


def test_a_bound_entity_needs_no_channel_and_an_unbound_one_does(connection: Connection) -> None:
    assert maybe_declare(Queue("orders")(connection))
    with pytest.raises(NotBoundError):
        maybe_declare(Queue("orders"))


def test_the_name_that_the_broker_chose_is_the_entitys_from_then_on(connection: Connection) -> None:
    queue = Queue("")
    assert maybe_declare(queue, connection)
    assert queue.name
    assert not maybe_declare(queue, connection)


def test_what_was_declared_is_forgotten_with_its_connection(name: str) -> None:
    connection = Connection(f"memory://{name}")
    maybe_declare(Queue("orders", Exchange("shop"))(connection), connection)
    transport_connection = weakref.ref(connection.connection)
    assert any(home is transport_connection() for home in declared_entities)
    connection.release()
    del connection
    gc.collect()
    assert transport_connection() is None


class Shaky(MemoryStore):
    """Fails to declare a queue as often as it is told to."""

    failures = 0

    def declare(self, queue: QueueSpec) -> None:
        if Shaky.failures:
            Shaky.failures -= 1
            raise ConnectionError("cut off while declaring")
        super().declare(queue)


@pytest.fixture
def shaky(name: str, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setattr(Shaky, "failures", 2)
    return connect(transport=transport_over(lambda: Shaky(name)))


def test_declaring_is_tried_again_on_a_new_connection_when_that_is_asked_for(shaky: Connection) -> None:
    first = shaky.connection
    assert maybe_declare(Queue("orders"), shaky, retry=True, max_retries=2, interval_start=0, interval_step=0)
    assert shaky.connection is not first


def test_declaring_is_not_tried_again_otherwise(shaky: Connection) -> None:
    with pytest.raises(ConnectionError, match="while declaring"):
        maybe_declare(Queue("orders"), shaky)


def test_declaring_is_tried_as_often_as_the_policy_says(shaky: Connection) -> None:
    with pytest.raises(ConnectionError, match="while declaring"):
        maybe_declare(Queue("orders"), shaky, retry=True, max_retries=1, interval_start=0, interval_step=0)


Seen = list[tuple[Any, Message]]


def test_everybody_with_a_broadcast_gets_every_message(connect: Connect) -> None:
    listeners = [connect(), connect()]
    seen: list[Seen] = [[], []]
    for connection, mine in zip(listeners, seen, strict=True):
        note: Callable[..., None] = lambda *both, mine=mine: mine.append(both)  # noqa: E731
        connection.Consumer(Broadcast("news"), no_ack=True, callbacks=[note]).consume()
    connect().Producer(exchange=Exchange("news", "fanout", auto_delete=True)).publish("rain")
    for connection in listeners:
        drain(connection, 1)
    assert [[body for body, _ in mine] for mine in seen] == [["rain"], ["rain"]]


def test_a_broadcast_has_a_queue_of_its_own_unless_it_names_one() -> None:
    assert Broadcast("news").name.startswith("bcast.")
    assert Broadcast("news").name != Broadcast("news").name
    assert Broadcast("news", queue="mine").name == "mine"
    assert Broadcast("news", queue="mine", unique=True).name.startswith("mine.")


def test_a_broadcast_goes_with_its_last_listener_unless_it_is_told_to_stay() -> None:
    passing, staying = Broadcast("news"), Broadcast("news", auto_delete=False, durable=False)
    assert passing.exchange == Exchange("news", "fanout", auto_delete=True)
    assert (passing.auto_delete, passing.alias) == (True, "news")
    assert staying.exchange == Exchange("news", "fanout")
    assert (staying.auto_delete, staying.durable) == (False, False)


def test_a_broadcast_can_use_an_exchange_that_is_given() -> None:
    given = Exchange("other", "fanout")
    assert Broadcast("news", exchange=given).exchange == given


def test_an_entry_of_a_configuration_describes_a_queue() -> None:
    made = entry_to_queue("video", exchange="media", exchange_type="topic", binding_key="media.#")
    assert (made.name, made.exchange, made.routing_key) == ("video", Exchange("media", "topic"), "media.#")


@pytest.fixture
def asked(connection: Connection) -> Message:
    """A message that somebody wants an answer to, in the queue ``answers``."""
    for name in ("orders", "answers"):
        Queue(name)(connection).declare()
    publish(connection, {"price": "?"}, reply_to="answers", correlation_id="7", serializer="pickle")
    return take(connection)


def test_a_reply_goes_where_the_message_says_in_its_own_serializer(asked: Message, connection: Connection) -> None:
    send_reply("", asked, {"price": 3})
    answer = take(connection, "answers")
    answer.accept = {answer.content_type}
    assert (answer.payload, answer.properties["correlation_id"]) == ({"price": 3}, "7")
    assert answer.content_type == asked.content_type == "application/x-python-serialize"


def test_a_reply_can_be_sent_by_another_producer_with_other_properties(asked: Message, connect: Connect) -> None:
    other = connect()
    send_reply(Exchange(""), asked, [1], Producer(other), retry=True, serializer="json", correlation_id="8")
    answer = take(other, "answers")
    assert (answer.payload, answer.properties["correlation_id"]) == ([1], "8")


def test_a_reply_to_plain_text_is_sent_like_any_object(asked: Message, connection: Connection) -> None:
    publish(connection, "price?", reply_to="answers")
    send_reply("", take(connection), {"price": 3})
    assert take(connection, "answers").payload == {"price": 3}


def test_a_message_that_wants_no_answer_gets_none(asked: Message, connection: Connection) -> None:
    publish(connection, "a statement")
    with pytest.raises(PreconditionFailed, match="no reply_to"):
        send_reply("", take(connection), "hm")


def test_a_message_that_came_by_no_channel_needs_a_producer_to_be_answered() -> None:
    with pytest.raises(PreconditionFailed, match="give a producer"):
        send_reply("", Message(properties={"reply_to": "answers"}), "hm")


def test_replies_are_collected_and_settled(connection: Connection, name: str) -> None:
    replies = Queue("answers")
    replies(connection).declare()
    publish(connection, 1, 2, 3, queue="answers")
    assert list(collect_replies(connection, None, replies, limit=2, timeout=PATIENCE)) == [1, 2]
    assert list(collect_replies(connection, connection.channel(), replies, limit=9, timeout=0, no_ack=False)) == [3]
    connection.release()
    assert counts(name, "answers").total == 0


def fail_with(error: Exception) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


@pytest.mark.parametrize("error", [ConnectionError("lost"), OperationalError("down"), NotFound("no queue")])
def test_errors_of_connections_and_channels_can_be_ignored(connection: Connection, error: Exception) -> None:
    assert ignore_errors(connection, fail_with(error)) is None
    with ignore_errors(connection):
        raise error


def test_other_errors_are_not_ignored(connection: Connection) -> None:
    with pytest.raises(ZeroDivisionError):
        ignore_errors(connection, fail_with(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError), ignore_errors(connection):
        raise ZeroDivisionError


def test_what_a_function_returns_is_not_lost_with_its_errors(connection: Connection) -> None:
    assert ignore_errors(connection, max, 3, 4, key=lambda number: -number) == 3


def test_a_new_channel_is_told_to_who_asked_for_it(connection: Connection) -> None:
    told: list[object] = []
    revive_connection(connection, connection.channel())
    revive_connection(connection, connection.default_channel, told.append)
    assert told == [connection.default_channel]


class Told:
    """A consumer's ``qos``, as far as it is told of prefetch counts."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, prefetch_count: int) -> None:
        self.counts.append(prefetch_count)


def test_a_prefetch_count_is_made_known_only_when_it_changes() -> None:
    told = Told()
    qos = QoS(told, 10)
    assert [qos.update(), qos.update()] == [10, 10]
    assert (told.counts, qos.prev) == ([10], 10)


def test_any_thread_wants_more_or_fewer_and_one_makes_it_known() -> None:
    told = Told()
    qos = QoS(told, 10)
    qos.update()
    threads = [threading.Thread(target=lambda: [qos.increment_eventually() for _ in range(500)]) for _ in range(4)]
    threads += [threading.Thread(target=lambda: [qos.decrement_eventually() for _ in range(2)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert told.counts == [10]
    assert 2002 <= qos.update() == qos.value
    assert told.counts == [10, qos.value]


def test_a_prefetch_count_never_falls_to_no_limit_nor_rises_from_it() -> None:
    assert QoS(Told(), 2).decrement_eventually(5) == 1
    unlimited = QoS(Told(), 0)
    assert (unlimited.increment_eventually(), unlimited.decrement_eventually()) == (0, 0)


def test_a_prefetch_count_rises_to_its_maximum_and_no_further() -> None:
    qos = QoS(Told(), 8, max_prefetch=10)
    assert (qos.increment_eventually(5), qos.increment_eventually(-5)) == (10, 10)


def test_a_prefetch_count_that_no_broker_takes_is_no_limit(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    qos = QoS(told, PREFETCH_COUNT_MAX)
    qos.update()
    assert qos.set(PREFETCH_COUNT_MAX + 1) == PREFETCH_COUNT_MAX + 1
    assert told.counts == [PREFETCH_COUNT_MAX, 0]
    assert "above 65535" in caplog.text


def test_a_consumer_takes_the_prefetch_count_of_a_qos(connection: Connection) -> None:
    queue = Queue("orders")
    queue(connection).declare()
    publish(connection, *range(5))
    seen: list[Message] = []
    with connection.Consumer(queue, on_message=seen.append) as consumer:
        qos = QoS(partial(consumer.qos, apply_global=True), 2)
        qos.update()
        drain(connection, 2)
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0)
        qos.increment_eventually()
        qos.update()
        drain(connection, 1)
    assert len(seen) == 3


def test_an_object_has_one_name_in_its_thread_and_another_one_elsewhere() -> None:
    mine, other = object(), object()
    assert oid_from(mine) == oid_from(mine) != oid_from(other)
    theirs: list[str] = []
    thread = threading.Thread(target=lambda: theirs.extend([oid_from(mine), oid_from(mine, threads=False)]))
    thread.start()
    thread.join(PATIENCE)
    assert theirs == [generate_oid(get_node_id(), os.getpid(), thread.ident or 0, mine), oid_from(mine, threads=False)]
    assert theirs[0] != oid_from(mine)


def test_the_same_parts_make_the_same_name() -> None:
    instance = object()
    assert generate_oid(1, 2, 3, instance) == generate_oid(1, 2, 3, instance)
    assert len({generate_oid(*parts, instance) for parts in [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0)]}) == 4
    assert get_node_id() == get_node_id()


def test_a_function_is_called_again_with_a_new_channel_when_the_connection_is_lost(connection: Connection) -> None:
    told: list[object] = []
    lost: list[Exception] = []
    used: list[Any] = []

    def once_lost(body: str, channel: Any, connection: Any) -> str:
        used.append(channel)
        if len(used) == 1:
            raise ConnectionError("lost")
        return f"{body} on {connection.as_uri()}"

    pool = connection.Pool(limit=1)
    answer = insured(
        pool,
        once_lost,
        ("done",),
        {},
        errback=lambda error, seconds: lost.append(error),
        on_revive=told.append,
        interval_start=0,
        interval_step=0,
    )
    pool.force_close_all()
    assert answer == f"done on {connection.as_uri()}"
    assert [str(error) for error in lost] == ["lost"]
    assert told == [used[1]]
    assert used[0] is not used[1]


def test_other_errors_of_an_insured_function_are_raised(connection: Connection) -> None:
    def fail(channel: object, connection: object) -> None:
        raise ZeroDivisionError

    pool = connection.Pool(limit=1)
    with pytest.raises(ZeroDivisionError):
        insured(pool, fail, (), {})
    pool.force_close_all()
