"""From a publication to stored messages: route, seal in envelopes, put as one batch.

Where several threads publish at once through one connection, one of them puts for all: a group commit. Each still
returns only when its own messages are stored, and gets only its own refusal.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kombu.exceptions import (
    ChannelError,
    KombuError,
    MessageReturned,
    NotFound,
    OperationalError,
    PreconditionFailed,
    PublishRefused,
)
from kombu.transport.base import Publication
from kombu.transport.virtual.declaring import MAX_NAME, check_delay
from kombu.transport.virtual.head import encode_head
from kombu.transport.virtual.routing import Router, Target
from kombu.transport.virtual.store import Bindable, Capabilities, Envelope, QueueFull, Store, TopologyMoved

_ATTEMPTS = 20
"""How often a batch is routed again because the topology moved meanwhile."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """What a thread wants to publish while another one is at it."""

    publications: Sequence[Publication]
    done: bool = False
    error: Exception | None = None


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
        self._turn = threading.Lock()
        self._waiting: deque[_Waiting] = deque()

    def publish(self, publications: Sequence[Publication], timeout: float | None = None) -> None:
        """Stored in every queue they are routed to when this returns, or it raises.

        Raises :class:`NotFound` for an unknown exchange, :class:`MessageReturned` for a mandatory message without a
        queue, and :class:`PublishRefused` for a full queue that refuses; nothing of the batch is stored then. The
        first two are said, and a message that nobody wants is dropped, only by the topology as it is now. Raises
        ``TimeoutError`` when other threads' turn lasts longer than ``timeout`` seconds; nothing is stored then.
        """
        if self._bindable is not None and self._bindable.in_transaction:
            self._publish(publications)
        elif self._turn.acquire(blocking=False):
            try:
                self._publish(publications)
            finally:
                self._turn.release()
        else:
            self._publish_with_others(publications, -1 if timeout is None else timeout)

    def _publish_with_others(self, publications: Sequence[Publication], timeout: float) -> None:
        """Line up; whoever gets the turn first publishes for all who are in line by then."""
        mine = _Waiting(publications)
        self._waiting.append(mine)
        if not self._turn.acquire(timeout=timeout):
            self._give_up(mine, timeout)
            return
        try:
            if not mine.done:
                self._publish_all([self._waiting.popleft() for _ in range(len(self._waiting))])
        finally:
            self._turn.release()
        if mine.error is not None:
            raise mine.error

    def _give_up(self, mine: _Waiting, timeout: float) -> None:
        """Leave the line. Who is taken already waits for the answer, which the one at it is about to have."""
        try:
            self._waiting.remove(mine)
        except ValueError:
            with self._turn:
                if mine.error is not None:
                    raise mine.error from None
        else:
            raise TimeoutError(f"not published within {timeout} seconds: other threads were publishing")

    def _publish_all(self, group: Sequence[_Waiting]) -> None:
        try:
            self._publish([publication for each in group for publication in each.publications])
        except KombuError as error:
            together = isinstance(error, OperationalError)
            for each in group:
                each.error = _copy(error) if together else self._refusal(each)
                each.done = True
        except BaseException as error:
            for each in group:
                each.error = OperationalError(f"the thread that published for this one failed: {error!r}")
                each.done = True
            raise
        for each in group:
            each.done = True

    def _refusal(self, each: _Waiting) -> Exception | None:
        """Publish one's own alone, and say what is wrong with it."""
        try:
            self._publish(each.publications)
        except KombuError as error:
            return error
        return None

    def _publish(self, publications: Sequence[Publication]) -> None:
        router = self._router()
        for _ in range(_ATTEMPTS):
            items, refusal = self._items(publications, router)
            try:
                self._store.put(items, router.topology.version)
            except TopologyMoved:
                router = self._reroute()
                continue
            except QueueFull as full:
                raise PublishRefused(f"queue {full.queue!r} is full and refuses messages (x-overflow)") from full
            if refusal is not None:
                raise refusal
            if router.limited:
                self._trim([queue for queue, _ in items if queue in router.limited])
            return
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
                    items.append((queue, Envelope(head, body, 0, delay, ttl)))
        return items, None


def _copy(error: KombuError) -> KombuError:
    """Of one error for several threads: each raises its own."""
    copied = type(error)(*error.args)
    copied.__cause__ = error
    return copied


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
