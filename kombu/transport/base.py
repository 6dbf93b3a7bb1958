"""What a transport and a channel are to the floors above: the contracts that every broker's file fills."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, Self, runtime_checkable

from kombu.exceptions import NotFound, NotSupported, ResourceLocked
from kombu.message import Message
from kombu.utils.url import maybe_sanitize_url

__all__ = [
    "Address",
    "Billed",
    "Channel",
    "Content",
    "GivesBatches",
    "Implements",
    "Publication",
    "QueueDeclared",
    "QueueStatistics",
    "Transport",
    "TransportConnection",
    "statistics_by_declaring",
]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Address:
    """Where the broker is and how to get in; what a URL says, taken apart. Its repr hides passwords."""

    hostname: str | None = None
    port: int | None = None
    userid: str | None = None
    password: str | None = None
    virtual_host: str | None = None
    connect_timeout: float = 5.0
    heartbeat: float = 0.0
    ssl: bool | Mapping[str, object] = False
    login_method: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Address {maybe_sanitize_url(self.hostname)} port {self.port}>"


class Content(NamedTuple):
    """A body and its header frame (AMQP 0-9-1, section 2.3.5.2).

    ``properties`` have the names of the basic class: content_type, content_encoding, headers, delivery_mode,
    priority, correlation_id, reply_to, expiration (milliseconds, as text), message_id, timestamp, type,
    user_id, app_id, cluster_id.
    """

    body: bytes
    properties: Mapping[str, object]


class Publication(NamedTuple):
    """One content and where it goes; ``delay`` is seconds until it may be delivered."""

    content: Content
    exchange: str = ""
    routing_key: str = ""
    mandatory: bool = False
    delay: float = 0.0


class QueueDeclared(NamedTuple):
    """The answer to ``queue_declare`` (AMQP 0-9-1 queue.declare-ok)."""

    queue: str
    message_count: int
    consumer_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatistics:
    """What a queue holds, and how many consume it; None where the broker does not tell.

    ``ready`` messages may be delivered now, ``delayed`` ones later, ``leased`` ones were delivered and are not settled
    yet, or wait in a client for its consumers. ``consumers`` are those of all connections. ``oldest`` is the age of the
    oldest ready message, in seconds.
    """

    ready: int | None = None
    delayed: int | None = None
    leased: int | None = None
    consumers: int | None = None
    oldest: float | None = None


class Implements(NamedTuple):
    """What a transport can do beyond the contract. ``exchange_type``: the types of exchanges it has. ``asyncio``: its
    connections may live in an event loop of asyncio's, see :mod:`kombu.transport.asynchronous`."""

    asynchronous: bool = False
    exchange_type: frozenset[str] = frozenset({"direct", "topic", "fanout", "headers"})
    heartbeats: bool = False
    asyncio: bool = False


MessageCallback = Callable[[Message], object]
CancelCallback = Callable[[str], object]
"""Called with the tag of a consumer that the broker has ended, because its queue is gone."""

Arguments = Mapping[str, object] | None


class Channel(Protocol):
    """AMQP's operations. Errors are :class:`~kombu.exceptions.ChannelError` and ``OperationalError``."""

    @property
    def is_open(self) -> bool: ...

    def close(self) -> None:
        """Give back what was delivered here and not settled, and end the channel's consumers."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None:
        """:meth:`close`."""

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
    ) -> None: ...

    def exchange_delete(self, exchange: str, *, if_unused: bool = False, nowait: bool = False) -> None: ...

    def exchange_bind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None: ...

    def exchange_unbind(
        self,
        destination: str,
        source: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None: ...

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
    ) -> QueueDeclared: ...

    def queue_bind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None: ...

    def queue_unbind(
        self,
        queue: str,
        exchange: str,
        routing_key: str = "",
        arguments: Arguments = None,
        nowait: bool = False,
    ) -> None: ...

    def queue_purge(self, queue: str, nowait: bool = False) -> int: ...

    def queue_delete(
        self, queue: str, *, if_unused: bool = False, if_empty: bool = False, nowait: bool = False
    ) -> int: ...

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
        """Returns once the broker has stored the message in every queue it is routed to, or raises.

        Raises ``TimeoutError`` when that takes more than ``timeout`` seconds: the message may be stored or not.
        """

    def publish_batch(
        self, publications: Sequence[Publication], timeout: float | None = None, *, within: object | None = None
    ) -> None:
        """The same for many at once: stored together where the broker can; a ``ChannelError`` means that none is.

        ``within``: as part of the caller's open transaction there; ``NotSupported`` where there is no such thing.
        """

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
        """``on_cancel(tag)`` is called when the queue is deleted under its consumer; without it draining raises."""

    def basic_cancel(self, consumer_tag: str, nowait: bool = False) -> None: ...

    def basic_get(self, queue: str, no_ack: bool = False) -> Message | None: ...

    def basic_ack(self, delivery_tag: int | str, multiple: bool = False, *, within: object | None = None) -> None: ...

    def basic_reject(
        self,
        delivery_tag: int | str,
        requeue: bool = False,
        *,
        delay: float = 0.0,
        because: str | None = None,
        counted: bool = True,
    ) -> None:
        """``counted=False`` with ``requeue``: nobody has looked at the message, so this was no attempt."""

    def basic_recover(self, requeue: bool = True) -> None: ...

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, apply_global: bool = False) -> None: ...

    def flow(self, active: bool) -> None:
        """Stop handing messages to the channel's consumers, or go on (AMQP 0-9-1 channel.flow)."""


class TransportConnection(Protocol):
    """One open connection to a broker, whose channels are drained together."""

    @property
    def connected(self) -> bool: ...

    @property
    def consuming(self) -> bool:
        """Whether it has consumers."""

    def channel(self) -> Channel: ...

    def drain_events(self, timeout: float | None = None) -> None:
        """Deliver one message to its consumer; raises ``TimeoutError`` after ``timeout`` seconds without any."""

    def interrupt(self) -> None:
        """From any thread: let a ``drain_events`` that waits, or else the next one, raise ``TimeoutError`` now."""

    def heartbeat_check(self, rate: int = 2) -> None:
        """Send and look for heartbeats, ``rate`` times an interval; raises ``ConnectionError`` when two are missed.

        Does nothing where the transport has none, or sends them by itself."""

    def statistics(self, queues: Sequence[str] | None = None) -> dict[str, QueueStatistics]:
        """What these queues hold, or all; those that do not exist are left out.

        A transport for a broker that tells no more than the answer to ``queue.declare`` does has
        :func:`statistics_by_declaring` for it, and should ask what knows more where that is there: RabbitMQ's
        management API. Raises ``NotSupported`` where no queues are named and nobody tells which there are.
        """

    def close(self) -> None: ...


@runtime_checkable
class GivesBatches(Protocol):
    """A :class:`Channel` of a transport that can give several messages at once."""

    def get_batch(self, queue: str, limit: int, no_ack: bool = False) -> list[Message]:
        """Up to ``limit`` of the messages that are ready, perhaps fewer than there are; none when nothing is ready."""


@runtime_checkable
class Billed(Protocol):
    """A :class:`TransportConnection` to a broker that is paid by the request, of a transport that counts them."""

    def billed_requests(self) -> dict[str, int]:
        """How many requests it made so far, by the broker's name of them, counted as the broker bills them."""


def statistics_by_declaring(
    connection: TransportConnection, queues: Sequence[str] | None, transport: str
) -> dict[str, QueueStatistics]:
    """By passive declaration (AMQP 0-9-1 queue.declare), each on a channel that a refusal may close.

    A queue that is another connection's own says nothing of itself.
    """
    if queues is None:
        raise NotSupported(f"statistics: transport {transport!r} cannot list the queues here, name them")
    found = {}
    for queue in queues:
        channel = connection.channel()
        try:
            declared = channel.queue_declare(queue, passive=True)
            found[queue] = QueueStatistics(ready=declared.message_count, consumers=declared.consumer_count)
        except ResourceLocked:
            found[queue] = QueueStatistics()
        except NotFound:
            continue
        finally:
            channel.close()
    return found


class Transport(ABC):
    """Makes connections to one kind of broker, at one address. One file a broker."""

    driver_type: ClassVar[str] = "N/A"
    driver_name: ClassVar[str] = "N/A"
    default_port: ClassVar[int | None] = None
    implements: ClassVar[Implements] = Implements()
    connection_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """What a lost connection raises; reconnecting may help. No ``OSError``: a ``TimeoutError`` is one."""
    channel_errors: ClassVar[tuple[type[Exception], ...]] = ()
    """What a refused operation raises; the connection is still good."""

    def __init__(self, address: Address) -> None:
        self.address = address

    @abstractmethod
    def establish_connection(self) -> TransportConnection:
        """Connect, within ``address.connect_timeout`` seconds for all of it.

        Raises :class:`~kombu.exceptions.OperationalError` where that fails.
        """

    def driver_version(self) -> str:
        """The driver's version, for people."""
        return "N/A"
