"""The SQS store keeps the promises of a store, but for those that SQS does not let it keep: they are overridden."""

from __future__ import annotations

from functools import partial

import pytest

from kombu.exceptions import PreconditionFailed
from kombu.testing import StoreConformance, TopologyConformance, bodies, message, raises
from kombu.testing.case import LEASE, QUEUE
from kombu.transport.sqs import SQSStore
from kombu.transport.virtual.store import Done, Envelope, QueueSpec, Release
from tests.aws import Region
from tests.together import together


@pytest.mark.server("sqs")
@together(5)
class TestSQSStore(StoreConformance, TopologyConformance):
    brief = 1.0
    patience = 20.0

    def setup_method(self) -> None:
        super().setup_method()
        self.region = Region()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.region.clean_up()

    def open_store(self) -> SQSStore:
        return self.region.store()

    def test_a_body_of_a_mebibyte_comes_out_whole(self) -> None:
        """The mebibyte is for the whole message, and what is no text takes four bytes for three."""
        self.declare(QUEUE)
        for body in (b"x" * 1_048_000, bytes(range(256)) * 3068):
            self.store.put([(QUEUE, Envelope("{}", body))])
            assert self.take_one().body == body
            with raises(PreconditionFailed):
                self.store.put([(QUEUE, Envelope("{}", body + b"\xff" * 1000))])
        assert self.counts().ready == 0

    def test_a_message_that_was_delayed_stands_behind_those_that_were_ready_before(self) -> None:
        """SQS promises no order; a server that keeps one has it by the time of sending."""
        self.declare(QUEUE)
        self.store.put([(QUEUE, message("delayed", delay=self.brief)), (QUEUE, message("ready"))])
        self.eventually(lambda: self.counts().ready == 2)
        assert sorted(bodies(self.take(2))) == ["delayed", "ready"]

    def test_every_claim_raises_the_delivery_count(self) -> None:
        """So does a poll whose message nobody fetched in time, which on a busy machine may be a second."""
        self.put("a")
        found = [self.take_one(lease=self.brief).delivery_count for _ in range(3)]
        assert (found[0], found) == (1, sorted(set(found)))

    def test_a_lease_that_ran_out_still_settles_until_another_claims(self) -> None:
        """SQS does not tell whether another has claimed it, so it settles nothing at all."""
        self.put("a")
        late = self.take_one(lease=self.brief)
        self.eventually(lambda: self.counts().ready)
        assert self.store.settle([Done(late.lease)]) == [False]
        assert self.take_one().delivery_count == 2

    def test_a_lease_that_ran_out_can_still_be_extended_until_another_claims(self) -> None:
        self.put("a")
        late = self.take_one(lease=self.brief)
        self.eventually(lambda: self.counts().ready)
        assert self.store.extend([late.lease], LEASE) == [None]
        assert self.counts().ready == 1

    def test_a_late_settler_and_a_new_claimer_do_not_both_have_the_message(self) -> None:
        """Once: each time takes a second here."""
        claim = self.claim_by(self.handle())
        self.put("a")
        late = self.take_one(lease=self.brief / 3).lease
        self.eventually(lambda: self.counts().ready)
        assert self.at_once([self.settle_late(late), lambda: len(claim())]) == [0, 1]

    def test_a_message_released_uncounted_has_not_been_tried(self) -> None:
        """Where the count decides something; elsewhere SQS counts every time that it gave a message out."""
        self.store.declare(QueueSpec(name=QUEUE, arguments={"x-delivery-limit": 5}))
        self.put("a")
        self.store.settle([Release(self.take_one().lease)])
        self.store.settle([Release(self.take_one().lease, counted=False)])
        again = self.take_one()
        assert (again.delivery_count, bodies([again])) == (2, ["a"])
        assert self.counts().total == 1

    def test_a_message_released_for_much_later_counts_as_delayed(self) -> None:
        """It counts as leased: to SQS both are invisible."""
        self.put("a", "b")
        self.store.settle([Release(self.take_one().lease, delay=self.long_delay)])
        assert bodies(self.take(1)) == ["b"]
        counts = self.counts()
        assert (counts.ready, counts.delayed, counts.leased) == (0, 0, 2)

    def test_the_oldest_ready_message_tells_its_age(self) -> None:
        """Only CloudWatch knows it."""
        self.put("a")
        assert self.counts().oldest is None

    def test_purging_removes_what_is_ready_or_delayed(self) -> None:
        """What is delayed cannot be received, and stays. PurgeQueue would remove leased and even later messages."""
        self.put("a", "b")
        self.put("c", delay=self.long_delay)
        self.put("elsewhere", queue="other")
        assert self.store.purge(QUEUE) == 2
        assert (self.counts().ready, self.counts().delayed) == (0, 1)
        assert self.counts("other").ready == 1

    def test_many_handles_may_make_the_first_queue_at_once(self) -> None:
        """Nothing is there yet, neither the lock nor what it guards."""
        handles = [self.handle() for _ in range(4)]
        self.at_once([partial(each.declare, QueueSpec(name=str(n))) for n, each in enumerate(handles)])
        assert set(self.keeper.topology().queues) == {"0", "1", "2", "3"}
