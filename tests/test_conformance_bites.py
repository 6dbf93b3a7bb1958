"""The conformance suite catches stores that lie: one deliberate fault each, and the promise it breaks."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

import pytest

from kombu.testing import BrowseConformance, StoreConformance, TopologyConformance
from kombu.transport.memory import MemoryStore
from kombu.transport.virtual.store import (
    Counts,
    Delivery,
    Done,
    Envelope,
    Lease,
    MessageId,
    Move,
    Outcome,
    QueueSpec,
    Release,
)
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology


class Everything(StoreConformance, TopologyConformance, BrowseConformance):
    """All the promises, tried quickly on a store with a fault."""

    brief = 0.05
    patience = 0.5

    def __init__(self, faulty: type[MemoryStore]) -> None:
        self.faulty = faulty
        self.name = uuid4().hex

    def open_store(self) -> MemoryStore:
        return self.faulty(self.name)

    def try_promise(self, promise: str) -> None:
        self.setup_method()
        try:
            getattr(self, promise)()
        finally:
            self.teardown_method()
            MemoryStore.reset(self.name)


class IgnoresTokens(MemoryStore):
    """Settles and extends for whoever asks, as long as the message is there."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.latest: dict[tuple[str, MessageId], Lease] = {}

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        deliveries = super().claim(wants, lease)
        self.latest |= {(each.lease.queue, each.lease.id): each.lease for each in deliveries}
        return deliveries

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return super().settle([replace(outcome, lease=self.stolen(outcome.lease)) for outcome in outcomes])

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        return super().extend([self.stolen(lease) for lease in leases], seconds)

    def stolen(self, lease: Lease) -> Lease:
        return self.latest.get((lease.queue, lease.id), lease)


class ForgetsTheCount(MemoryStore):
    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return [replace(delivery, delivery_count=1) for delivery in super().claim(wants, lease)]


class RemovesBeforeItStores(MemoryStore):
    """Moves in the wrong order: what cannot be stored is lost."""

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return [self.settle_one(outcome) for outcome in outcomes]

    def settle_one(self, outcome: Outcome) -> bool:
        if not isinstance(outcome, Move):
            return super().settle([outcome])[0]
        [done] = super().settle([Done(outcome.lease)])
        if done:
            self.put(outcome.into)
        return done


class StoresBeforeItLooks(RemovesBeforeItStores):
    """Moves without asking first whose the message is."""

    def settle_one(self, outcome: Outcome) -> bool:
        if isinstance(outcome, Move):
            self.put(outcome.into)
            outcome = Done(outcome.lease)
        return super().settle_one(outcome)


class ClaimsUnordered(MemoryStore):
    """As ``UPDATE … RETURNING`` does."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return super().claim(wants, lease)[::-1]


class ServesOneQueue(MemoryStore):
    """Claims from the first queue that has anything, so the others starve."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        claims = (super(ServesOneQueue, self).claim({queue: limit}, lease) for queue, limit in wants.items())
        return next((claimed for claimed in claims if claimed), [])


class ClaimsTooMany(MemoryStore):
    """Keeps the sum of the limits instead of each."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return super().claim(dict.fromkeys(wants, sum(wants.values())), lease)


class ClaimsWhatItSawBefore(MemoryStore):
    """Looks, then takes: between the two another looks as well."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        seen = [delivery for queue, limit in wants.items() for delivery in self.browse(queue, limit)]
        threading.Event().wait(0.02)
        super().claim(wants, lease)
        return seen


class NeverLetsGo(MemoryStore):
    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        return super().claim(wants, 3600.0)


class IgnoresPriority(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put([(queue, replace(envelope, priority=0)) for queue, envelope in items], version)


class IgnoresDelay(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put([(queue, replace(envelope, delay=0.0)) for queue, envelope in items], version)


class IgnoresTimeToLive(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put([(queue, replace(envelope, ttl=None)) for queue, envelope in items], version)


class IgnoresVersion(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put(items)


class StoresHalfABatch(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        for item in items:
            super().put([item], version)


class CreatesMissingQueues(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        for queue, _ in items:
            self.declare(QueueSpec(name=queue))
        super().put(items)


class WritesHeadsInAscii(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        ascii_only = [(q, replace(e, head=e.head.encode("ascii", "replace").decode())) for q, e in items]
        super().put(ascii_only, version)


class TakesBodiesForText(MemoryStore):
    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        text = [(queue, replace(e, body=e.body.decode(errors="replace").encode())) for queue, e in items]
        super().put(text, version)


class ExtendsInWordsOnly(MemoryStore):
    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        return list(leases)


class ReleasesToTheEnd(MemoryStore):
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return super().settle([replace(o, delay=1e-6) if isinstance(o, Release) else o for o in outcomes])


class AlwaysCounts(MemoryStore):
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return super().settle([replace(o, counted=True) if isinstance(o, Release) else o for o in outcomes])


class AnswersOutOfOrder(MemoryStore):
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        return sorted(super().settle(outcomes))


class KeepsCopiesInStep(MemoryStore):
    """Claims every message that says the same, wherever it is."""

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        deliveries = super().claim(wants, lease)
        taken = {delivery.body for delivery in deliveries}
        for queue in self.topology().queues:
            same = [delivery.lease.id for delivery in self.browse(queue, 1000) if delivery.body in taken]
            super().claim_chosen(queue, same, lease)
        return deliveries


class SweepsTheLiving(MemoryStore):
    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        deliveries = self.claim(dict.fromkeys(self.topology().queues, limit), lease)
        return [replace(delivery, expired=True) for delivery in deliveries]


class PurgesTheLeased(MemoryStore):
    def purge(self, queue: str) -> int:
        removed = self.delete(queue)
        self.declare(QueueSpec(name=queue))
        return removed


class KeepsTheDeleted(MemoryStore):
    """Forgets the queue but not what is in it."""

    def delete(self, queue: str) -> int:
        return super().counts([queue])[queue].total


class PurgesTheReadyOnly(MemoryStore):
    def purge(self, queue: str) -> int:
        ready = self.claim({queue: 1000}, 60.0)
        return sum(self.settle([Done(delivery.lease) for delivery in ready]))


class DeclaresAnew(MemoryStore):
    def declare(self, queue: QueueSpec) -> None:
        self.delete(queue.name)
        super().declare(queue)


class CountsDelayedAsReady(MemoryStore):
    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        found = super().counts(queues).items()
        return {name: replace(c, ready=c.ready + c.delayed, delayed=0) for name, c in found}


class CountsTheUnknown(MemoryStore):
    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        return dict.fromkeys(queues, Counts()) | super().counts(queues)


class FoldsCase(MemoryStore):
    """As the usual collation of MySQL does."""

    def declare(self, queue: QueueSpec) -> None:
        super().declare(replace(queue, name=queue.name.lower()))

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        super().put([(queue.lower(), envelope) for queue, envelope in items], version)

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        return {name: super(FoldsCase, self).counts([name.lower()])[name.lower()] for name in queues}


class SleepsThroughPuts(MemoryStore):
    def wait(self, queues: Sequence[str], timeout: float) -> None:
        threading.Event().wait(timeout)


class WaitsForever(MemoryStore):
    def wait(self, queues: Sequence[str], timeout: float) -> None:
        super().wait(queues, 3600.0)


class ForgetsOnClose(MemoryStore):
    def close(self) -> None:
        for queue in self.topology().queues:
            self.purge(queue)


class KeepsTheTopologyItReadFirst(MemoryStore):
    """As a cache does that nobody invalidates."""

    read: Topology | None = None

    def topology(self) -> Topology:
        self.read = self.read or super().topology()
        return self.read


class BindsTwice(MemoryStore):
    def topology(self) -> Topology:
        found = super().topology()
        return replace(found, bindings=found.bindings * 2)


class ForgetsQueueArguments(MemoryStore):
    def declare(self, queue: QueueSpec) -> None:
        super().declare(replace(queue, arguments={}))


class KeepsOneVersion(MemoryStore):
    def topology(self) -> Topology:
        return replace(super().topology(), version=1)


class CountsEveryCallAsAChange(MemoryStore):
    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        super().declare_exchange(exchange)
        super().declare_exchange(ExchangeSpec(name="unheard of"))
        super().delete_exchange("unheard of")


class BindsByKeyOnly(MemoryStore):
    def bind(self, binding: BindingSpec) -> None:
        if not any(replace(b, arguments=binding.arguments) == binding for b in self.topology().bindings):
            super().bind(binding)


class UnbindsAllOfAQueue(MemoryStore):
    def unbind(self, binding: BindingSpec) -> None:
        for other in self.topology().bindings:
            if (other.source, other.destination) == (binding.source, binding.destination):
                super().unbind(other)


class TakesExchangesForQueues(MemoryStore):
    def bind(self, binding: BindingSpec) -> None:
        super().bind(replace(binding, to_exchange=False))


class DropsArguments(MemoryStore):
    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        super().declare_exchange(replace(exchange, arguments={}))


class LeavesBindingsBehind(MemoryStore):
    def delete(self, queue: str) -> int:
        bindings = self.topology().bindings
        removed = super().delete(queue)
        for binding in bindings:
            self.bind(binding)
        return removed


class BrowsesByClaiming(MemoryStore):
    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        return self.claim({queue: limit}, 60.0)


class BrowsesFromTheStart(MemoryStore):
    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        return super().browse(queue, limit)


class BrowsesTheLatestFirst(MemoryStore):
    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        return super().browse(queue, limit, after)[::-1]


class BrowsesWithGoodLeases(MemoryStore):
    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        answers = super().settle(outcomes)
        unclaimed = [outcome.lease.id for outcome in outcomes if outcome.lease.token == 0]
        for queue in self.topology().queues:
            super().settle([Done(d.lease) for d in self.claim_chosen(queue, unclaimed, 60.0)])
        return answers


class ChoosesEverything(MemoryStore):
    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        return self.claim({queue: 100}, lease)


class StealsTheChosen(MemoryStore):
    """Claims chosen messages although somebody is at work on them."""

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        held = [delivery.lease for delivery in self.browse(queue, 100) if delivery.lease.id in ids]
        self.settle([Release(lease) for lease in held])
        return super().claim_chosen(queue, ids, lease)


FAULTS: list[tuple[type[MemoryStore], str]] = [
    (WritesHeadsInAscii, "test_a_message_comes_out_as_it_went_in"),
    (WritesHeadsInAscii, "test_a_head_of_100_kilobytes_comes_out_whole"),
    (ServesOneQueue, "test_a_claim_serves_all_its_queues_though_one_is_long"),
    (CreatesMissingQueues, "test_putting_into_a_missing_queue_says_that_the_topology_moved"),
    (KeepsCopiesInStep, "test_copies_in_two_queues_are_settled_apart"),
    (PurgesTheReadyOnly, "test_purging_removes_what_is_ready_or_delayed"),
    (DeclaresAnew, "test_declaring_a_queue_again_keeps_its_messages"),
    (DeclaresAnew, "test_a_queue_declared_again_stays_as_it_was"),
    (KeepsTheTopologyItReadFirst, "test_what_one_handle_declares_another_sees"),
    (BindsTwice, "test_binding_twice_binds_once"),
    (ForgetsQueueArguments, "test_queues_come_back_as_they_were_declared"),
    (BrowsesFromTheStart, "test_browsing_goes_page_by_page"),
    (BrowsesTheLatestFirst, "test_browsing_shows_messages_in_the_order_they_were_stored"),
    (IgnoresTokens, "test_a_lost_lease_settles_nothing"),
    (IgnoresTokens, "test_a_lost_lease_extends_nothing"),
    (ForgetsTheCount, "test_every_claim_raises_the_delivery_count"),
    (RemovesBeforeItStores, "test_a_move_into_a_missing_queue_raises_and_keeps_the_message"),
    (StoresBeforeItLooks, "test_a_move_with_a_lost_lease_stores_nothing"),
    (StoresBeforeItLooks, "test_of_two_that_move_one_message_exactly_one_does"),
    (ClaimsUnordered, "test_a_claimed_batch_is_in_the_order_its_messages_were_put"),
    (ClaimsTooMany, "test_a_claim_takes_no_more_of_each_queue_than_was_asked_for"),
    (ClaimsWhatItSawBefore, "test_a_message_is_claimed_by_exactly_one_of_two_handles"),
    (ClaimsWhatItSawBefore, "test_many_consumers_see_every_message_exactly_once"),
    (NeverLetsGo, "test_a_lease_that_ran_out_brings_the_message_back_with_a_new_token"),
    (IgnoresPriority, "test_higher_priority_is_claimed_first_and_equals_in_their_order"),
    (IgnoresDelay, "test_a_delay_is_over_before_a_message_is_claimed"),
    (IgnoresDelay, "test_a_long_delay_keeps_a_message_away_and_counts_as_delayed"),
    (IgnoresTimeToLive, "test_a_message_whose_time_is_over_is_handed_out_as_expired"),
    (IgnoresVersion, "test_a_put_routed_before_a_queue_was_bound_stores_nothing"),
    (StoresHalfABatch, "test_a_batch_with_a_missing_queue_stores_nothing"),
    (TakesBodiesForText, "test_bodies_are_bytes_of_any_value"),
    (ExtendsInWordsOnly, "test_an_extended_lease_outlives_its_first_end"),
    (ReleasesToTheEnd, "test_a_released_message_stands_where_it_stood"),
    (AlwaysCounts, "test_a_message_released_uncounted_has_not_been_tried"),
    (AnswersOutOfOrder, "test_a_mixed_batch_is_answered_in_the_order_given"),
    (SweepsTheLiving, "test_a_sweep_finds_expired_messages_of_all_queues_and_no_others"),
    (PurgesTheLeased, "test_purging_leaves_leased_messages_to_be_settled"),
    (KeepsTheDeleted, "test_a_queue_declared_again_after_it_was_deleted_is_empty"),
    (KeepsTheDeleted, "test_a_lease_of_a_deleted_queue_settles_nothing_in_its_successor"),
    (CountsDelayedAsReady, "test_counts_tell_ready_delayed_and_leased_apart"),
    (CountsTheUnknown, "test_counts_leave_out_unknown_queues"),
    (FoldsCase, "test_queues_whose_names_look_alike_are_kept_apart"),
    (SleepsThroughPuts, "test_waiting_ends_when_another_handle_puts"),
    (WaitsForever, "test_waiting_on_empty_queues_ends_with_its_timeout"),
    (ForgetsOnClose, "test_messages_stay_when_a_handle_is_closed"),
    (KeepsOneVersion, "test_every_change_gives_a_version_that_never_was_before"),
    (CountsEveryCallAsAChange, "test_what_changes_nothing_keeps_the_version"),
    (BindsByKeyOnly, "test_bindings_that_differ_in_anything_are_all_kept"),
    (UnbindsAllOfAQueue, "test_unbinding_removes_only_its_own_binding"),
    (TakesExchangesForQueues, "test_an_exchange_bound_to_an_exchange_is_not_bound_to_the_queue_of_that_name"),
    (DropsArguments, "test_exchanges_come_back_as_they_were_declared"),
    (LeavesBindingsBehind, "test_deleting_a_queue_removes_the_bindings_to_it"),
    (BrowsesByClaiming, "test_browsing_takes_nothing"),
    (BrowsesWithGoodLeases, "test_what_is_browsed_cannot_be_settled"),
    (ChoosesEverything, "test_only_the_chosen_messages_are_claimed"),
    (StealsTheChosen, "test_a_message_with_a_live_lease_cannot_be_chosen"),
]


@pytest.mark.parametrize(("faulty", "promise"), FAULTS, ids=[f"{f.__name__}-{p}" for f, p in FAULTS])
def test_a_store_with_a_fault_breaks_its_promise(faulty: type[MemoryStore], promise: str) -> None:
    with pytest.raises(AssertionError):
        Everything(faulty).try_promise(promise)


@pytest.mark.parametrize("promise", sorted({promise for _, promise in FAULTS}))
def test_the_same_promise_is_kept_by_a_store_without_faults(promise: str) -> None:
    honest = Everything(MemoryStore)
    honest.patience = 10.0
    honest.try_promise(promise)
