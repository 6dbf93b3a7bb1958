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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

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


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSpec:
    """A queue as it was declared (AMQP 0-9-1 ``queue.declare``). ``max_priority`` 0: no priorities."""

    name: str
    durable: bool = True
    exclusive: bool = False
    auto_delete: bool = False
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def max_priority(self) -> int:
        value = self.arguments.get("x-max-priority", 0)
        return value if isinstance(value, int) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
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


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to settle one claimed message: good for as long as ``token`` is the latest claim's."""

    queue: str
    id: MessageId
    token: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A claimed message. ``delivery_count`` is 1 the first time. ``expired``: its time to live is over, so
    it must not reach a consumer; the engine dead-letters or drops it. ``age`` is seconds since stored."""

    lease: Lease
    head: str
    body: bytes
    priority: int = 0
    delivery_count: int = 1
    expired: bool = False
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Done:
    """The message is finished: remove it."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Release:
    """Back into its queue, claimable after ``delay`` seconds; without a delay at the place it had before.

    ``counted=False`` takes back what the claim added to the delivery count: nobody saw the message.
    """

    lease: Lease
    delay: float = 0.0
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Move:
    """Store ``into`` and remove the message, as one step where the store can, otherwise in this order.

    Dead-lettering is a move. An empty ``into`` removes it, which is what AMQP does without a dead-letter
    exchange.
    """

    lease: Lease
    into: tuple[tuple[str, Envelope], ...] = ()


Outcome = Done | Release | Move


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
        storing nothing, when it is no longer current or a queue does not exist. Without items, only the
        version is looked at.
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
