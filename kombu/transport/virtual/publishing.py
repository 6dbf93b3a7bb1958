"""From a publication to stored messages: route, seal in envelopes, put as one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kombu.exceptions import (
    ChannelError,
    MessageReturned,
    NotFound,
    NotSupported,
    OperationalError,
    PreconditionFailed,
    PublishRefused,
)
from kombu.transport.base import Publication
from kombu.transport.virtual.declaring import MAX_NAME, check_delay
from kombu.transport.virtual.head import encode_head
from kombu.transport.virtual.routing import Router, Target
from kombu.transport.virtual.store import Bindable, Capabilities, Envelope, QueueFull, Shared, Store, TopologyMoved
from kombu.transport.virtual.together import LINES
from kombu.transport.virtual.topology import Topology, TopologyStore

_new = tuple.__new__
"""Makes a named tuple without a step in Python: one for every message."""

_ATTEMPTS = 20
"""How often a batch is routed again because the topology moved meanwhile."""


class Publisher:
    """Puts publications into a store; to be shared between threads.

    ``router()`` routes by the topology last seen; ``reroute()`` is called when that has moved, and gives a new
    router. ``trim(queues)`` keeps those to their limits.
    """

    def __init__(
        self,
        store: Store,
        router: Callable[[], Router],
        reroute: Callable[[], Router],
        trim: Callable[[Sequence[str]], object],
    ) -> None:
        self._store = store
        self._bindable = store if isinstance(store, Bindable) else None
        self._can = store.capabilities
        self._max_body = store.capabilities.max_body
        self._router = router
        self._reroute = reroute
        self._trim = trim
        self._together = LINES.at(store.place if isinstance(store, Shared) else None)

    def publish(self, publications: Sequence[Publication], timeout: float | None = None) -> None:
        """Stored in every queue they are routed to when this returns, or it raises.

        Raises :class:`NotFound` for an unknown exchange, :class:`MessageReturned` for a mandatory message without a
        queue, and :class:`PublishRefused` for a full queue that refuses; nothing of the batch is stored then. The
        first two are said, and a message that nobody wants is dropped, only by the topology as it is now. Raises
        ``TimeoutError`` when other threads' turn lasts longer than ``timeout`` seconds, and says whether nothing is
        stored then or nobody knows.
        """
        if self._bindable is not None and self._bindable.in_transaction:
            self._publish(publications)
        else:
            self._together.publish(self._publish, publications, timeout)

    def publish_within(self, publications: Sequence[Publication], connection: object) -> None:
        """The same as part of the caller's open transaction: stored when that commits.

        Raises :class:`NotSupported` where the store has no such, or ``connection`` is not one of its database.
        """
        if self._bindable is None:
            raise NotSupported(f"publish(within=…): transport {self._can.name!r} has no transactions of the caller's")
        store = self._bindable.within(connection)
        self._put(publications, store, self._router(), lambda: Router(_topology_of(store)))

    def _publish(self, publications: Sequence[Publication]) -> None:
        router, items = self._put(publications, self._store, self._router(), self._reroute)
        if router.limited:
            self._trim([queue for queue, _ in items if queue in router.limited])

    def _put(
        self, publications: Sequence[Publication], store: Store, router: Router, reroute: Callable[[], Router]
    ) -> tuple[Router, list[tuple[str, Envelope]]]:
        """Answers what was put, and how it was routed."""
        for _ in range(_ATTEMPTS):
            items, refusal = self._items(publications, router)
            try:
                store.put(items, router.topology.version)
            except TopologyMoved:
                router = reroute()
                continue
            except QueueFull as full:
                raise PublishRefused(f"queue {full.queue!r} is full and refuses messages (x-overflow)") from full
            if refusal is not None:
                raise refusal
            return router, items
        raise OperationalError(f"exchanges and bindings kept changing: not published after {_ATTEMPTS} attempts")

    def _items(
        self, publications: Sequence[Publication], router: Router
    ) -> tuple[list[tuple[str, Envelope]], ChannelError | None]:
        """The queues and envelopes; or none, and why the batch cannot be published."""
        items: list[tuple[str, Envelope]] = []
        for publication in publications:
            (body, properties), exchange, routing_key, mandatory, delay = publication
            if delay or self._max_body is not None or len(routing_key) > MAX_NAME:
                _check(publication, self._can)
            head = encode_head(exchange, routing_key, properties)
            try:
                targets = router.targets(publication)
            except NotFound as refusal:
                return [], refusal
            if not targets and mandatory:
                return [], MessageReturned(
                    f"no queue is bound to exchange {exchange!r} for routing key {routing_key!r}"
                )
            for target in targets:
                queue, max_priority, ttl = target
                if max_priority or "expiration" in properties:
                    items.append((queue, envelope(publication, head, target)))
                else:
                    items.append((queue, _new(Envelope, (head, body, 0, delay, ttl))))
        return items, None


def _topology_of(store: Store) -> Topology:
    assert isinstance(store, TopologyStore)  # noqa: S101
    return store.topology()


def envelope(publication: Publication, head: str, target: Target) -> Envelope:
    """What one queue gets: its priorities and its time to live bound what the message asks for."""
    (body, properties), _, _, _, delay = publication
    _, max_priority, ttl = target
    priority = properties.get("priority") if max_priority else None
    if "expiration" in properties:
        ttl = _shorter(properties["expiration"], ttl)
    within = min(max(priority, 0), max_priority) if isinstance(priority, int) else 0
    return Envelope(head, body, within, delay, ttl)


def _shorter(expiration: object, ttl: float | None) -> float:
    """Seconds; of two times to live the shorter counts (https://www.rabbitmq.com/docs/ttl)."""
    try:
        asked = float(str(expiration)) / 1000
    except ValueError:
        raise PreconditionFailed(f"expiration={expiration!r} must be milliseconds as text") from None
    return asked if ttl is None else min(asked, ttl)


def _check(publication: Publication, can: Capabilities) -> None:
    """Raises when the store cannot keep it."""
    check_delay(publication.delay, can)
    if len(publication.routing_key) > MAX_NAME:
        raise PreconditionFailed(f"a routing key has {MAX_NAME} characters at most, not {len(publication.routing_key)}")
    size = len(publication.content.body)
    if can.max_body is not None and size > can.max_body:
        raise PreconditionFailed(f"body of {size} bytes: transport {can.name!r} keeps {can.max_body} bytes at most")
