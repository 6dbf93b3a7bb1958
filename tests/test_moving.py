"""What waits is moved from one connection's queue to another's: whole, in order, without loss, on any pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kombu import Connection, Exchange, Message, Queue
from kombu.exceptions import MessageReturned, NotFound, OperationalError, PreconditionFailed, PublishRefused
from kombu.moving import move
from kombu.testing.faults import Faults, Moment, faults
from kombu.transport.base import Content, Publication
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual import Channel
from kombu.transport.virtual.store import Delivery

ORDERS = "orders"
Place = Callable[..., Connection]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def source(stack: ExitStack) -> Connection:
    return memory(stack)


@pytest.fixture
def target(stack: ExitStack) -> Connection:
    return memory(stack)


def memory(stack: ExitStack, *declared: Queue) -> Connection:
    """A place of its own."""
    name = uuid4().hex
    stack.callback(MemoryStore.reset, name)
    connection = stack.enter_context(Connection(f"memory://{name}"))
    for queue in declared or (Queue(ORDERS, max_priority=9),):
        queue(connection).declare()
    return connection


def publish(connection: Connection, *bodies: object, **options: Any) -> None:
    connection.Producer(routing_key=ORDERS).publish_many(bodies, **options)


def received(connection: Connection, queue: str = ORDERS) -> list[Message]:
    """All of them; none is settled, and none comes back."""
    bound, found = Queue(queue)(connection.channel()), []
    while (message := bound.get()) is not None:
        found.append(message)
    return found


def payloads(connection: Connection, queue: str = ORDERS) -> list[Any]:
    return [message.payload for message in received(connection, queue)]


def ready(connection: Connection, queue: str = ORDERS) -> int | None:
    return connection.statistics([queue])[queue].ready


class TestWhatIsMoved:
    def test_all_that_is_ready_is_moved_in_its_order_and_gone_from_the_source(
        self, source: Connection, target: Connection
    ) -> None:
        publish(source, *range(250))
        moved = move(source, ORDERS, target)
        assert (moved.count, moved.left.ready, moved.left.leased) == (250, 0, 0)
        assert payloads(target) == list(range(250))

    def test_a_message_stays_what_it_is(self, source: Connection, target: Connection) -> None:
        content = Content(
            b"\x00\xff raw",
            {
                "content_type": "image/x-odd",
                "content_encoding": "binary",
                "headers": {"größe": 42, "nested": {"list": [1, None, 0.5]}, "x-death": [{"queue": "q"}]},
                "delivery_mode": 1,
                "priority": 7,
                "correlation_id": "c",
                "reply_to": "r",
                "message_id": "the same",
                "timestamp": 1700000000,
                "type": "order",
                "app_id": "shop",
            },
        )
        source.channel().publish_batch([Publication(content, "", ORDERS)])
        before = received(source)[0]
        before.requeue()
        move(source, ORDERS, target)
        [after] = received(target)
        assert after.body == content.body
        assert (after.content_type, after.content_encoding, after.headers, after.properties) == (
            before.content_type,
            before.content_encoding,
            before.headers,
            before.properties,
        )
        assert {**after.properties, "content_type": after.content_type} | {
            "content_encoding": after.content_encoding,
            "headers": after.headers,
        } == content.properties

    def test_priorities_are_kept(self, source: Connection, target: Connection) -> None:
        for priority in (1, 9, 5):
            publish(source, priority, priority=priority)
        move(source, ORDERS, target)
        publish(target, 7, priority=7)
        assert payloads(target) == [9, 7, 5, 1]

    def test_of_an_expiration_what_is_left_is_kept(self, stack: ExitStack, target: Connection) -> None:
        clock = [1000.0]
        source = stack.enter_context(Connection(transport=transport_with(lambda: clock[0])))
        Queue(ORDERS)(source).declare()
        publish(source, "a", expiration=60)
        clock[0] += 45.0
        move(source, ORDERS, target)
        [message] = received(target)
        assert message.properties["expiration"] == "15000"

    def test_the_way_that_a_message_had_come_is_told(self, source: Connection, target: Connection) -> None:
        Queue(ORDERS, Exchange("shop", "topic"), "order.*", max_priority=9)(source).declare()
        source.Producer().publish(1, exchange="shop", routing_key="order.paid")
        publish(source, 2)
        move(source, ORDERS, target)
        first, second = received(target)
        assert first.headers["x-moved-from"] == {"exchange": "shop", "routing-key": "order.paid", "queue": ORDERS}
        assert second.headers == {}

    def test_foreign_messages_are_moved_as_they_are(self, source: Connection, target: Connection) -> None:
        from kombu.transport.virtual.store import Envelope

        source.connection.store.put([(ORDERS, Envelope("no head of ours", b"\xfe\xff"))])  # type: ignore[attr-defined]
        assert move(source, ORDERS, target).count == 1
        [message] = received(target)
        assert (message.body, message.headers["x-foreign-head"]) == (b"\xfe\xff", "no head of ours")

    def test_what_is_delayed_or_held_by_others_stays_and_is_counted(
        self, source: Connection, target: Connection, stack: ExitStack
    ) -> None:
        publish(source, "later", delay=600)
        publish(source, "held", "ready")
        other = stack.enter_context(source.clone())
        held = Queue(ORDERS)(other).get()
        assert held is not None
        moved = move(source, ORDERS, target)
        assert (moved.count, moved.left.ready, moved.left.delayed, moved.left.leased) == (1, 0, 1, 1)
        assert payloads(target) == ["ready"]
        held.ack()

    def test_an_auto_deleted_queue_outlives_that_it_is_moved(self, stack: ExitStack, target: Connection) -> None:
        source = memory(stack, Queue(ORDERS, auto_delete=True))
        publish(source, "later", delay=600)
        publish(source, 1)
        assert move(source, ORDERS, target).left.delayed == 1


class TestHow:
    def test_an_empty_queue_is_moved_at_once(self, source: Connection, target: Connection) -> None:
        assert move(source, ORDERS, target).count == 0

    def test_it_goes_in_batches_and_tells_how_far_it_is(self, source: Connection, target: Connection) -> None:
        publish(source, *range(25))
        seen: list[int] = []
        move(source, ORDERS, target, batch=10, progress=seen.append)
        assert seen == [10, 20, 25]

    def test_a_batch_of_large_messages_is_smaller(self, source: Connection, target: Connection) -> None:
        channel = source.channel()
        channel.publish_batch([Publication(Content(bytes(6 << 20), {}), "", ORDERS)] * 4)
        seen: list[int] = []
        move(source, ORDERS, target, progress=seen.append)
        assert seen == [3, 4]

    def test_a_batch_is_taken_in_a_few_steps(
        self, source: Connection, target: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(source, *range(300))
        asked: list[int] = []
        claim = MemoryStore.claim

        def noting(self: MemoryStore, wants: Mapping[str, int], lease: float) -> list[Delivery]:
            asked.extend(wants.values())
            return claim(self, wants, lease)

        monkeypatch.setattr(MemoryStore, "claim", noting)
        move(source, ORDERS, target, batch=100)
        assert asked == [2, 98, 100, 100, 100]

    def test_a_limit_is_kept(self, source: Connection, target: Connection) -> None:
        publish(source, *range(25))
        assert move(source, ORDERS, target, batch=10, limit=12).count == 12
        assert (payloads(target), ready(source)) == (list(range(12)), 13)
        assert move(source, ORDERS, target, limit=0).count == 0

    def test_who_raises_in_progress_ends_it_after_a_batch(self, source: Connection, target: Connection) -> None:
        publish(source, *range(25))

        def stop(count: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            move(source, ORDERS, target, batch=10, progress=stop)
        assert (ready(source), ready(target)) == (15, 10)
        assert move(source, ORDERS, target).count == 15
        assert payloads(target) == list(range(25))

    def test_the_other_queue_may_have_another_name_and_be_declared(
        self, source: Connection, target: Connection
    ) -> None:
        publish(source, 1, 2)
        move(source, Queue(ORDERS), target, Queue("archive", Exchange("old"), "k"))
        assert payloads(target, "archive") == [1, 2]
        assert "old" in target.connection.store.topology().exchanges  # type: ignore[attr-defined]

    def test_between_two_queues_of_one_connection(self, source: Connection) -> None:
        Queue("archive")(source).declare()
        publish(source, 1, 2)
        assert move(source, ORDERS, source, "archive").count == 2
        assert payloads(source, "archive") == [1, 2]

    @pytest.mark.parametrize("batch", [0, -1])
    def test_a_batch_has_messages(self, source: Connection, target: Connection, batch: int) -> None:
        with pytest.raises(ValueError, match="batch"):
            move(source, ORDERS, target, batch=batch)


class TestInterruptions:
    """At most the batch that was in flight is there twice, with the same message ids."""

    @pytest.mark.parametrize("done", [False, True])
    @pytest.mark.parametrize("batch", [1, 10])
    def test_a_target_that_is_lost_while_it_stores(
        self, source: Connection, target: Connection, batch: int, done: bool
    ) -> None:
        self.publish(source)
        with faults(target.hostname or "") as broker:
            seen = self.interrupted(broker, "publish", source, target, batch, done=done)
            target.reconnect()
            assert move(source, ORDERS, target, batch=batch).count == 25 - seen
        self.check(target, batch if done else 0)

    @pytest.mark.parametrize("done", [False, True])
    @pytest.mark.parametrize("moment", ["claim", "settle"])
    def test_a_source_that_is_lost_while_messages_are_taken_or_acknowledged(
        self, source: Connection, target: Connection, moment: Moment, done: bool
    ) -> None:
        self.publish(source)
        with faults(source.hostname or "") as broker:
            self.interrupted(broker, moment, source, target, 10, done=done)
            source.reconnect()
            broker.end_leases()
            move(source, ORDERS, target, batch=10)
            assert ready(source) == 0
        self.check(target, 10)

    def publish(self, source: Connection) -> None:
        for number in range(25):
            source.Producer(routing_key=ORDERS).publish(number, message_id=f"id {number}")

    def interrupted(
        self, broker: Faults, moment: Moment, source: Connection, target: Connection, batch: int, *, done: bool
    ) -> int:
        """After the first batch; answers how many were moved."""
        seen: list[int] = []

        def progress(count: int) -> None:
            if not seen:
                broker.lose_connections(moment, done=done)
            seen.append(count)

        with pytest.raises(OperationalError):
            move(source, ORDERS, target, batch=batch, progress=progress)
        return seen[-1]

    def check(self, target: Connection, twice: int) -> None:
        found = Counter(message.properties["message_id"] for message in received(target))
        assert found.keys() == {f"id {number}" for number in range(25)}
        assert sum(found.values()) - 25 <= twice


class TestWhatIsRefused:
    def test_a_queue_is_not_moved_onto_itself(self, source: Connection, stack: ExitStack) -> None:
        publish(source, 1)
        for same in (source, stack.enter_context(source.clone())):
            with pytest.raises(PreconditionFailed, match="the same queue"):
                move(source, ORDERS, same)
        assert ready(source) == 1

    def test_nor_when_the_place_is_spelled_in_another_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack
    ) -> None:
        monkeypatch.chdir(tmp_path)
        one, other = (
            stack.enter_context(Connection(url)) for url in ("filesystem:///spool", f"filesystem:///{tmp_path}/spool")
        )
        Queue(ORDERS)(one).declare()
        publish(one, 1)
        with pytest.raises(PreconditionFailed, match="the same queue"):
            move(one, ORDERS, other)
        assert ready(one) == 1
        assert one.connection.store.topology().exchanges == {}  # type: ignore[attr-defined]

    def test_a_queue_that_is_missing_is_named_with_its_place(self, source: Connection, target: Connection) -> None:
        with pytest.raises(NotFound, match=r"'unknown' at memory://"):
            move(source, "unknown", target)
        with pytest.raises(NotFound, match=r"'elsewhere' at memory://"):
            move(source, ORDERS, target, "elsewhere")
        assert "unknown" not in source.statistics()

    def test_a_full_queue_takes_what_it_can_and_the_rest_stays(self, source: Connection, stack: ExitStack) -> None:
        target = memory(stack, Queue(ORDERS, queue_arguments={"x-max-length": 3, "x-overflow": "reject-publish"}))
        publish(source, *range(5))
        with pytest.raises(
            PublishRefused, match=r"stays in queue 'orders': .* is full .*; 3 messages were moved before"
        ):
            move(source, ORDERS, target)
        assert (ready(source), payloads(target)) == (2, [0, 1, 2])
        assert payloads(source) == [3, 4]

    def test_what_a_broker_stored_although_it_refused_others_of_the_batch_is_not_moved_twice(
        self, source: Connection, target: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(source, 0, "no", 2, 3)
        make = target.channel

        def channel() -> Any:
            made = make()
            made.__class__ = StoresEachByItself  # type: ignore[assignment]
            return made

        monkeypatch.setattr(target, "channel", channel)
        with pytest.raises(PublishRefused, match="not that one; 3 messages were moved"):
            move(source, ORDERS, target)
        assert (payloads(target), payloads(source)) == ([0, 2, 3], ["no"])

    def test_a_queue_that_is_deleted_meanwhile_loses_nothing(self, source: Connection, target: Connection) -> None:
        publish(source, *range(20))
        with pytest.raises(MessageReturned, match=r"'orders' is gone; 10 messages were moved"):
            move(source, ORDERS, target, batch=10, progress=lambda count: target.channel().queue_delete(ORDERS))
        assert payloads(source) == list(range(10, 20))


class StoresEachByItself(Channel):
    """As brokers do that have no batches: it refuses what says ``no``."""

    def publish_batch(
        self, publications: Sequence[Publication], timeout: float | None = None, *, within: object | None = None
    ) -> None:
        refused = tuple(place for place, each in enumerate(publications) if each.content.body == b"no")
        super().publish_batch([each for place, each in enumerate(publications) if place not in refused])
        if refused:
            error = PublishRefused("not that one")
            error.not_stored = refused
            raise error


def transport_with(clock: Callable[[], float]) -> Any:
    from tests.memory import transport_over

    name = uuid4().hex
    return transport_over(lambda: MemoryStore(name, clock))
