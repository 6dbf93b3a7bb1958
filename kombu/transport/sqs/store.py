"""The store over SQS: messages in its queues, leases as visibility timeouts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kombu.exceptions import KombuError, NotFound
from kombu.transport.sqs.calls import Calls
from kombu.transport.sqs.errors import QueueMissing
from kombu.transport.sqs.holding import Change, Holding
from kombu.transport.sqs.limits import AWS, BATCH, Limits, whole
from kombu.transport.sqs.mortals import Mortals
from kombu.transport.sqs.names import is_fifo
from kombu.transport.sqs.options import Settings
from kombu.transport.sqs.queues import Queues
from kombu.transport.sqs.receiving import Receiver, Taken
from kombu.transport.sqs.redrive import redrive_policy
from kombu.transport.sqs.sending import Parcel, Sender
from kombu.transport.sqs.topology import FixedTopology, TaggedTopology
from kombu.transport.sqs.wire import Note
from kombu.transport.virtual.store import (
    Capabilities,
    Counts,
    Delivery,
    Envelope,
    Lease,
    Move,
    Outcome,
    QueueSpec,
    Release,
    TopologyMoved,
)
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology

CAPABILITIES = Capabilities(
    name="sqs",
    queue_arguments=frozenset(
        {"x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-delivery-limit"}
    ),
    max_batch=100,
    max_priority=0,
    atomic_put=False,
)

_NEWER = 1.0
"""Seconds by which a message has to be newer than a purge to count as such: AWS tells its time in whole ones."""


class SQSStore:
    """A handle on the queues of one account and region, whose names begin with the same prefix."""

    def __init__(self, settings: Settings, limits: Limits = AWS) -> None:
        self.capabilities = replace(
            CAPABILITIES, max_body=settings.max_message_size, housekeeping=max(settings.topology_check, 1.0)
        )
        self._limits = limits
        self._calls = Calls(settings)
        self._queues = Queues(self._calls)
        kind = FixedTopology if settings.predefined else TaggedTopology
        self._topology = kind(self._calls, self._queues)
        self._sender = Sender(self._calls, self._queues, limits, self._topology.last_topics)
        self._holding = Holding(self._calls, self._queues, limits)
        self._receiver = Receiver(self._calls, self._queues, self._holding.give_back, self._missing)
        self._mortals = Mortals(self._calls.clock, self._topology, self._receiver, self._holding)

    def open(self) -> None:
        self._calls.open()
        self._topology.topology()
        if self._calls.settings.predefined:
            for queue in self._calls.settings.predefined_queues:
                self._queues.attributes(queue, "QueueArn")
                break  # one is enough to see that the place and the credentials are right

    def close(self) -> None:
        self._receiver.close()
        if not self._receiver.polling:
            self._calls.close()

    def billed_requests(self) -> dict[str, int]:
        """How many requests this handle made so far, by AWS's action, as AWS bills them: every 64 KiB are one."""
        return self._calls.billed()

    def topology(self) -> Topology:
        return self._topology.topology()

    def declare_exchange(self, exchange: ExchangeSpec) -> None:
        self._topology.declare_exchange(exchange)

    def delete_exchange(self, name: str, if_unused: bool = False) -> bool:
        return self._topology.delete_exchange(name, if_unused)

    def bind(self, binding: BindingSpec) -> None:
        self._topology.bind(binding)

    def unbind(self, binding: BindingSpec) -> None:
        self._topology.unbind(binding)

    def declare(self, queue: QueueSpec) -> None:
        url = self._queues.make(queue.name)
        if self._calls.settings.redrive:
            redrive_policy(self._calls, self._queues, queue, url)
        self._topology.declare(queue)

    def delete(self, queue: str) -> int:
        try:
            total = self._counts(queue).total
            self._topology.forget_queue(queue)
            self._queues.delete(queue)
        except QueueMissing:
            self._topology.forget_queue(queue)
            return 0
        self._receiver.forget(queue)
        self._holding.drop(queue)
        return total

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        self._topology.check_version(version, strict=not items)
        self._mortals.expect(items)
        try:
            self._sender.put(items)
        except QueueMissing as exc:
            self._moved(items)
            raise TopologyMoved from exc
        for queue, _ in items:
            self._receiver.heat(queue)

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        found: list[Delivery] = []
        for queue, limit in wants.items():
            try:
                found += self._claim(queue, limit, lease)
            except KombuError:
                if not found:
                    raise
                break  # what was claimed is not to be lost for that; the next call will meet it again
        return found

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        held = self._holding.surrender([outcome.lease for outcome in outcomes])
        try:
            return self._carry_out(outcomes, held)
        except BaseException:
            self._holding.hold(taken for taken in held if taken is not None)
            raise

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        held = [self._holding.still_held(lease) for lease in leases]
        changes = [Change(taken, self._holding.at_most(taken, seconds)) for taken in held if taken is not None]
        lost = self._holding.change([each for each in changes if each.seconds])  # none: its 12 hours are over
        answers: list[Lease | None] = []
        for lease, taken in zip(leases, held, strict=True):
            if taken is None or taken.message.handle in lost:
                self._holding.surrender([lease])
                answers.append(None)
            else:
                answers.append(lease)
        return answers

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        self._receiver.wait(queues, timeout)

    def wake(self) -> None:
        self._receiver.wake()

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        found: dict[str, Counts] = {}
        for queue in queues:
            try:
                found[queue] = self._counts(queue)
            except QueueMissing:
                continue
        return found

    def purge(self, queue: str) -> int:
        """Received and deleted, ten at a time: AWS's PurgeQueue takes what is leased along, and for a minute what is
        new. What is delayed cannot be received, and stays.

        It ends when nothing is left. AWS's count may be too low, so that alone does not end it; but where others go
        on publishing, it is enough once as many are gone, and what comes is newer than the purge."""
        began = self._calls.clock.now()
        try:
            ready = self._counts(queue).ready
        except QueueMissing:
            return 0
        removed = 0
        while taken := self._receiver.ask(queue, BATCH, self._limits.delay, sure=True):
            self._holding.delete(taken)
            removed += len(taken)
            if removed >= ready and all(each.message.stored > began + _NEWER for each in taken):
                break
        return removed

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        now = self._calls.clock.now()
        return [_delivery(each, now) for each in self._mortals.dead(limit, lease)]

    def _missing(self, queue: str) -> None:
        """AWS does not know it. If it is declared nevertheless, somebody has deleted it behind our back, and whoever
        consumes from it would wait for ever. Raises :class:`NotFound`."""
        self._queues.forget(queue)
        if queue in self.topology().queues:
            raise NotFound(
                f"queue {queue!r} is declared, but was deleted at AWS by another program: delete it here, too, and"
                " declare it again"
            )

    def _moved(self, items: Iterable[tuple[str, Envelope]]) -> None:
        """Which of the queues has gone? :class:`NotFound` for one that has not moved, but is missing."""
        for queue in {queue for queue, _ in items}:
            try:
                self._queues.url(queue)
            except QueueMissing:
                self._missing(queue)

    def _claim(self, queue: str, limit: int, lease: float) -> list[Delivery]:
        if limit <= 0:
            return []
        due: list[Taken] = []
        while not due and (taken := self._receiver.take(queue, limit, lease)):
            due = self._renewed(self._without_waiting(taken), lease)
        self._holding.hold(due)
        now = self._calls.clock.now()
        return [_delivery(each, now) for each in due]

    def _without_waiting(self, taken: list[Taken]) -> list[Taken]:
        """Those whose time has come; the others wait on, as long as AWS can do that at a time. The last part of a long
        delay is a new message, so that its deliveries are counted from the first."""
        early = [each for each in taken if each.message.note.due is not None]
        if not early:
            return taken
        now, changes, parcels, gone = self._calls.clock.now(), list[Change](), list[Parcel](), list[Taken]()
        for each in early:
            left = (each.message.note.due or 0) / 1000 - now
            if left > self._limits.delay:
                hop = self._holding.at_most(each, left - self._limits.delay // 2)
                changes.append(Change(each, max(hop, 1)))
            else:
                parcels.append(self._again(each, max(left, 0.0), each.message.note.tried))
                gone.append(each)
        self._holding.change(changes)
        self._sender.send(parcels)
        self._holding.delete(gone)
        return [each for each in taken if each.message.note.due is None]

    def _renewed(self, taken: list[Taken], lease: float) -> list[Taken]:
        """What a poll brought a while ago, or for another time, gets the whole lease."""
        now = time.monotonic()
        late = [each for each in taken if not lease / 2 <= each.until - now <= lease + 1]
        if not late:
            return taken
        lost = self._holding.change([Change(each, whole(lease)) for each in late])
        until = now + whole(lease)
        renewed = {each.message.handle for each in late}
        return [
            replace(each, until=until) if each.message.handle in renewed else each
            for each in taken
            if each.message.handle not in lost
        ]

    def _carry_out(self, outcomes: Sequence[Outcome], held: Sequence[Taken | None]) -> list[bool]:
        """First what is to be stored, then what is to go."""
        mine = [(outcome, taken) for outcome, taken in zip(outcomes, held, strict=True) if taken is not None]
        changes: list[Change] = []
        parcels: list[Parcel] = []
        gone: list[Taken] = []
        for outcome, taken in mine:
            if isinstance(outcome, Release):
                change = self._released(taken, outcome)
                if isinstance(change, Change):
                    changes.append(change)
                    continue
                parcels.append(change)
            elif isinstance(outcome, Move):
                self._move(outcome)
            gone.append(taken)
        self._sender.send(parcels)
        lost = self._holding.delete(gone) | self._holding.change(changes)
        for outcome, taken in mine:
            if isinstance(outcome, Release):
                self._receiver.heat(taken.queue)
        return [taken is not None and taken.message.handle not in lost for taken in held]

    def _move(self, move: Move) -> None:
        self._mortals.expect(move.into)
        try:
            self._sender.move(move.into)
        except QueueMissing as exc:
            self._moved(move.into)
            raise TopologyMoved from exc
        for queue, _ in move.into:
            self._receiver.heat(queue)

    def _released(self, taken: Taken, release: Release) -> Change | Parcel:
        """Visible again, at its place, unless that would be wrong: AWS cannot take back a delivery that it has counted,
        nor keep a message invisible for more than 12 hours."""
        seconds = whole(release.delay)
        too_long = seconds > self._holding.at_most(taken, release.delay)
        if too_long or (not release.counted and self._counts_exactly(taken.queue)):
            return self._again(taken, release.delay, taken.message.deliveries - (0 if release.counted else 1))
        return Change(taken, seconds)

    def _counts_exactly(self, queue: str) -> bool:
        spec = self._topology.last_topology().queues.get(queue)
        return spec is not None and "x-delivery-limit" in spec.arguments and not is_fifo(queue)

    def _again(self, taken: Taken, delay: float, tried: int) -> Parcel:
        """As a new message, which AWS has not delivered yet; ``tried``: how often it was delivered."""
        message = taken.message
        note = Note(ttl=message.note.ttl, stored=round(message.stored * 1000), tried=tried)
        return self._sender.again(taken.queue, message.head, message.body, note, delay, message.group)

    def _counts(self, queue: str) -> Counts:
        found = self._queues.attributes(
            queue,
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        )
        return Counts(
            ready=int(found["ApproximateNumberOfMessages"]),
            delayed=int(found["ApproximateNumberOfMessagesDelayed"]),
            leased=int(found["ApproximateNumberOfMessagesNotVisible"]),
        )


def _delivery(taken: Taken, now: float) -> Delivery:
    message = taken.message
    return Delivery(
        Lease(taken.queue, message.id, message.handle),
        message.head,
        message.body,
        0,
        message.deliveries,
        message.expired(now),
        max(now - message.stored, 0.0),
    )
