"""AMQP's operations over a store: declaring, publishing, consuming and settling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from kombu.exceptions import (
    ChannelError,
    KombuError,
    LeaseLost,
    NotBoundError,
    NotFound,
    NotSupported,
    PreconditionFailed,
)
from kombu.message import Message
from kombu.transport.base import Arguments, CancelCallback, Content, MessageCallback, Publication, QueueDeclared
from kombu.transport.virtual import declaring
from kombu.transport.virtual.drain import Subscription
from kombu.transport.virtual.head import decode_head
from kombu.transport.virtual.store import Bindable, Counts, Delivery, Done, Outcome, Release
from kombu.transport.virtual.topology import BindingSpec, ExchangeSpec
from kombu.utils.uuid import uuid

if TYPE_CHECKING:
    from kombu.transport.virtual.connection import VirtualConnection


@dataclass(slots=True)
class _Unsettled:
    """A delivery that a consumer holds. ``within``: acknowledged in a transaction that may not have ended."""

    delivery: Delivery
    tag: str
    within: bool = False


class Channel:
    """One of a connection's channels. Not to be shared between threads."""

    def __init__(self, connection: VirtualConnection) -> None:
        self.connection = connection
        self.is_open = True
        self._tags = count(1)
        self._consumers: dict[str, Subscription] = {}
        self._unsettled: dict[int, _Unsettled] = {}
        self._held: dict[str, int] = {}
        self._prefetch = connection.prefetch

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
        if if_unused and topology.by_source.get(exchange):
            raise PreconditionFailed(f"exchange {exchange!r} is in use: {len(topology.by_source[exchange])} bindings")
        self.connection.topology_store.delete_exchange(exchange)
        self.connection.refresh()

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
        if passive:
            if existing is None:
                raise NotFound(f"no queue {queue!r}")
        else:
            wanted = declaring.queue_spec(queue, durable, exclusive, auto_delete, arguments)
            declaring.check_queue(wanted, self.connection.store.capabilities)
            if existing is None:
                self.connection.store.declare(wanted)
                existing = self.connection.refresh().queues.get(queue, wanted)
            declaring.check_same("queue", existing, wanted)
        ready = 0 if nowait else self._ready(queue)
        return QueueDeclared(queue, ready, self.connection.drain.consumers(queue))

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
        self._existing_queue(queue)
        return self.connection.store.purge(queue)

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False, nowait: bool = False) -> int:
        self._open()
        if if_unused and (consumers := self.connection.drain.consumers(queue)):
            raise PreconditionFailed(f"queue {queue!r} is in use: {consumers} consumers")
        counts = self.connection.store.counts([queue]).get(queue, Counts())
        if if_empty and counts.total:
            raise PreconditionFailed(f"queue {queue!r} is not empty: {counts.total} messages")
        removed = self.connection.store.delete(queue)
        self.connection.refresh()
        return removed

    def basic_publish(
        self,
        content: Content,
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        delay: float = 0.0,
    ) -> None:
        self.publish_batch([Publication(content, exchange, routing_key, mandatory, delay)])

    def publish_batch(self, publications: Sequence[Publication]) -> None:
        self._open().publisher.publish(publications)

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
        self._open().refresh()
        self._existing_queue(queue)
        declaring.check_consumer(arguments, self.connection.store.capabilities)
        tag = consumer_tag or f"ctag-{uuid()}"
        if tag in self._consumers:
            raise ChannelError(f"consumer tag {tag!r} is in use on this channel")

        def hand(subscription: Subscription, delivery: Delivery) -> None:
            callback(self._deliver(delivery, tag, no_ack))

        def free() -> int:
            return self._prefetch if no_ack else self._prefetch - self._held.get(tag, 0)

        self._consumers[tag] = Subscription(tag, queue, hand, free)
        self.connection.drain.subscribe(self._consumers[tag])
        return tag

    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> None:
        subscription = self._consumers.pop(consumer_tag, None)
        if subscription is not None:
            self.connection.drain.unsubscribe(subscription)

    def basic_get(self, queue: str, no_ack: bool = False) -> Message | None:
        self._existing_queue(queue)
        ledger = self.connection.ledger
        while True:
            ledger.flush()
            deliveries = self.connection.store.claim({queue: 1}, ledger.lease)
            if not deliveries:
                return None
            ledger.hold(deliveries)
            try:
                refusal = self.connection.refusal(deliveries[0])
            except KombuError:
                ledger.settle(Release(deliveries[0].lease, counted=False))
                raise
            if refusal is None:
                return self._deliver(deliveries[0], "", no_ack)
            ledger.settle(refusal)

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None:
        """How many unsettled messages each consumer of the channel may hold; 0 means the transport's default.

        ``prefetch_size`` is refused unless 0, as RabbitMQ does.
        """
        if prefetch_size:
            raise NotSupported(f"prefetch_size={prefetch_size}: only prefetch_count is kept")
        if apply_global:
            raise NotSupported("apply_global=True: prefetch_count is kept for each consumer")
        if prefetch_count < 0:
            raise PreconditionFailed(f"prefetch_count={prefetch_count}: how many messages, 0 for the default")
        self._prefetch = prefetch_count or self.connection.prefetch

    def flow(self, active: bool) -> None:
        raise NotSupported("channel.flow")

    def basic_ack(self, delivery_tag: int | str, multiple: bool = False, *, within: object | None = None) -> None:
        self._known(int(delivery_tag))
        tags = [tag for tag in self._unsettled if tag <= int(delivery_tag)] if multiple else [int(delivery_tag)]
        if within is not None:
            self._ack_within(tags, within)
            return
        for tag in tags:
            unsettled = self._settled(tag)
            if unsettled.within:
                self.connection.ledger.forget(unsettled.delivery.lease)
            else:
                self.connection.ledger.settle(Done(unsettled.delivery.lease))

    def basic_reject(
        self,
        delivery_tag: int | str,
        requeue: bool = False,
        *,
        delay: float = 0.0,
        because: str | None = None,
    ) -> None:
        if requeue:
            declaring.check_delay(delay, self.connection.store.capabilities)
        delivery = self._known(int(delivery_tag)).delivery
        if requeue:
            outcome: Outcome = Release(delivery.lease, delay=delay)
        else:
            outcome = self.connection.dead_letter(delivery, "rejected", because)
        self._settled(int(delivery_tag))
        self.connection.ledger.settle(outcome)

    def basic_recover(self, requeue: bool = True) -> None:
        """Put everything that was delivered on this channel and is not settled back into its queue."""
        for tag in list(self._unsettled):
            self.connection.ledger.settle(Release(self._settled(tag).delivery.lease))
        self.connection.ledger.flush()

    def close(self) -> None:
        if not self.is_open:
            return
        for tag in list(self._consumers):
            self.basic_cancel(tag)
        self.basic_recover()
        self.is_open = False
        self.connection.forget_channel(self)

    def _open(self) -> VirtualConnection:
        if not self.is_open:
            raise NotBoundError("this channel is closed")
        return self.connection

    def _existing_queue(self, queue: str) -> None:
        if queue not in self._open().current_topology().queues and queue not in self.connection.refresh().queues:
            raise NotFound(f"no queue {queue!r}: declare it first")

    def _ready(self, queue: str) -> int:
        counts = self.connection.store.counts([queue]).get(queue)
        return counts.ready if counts else 0

    def _bind(self, binding: BindingSpec) -> None:
        topology = self._open().refresh()
        if binding in topology.bindings:
            return
        declaring.check_ends(topology, binding)
        self.connection.topology_store.bind(binding)
        self.connection.refresh()

    def _unbind(self, binding: BindingSpec) -> None:
        self._open().topology_store.unbind(binding)
        self.connection.refresh()

    def _deliver(self, delivery: Delivery, consumer_tag: str, no_ack: bool) -> Message:
        tag = next(self._tags)
        if no_ack:
            self.connection.ledger.settle(Done(delivery.lease))
        else:
            self._unsettled[tag] = _Unsettled(delivery, consumer_tag)
            self._held[consumer_tag] = self._held.get(consumer_tag, 0) + 1
        head = decode_head(delivery.head)
        return Message(
            body=delivery.body,
            delivery_tag=tag,
            content_type=head.content_type,
            content_encoding=head.content_encoding,
            delivery_info={
                "consumer_tag": consumer_tag,
                "exchange": head.exchange,
                "routing_key": head.routing_key,
                "queue": delivery.lease.queue,
                "redelivered": delivery.delivery_count > 1,
                "delivery_count": delivery.delivery_count,
            },
            properties=head.properties,
            headers=head.headers,
            channel=self,
            no_ack=no_ack,
        )

    def _settled(self, tag: int) -> _Unsettled:
        unsettled = self._known(tag)
        del self._unsettled[tag]
        self._held[unsettled.tag] -= 1
        return unsettled

    def _known(self, tag: int) -> _Unsettled:
        unsettled = self._unsettled.get(tag)
        if unsettled is None:
            raise PreconditionFailed(f"unknown delivery tag {tag}: settled before, or of another channel")
        return unsettled

    def _ack_within(self, tags: list[int], connection: object) -> None:
        store = self.connection.store
        if not isinstance(store, Bindable):
            name = store.capabilities.name
            raise NotSupported(f"ack(within=…): transport {name!r} has no transactions of the caller's")
        unsettled = [self._known(tag) for tag in tags]
        answers = store.within(connection).settle([Done(each.delivery.lease) for each in unsettled])
        for each, tag, answer in zip(unsettled, tags, answers, strict=True):
            if not answer:
                self.connection.ledger.forget(self._settled(tag).delivery.lease)
                raise LeaseLost(f"message {tag} of queue {each.delivery.lease.queue!r} is another consumer's by now")
            each.within = True


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
