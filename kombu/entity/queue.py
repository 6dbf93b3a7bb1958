"""Queue: where messages wait for consumers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from copy import copy
from typing import Any, Self

from kombu.abstract import ChannelLike, MaybeChannelBound
from kombu.entity import checks, described
from kombu.entity.exchange import Exchange, as_exchange, binding, name_of
from kombu.message import Message
from kombu.serialization import prepare_accept_content
from kombu.transport.base import Arguments, CancelCallback, MessageCallback, QueueDeclared

__all__ = ["Queue"]

Bindings = list[binding] | tuple[binding, ...] | AbstractSet[binding]


class Queue(MaybeChannelBound):
    """Where messages wait for consumers (AMQP 0-9-1, section 3.1.2).

    ``exchange`` and ``routing_key`` are its binding; where it has several, they are ``bindings``, or stand in place of
    the exchange. ``expires`` and ``message_ttl`` are seconds; ``max_length`` messages, ``max_length_bytes`` bytes;
    ``max_priority`` the highest priority it tells apart, up to 255. They travel as ``x-`` arguments, as does whatever
    is in ``queue_arguments``; what the transport cannot keep is refused when the queue is declared.
    ``passive``: declaring only looks whether it exists; ``no_declare``: not even that.
    ``on_declared(name, messages, consumers)`` is called when it was declared. Raises ValueError for what no broker
    could mean.
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
        "passive",
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
        exchange: Exchange | str | Bindings | None = None,
        routing_key: str = "",
        channel: ChannelLike | None = None,
        bindings: binding | Iterable[binding] | None = None,
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
        passive: bool = False,
        no_declare: bool = False,
        expires: float | None = None,
        message_ttl: float | None = None,
        max_length: int | None = None,
        max_length_bytes: int | None = None,
        max_priority: int | None = None,
    ) -> None:
        if isinstance(exchange, (list, tuple, AbstractSet)):
            exchange, bindings = None, [*_in_order(exchange), *_in_order(bindings)]
        self.name = checks.text(name, "name")
        self.exchange = as_exchange(exchange)
        self.routing_key = checks.text(routing_key, "routing_key")
        self.bindings = _in_order(bindings)
        self.on_declared = on_declared
        self.durable = durable
        self.exclusive = exclusive
        self.auto_delete = auto_delete or exclusive
        self.no_ack = no_ack
        self.alias = alias
        self.queue_arguments = checks.arguments(queue_arguments, "queue_arguments")
        self.binding_arguments = checks.arguments(binding_arguments, "binding_arguments")
        self.consumer_arguments = checks.arguments(consumer_arguments, "consumer_arguments")
        self.passive = passive
        self.no_declare = no_declare
        self.expires = checks.seconds(expires, "expires", least=1)
        self.message_ttl = checks.seconds(message_ttl, "message_ttl", least=0)
        self.max_length = checks.whole(max_length, "max_length")
        self.max_length_bytes = checks.whole(max_length_bytes, "max_length_bytes")
        self.max_priority = checks.whole(max_priority, "max_priority", most=255)
        self._bind_itself(channel)

    def __repr__(self) -> str:
        source = f" <- {self.exchange.name!r} {self.routing_key!r}" if self.exchange else ""
        return f"<Queue {self.name!r}{source}>"

    def when_bound(self) -> None:
        if self.exchange is not None:
            self.exchange = self.exchange.bind(self.channel)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "exchange": copy(self.exchange)}

    @property
    def arguments(self) -> dict[str, object]:
        """What is sent with the declaration: :attr:`queue_arguments` and those that have a name of their own."""
        named: Mapping[str, object] = {
            "x-expires": checks.milliseconds(self.expires),
            "x-message-ttl": checks.milliseconds(self.message_ttl),
            "x-max-length": self.max_length,
            "x-max-length-bytes": self.max_length_bytes,
            "x-max-priority": self.max_priority,
        }
        return {**self.queue_arguments, **{key: value for key, value in named.items() if value is not None}}

    @property
    def can_cache_declaration(self) -> bool:
        """Whether it stays once it was declared: one that is auto-deleted or expires may go at any time."""
        return not self.auto_delete and "x-expires" not in self.arguments

    @classmethod
    def from_dict(cls, queue: str, **options: Any) -> Self:
        """A queue of this name from a flat description, as settings files have it.

        ``exchange``, ``exchange_type``, ``exchange_durable``, ``exchange_auto_delete``, ``exchange_arguments`` and
        ``delivery_mode`` describe the exchange; ``binding_key`` or ``routing_key`` the binding; ``queue_durable`` and
        ``queue_auto_delete`` the queue; ``durable`` and ``auto_delete`` both. All else is named as it is for
        :class:`Queue`. What ``as_dict(recurse=True)`` gave is taken too. Raises ValueError for an unknown option.
        """
        return cls(queue, **described.options(options))

    def declare(self, nowait: bool = False, channel: ChannelLike | None = None) -> str:
        """Declare its exchange, itself and its bindings; the answer is its name, which the broker may have chosen."""
        channel = self._on(channel)
        if self.no_declare:
            return self.name
        if self.passive:
            return self.queue_declare(channel=channel).queue
        if self.exchange is not None:
            self.exchange.declare(nowait=nowait, channel=channel)
        self.queue_declare(nowait=nowait, channel=channel)
        self.queue_bind(nowait=nowait, channel=channel)
        for each in self.bindings:
            each.declare(channel, nowait=nowait)
            each.bind(self, nowait=nowait, channel=channel)
        return self.name

    def queue_declare(
        self, nowait: bool = False, passive: bool | None = None, channel: ChannelLike | None = None
    ) -> QueueDeclared:
        """Declare the queue alone; ``passive`` only looks whether it exists, None means as the queue says."""
        answer = self._on(channel).queue_declare(
            self.name,
            passive=self.passive if passive is None else passive,
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
        self._on(channel).queue_bind(self.name, name_of(exchange), routing_key, arguments, nowait=nowait)

    def unbind_from(
        self,
        exchange: Exchange | str = "",
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
        channel: ChannelLike | None = None,
    ) -> None:
        """Undo :meth:`bind_to`."""
        self._on(channel).queue_unbind(self.name, name_of(exchange), routing_key, arguments, nowait=nowait)

    def queue_unbind(
        self, arguments: Arguments = None, nowait: bool = False, channel: ChannelLike | None = None
    ) -> None:
        """Unbind it from its own exchange; without arguments, by those it is bound with."""
        arguments = self.binding_arguments if arguments is None else arguments
        self.unbind_from(self.exchange or "", self.routing_key, arguments, nowait, channel)

    unbind = queue_unbind

    def get(self, no_ack: bool | None = None, accept: Iterable[str] | None = None) -> Message | None:
        """One message, or None when none is ready."""
        message = self.channel.basic_get(self.name, no_ack=self.no_ack if no_ack is None else no_ack)
        if message is not None and accept is not None:
            message.accept = prepare_accept_content(accept)
        return message

    def purge(self, nowait: bool = False) -> int:
        """Remove the messages that no consumer holds, delayed ones too; answers how many those were."""
        return self.channel.queue_purge(self.name, nowait=nowait)

    def consume(
        self,
        consumer_tag: str = "",
        callback: MessageCallback | None = None,
        no_ack: bool | None = None,
        nowait: bool = False,
        on_cancel: CancelCallback | None = None,
    ) -> str:
        """Have ``callback(message)`` called for each message while the connection is drained; answers the tag.

        ``on_cancel(tag)`` is called when the queue is deleted under its consumer; without it draining raises.
        """
        return self.channel.basic_consume(
            self.name,
            callback=callback or _ignore,
            consumer_tag=consumer_tag,
            no_ack=self.no_ack if no_ack is None else no_ack,
            arguments=self.consumer_arguments,
            nowait=nowait,
            on_cancel=on_cancel,
        )

    def cancel(self, consumer_tag: str) -> None:
        """End a consumer by its tag."""
        self.channel.basic_cancel(consumer_tag)

    def delete(self, if_unused: bool = False, if_empty: bool = False, nowait: bool = False) -> int:
        """Remove the queue with its messages; answers how many those were."""
        return self.channel.queue_delete(self.name, if_unused=if_unused, if_empty=if_empty, nowait=nowait)


def _ignore(message: Message) -> None:
    """A consumer without a callback holds its messages until they are recovered."""


def _in_order(bindings: binding | Iterable[binding] | None) -> tuple[binding, ...]:
    """As they were given; those of a set, which has no order, by what they say."""
    if isinstance(bindings, binding):
        return (bindings,)
    given = tuple(bindings or ())
    for each in given:
        if not isinstance(each, binding):
            raise ValueError(f"bindings={bindings!r} must be bindings, as in binding(exchange, routing_key)")
    if isinstance(bindings, AbstractSet):
        return tuple(sorted(given, key=lambda each: (repr(each), repr(each.as_dict(recurse=True)))))
    return given
