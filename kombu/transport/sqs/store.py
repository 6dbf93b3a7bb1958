"""The store over SQS: messages in its queues, leases as visibility timeouts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from kombu.exceptions import KombuError, NotFound, OperationalError
from kombu.transport.sqs.calls import Calls
from kombu.transport.sqs.errors import QueueMissing
from kombu.transport.sqs.limits import AWS, BATCH, Limits, tens, whole
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

_SAFELY = 60
"""Seconds less than AWS's 12 hours that a message is asked to stay invisible."""


_LOOK = 10.0
"""Seconds until the next look into a queue where messages with a time to live of their own may come at any moment."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A message to be made invisible for so many seconds from now; 0: visible."""

    taken: Taken
    seconds: int


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
        self._receiver = Receiver(self._calls, self._queues, self._give_back, self._missing)
        self._held: dict[int | str, Taken] = {}
        self._lock = Lock()
        self._looks: dict[str, float] = {}
        """When to look again for what has expired in a queue: this machine's monotonic clock."""

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
        self._drop_leases(queue)
        return total

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        self._topology.check_version(version, strict=not items)
        self._expect(items)
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
        held = self._surrender([outcome.lease for outcome in outcomes])
        try:
            return self._carry_out(outcomes, held)
        except BaseException:
            self._hold(taken for taken in held if taken is not None)
            raise

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        held = [self._still_held(lease) for lease in leases]
        changes = [_Change(taken, self._at_most(taken, seconds)) for taken in held if taken is not None]
        lost = self._change([change for change in changes if change.seconds > 0])  # after 12 hours AWS gives no more
        answers: list[Lease | None] = []
        for lease, taken in zip(leases, held, strict=True):
            if taken is None or taken.message.handle in lost:
                self._surrender([lease])
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
        new. What is delayed cannot be received, and stays."""
        try:
            left = self._counts(queue).ready
        except QueueMissing:
            return 0
        removed = 0
        while left > 0 and (taken := self._receiver.ask(queue, BATCH, self._limits.delay)):
            self._delete(taken)
            removed += len(taken)
            left -= len(taken)
        return removed

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        """Of the queues with a time to live, and of those that this handle put mortal messages into."""
        now = time.monotonic()
        for name, spec in self._topology.last_topology().queues.items():
            if "x-message-ttl" in spec.arguments or name in self._topology.mortal:
                self._looks.setdefault(name, now)
        found: list[Delivery] = []
        for queue in [queue for queue, at in list(self._looks.items()) if at <= now]:
            if len(found) < limit:
                found += self._sweep(queue, limit - len(found), lease)
        return found

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
        taken = self._receiver.take(queue, limit, lease)
        taken = self._renewed(self._without_waiting(taken), lease)
        self._hold(taken)
        now = self._calls.clock.now()
        return [_delivery(each, now) for each in taken]

    def _without_waiting(self, taken: list[Taken]) -> list[Taken]:
        """Those whose time has come; the others wait on, as long as AWS can do that at a time. The last part of a long
        delay is a new message, so that its deliveries are counted from the first."""
        early = [each for each in taken if each.message.note.due is not None]
        if not early:
            return taken
        now, changes, parcels, gone = self._calls.clock.now(), list[_Change](), list[Parcel](), list[Taken]()
        for each in early:
            left = (each.message.note.due or 0) / 1000 - now
            if left > self._limits.delay:
                hop = min(whole(left) - self._limits.delay // 2, self._limits.visibility - _SAFELY)
                changes.append(_Change(each, max(hop, 1)))
            else:
                parcels.append(self._again(each, max(left, 0.0), due=None))
                gone.append(each)
        self._change(changes)
        self._sender.send(parcels)
        self._delete(gone)
        return [each for each in taken if each.message.note.due is None]

    def _renewed(self, taken: list[Taken], lease: float) -> list[Taken]:
        """What a poll brought a while ago, or for another time, gets the whole lease."""
        now = time.monotonic()
        late = [each for each in taken if not lease / 2 <= each.until - now <= lease + 1]
        if not late:
            return taken
        lost = self._change([_Change(each, whole(lease)) for each in late])
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
        changes: list[_Change] = []
        parcels: list[Parcel] = []
        gone: list[Taken] = []
        for outcome, taken in mine:
            if isinstance(outcome, Release):
                change = self._released(taken, outcome)
                if isinstance(change, _Change):
                    changes.append(change)
                    continue
                parcels.append(change)
            elif isinstance(outcome, Move):
                self._move(outcome)
            gone.append(taken)
        self._sender.send(parcels)
        lost = self._delete(gone) | self._change(changes)
        for outcome, taken in mine:
            if isinstance(outcome, Release):
                self._receiver.heat(taken.queue)
        return [taken is not None and taken.message.handle not in lost for taken in held]

    def _move(self, move: Move) -> None:
        self._expect(move.into)
        try:
            self._sender.move(move.into)
        except QueueMissing as exc:
            self._moved(move.into)
            raise TopologyMoved from exc
        for queue, _ in move.into:
            self._receiver.heat(queue)

    def _released(self, taken: Taken, release: Release) -> _Change | Parcel:
        """Visible again, at its place, unless that would be wrong: AWS cannot take back a delivery that it has counted,
        nor keep a message invisible for more than 12 hours."""
        message = taken.message
        seconds = whole(release.delay)
        if seconds > self._at_most(taken, release.delay):
            due = round((self._calls.clock.now() + release.delay) * 1000)
            tried = message.deliveries - (0 if release.counted else 1)
            return self._again(taken, min(release.delay, self._limits.delay), due=due, tried=tried)
        if not release.counted and self._counts_exactly(taken.queue):
            return self._again(taken, release.delay, due=None, tried=message.deliveries - 1)
        return _Change(taken, seconds)

    def _counts_exactly(self, queue: str) -> bool:
        spec = self._topology.last_topology().queues.get(queue)
        return spec is not None and "x-delivery-limit" in spec.arguments and not is_fifo(queue)

    def _again(self, taken: Taken, delay: float, *, due: int | None, tried: int | None = None) -> Parcel:
        """As a new message, which AWS has not delivered yet; ``tried``: how often it was, if not as often as before."""
        message = taken.message
        before = message.note.tried if tried is None else tried
        note = Note(ttl=message.note.ttl, stored=round(message.stored * 1000), due=due, tried=before)
        return self._sender.again(taken.queue, message.head, message.body, note, delay, message.group)

    def _sweep(self, queue: str, limit: int, lease: float) -> list[Delivery]:
        """Ask until there is one that has time left: those behind it mostly have more."""
        found: list[Delivery] = []
        spec = self._topology.last_topology().queues.get(queue)
        ttl = spec.arguments.get("x-message-ttl") if spec else None
        soonest = [ttl / 1000] if isinstance(ttl, int) else []
        if queue in self._topology.mortal:
            soonest.append(_LOOK)
        while len(found) < limit:
            taken = self._receiver.ask(queue, min(BATCH, limit - len(found)), lease)
            now = self._calls.clock.now()
            dead = [each for each in taken if each.message.expired(now)]
            alive = [each for each in taken if not each.message.expired(now)]
            self._give_back(alive)
            self._hold(dead)
            found += [_delivery(each, now) for each in dead]
            soonest += [_left(each, now) for each in alive if each.message.note.ttl is not None]
            if not dead:
                break
        if found:
            soonest.append(lease if len(found) < limit else 0.0)
        if soonest:
            self._looks[queue] = time.monotonic() + max(min(soonest), 0.0)
        else:
            del self._looks[queue]
        return found

    def _expect(self, items: Sequence[tuple[str, Envelope]]) -> None:
        """Messages that may expire: somebody has to look for them."""
        for queue, envelope in items:
            if envelope.ttl is not None:
                self._topology.expect_mortal(queue)
                at = time.monotonic() + envelope.ttl
                self._looks[queue] = min(self._looks.get(queue, at), at)

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

    def _hold(self, taken: Iterable[Taken]) -> None:
        with self._lock:
            self._held.update((each.message.handle, each) for each in taken)

    def _still_held(self, lease: Lease) -> Taken | None:
        taken = self._held.get(lease.token)
        return taken if taken is not None and taken.until > time.monotonic() else None

    def _surrender(self, leases: Sequence[Lease]) -> list[Taken | None]:
        """They are nobody else's to settle from now on. None for one that ran out: AWS would not tell whose the message
        is by then, and take an old receipt handle for a new one."""
        now = time.monotonic()
        with self._lock:
            held = [self._held.pop(lease.token, None) for lease in leases]
        return [taken if taken is not None and taken.until > now else None for taken in held]

    def _drop_leases(self, queue: str) -> None:
        with self._lock:
            self._held = {handle: taken for handle, taken in self._held.items() if taken.queue != queue}

    def _at_most(self, taken: Taken, seconds: float) -> int:
        """As long as AWS keeps a message invisible after it was received."""
        passed = time.monotonic() - taken.since
        return max(min(whole(seconds), self._limits.visibility - _SAFELY - whole(passed)), 0)

    def _give_back(self, taken: Sequence[Taken]) -> None:
        self._change([_Change(each, 0) for each in taken])

    def _delete(self, taken: Sequence[Taken]) -> set[str]:
        """The receipt handles of those that were not ours any more."""
        return self._in_batches("delete_message_batch", [(each, {}) for each in taken])

    def _change(self, changes: Sequence[_Change]) -> set[str]:
        """The receipt handles of those that were not ours any more."""
        entries = [(change.taken, {"VisibilityTimeout": change.seconds}) for change in changes]
        lost = self._in_batches("change_message_visibility_batch", entries)
        now = time.monotonic()
        with self._lock:
            for change in changes:
                handle = change.taken.message.handle
                if handle in self._held and handle not in lost:
                    self._held[handle] = replace(self._held[handle], until=now + change.seconds)
        return lost

    def _in_batches(self, action: str, entries: Sequence[tuple[Taken, dict[str, Any]]]) -> set[str]:
        queues: dict[str, list[tuple[Taken, dict[str, Any]]]] = {}
        for entry in entries:
            queues.setdefault(entry[0].queue, []).append(entry)
        lost: set[str] = set()
        for queue, there in queues.items():
            for batch in tens(there):
                lost |= self._ask_batch(action, queue, batch)
        return lost

    def _ask_batch(self, action: str, queue: str, batch: list[tuple[Taken, dict[str, Any]]]) -> set[str]:
        handles = [taken.message.handle for taken, _ in batch]
        asked = [
            {"Id": str(at), "ReceiptHandle": handle, **entry}
            for at, (handle, (_, entry)) in enumerate(zip(handles, batch, strict=True))
        ]
        try:
            answer = self._calls.sqs(action, QueueUrl=self._queues.url(queue), Entries=asked)
        except NotFound:
            self._queues.forget(queue)
            return set(handles)
        failed = answer.get("Failed", ())
        faults = [each for each in failed if not each.get("SenderFault")]
        if faults:
            raise OperationalError(
                f"{self._calls.settings.place}: {action}: {faults[0].get('Code')}, not done: try again"
            )
        return {handles[int(each["Id"])] for each in failed}


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


def _left(taken: Taken, now: float) -> float:
    """Seconds that it has to live."""
    return taken.message.stored + (taken.message.note.ttl or 0) / 1000 - now
