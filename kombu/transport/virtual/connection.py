"""One open connection to a store: its channels, its drain, its ledger and its view of the topology."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import ClassVar

from kombu.exceptions import ConnectionError, NotFound, OperationalError, ResourceLocked
from kombu.transport.base import Publication, QueueStatistics
from kombu.transport.virtual.attending import Attendance
from kombu.transport.virtual.channel import Channel
from kombu.transport.virtual.deadletter import (
    Reason,
    dead_letter_target,
    dead_lettered,
    reason_not_to_deliver,
    without_cycles,
)
from kombu.transport.virtual.deadline import Deadline
from kombu.transport.virtual.drain import Drain
from kombu.transport.virtual.head import decode_head, encode_head
from kombu.transport.virtual.options import Options
from kombu.transport.virtual.publishing import Publisher, envelope
from kombu.transport.virtual.routing import Router
from kombu.transport.virtual.settling import Ledger
from kombu.transport.virtual.store import (
    Bounded,
    Delivery,
    Envelope,
    Move,
    QueueFull,
    QueueSpec,
    Release,
    Store,
    TopologyMoved,
    User,
)
from kombu.transport.virtual.topology import Topology, TopologyStore
from kombu.utils.uuid import uuid

logger = logging.getLogger(__name__)


class VirtualConnection:
    """Ties the parts together."""

    channel_type: ClassVar[type[Channel]] = Channel
    """A store whose backend needs something otherwise may have channels of its own."""

    def __init__(self, store: Store, options: Options) -> None:
        if not isinstance(store, TopologyStore):
            raise OperationalError(f"store {store.capabilities.name!r} keeps no topology")
        self.id = uuid()
        self.store = store
        self.topology_store: TopologyStore = store
        self.prefetch = options.prefetch
        self.attendance = Attendance(store, options.lease)
        self.ledger = Ledger(store, options.lease, options.settle_delay, self._forget_topology, self.attendance)
        self.drain = Drain(store, self.ledger, self.refusal, self._keep_house)
        self.drain_events = self.drain.run
        self.publisher = Publisher(store, self.router, self._reroute, self.trim)
        self.on_topology_moved: Callable[[], object] | None = None
        """Called when publishing meets a topology that moved: may declare again what must be there."""
        self._router: Router | None = None
        self._channels: list[Channel] = []
        self._owned: dict[str, User] = {}
        self.connected = False

    def open(self, within: float | None = None) -> None:
        """The store has so many seconds for it, if its driver can be given a limit for each answer."""
        with Deadline(within):
            self.store.open()
        self.connected = True

    @property
    def consuming(self) -> bool:
        return bool(self.drain.queues)

    def channel(self) -> Channel:
        channel = self.channel_type(self)
        self._channels.append(channel)
        return channel

    def forget_channel(self, channel: Channel) -> None:
        if channel in self._channels:
            self._channels.remove(channel)

    def interrupt(self) -> None:
        self.drain.interrupt()

    def statistics(self, queues: Sequence[str] | None = None) -> dict[str, QueueStatistics]:
        """What the queues hold. Who consumes them is known where the store knows it of all connections."""
        self.ledger.flush()
        declared = self.refresh().queues
        names = list(declared) if queues is None else [queue for queue in dict.fromkeys(queues) if queue in declared]
        users = self.attendance.of(names)
        return {
            queue: QueueStatistics(
                ready=counts.ready,
                delayed=counts.delayed,
                leased=counts.leased,
                consumers=sum(user.consumer for user in users.get(queue, ())) if self.attendance.kept else None,
                oldest=counts.oldest,
            )
            for queue, counts in self.store.counts(names).items()
        }

    def heartbeat_check(self, rate: int = 2) -> None:
        """A store has no heartbeats: leases are renewed instead."""

    def close(self) -> None:
        """Give back what is held, write what is owed, close the store. Where that is away nothing is tried twice."""
        if not self.connected:
            return
        self.connected = False
        self.ledger.ending = True
        with ExitStack() as stack:
            stack.callback(self.store.close)
            stack.callback(self.ledger.close)
            stack.callback(self.leave, list(self._owned.values()))
            stack.callback(self.drain.close)
            for channel in self._channels:
                stack.callback(channel.close)

    def router(self, fresh: bool = False) -> Router:
        """Routes by the topology last seen, or as it is now when ``fresh``."""
        known = self._router
        if fresh or known is None or known.topology.provisional:
            topology = self.topology_store.topology()
            if known is None or known.topology.provisional or known.topology.version != topology.version:
                known = self._router = Router(topology)
        return known

    def check_lock(self, queue: QueueSpec) -> None:
        """Raises :class:`ResourceLocked` when the queue is another connection's own."""
        if queue.exclusive and not self._owns(queue.name):
            raise ResourceLocked(f"queue {queue.name!r} is exclusive: another connection has it")

    def declared(self, queue: QueueSpec) -> None:
        """A queue was declared here: it may be this connection's own now, and lives on in any case."""
        if queue.exclusive and not self._owns(queue.name):
            self._own(queue.name)
        elif "x-expires" in queue.arguments:
            self.attendance.touch(queue.name)

    def _owns(self, queue: str) -> bool:
        return queue in self._owned and self.attendance.has(self._owned[queue])

    def _own(self, queue: str) -> None:
        """Of two connections that declare it at the same moment, the first in the store's order has it."""
        me = User(queue, self.id, consumer=False)
        self.ledger.attend(me)
        owners = [user for user in self.attendance.of([queue]).get(queue, ()) if not user.consumer]
        if owners and owners[0] != me:
            self.attendance.leave([me])
            raise ResourceLocked(f"queue {queue!r} is exclusive: another connection has it")
        self._owned[queue] = me

    def leave(self, users: Sequence[User]) -> None:
        """These are gone: so may be their queues, and what only those were bound to."""
        if not users or self.ledger.given_up:
            return
        try:
            self.attendance.leave(users)
            topology = self.current_topology()
            if any(topology.queues[user.queue].temporary for user in users if user.queue in topology.queues):
                self.refresh()
        except ConnectionError:
            self.ledger.away()
            raise

    def consumers(self, queue: str) -> int:
        """How many the queue has: of all connections, where the store knows."""
        if not self.attendance.kept:
            return self.drain.consumers(queue)
        return sum(user.consumer for user in self.attendance.of([queue]).get(queue, ()))

    def tidy(self, before: Topology) -> None:
        """After a change: auto-deleted exchanges go with their last binding."""
        after = self._look()
        bare = [name for name in before.by_source if name not in after.by_source]
        gone = [name for name in bare if name in after.exchanges and after.exchanges[name].auto_delete]
        deleted = [name for name in gone if self.topology_store.delete_exchange(name, if_unused=True)]
        if deleted:
            self.tidy(after)

    def trim(self, queues: Sequence[str]) -> None:
        """Keep these queues to their limits: what is too much goes where their dead letters go."""
        if not isinstance(self.store, Bounded) or not queues:
            return
        for delivery in self.store.surplus(list(dict.fromkeys(queues)), self.ledger.lease):
            move = self.dead_letter(delivery, "maxlen")
            try:
                self.store.settle([move])
            except (TopologyMoved, QueueFull):
                self.store.settle([Release(delivery.lease, counted=False)])
                self._forget_topology()
            else:
                self.trim([queue for queue, _ in move.into if queue in self.router().limited])

    def latest_topology(self) -> Topology:
        """The topology as it is now; costs one look at the version while nothing changes."""
        topology = self.current_topology()
        try:
            self.store.put([], topology.version)
        except TopologyMoved:
            return self.refresh()
        return self.refresh() if topology.temporary else topology

    def _keep_house(self, queues: Sequence[str]) -> list[str]:
        """Which of the queues are gone."""
        topology = self.latest_topology()
        self.trim(list(self.router().limited))
        return [queue for queue in queues if queue not in topology.queues]

    def _forget_topology(self) -> None:
        self._router = None

    def _reroute(self) -> Router:
        self.refresh()
        if self.on_topology_moved is not None:
            self.on_topology_moved()
        return self.router()

    def current_topology(self) -> Topology:
        """The topology as last seen; :meth:`refresh` for as it is now."""
        return self.router().topology

    def refresh(self) -> Topology:
        """The topology as it is now, without the queues whose life is over."""
        topology = self._look()
        if topology.temporary and (gone := self.attendance.expire_queues()):
            for queue in gone:
                self.attendance.forget(queue)
                self._owned.pop(queue, None)
            self.tidy(topology)
        return self.current_topology()

    def _look(self) -> Topology:
        return self.router(fresh=True).topology

    def refusal(self, delivery: Delivery) -> Move | None:
        """What is to become of a message that must not be delivered; None for one that may."""
        queue = self.current_topology().queues.get(delivery.lease.queue)
        reason = reason_not_to_deliver(delivery, queue)
        return None if reason is None else self.dead_letter(delivery, reason)

    def dead_letter(self, delivery: Delivery, reason: Reason, because: str | None = None) -> Move:
        """The move to where the queue's dead-letter exchange leads; without one it is dropped, as in AMQP."""
        return Move(delivery.lease, self._dead_letters(delivery, reason, because))

    def _dead_letters(
        self, delivery: Delivery, reason: Reason, because: str | None
    ) -> tuple[tuple[str, Envelope], ...]:
        topology = self.current_topology()
        queue = topology.queues.get(delivery.lease.queue)
        target = dead_letter_target(queue, decode_head(delivery.head)) if queue else None
        if target is None:
            return ()
        dead = dead_lettered(delivery, reason, target, because)
        queues = without_cycles(self._wanted(dead), dead)
        if not queues:
            logger.warning(
                "dropped: message %s of queue %r, no queue behind its dead-letter exchange %r",
                delivery.lease.id,
                delivery.lease.queue,
                dead.exchange,
            )
        head = encode_head(dead.exchange, dead.routing_key, dead.content.properties)
        router = self.router()
        return tuple((name, envelope(dead, head, router.target(name))) for name in queues)

    def _wanted(self, dead: Publication) -> tuple[str, ...]:
        """The queues for a dead letter, by the topology as it is now where the one last seen has none."""
        for fresh in (False, True):
            with suppress(NotFound):
                targets = self.router(fresh).targets(dead)
                if targets:
                    return tuple(target.queue for target in targets)
        return ()
