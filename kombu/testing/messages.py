"""Promises about messages: what is put comes out again, whole and in order, and only where it was put."""

from __future__ import annotations

import json

from kombu.testing.case import LEASE, QUEUE, StoreCase, bodies, message, needs, numbered, raises
from kombu.transport.virtual.store import Envelope, QueueSpec, TopologyMoved

MEBIBYTE = 1 << 20


class MessageConformance(StoreCase):
    """Putting and claiming."""

    def test_a_message_comes_out_as_it_went_in(self) -> None:
        head = json.dumps({"größe": "注文 📦", "quote": 'it\'s "50%" \\ {x}', "nul": "\0"}, ensure_ascii=False)
        self.declare(QUEUE)
        self.store.put([(QUEUE, Envelope(head=head, body=b"body"))])
        delivery = self.take_one()
        assert (delivery.head, delivery.body) == (head, b"body")
        assert delivery.lease.queue == QUEUE
        assert not delivery.expired

    def test_a_head_of_100_kilobytes_comes_out_whole(self) -> None:
        head = json.dumps({"long": "ü" * 50_000}, ensure_ascii=False)
        self.declare(QUEUE)
        self.store.put([(QUEUE, Envelope(head=head, body=b""))])
        assert self.take_one().head == head

    def test_bodies_are_bytes_of_any_value(self) -> None:
        self.declare(QUEUE)
        every_byte = bytes(range(256))
        for body in (b"", b"\0", every_byte, every_byte[::-1], b"\r\n", b"\xff\xfe\xfd"):
            self.store.put([(QUEUE, message("bytes", body=body))])
            assert self.take_one().body == body

    def test_a_body_of_a_mebibyte_comes_out_whole(self) -> None:
        largest = self.store.capabilities.max_body
        body = (bytes(range(256)) * (MEBIBYTE // 256))[:largest]
        self.declare(QUEUE)
        self.store.put([(QUEUE, message("large", body=body))])
        assert self.take_one().body == body

    def test_a_message_is_as_old_as_the_time_since_it_was_stored(self) -> None:
        self.put("a")
        self.let_pass(self.brief)
        assert 0.9 * self.brief <= self.take_one().age < 3 * self.patience

    def test_messages_are_claimed_in_the_order_they_were_put(self) -> None:
        for text in numbered(20):
            self.put(text)
        assert bodies(self.take_one() for _ in range(20)) == numbered(20)

    def test_a_claimed_batch_is_in_the_order_its_messages_were_put(self) -> None:
        self.put(*numbered(100))
        assert bodies(self.take(100)) == numbered(100)

    def test_the_largest_batches_are_stored_whole_and_in_order(self) -> None:
        self.put(*numbered(1000))
        assert self.counts().ready == 1000
        assert bodies(self.take(1000)) == numbered(1000)

    def test_a_message_that_was_delayed_stands_behind_those_that_were_ready_before(self) -> None:
        self.declare(QUEUE)
        self.store.put([(QUEUE, message("delayed", delay=self.brief)), (QUEUE, message("ready"))])
        self.eventually(lambda: self.counts().ready == 2)
        assert bodies(self.take(2)) == ["ready", "delayed"]

    def test_higher_priority_is_claimed_first_and_equals_in_their_order(self) -> None:
        needs("x-max-priority" in self.store.capabilities.queue_arguments, "priorities")
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-max-priority": 9}))
        priorities = [0, 9, 4, 9, 0, 5, 4]
        self.put_all((QUEUE, message(str(n), priority=p)) for n, p in enumerate(priorities))
        deliveries = self.take(len(priorities))
        assert bodies(deliveries) == ["1", "3", "5", "2", "6", "0", "4"]
        assert [delivery.priority for delivery in deliveries] == [9, 9, 5, 4, 4, 0, 0]

    def test_a_late_message_of_high_priority_passes_those_that_wait(self) -> None:
        needs("x-max-priority" in self.store.capabilities.queue_arguments, "priorities")
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-max-priority": 9}))
        self.put_all((QUEUE, message(text)) for text in ("a", "b"))
        assert bodies(self.take(1)) == ["a"]
        self.store.put([(QUEUE, message("urgent", priority=9))])
        assert bodies(self.take(2)) == ["urgent", "b"]

    def test_a_claim_takes_no_more_of_each_queue_than_was_asked_for(self) -> None:
        self.put(*numbered(10), queue="red")
        self.put(*numbered(10), queue="blue")
        taken = self.store.claim({"red": 3, "blue": 5}, LEASE)
        red = [delivery for delivery in taken if delivery.lease.queue == "red"]
        blue = [delivery for delivery in taken if delivery.lease.queue == "blue"]
        assert len(red) <= 3
        assert len(blue) <= 5
        assert bodies(red + self.take(10 - len(red), queue="red")) == numbered(10)
        assert bodies(blue + self.take(10 - len(blue), queue="blue")) == numbered(10)

    def test_a_claim_serves_all_its_queues_though_one_is_long(self) -> None:
        self.put(*numbered(50), queue="long")
        self.put("short", queue="short")
        self.declare("empty")
        wants = {"long": 1, "empty": 1, "short": 1}
        taken = [delivery for _ in range(10) for delivery in self.store.claim(wants, LEASE)]
        assert "short" in bodies(taken)
        assert {delivery.lease.queue for delivery in taken} == {"long", "short"}

    def test_a_limit_of_nothing_takes_nothing(self) -> None:
        self.put("a", queue="full")
        self.put("b", queue="other")
        assert bodies(self.store.claim({"full": 0, "other": 1}, LEASE)) in (["b"], [])
        assert self.counts("full").ready == 1

    def test_an_unknown_queue_has_no_messages(self) -> None:
        self.put("a")
        assert self.claim(queue="unknown") == []
        assert bodies(self.eventually(lambda: self.store.claim({"unknown": 5, QUEUE: 5}, LEASE))) == ["a"]

    def test_a_batch_reaches_several_queues(self) -> None:
        self.declare("red", "blue")
        both = message("both")
        self.store.put([("red", both), ("blue", message("only blue")), ("blue", both)])
        assert bodies(self.take(1, queue="red")) == ["both"]
        assert bodies(self.take(2, queue="blue")) == ["only blue", "both"]

    def test_copies_in_two_queues_are_settled_apart(self) -> None:
        self.declare("red", "blue")
        self.store.put([("red", message("both")), ("blue", message("both"))])
        self.take_one(queue="red")
        assert (self.counts("red").leased, self.counts("blue").ready) == (1, 1)

    def test_putting_into_a_missing_queue_says_that_the_topology_moved(self) -> None:
        with raises(TopologyMoved):
            self.store.put([("missing", message("a"))])
        self.declare("missing")
        assert self.counts("missing").total == 0

    def test_a_batch_with_a_missing_queue_stores_nothing(self) -> None:
        needs(self.store.capabilities.atomic_put, "atomic put")
        self.declare("red", "blue")
        with raises(TopologyMoved):
            self.store.put([("red", message("a")), ("missing", message("b")), ("blue", message("c"))])
        assert self.counts("red").total == 0
        assert self.counts("blue").total == 0

    def test_putting_nothing_and_claiming_nothing_are_fine(self) -> None:
        self.put("a")
        self.store.put([])
        assert self.store.claim({}, LEASE) == []
        assert self.counts().ready == 1

    def test_messages_stay_when_a_handle_is_closed(self) -> None:
        first, second = self.handle(), self.handle()
        first.declare(QueueSpec(name=QUEUE))
        first.put([(QUEUE, message("a")), (QUEUE, message("b"))])
        self.close(first)
        assert second.counts([QUEUE])[QUEUE].ready == 2
        assert bodies(self.eventually(lambda: second.claim({QUEUE: 2}, LEASE)))[:1] == ["a"]
