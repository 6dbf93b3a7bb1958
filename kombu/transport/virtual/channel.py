"""AMQP's operations over a store: declaring, publishing, consuming and settling."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Self

from kombu.exceptions import (
    ChannelError,
    KombuError,
    LeaseLost,
    NotBoundError,
    NotFound,
    NotSupported,
    PreconditionFailed,
)
from kombu.message import Message, State
from kombu.transport.base import Arguments, CancelCallback, Content, MessageCallback, Publication, QueueDeclared
from kombu.transport.virtual import declaring
from kombu.transport.virtual.drain import Flow, Subscription
from kombu.transport.virtual.received import Received, Receiver
from kombu.transport.virtual.store import Bindable, Counts, Delivery, Done, Outcome, QueueSpec, Release, User
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec, Topology
from kombu.utils.uuid import uuid

if TYPE_CHECKING:
    from kombu.transport.virtual.connection import VirtualConnection


_new = tuple.__new__
"""Makes a named tuple without a step in Python: one for every message."""


class Channel:
    """One of a connection's channels. Publishing and declaring may be shared between threads, and messages may be
    settled in any; consuming is one thread's at a time."""

    def __init__(self, connection: VirtualConnection) -> None:
        self.connection = connection
        self.is_open = True
        self._tags = count(1)
        self._consumers: dict[str, Subscription] = {}
        self._unsettled: dict[int, Received] = {}
        self._within: set[int] = set()
        self._prefetch = connection.prefetch
        self._flow = Flow(unsettled=self._unsettled)

    def exchange_declare(
        self,
        exchange: str,
        type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = True,
        auto_delete: bool = False,
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        topology = self._open().refresh()
        existing = topology.exchange(exchange)
        if passive:
            if existing is None:
                raise NotFound(f"no exchange {exchange!r}")
            return
        wanted = ExchangeSpec(
            name=exchange,
            type=type,
            durable=durable,
            auto_delete=auto_delete,
            arguments=dict(arguments or {}),
        )
        declaring.check_exchange(wanted, self.connection.store.capabilities)
        if existing is None:
            self.connection.topology_store.declare_exchange(wanted)
            existing = self.connection.refresh().exchange(exchange) or wanted
        declaring.check_same("exchange", existing, wanted)

    def exchange_delete(self, exchange: str, *, if_unused: bool = False, nowait: bool = False) -> None:
        topology = self._open().refresh()
        if exchange not in topology.exchanges:
            raise NotFound(f"no exchange {exchange!r}")
        if not self.connection.topology_store.delete_exchange(exchange, if_unused) and if_unused:
            bindings = len(self.connection.refresh().by_source.get(exchange, ()))
            raise PreconditionFailed(f"exchange {exchange!r} is in use: {bindings} bindings")
        self.connection.tidy(topology)

    def exchange_bind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        self._bind(_binding(source, destination, routing_key, arguments, to_exchange=True))

    def exchange_unbind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        self._unbind(_binding(source, destination, routing_key, arguments, to_exchange=True))

    def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> QueueDeclared:
        queue = queue or f"amq.gen-{uuid()}"
        existing = self._open().refresh().queues.get(queue)
        if existing is not None:
            self.connection.check_lock(existing)
        if passive:
            if existing is None:
                raise NotFound(f"no queue {queue!r}")
        else:
            wanted = declaring.queue_spec(queue, durable, exclusive, auto_delete, arguments)
            declaring.check_queue(wanted, self.connection.store)
            if existing is None:
                self.connection.store.declare(wanted)
                existing = self.connection.refresh().queues.get(queue, wanted)
            declaring.check_same("queue", existing, wanted)
            self.connection.declared(existing)
        ready = 0 if nowait else self._ready(queue)
        return QueueDeclared(queue, ready, 0 if nowait else self.connection.consumers(queue))

    def queue_bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        if exchange:
            self._bind(_binding(exchange, queue, routing_key, arguments, to_exchange=False))

    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None:
        self._unbind(_binding(exchange, queue, routing_key, arguments, to_exchange=False))

    def queue_purge(self, queue: str, nowait: bool = False) -> int:
        self._existing_queue(queue, self._open().refresh())
        return self.connection.store.purge(queue)

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False, nowait: bool = False) -> int:
        topology = self._open().refresh()
        if queue in topology.queues:
            self.connection.check_lock(topology.queues[queue])
        if if_unused and not self.connection.attendance.kept:
            name = self.connection.store.capabilities.name
            raise NotSupported(f"queue {queue!r}: transport {name!r} cannot tell if_unused: it counts no consumers")
        self.connection.ledger.flush()
        if if_unused and (consumers := self.connection.consumers(queue)):
            raise PreconditionFailed(f"queue {queue!r} is in use: {consumers} consumers")
        counts = self.connection.store.counts([queue]).get(queue, Counts())
        if if_empty and counts.total:
            raise PreconditionFailed(f"queue {queue!r} is not empty: {counts.total} messages")
        removed = self.connection.store.delete(queue)
        self.connection.attendance.forget(queue)
        self.connection.tidy(topology)
        return removed

    def basic_publish(
        self,
        content: Content,
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        delay: float = 0.0,
        timeout: float | None = None,
    ) -> None:
        self.publish_batch([Publication(content, exchange, routing_key, mandatory, delay)], timeout)

    def publish_batch(
        self, publications: Sequence[Publication], timeout: float | None = None, *, within: object | None = None
    ) -> None:
        if not self.is_open:
            self._open()
        if within is None:
            self.connection.publisher.publish(publications, timeout)
        else:
            self.connection.publisher.publish_within(publications, within)

    def basic_consume(
        self,
        queue: str,
        *,
        callback: MessageCallback,
        consumer_tag: str = "",
        no_ack: bool = False,
        arguments: Arguments = None,
        nowait: bool = False,
        on_cancel: CancelCallback | None = None,
    ) -> str:
        spec = self._existing_queue(queue, self._open().refresh())
        declaring.check_consumer(arguments, self.connection.store.capabilities)
        tag = consumer_tag or f"ctag-{uuid()}"
        if len(tag) > declaring.MAX_NAME:
            raise PreconditionFailed(f"a consumer tag has {declaring.MAX_NAME} characters at most, not {len(tag)}")
        if tag in self._consumers:
            raise ChannelError(f"consumer tag {tag!r} is in use on this channel")
        receiver = Receiver(self, tag, no_ack)

        def hand(delivery: Delivery) -> None:
            callback(self._deliver(delivery, receiver))

        user = User(queue, f"{self.connection.id}/{id(self):x}/{tag}")
        self.connection.ledger.attend(user)
        subscription = Subscription(user, tag, hand, self._prefetch, receiver.held, self._flow, on_cancel)
        self._consumers[tag] = subscription
        self.connection.drain.subscribe(subscription, spec)
        return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> None:
        subscription = self._consumers.pop(consumer_tag, None)
        if subscription is not None:
            self.connection.drain.unsubscribe(subscription)
            self.connection.leave([subscription.user])

    def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
        found = self.get_batch(queue, 1, no_ack)
        return found[0] if found else None

    def get_batch(self, queue: str, limit: int, no_ack: bool = False) -> list[Message]:
        spec = self._existing_queue(queue, self._open().current_topology())
        ledger = self.connection.ledger
        if "x-expires" in spec.arguments:
            self.connection.attendance.touch(queue)
        while True:
            ledger.flush()
            deliveries = self.connection.store.claim({queue: limit}, ledger.lease)
            if not deliveries:
                self._existing_queue(queue, self.connection.latest_topology())
                return []
            ledger.hold(deliveries)
            try:
                refusals = [self.connection.refusal(delivery) for delivery in deliveries]
            except KombuError:
                for delivery in deliveries:
                    ledger.settle(Release(delivery.lease, counted=False))
                raise
            receiver = Receiver(self, "", no_ack)
            good = [each for each, refusal in zip(deliveries, refusals, strict=True) if refusal is None]
            for refusal in refusals:
                if refusal is not None:
                    ledger.settle(refusal)
            if good:
                return [self._deliver(delivery, receiver) for delivery in good]

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many unsettled messages each consumer that begins from now on may hold; 0 means the transport's default.

        ``apply_global``: how many all consumers of the channel may hold together, 0 meaning as many as each may; as
        RabbitMQ has it (https://www.rabbitmq.com/docs/consumer-prefetch). ``prefetch_size`` is refused unless 0.
        """
        if prefetch_size:
            raise NotSupported(f"prefetch_size={prefetch_size}: only prefetch_count is kept")
        if prefetch_count < 0:
            raise PreconditionFailed(f"prefetch_count={prefetch_count}: how many messages, 0 for the default")
        if apply_global:
            self._flow.together = prefetch_count or None
            self.connection.drain.stir()
        else:
            self._prefetch = prefetch_count or self.connection.prefetch

    def flow(self, active: bool) -> None:
        self._flow.active = active
        if active:
            self.connection.drain.stir()
        else:
            self.connection.drain.give_back()

    def basic_ack(self, delivery_tag: int | str, multiple: bool = False, *, within: object | None = None) -> None:
        tag = delivery_tag if type(delivery_tag) is int else int(delivery_tag)
        if within is None and not multiple and not self._within:
            self.connection.ledger.settle(_new(Done, (self._settled(tag, "acknowledged")[0],)))
            return
        if tag not in self._unsettled:
            raise self._unknown(tag)
        if within is not None:
            self._ack_within(self._up_to(tag) if multiple else [tag], within)
        elif multiple:
            for each in self._up_to(tag):
                self._done(each)
        else:
            self._done(tag)

    def basic_reject(
        self,
        delivery_tag: int | str,
        requeue: bool = False,
        *,
        delay: float = 0.0,
        because: str | None = None,
        counted: bool = True,
    ) -> None:
        if requeue:
            declaring.check_delay(delay, self.connection.store.capabilities)
        tag = int(delivery_tag)
        if tag not in self._unsettled:
            raise self._unknown(tag)
        delivery = self._unsettled[tag].delivery
        if requeue:
            outcome: Outcome = Release(delivery.lease, delay, counted)
        else:
            outcome = self.connection.dead_letter(delivery, "rejected", because)
        self._settled(tag, "requeued" if requeue else "rejected")
        self.connection.ledger.settle(outcome)

    def basic_recover(self, requeue: bool = True) -> None:
        """Put everything that was delivered on this channel and is not settled back into its queue."""
        for tag in list(self._unsettled):
            self.connection.ledger.settle(Release(self._settled(tag, "requeued").lease))
        self.connection.ledger.flush()

    def close(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        consumers, self._consumers = list(self._consumers.values()), {}
        with ExitStack() as stack:
            stack.callback(self.connection.forget_channel, self)
            stack.callback(self.connection.leave, [consumer.user for consumer in consumers])
            stack.callback(self.basic_recover)
            for consumer in consumers:
                stack.callback(self.connection.drain.unsubscribe, consumer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _open(self) -> VirtualConnection:
        if not self.is_open:
            raise NotBoundError("this channel is closed")
        return self.connection

    def _existing_queue(self, queue: str, topology: Topology) -> QueueSpec:
        """By this topology, or as it is now where that does not know the queue."""
        spec = topology.queues.get(queue) or self.connection.refresh().queues.get(queue)
        if spec is None:
            raise NotFound(f"no queue {queue!r}: declare it first")
        self.connection.check_lock(spec)
        return spec

    def _ready(self, queue: str) -> int:
        self.connection.ledger.flush()
        counts = self.connection.store.counts([queue]).get(queue)
        return counts.ready if counts else 0

    def _bind(self, binding: BindingSpec) -> None:
        topology = self._open().refresh()
        if binding in topology.bindings:
            return
        declaring.check_ends(topology, binding)
        if not binding.to_exchange:
            self.connection.check_lock(topology.queues[binding.destination])
        self.connection.topology_store.bind(binding)
        self.connection.refresh()

    def _unbind(self, binding: BindingSpec) -> None:
        topology = self._open().refresh()
        if not binding.to_exchange and binding.destination in topology.queues:
            self.connection.check_lock(topology.queues[binding.destination])
        self.connection.topology_store.unbind(binding)
        self.connection.tidy(topology)

    def _deliver(self, delivery: Delivery, receiver: Receiver) -> Message:
        tag = next(self._tags)
        message = Received(receiver, delivery, tag)
        if receiver.no_ack:
            self.connection.ledger.settle(Done(delivery.lease))
        else:
            self._unsettled[tag] = message
            receiver.held.add(tag)
        return message

    def _done(self, tag: int) -> None:
        lease = self._settled(tag, "acknowledged").lease
        if tag in self._within:
            self._within.discard(tag)
            self.connection.ledger.forget(lease)
        else:
            self.connection.ledger.settle(Done(lease))

    def _settled(self, tag: int, state: State) -> Delivery:
        message = self._unsettled.pop(tag, None)
        if message is None:
            raise self._unknown(tag)
        message.state = state
        message.receiver.held.discard(tag)
        if self.connection.drain.full:
            self.connection.drain.stir()
        return message.delivery

    def _up_to(self, tag: int) -> list[int]:
        return [each for each in self._unsettled if each <= tag]

    def _unknown(self, tag: int) -> PreconditionFailed:
        return PreconditionFailed(f"unknown delivery tag {tag}: settled before, or of another channel")

    def _ack_within(self, tags: list[int], connection: object) -> None:
        store = self.connection.store
        if not isinstance(store, Bindable):
            name = store.capabilities.name
            raise NotSupported(f"ack(within=…): transport {name!r} has no transactions of the caller's")
        leases = [self._unsettled[tag].delivery.lease for tag in tags]
        answers = store.within(connection).settle([Done(lease) for lease in leases])
        for tag, lease, answer in zip(tags, leases, answers, strict=True):
            if not answer:
                self._settled(tag, "lost")
                self.connection.ledger.forget(lease)
                raise LeaseLost(f"message {tag} of queue {lease.queue!r} is another consumer's by now")
            self._within.add(tag)


def _binding(
    source: str, destination: str, routing_key: str, arguments: Arguments, *, to_exchange: bool
) -> BindingSpec:
    return BindingSpec(
        source=source,
        destination=destination,
        routing_key=routing_key,
        arguments=dict(arguments or {}),
        to_exchange=to_exchange,
    )
