"""Faults on purpose: a broker in memory that fails when a test says so, for programs that have to come through it.

>>> from kombu.testing.faults import faults
>>> with faults("shop") as broker:          # of memory://shop
...     broker.fail("publish", times=2)

Nothing is slower while there are no faults, and those that were not met are gone when the block ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple
from weakref import WeakSet

from kombu.exceptions import ConnectionError, KombuError, OperationalError
from kombu.transport.memory import MemoryStore, Shared, shared_queues
from kombu.transport.virtual.store import Delivery, Envelope, Lease, Outcome

__all__ = ["Faults", "Moment", "faults"]

Moment = Literal["connect", "publish", "claim", "settle", "renew"]
"""When something fails: connecting; storing messages; handing messages to consumers; acknowledging, requeueing and
rejecting; renewing what is held, which a thread of the connection does by itself."""

_Clock = Callable[[], float]


@contextmanager
def faults(name: str = "") -> Iterator[Faults]:
    """The faults of ``memory://name``, for the connections that are open and those that come, until the block ends."""
    shared = shared_queues(name)
    if shared.on_handle is not None:
        raise RuntimeError(f"memory://{name} has faults already: one block at a time")
    made = Faults(shared)
    try:
        yield made
    finally:
        made._end()


class Faults:
    """What is to go wrong with one broker in memory. To be used from any thread."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._planned: dict[Moment, deque[_Fault]] = {}
        self._delay = 0.0
        self._lost: WeakSet[MemoryStore] = WeakSet()
        with shared.lock:
            for handle in shared.handles:
                self._take(handle)
            shared.on_handle = self._take

    def fail(
        self,
        moment: Moment,
        error: KombuError | type[KombuError] = OperationalError,
        *,
        times: int = 1,
        done: bool = False,
    ) -> None:
        """Let the next ``times`` operations of this kind raise ``error``.

        ``done``: they are carried out and raise then, as where the broker's answer is lost. What a real transport
        raises at ``"publish"`` then is :class:`~kombu.exceptions.PublishUncertain`.
        """
        self._plan(moment, _Fault(error, done, lost=False), times)

    def lose_connections(self, moment: Moment | None = None, *, done: bool = False) -> None:
        """Lose all connections that are open now, or the one that comes to ``moment`` next.

        A lost one raises :class:`~kombu.exceptions.ConnectionError` whatever it is asked, until it is opened anew. What
        it held comes back when its leases end: see :meth:`end_leases`.
        """
        if moment is not None:
            self._plan(moment, _Fault(ConnectionError, done, lost=True), 1)
            return
        with self._shared.lock:
            self._lost.update(self._shared.handles)
            for handle in self._shared.handles:
                handle.wake()

    def delay(self, seconds: float) -> None:
        """Let what is published from now on be available that much later; 0 for at once again."""
        self._delay = seconds

    def end_leases(self) -> None:
        """Let all leases run out now: what consumers hold is delivered to others, too."""
        with self._shared.lock:
            for queue in self._shared.queues.values():
                queue.end_leases(self._shared.clock())
            self._shared.changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once, for delays, times to live, leases and lives of queues. It stays so.

        A lease is 60 seconds unless the transport option ``lease`` says otherwise.
        """
        if seconds < 0:
            raise ValueError(f"advance({seconds}): time does not go back")
        with self._shared.lock:
            now = _later(self._shared.clock, seconds)
            for handle in self._shared.handles:
                if handle._clock is self._shared.clock:
                    handle._clock = now
            self._shared.clock = now
            self._shared.changed.notify_all()

    @property
    def pending(self) -> int:
        """How many of the faults that were planned have not been met yet."""
        with self._shared.lock:
            return sum(map(len, self._planned.values()))

    def _plan(self, moment: Moment, fault: _Fault, times: int) -> None:
        with self._shared.lock:
            self._planned.setdefault(moment, deque()).extend([fault] * times)

    @contextmanager
    def _at(self, moment: Moment, handle: MemoryStore) -> Iterator[None]:
        """What is done in the block may fail before, or after it."""
        with self._shared.lock:
            self._check(handle)
            planned = self._planned.get(moment)
            fault = planned.popleft() if planned else None
        if fault is not None and not fault.done:
            self._raise(fault, moment, handle)
        yield
        if fault is not None:
            self._raise(fault, moment, handle)

    def _check(self, handle: MemoryStore) -> None:
        if handle in self._lost:
            raise ConnectionError("the connection was lost, as the test wants it")

    def _raise(self, fault: _Fault, moment: Moment, handle: MemoryStore) -> None:
        if fault.lost:
            self._lost.add(handle)
        error = fault.error
        if isinstance(error, type):
            raise error(f"{moment} failed, as the test wants it")
        raise type(error)(*error.args)

    def _delayed(self, items: Sequence[tuple[str, Envelope]]) -> Sequence[tuple[str, Envelope]]:
        if not self._delay:
            return items
        return [(queue, each._replace(delay=each.delay + self._delay)) for queue, each in items]

    def _take(self, handle: MemoryStore) -> None:
        """Only a plain one: a test's own store does what it does."""
        if type(handle) is MemoryStore:
            handle.__class__ = _FaultyStore
            assert isinstance(handle, _FaultyStore)
            handle.faults = self

    def _end(self) -> None:
        """Lost connections stay lost."""
        with self._shared.lock:
            self._planned.clear()
            self._delay = 0.0
            self._shared.on_handle = None
            for handle in set(self._shared.handles) - set(self._lost):
                if isinstance(handle, _FaultyStore):
                    handle.__class__ = MemoryStore  # type: ignore[assignment]


class _Fault(NamedTuple):
    """``done``: what it befalls happens all the same. ``lost``: so is the connection."""

    error: KombuError | type[KombuError]
    done: bool
    lost: bool


class _FaultyStore(MemoryStore):
    """What a handle is while there are faults."""

    faults: Faults

    def __getattribute__(self, name: str) -> object:
        if name in _ASKS:
            object.__getattribute__(self, "faults")._check(self)
        return super().__getattribute__(name)

    def open(self) -> None:
        with self.faults._at("connect", self):
            super().open()

    def put(self, items: Sequence[tuple[str, Envelope]], version: int | None = None) -> None:
        if not items:  # only the version is looked at
            super().put(items, version)
            return
        with self.faults._at("publish", self):
            super().put(self.faults._delayed(items), version)

    def claim(self, wants: Mapping[str, int], lease: float) -> list[Delivery]:
        with self.faults._at("claim", self):
            return super().claim(wants, lease)

    def settle(self, outcomes: Sequence[Outcome]) -> list[bool]:
        with self.faults._at("settle", self):
            return super().settle(outcomes)

    def extend(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        with self.faults._at("renew", self):
            return super().extend(leases, seconds)


_ASKS = frozenset(name for name in vars(MemoryStore) if not name.startswith("_")) - {
    "capabilities",
    "close",
    "reset",
    "wake",
}
"""What a lost connection does not answer."""


def _later(clock: _Clock, seconds: float) -> _Clock:
    return lambda: clock() + seconds
