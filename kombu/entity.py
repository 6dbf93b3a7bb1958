"""Exchanges, queues and bindings as a program declares them: plain descriptions, bound to a channel when used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any

from kombu.abstract import ChannelLike, MaybeChannelBound, maybe_channel
from kombu.message import Message
from kombu.serialization import prepare_accept_content
from kombu.transport.base import Arguments, MessageCallback, QueueDeclared

__all__ = [
    "DELIVERY_MODES",
    "PERSISTENT_DELIVERY_MODE",
    "TRANSIENT_DELIVERY_MODE",
    "Exchange",
    "Queue",
    "binding",
    "maybe_channel",
]

TRANSIENT_DELIVERY_MODE = 1
PERSISTENT_DELIVERY_MODE = 2
DELIVERY_MODES = {"transient": TRANSIENT_DELIVERY_MODE, "persistent": PERSISTENT_DELIVERY_MODE}


class Exchange(MaybeChannelBound):
    """Where messages are published to (AMQP 0-9-1, section 3.1.3).

    ``delivery_mode`` is ``"persistent"`` (the default), ``"transient"``, 1 or 2. The default exchange ``""`` and
    those named ``amq.*`` belong to the broker and are never declared.
    """

    attrs = ("name", "type", "arguments", "durable", "auto_delete", "delivery_mode", "passive", "no_declare")

    def __init__(
        self,
        name: str = "",
        type: str = "direct",
        channel: ChannelLike | None = None,
        *,
        arguments: Arguments = None,
        durable: bool = True,
        auto_delete: bool = False,
        delivery_mode: int | str | None = None,
        passive: bool = False,
        no_declare: bool = False,
    ) -> None:
        self.name = name
        self.type = type or "direct"
        self.arguments = dict(arguments or {})
        self.durable = durable
        self.auto_delete = auto_delete
        self.delivery_mode = _delivery_mode(delivery_mode)
        self.passive = passive
        self.no_declare = no_declare
        if channel is not None:
            self._channel = maybe_channel(channel)

    def __repr__(self) -> str:
        return f"<Exchange {self.name!r} ({self.type})>"

    @property
    def belongs_to_broker(self) -> bool:
        """Whether the broker has it by itself, so that nobody declares or deletes it."""
        return not self.name or self.name.startswith("amq.")

    def declare(self, nowait: bool = False, passive: bool | None = None, channel: ChannelLike | None = None) -> None:
        """Make it exist; raises ``PreconditionFailed`` naming the difference where another one of the name exists."""
        if self.belongs_to_broker or self.no_declare:
            return
        self._on(channel).exchange_declare(
            self.name,
            self.type,
            passive=self.passive if passive is None else passive,
            durable=self.durable,
            auto_delete=self.auto_delete,
            arguments=self.arguments,
            nowait=nowait,
        )

    def bind_to(
        self,
        exchange: Exchange | str = "",
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
        channel: ChannelLike | None = None,
    ) -> None:
        """Let messages of ``exchange`` flow into this one (https://www.rabbitmq.com/docs/e2e)."""
        self._on(channel).exchange_bind(self.name, _name(exchange), routing_key, arguments, nowait=nowait)

    def unbind_from(
        self,
        source: Exchange | str = "",
        routing_key: str = "",
        nowait: bool = False,
        arguments: Arguments = None,
        channel: ChannelLike | None = None,
    ) -> None:
        """Undo :meth:`bind_to`."""
        self._on(channel).exchange_unbind(self.name, _name(source), routing_key, arguments, nowait=nowait)

    def binding(self, routing_key: str = "", arguments: Arguments = None) -> binding:
        """A binding from this exchange, for ``Queue(bindings=[…])``."""
        return binding(self, routing_key, arguments)

    def delete(self, if_unused: bool = False, nowait: bool = False) -> None:
        """Remove it from the broker."""
        self.channel.exchange_delete(self.name, if_unused=if_unused, nowait=nowait)


class binding:
    """What leads from an exchange to a queue: a routing key, or arguments for a headers exchange."""

    def __init__(
        self,
        exchange: Exchange | str | None = None,
        routing_key: str = "",
        arguments: Arguments = None,
        unbind_arguments: Arguments = None,
    ) -> None:
        self.exchange = Exchange(exchange) if isinstance(exchange, str) else exchange
        self.routing_key = routing_key
        self.arguments = dict(arguments or {})
        self.unbind_arguments = dict(unbind_arguments or self.arguments)

    def __repr__(self) -> str:
        return f"<binding {_name(self.exchange)!r} {self.routing_key!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, binding) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((_name(self.exchange), self.routing_key))

    def declare(self, channel: ChannelLike, nowait: bool = False) -> None:
        """Declare the exchange, if it has one to declare."""
        if self.exchange is not None:
            self.exchange.declare(nowait=nowait, channel=channel)

    def bind(self, entity: Queue, nowait: bool = False, channel: ChannelLike | None = None) -> None:
        """Bind the queue."""
        entity.bind_to(self.exchange or "", self.routing_key, self.arguments, nowait=nowait, channel=channel)

    def unbind(self, entity: Queue, nowait: bool = False, channel: ChannelLike | None = None) -> None:
        """Unbind the queue."""
        entity.unbind_from(self.exchange or "", self.routing_key, self.unbind_arguments, nowait, channel)


class Queue(MaybeChannelBound):
    """Where messages wait for consumers (AMQP 0-9-1, section 3.1.2).

    ``expires`` and ``message_ttl`` are seconds; ``max_length`` messages, ``max_length_bytes`` bytes;
    ``max_priority`` the highest priority it tells apart. They travel as ``x-`` arguments, as does whatever is in
    ``queue_arguments``; what the transport cannot keep is refused when the queue is declared.
    """

    attrs = (
        "name",
        "exchange",
        "routing_key",
        "bindings",
        "durable",
        "exclusive",
        "auto_delete",
        "no_ack",
        "alias",
        "queue_arguments",
        "binding_arguments",
        "consumer_arguments",
        "no_declare",
        "expires",
        "message_ttl",
        "max_length",
        "max_length_bytes",
        "max_priority",
    )

    def __init__(
        self,
        name: str = "",
        exchange: Exchange | str | None = None,
        routing_key: str = "",
        channel: ChannelLike | None = None,
        bindings: Iterable[binding] | None = None,
        on_declared: Callable[[str, int, int], object] | None = None,
        *,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        no_ack: bool = False,
        alias: str | None = None,
        queue_arguments: Arguments = None,
        binding_arguments: Arguments = None,
        consumer_arguments: Arguments = None,
        no_declare: bool = False,
        expires: float | None = None,
        message_ttl: float | None = None,
        max_length: int | None = None,
        max_length_bytes: int | None = None,
        max_priority: int | None = None,
    ) -> None:
        self.name = name
        self.exchange = Exchange(exchange) if isinstance(exchange, str) else exchange
        self.routing_key = routing_key
        self.bindings = tuple(bindings or ())
        self.on_declared = on_declared
        self.durable = durable
        self.exclusive = exclusive
        self.auto_delete = auto_delete or exclusive
        self.no_ack = no_ack
        self.alias = alias
        self.queue_arguments = dict(queue_arguments or {})
        self.binding_arguments = dict(binding_arguments or {})
        self.consumer_arguments = dict(consumer_arguments or {})
        self.no_declare = no_declare
        self.expires = expires
        self.message_ttl = message_ttl
        self.max_length = max_length
        self.max_length_bytes = max_length_bytes
        self.max_priority = max_priority
        if channel is not None:
            self._channel = maybe_channel(channel)
            self.when_bound()

    def __repr__(self) -> str:
        source = f" <- {self.exchange.name!r} {self.routing_key!r}" if self.exchange else ""
        return f"<Queue {self.name!r}{source}>"

    def when_bound(self) -> None:
        if self.exchange is not None:
            self.exchange = self.exchange(self.channel)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "exchange": copy(self.exchange)}

    @property
    def arguments(self) -> dict[str, object]:
        """What is sent with the declaration: :attr:`queue_arguments` and those that have a name of their own."""
        named: Mapping[str, object] = {
            "x-expires": _milliseconds(self.expires),
            "x-message-ttl": _milliseconds(self.message_ttl),
            "x-max-length": self.max_length,
            "x-max-length-bytes": self.max_length_bytes,
            "x-max-priority": self.max_priority,
        }
        return {**self.queue_arguments, **{key: value for key, value in named.items() if value is not None}}

    def declare(self, nowait: bool = False, channel: ChannelLike | None = None) -> str:
        """Declare its exchange, itself and its bindings; the answer is its name, which the broker may have chosen."""
        channel = self._on(channel)
        if not self.no_declare:
            if self.exchange is not None:
                self.exchange.declare(nowait=nowait, channel=channel)
            self.queue_declare(nowait=nowait, channel=channel)
            self.queue_bind(nowait=nowait, channel=channel)
            for each in self.bindings:
                each.declare(channel, nowait=nowait)
                each.bind(self, nowait=nowait, channel=channel)
        return self.name

    def queue_declare(
        self, nowait: bool = False, passive: bool = False, channel: ChannelLike | None = None
    ) -> QueueDeclared:
        """Declare the queue alone; ``passive`` only looks whether it exists."""
        answer = self._on(channel).queue_declare(
            self.name,
            passive=passive,
            durable=self.durable,
            exclusive=self.exclusive,
            auto_delete=self.auto_delete,
            arguments=self.arguments,
            nowait=nowait,
        )
        self.name = answer.queue
        if self.on_declared is not None:
            self.on_declared(*answer)
        return answer

    def queue_bind(self, nowait: bool = False, channel: ChannelLike | None = None) -> None:
        """Bind it to its own exchange by its own routing key."""
        if self.exchange is not None:
            self.bind_to(self.exchange, self.routing_key, self.binding_arguments, nowait, channel)

    def bind_to(
        self,
        exchange: Exchange | str = "",
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
        channel: ChannelLike | None = None,
    ) -> None:
        """Bind it to any exchange."""
        self._on(channel).queue_bind(self.name, _name(exchange), routing_key, arguments, nowait=nowait)

    def unbind_from(
        self,
        exchange: Exchange | str = "",
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
        channel: ChannelLike | None = None,
    ) -> None:
        """Undo :meth:`bind_to`."""
        self._on(channel).queue_unbind(self.name, _name(exchange), routing_key, arguments, nowait=nowait)

    def queue_unbind(
        self, arguments: Arguments = None, nowait: bool = False, channel: ChannelLike | None = None
    ) -> None:
        """Unbind it from its own exchange."""
        self.unbind_from(self.exchange or "", self.routing_key, arguments or self.binding_arguments, nowait, channel)

    unbind = queue_unbind

    def get(self, no_ack: bool | None = None, accept: Iterable[str] | None = None) -> Message | None:
        """One message, or None when none is ready."""
        message = self.channel.basic_get(self.name, no_ack=self.no_ack if no_ack is None else no_ack)
        if message is not None and accept is not None:
            message.accept = prepare_accept_content(accept)
        return message

    def purge(self, nowait: bool = False) -> int:
        """Remove the messages that are ready; answers how many those were."""
        return self.channel.queue_purge(self.name, nowait=nowait)

    def consume(
        self,
        consumer_tag: str = "",
        callback: MessageCallback | None = None,
        no_ack: bool | None = None,
        nowait: bool = False,
    ) -> str:
        """Have ``callback(message)`` called for each message while the connection is drained."""
        return self.channel.basic_consume(
            self.name,
            callback=callback or _ignore,
            consumer_tag=consumer_tag,
            no_ack=self.no_ack if no_ack is None else no_ack,
            arguments=self.consumer_arguments,
            nowait=nowait,
        )

    def cancel(self, consumer_tag: str) -> None:
        """End a consumer by its tag."""
        self.channel.basic_cancel(consumer_tag)

    def delete(self, if_unused: bool = False, if_empty: bool = False, nowait: bool = False) -> int:
        """Remove the queue with its messages; answers how many those were."""
        return self.channel.queue_delete(self.name, if_unused=if_unused, if_empty=if_empty, nowait=nowait)


def _ignore(message: Message) -> None:
    """A consumer without a callback holds its messages until they are recovered."""


def _name(exchange: Exchange | str | None) -> str:
    return exchange.name if isinstance(exchange, Exchange) else exchange or ""


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _delivery_mode(mode: int | str | None) -> int:
    if mode is None:
        return PERSISTENT_DELIVERY_MODE
    found = DELIVERY_MODES.get(mode, mode) if isinstance(mode, str) else mode
    if found not in DELIVERY_MODES.values():
        raise ValueError(f"delivery_mode={mode!r} must be one of 'transient', 'persistent', 1 and 2")
    return int(found)
