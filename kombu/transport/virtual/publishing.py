"""From a publication to stored messages: route, seal in envelopes, put as one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kombu.exceptions import ChannelError, MessageReturned, NotFound, OperationalError, PreconditionFailed
from kombu.transport.base import Publication
from kombu.transport.virtual.declaring import MAX_NAME, check_delay
from kombu.transport.virtual.head import encode_head
from kombu.transport.virtual.routing import Router
from kombu.transport.virtual.store import Capabilities, Envelope, QueueSpec, Store, TopologyMoved

_ATTEMPTS = 20
"""How often a batch is routed again because the topology moved meanwhile."""


class Publisher:
    """Puts publications into a store. ``router()`` routes by the topology last seen; ``reroute()`` is called when
    that has moved, and gives a new router."""

    def __init__(self, store: Store, router: Callable[[], Router], reroute: Callable[[], Router]) -> None:
        self._store = store
        self._router = router
        self._reroute = reroute

    def publish(self, publications: Sequence[Publication]) -> None:
        """Stored in every queue they are routed to when this returns, or it raises.

        Raises :class:`NotFound` for an unknown exchange and :class:`MessageReturned` for a mandatory message
        without a queue; nothing of the batch is stored then. Both are said, and a message that nobody wants is
        dropped, only by the topology as it is now.
        """
        heads = [self._head(publication) for publication in publications]
        router = self._router()
        for _ in range(_ATTEMPTS):
            items, refusal = _routed(publications, heads, router)
            try:
                self._store.put(items, router.topology.version)
            except TopologyMoved:
                router = self._reroute()
                continue
            if refusal is not None:
                raise refusal
            return
        raise OperationalError(f"exchanges and bindings kept changing: not published after {_ATTEMPTS} attempts")

    def _head(self, publication: Publication) -> str:
        can = self._store.capabilities
        check_delay(publication.delay, can)
        _check_size(publication, can)
        return encode_head(publication.exchange, publication.routing_key, publication.content.properties)


def _routed(
    publications: Sequence[Publication], heads: Sequence[str], router: Router
) -> tuple[list[tuple[str, Envelope]], ChannelError | None]:
    """The queues and envelopes; or none, and why the batch cannot be published."""
    items: list[tuple[str, Envelope]] = []
    specs = router.topology.queues
    for publication, head in zip(publications, heads, strict=True):
        try:
            queues = router.queues(publication.exchange, publication.routing_key, headers_of(publication))
        except NotFound as refusal:
            return [], refusal
        if not queues and publication.mandatory:
            return [], MessageReturned(
                f"no queue is bound to exchange {publication.exchange!r} for routing key {publication.routing_key!r}"
            )
        items += [(queue, envelope(publication, head, specs[queue])) for queue in queues]
    return items, None


def envelope(publication: Publication, head: str, queue: QueueSpec) -> Envelope:
    """What one queue gets: its priorities and its time to live bound what the message asks for."""
    return Envelope(
        head=head,
        body=publication.content.body,
        priority=_priority(publication.content.properties.get("priority"), queue.max_priority),
        delay=publication.delay,
        ttl=_ttl(publication.content.properties.get("expiration"), queue.arguments.get("x-message-ttl")),
    )


def _priority(asked: object, most: int) -> int:
    return min(max(asked, 0), most) if most and isinstance(asked, int) else 0


def _ttl(expiration: object, queue_ttl: object) -> float | None:
    """Seconds; both are milliseconds, the shorter counts (https://www.rabbitmq.com/docs/ttl)."""
    try:
        asked = [float(str(value)) / 1000 for value in (expiration, queue_ttl) if value is not None]
    except ValueError:
        raise PreconditionFailed(f"expiration={expiration!r} must be milliseconds as text") from None
    return min(asked, default=None)


def headers_of(publication: Publication) -> dict[str, object]:
    """The headers, which a headers exchange looks at."""
    headers = publication.content.properties.get("headers")
    return headers if isinstance(headers, dict) else {}


def _check_size(publication: Publication, can: Capabilities) -> None:
    if len(publication.routing_key) > MAX_NAME:
        raise PreconditionFailed(f"a routing key has {MAX_NAME} characters at most, not {len(publication.routing_key)}")
    size = len(publication.content.body)
    if can.max_body is not None and size > can.max_body:
        raise PreconditionFailed(f"body of {size} bytes: transport {can.name!r} keeps {can.max_body} bytes at most")
