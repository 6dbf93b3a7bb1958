"""``@consumer``: what the apps' ``consumers.py`` register, and what they need declared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import ImproperlyConfigured

from kombu.entity import Queue
from kombu.message import Message
from kombu.retry import RetryPolicy
from kombu_django.conf import DEFAULT_ALIAS

Function = TypeVar("Function", bound=Callable[[Any, Message], object])

BACKOFF = RetryPolicy(interval_start=1.0, interval_step=4.0, interval_max=300.0)
"""Pauses between the attempts at a message: 1, 5, 9 … seconds, five minutes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function and the queue whose messages it gets; see :func:`consumer`."""

    queue: Queue
    dead_queue: Queue | None
    function: Callable[[Any, Message], object]
    using: str
    retries: int
    atomic: bool
    accept: tuple[str, ...] | None
    backoff: RetryPolicy

    @property
    def name(self) -> str:
        """The function's dotted name."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    def queues(self) -> Iterator[Queue]:
        """What is declared for it: the dead-letter queue first, so that nothing is rejected into the void."""
        if self.dead_queue is not None:
            yield self.dead_queue
        yield self.queue


class Registry:
    """The handlers of a project, one for each queue of each connection."""

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {}

    def add(self, handler: Handler) -> None:
        """Raises ``ImproperlyConfigured`` when another function has the queue already."""
        key = handler.using, handler.queue.name
        other = self._handlers.get(key)
        if other is not None and other.name != handler.name:
            raise ImproperlyConfigured(
                f"queue {handler.queue.name!r} of connection {handler.using!r} has two consumers,"
                f" {other.name} and {handler.name}: give each a queue of its own"
            )
        self._handlers[key] = handler

    def clear(self) -> None:
        """Forget all handlers; for tests."""
        self._handlers.clear()

    def handlers(self, using: str | None = None) -> list[Handler]:
        """All handlers, or those of one connection alias."""
        return [handler for handler in self._handlers.values() if using in (None, handler.using)]

    def aliases(self) -> list[str]:
        """The connection aliases that have consumers."""
        return sorted({handler.using for handler in self._handlers.values()})


registry = Registry()


def consumer(
    queue: Queue | str,
    *,
    using: str = DEFAULT_ALIAS,
    retries: int = 5,
    atomic: bool = True,
    accept: Iterable[str] | None = None,
    backoff: RetryPolicy = BACKOFF,
) -> Callable[[Function], Function]:
    """Register a function ``(body, message)`` for the messages of ``queue``, to be run by ``kombu_consume``.

    ``using`` is the connection's alias in ``settings.KOMBU``. ``atomic``: the function runs in a transaction of
    the connection's ``DATABASE``, and the message is acknowledged with it, so that its effects happen exactly
    once; without it a message may be handled again after a crash. A function that raises is tried again
    ``retries`` times with the pauses of ``backoff``; then the message goes to the queue ``<queue>.dead``, or
    where the queue's own ``x-dead-letter-exchange`` leads. ``accept`` lists the serializers that may be decoded.
    """
    if retries < 0:
        raise ImproperlyConfigured(f"retries={retries}: how often to try again, 0 or more")
    given = Queue(queue) if isinstance(queue, str) else queue
    if not given.name:
        raise ImproperlyConfigured("a consumer's queue needs a name")

    def register(function: Function) -> Function:
        main, dead = _with_dead_letters(given)
        registry.add(
            Handler(
                queue=main,
                dead_queue=dead,
                function=function,
                using=using,
                retries=retries,
                atomic=atomic,
                accept=None if accept is None else tuple(accept),
                backoff=backoff,
            )
        )
        return function

    return register


def _with_dead_letters(queue: Queue) -> tuple[Queue, Queue | None]:
    if "x-dead-letter-exchange" in queue.queue_arguments:
        return queue, None
    dead = Queue(f"{queue.name}.dead", durable=queue.durable)
    main = copy(queue)
    main.queue_arguments = {
        **queue.queue_arguments,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead.name,
    }
    return main, dead
