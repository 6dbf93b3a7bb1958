"""The seam between AMQP's meaning and a backend: what a store must do, and the values that cross it.

A store keeps named queues of opaque messages. It knows nothing of exchanges, channels, callbacks,
serializers or threads. Every call is batch-first: one message is a batch of one.

The rules that make every store correct (``kombu.testing.StoreConformance`` proves them):

1. One clock: a message may be claimed once its *available* time has come. A delay, a retry's backoff and a
   lease that runs out are the same thing.
2. Fenced leases: each claim mints a token, and settling or extending is conditional on it.
3. A claim counts: it raises the delivery count.
4. Settled means gone: a message that is done leaves nothing behind.
5. The store's clock judges, never the client's.
6. Claiming costs the same whatever waits, is delayed or is leased.

Methods may be called from two threads at once: the one that consumes and the connection's keeper, which
calls ``extend`` and ``settle``.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

MessageId = int | str
"""How a backend identifies a stored message; opaque to the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a store can keep; what it cannot is refused when it is declared or published.

    ``queue_arguments`` are the ``x-`` arguments that queues may be declared with. ``max_delay`` and
    ``max_body`` are seconds and bytes, None meaning no limit. ``atomic_put`` tells whether a batch is stored as a
    whole or not at all. ``max_batch`` is how many outcomes or leases one call of ``settle`` or ``extend`` carries at
    most; ``put`` takes any number.
    """

    name: str
    queue_arguments: frozenset[str] = frozenset()
    max_batch: int = 100
    max_delay: float | None = None
    max_body: int | None = None
    max_priority: int = 255
    atomic_put: bool = True
    housekeeping: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSpec:
    """A queue as it was declared (AMQP 0-9-1 ``queue.declare``)."""

    name: str
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def max_priority(self) -> int:
        """The highest priority it tells apart; 0: none."""
        return self._whole("x-max-priority") or 0

    @property
    def max_length(self) -> int | None:
        """How many messages may be ready (https://www.rabbitmq.com/docs/maxlength)."""
        return self._whole("x-max-length")

    @property
    def max_bytes(self) -> int | None:
        """How many bytes the bodies of ready messages may have."""
        return self._whole("x-max-length-bytes")

    @property
    def refuses_when_full(self) -> bool:
        """Whether a full queue refuses new messages, instead of dropping those at its head."""
        return self.arguments.get("x-overflow") == "reject-publish"

    @property
    def single_active(self) -> bool:
        """Whether one consumer at a time gets its messages (https://www.rabbitmq.com/docs/consumers)."""
        return self.arguments.get("x-single-active-consumer") is True

    @property
    def first_life(self) -> float | None:
        """Seconds that it is kept after it was declared, if nobody begins to use it; None: for ever."""
        expires = self._whole("x-expires")
        if expires is not None:
            return expires / 1000
        return _UNTIL_OWNED if self.exclusive else None

    @property
    def unused_life(self) -> float | None:
        """Seconds that it is kept once nobody uses it any more; None: for ever."""
        return 0.0 if self.exclusive or self.auto_delete else self.first_life

    @property
    def temporary(self) -> bool:
        """Whether it goes away by itself."""
        return self.unused_life is not None

    def _whole(self, argument: str) -> int | None:
        value = self.arguments.get(argument)
        return value if isinstance(value, int) else None


_UNTIL_OWNED = 60.0
"""Seconds between the declaration of an exclusive queue and its owner's first sign: only a crash needs so long."""


class Envelope(NamedTuple):
    """A message on its way into a store: two opaque parts and what the store must know.

    ``head`` is JSON text (exchange, routing key, properties, headers) so that people and admin pages can
    read it; ``body`` is the payload's bytes. ``delay`` and ``ttl`` are seconds from now, by the store's
    clock; a ``ttl`` runs from the moment the message is stored. A higher ``priority`` is claimed first.
    """

    head: str
    body: bytes
    priority: int = 0
    delay: float = 0.0
    ttl: float | None = None


class Lease(NamedTuple):
    """The right to settle one claimed message: good for as long as ``token`` is the latest claim's."""

    queue: str
    id: MessageId
    token: int | str


class Delivery(NamedTuple):
    """A claimed message. ``delivery_count`` is 1 the first time. ``expired``: its time to live is over, so
    it must not reach a consumer; the engine dead-letters or drops it. ``age`` is seconds since stored."""

    lease: Lease
    head: str
    body: bytes
    priority: int = 0
    delivery_count: int = 1
    expired: bool = False
    age: float = 0.0


class Done(NamedTuple):
    """The message is finished: remove it."""

    lease: Lease


class Release(NamedTuple):
    """Back into its queue, claimable after ``delay`` seconds; without a delay at the place it had before.

    ``counted=False`` takes back what the claim added to the delivery count: nobody saw the message.
    """

    lease: Lease
    delay: float = 0.0
    counted: bool = True


class Move(NamedTuple):
    """Store ``into`` and remove the message, as one step where the store can, otherwise in this order.

    Dead-lettering is a move. An empty ``into`` removes it, which is what AMQP does without a dead-letter
    exchange.
    """

    lease: Lease
    into: tuple[tuple[str, Envelope], ...] = ()


Outcome = Done | Release | Move


def in_parts(outcomes: Sequence[Outcome]) -> Iterator[Move | list[Done | Release]]:
    """In their order: each move by itself, and what comes in a row before, between and after them together."""
    row: list[Done | Release] = []
    for outcome in outcomes:
        if not isinstance(outcome, Move):
            row.append(outcome)
            continue
        if row:
            yield row
        yield outcome
        row = []
    if row:
        yield row


class User(NamedTuple):
    """Somebody who uses a queue: a consumer, or the connection that an exclusive queue belongs to."""

    queue: str
    who: str
    consumer: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many messages a queue holds. ``oldest`` is the age in seconds of the oldest ready one."""

    ready: int = 0
    delayed: int = 0
    leased: int = 0
    oldest: float | None = None

    @property
    def total(self) -> int:
        return self.ready + self.delayed + self.leased


class TopologyMoved(Exception):
    """``put`` stored nothing: the topology has another version, or a queue is gone. Route again."""


class QueueFull(Exception):
    """``put`` stored nothing: this queue is full and refuses when it is (``QueueSpec.refuses_when_full``)."""

    def __init__(self, queue: str) -> None:
        super().__init__(queue)
        self.queue = queue


class Store(Protocol):
    """What the engine asks of a backend. Errors are raised as ``kombu.exceptions`` with the cause chained:
    ``ConnectionError`` where this handle is of no more use, ``OperationalError`` where trying again may help.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def open(self) -> None:
        """Connect, and see that the backend is usable."""

    def close(self) -> None:
        """Let go of what this handle holds; the messages stay."""

    def declare(self, queue: QueueSpec) -> None:
        """Create the queue unless it exists. Idempotent; does not compare (the engine does)."""

    def delete(self, queue: str) -> int:
        """Remove the queue with its messages and answer how many those were; 0 when there is none."""

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        """Store every message in its queue; stored when this returns, or it raises.

        ``version`` is that of the topology the items were routed with. Raises :class:`TopologyMoved`,
        storing nothing, when it is no longer current or a queue does not exist, and :class:`QueueFull` (a
        :class:`Bounded` store). Without items, only the version is looked at.
        """

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        """Take up to ``wants[queue]`` claimable messages of each queue for ``lease`` seconds.

        Within a queue: higher priority first, then in the order they became available. Queues that do not
        exist have no messages. May answer fewer than there are.
        """

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        """Carry the outcomes out; False where the lease belongs to somebody else by now (nothing done)."""

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        """Let each lease run ``seconds`` from now; None where it is lost."""

    def wait(self, queues: Sequence[str], timeout: float) -> None:
        """Return early when something may have become claimable. A hint: polling alone must be enough."""

    def wake(self) -> None:
        """From any thread: let a ``wait`` return now, or the next one at once."""

    def counts(self, queues: Sequence[str]) -> dict[str, Counts]:
        """What the queues hold; queues that do not exist are left out."""

    def purge(self, queue: str) -> int:
        """Remove the messages that are not leased and answer how many those were."""

    def sweep(self, limit: int, lease: float) -> list[Delivery]:
        """Housekeeping: claim up to ``limit`` messages whose time to live is over (``expired`` is set)."""


@runtime_checkable
class Attended(Protocol):
    """A store that knows who uses a queue, in all processes: what exclusive and auto-deleted queues, ``x-expires``
    and ``x-single-active-consumer`` need. Users, like leases, are there for a while and are renewed.
    """

    def attend(self, users: Sequence[User], seconds: float) -> list[bool]:
        """Each is there for ``seconds`` from now, in the place it has or else the last; False where the queue is gone.

        A queue with an ``unused_life`` lives at least that much longer than its users. 0 seconds is a moment's use.
        """

    def leave(self, users: Sequence[User]) -> None:
        """They are gone. A queue without users has its ``unused_life`` left; an auto-deleted one that has lost its
        last consumer has nothing left."""

    def attending(self, queues: Sequence[str]) -> dict[str, list[User]]:
        """Who is there, in the order they came; queues without users may be left out."""

    def expire_queues(self) -> list[str]:
        """Delete the queues whose life is over, and answer their names."""


@runtime_checkable
class Bounded(Protocol):
    """A store that keeps queues to ``max_length`` and ``max_bytes``: refusing in ``put``, or by what is dropped."""

    def surplus(self, queues: Sequence[str], lease: float) -> list[Delivery]:
        """Claim what is ready beyond the limits of these queues, from the head; each message for one caller only."""


@runtime_checkable
class Browsable(Protocol):
    """A store whose messages can be looked at and chosen one by one: admin pages need it."""

    def browse(self, queue: str, limit: int, after: MessageId | None = None) -> list[Delivery]:
        """Up to ``limit`` messages in the order they were stored, without claiming them.

        ``after`` continues behind a message of an earlier page. The leases are good for nothing but their id.
        """

    def claim_chosen(self, queue: str, ids: Sequence[MessageId], lease: float) -> list[Delivery]:
        """Claim these messages, delayed ones too, but none with a live lease: to settle them as usual."""


@runtime_checkable
class Bindable(Protocol):
    """A store that can work inside a transaction of the caller's."""

    def within(self, connection: object) -> Store:
        """The same store inside the open transaction of ``connection``: it commits or rolls back with it.

        Raises :class:`kombu.exceptions.NotSupported` when ``connection`` is not one of this store's database.
        """

    @property
    def in_transaction(self) -> bool:
        """Whether what this thread puts now is part of a transaction of its own: not to be put with that of others."""


@runtime_checkable
class Shared(Protocol):
    """A store that may put what another connection of this process publishes, together with its own."""

    @property
    def place(self) -> Hashable | None:
        """The same for all that lead to the same place with the same rights; None for one that is like no other."""


@runtime_checkable
class Pausable(Protocol):
    """A store whose queues can be paused, for all processes: they take messages, and give none out."""

    def pause(self, queue: str, paused: bool = True) -> bool:
        """Pause it, or with ``paused=False`` let it give out again what it has; False when there is no such queue.

        What consumers hold already they may settle, and renew.
        """

    def paused(self) -> list[str]:
        """The queues that are."""
