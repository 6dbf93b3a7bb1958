"""The socket of a connection: written and read by any thread, with a deadline for each, and one that reads at a time.

``lock`` guards everything of a connection. It is let go of only while waiting for the socket, so a thread that waits
for an answer, for a confirm or for messages hinders no other. Who waits while nobody reads is the reader, and tells the
others when something came.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from math import inf
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from time import monotonic

from kombu.exceptions import ConnectionError, KombuError
from kombu.transport.amqp.frames import HEARTBEAT

__all__ = ["Wire"]

_CHUNK = 65536
_CHUNKS = 16
"""How much is taken in at a time: a broker that sends without end does not keep a thread for ever."""

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_GOODBYE = 1.0
"""Seconds for a few last bytes."""


class Wire:
    """``feed`` is given what comes; ``on_lost`` is told, once, why nothing will come any more; both with the lock held.

    A broker that is silent for two ``heartbeat`` intervals (seconds, 0 for none) is taken for gone.
    """

    def __init__(
        self,
        sock: socket.socket,
        heartbeat: float,
        feed: Callable[[bytes], None],
        on_lost: Callable[[ConnectionError], None],
    ) -> None:
        self.mutex = threading.Lock()
        """The lock itself, which is quicker to take."""
        self.lock = threading.Condition(self.mutex)
        self.lost: ConnectionError | None = None
        self.heartbeat = heartbeat
        self._silence = 2 * heartbeat or inf
        self._sock = sock
        self._encrypted = isinstance(sock, ssl.SSLSocket)
        self._feed = feed
        self._on_lost = on_lost
        self._reading = False
        self._waiting = 0
        self._received_at = self._sent_at = monotonic()
        self._alarm, self._bell = socket.socketpair()
        for end in (self._alarm, self._bell):
            end.setblocking(False)
        self._selector = DefaultSelector()
        self._selector.register(sock, EVENT_READ)
        self._selector.register(self._alarm, EVENT_READ)

    def wait_for(self, done: Callable[[], object], deadline: float) -> None:
        """With the lock held: return once it is so. Raises ``TimeoutError`` at the deadline, by the monotonic clock,
        and :class:`~kombu.exceptions.ConnectionError` where the connection is lost meanwhile."""
        began = 0.0
        while not done():
            self.check()
            now = monotonic()
            began = began or now
            left = deadline - now
            if self._reading:
                self._wait_for_the_reader(left)
                continue
            quiet = max(self._received_at, began) + self._silence - now
            if self._look(max(0.0, min(left, quiet))):
                self.receive()
            elif not done() and left <= 0:
                raise TimeoutError
            elif quiet <= 0:
                self.lose(ConnectionError(f"the broker was silent for {self._silence:g} s, two heartbeats: it is gone"))

    def stir(self) -> None:
        """With the lock held: something changed that others may wait for."""
        if self._waiting:
            self.lock.notify_all()
        if self._reading:
            self.ring()

    def ring(self) -> None:
        """From any thread, with or without the lock: whoever reads looks at what it waits for."""
        try:
            self._bell.send(b"!")
        except OSError:
            return  # it rings already, or nobody is there any more

    def receive(self) -> None:
        """With the lock held: take in what has come."""
        for _ in range(_CHUNKS):
            if self.lost is not None:
                return
            try:
                data = self._sock.recv(_CHUNK)
            except _LATER:
                return
            except OSError as exc:
                self.lose(_gone(exc))
                return
            if not data:
                self.lose(ConnectionError("the broker closed the connection"))
                return
            self._received_at = monotonic()
            self._take_in(data)
            if not self._encrypted and len(data) < _CHUNK:
                return

    def idle_for(self, seconds: float) -> bool:
        """Whether nothing came for so long."""
        return monotonic() - self._received_at > seconds

    def send(self, data: bytes, deadline: float) -> None:
        """With the lock held: all of it goes out, or the connection is lost: ``uncertain`` where a part went out."""
        self.check()
        try:
            sent = self._sock.send(data)
        except _LATER:
            sent = 0
        except OSError as exc:
            raise self.lose(_gone(exc)) from exc
        self._sent_at = monotonic()
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], deadline)

    def check(self) -> None:
        """Raises where the connection is lost."""
        if self.lost is not None:
            again = ConnectionError(*self.lost.args)
            again.uncertain = self.lost.uncertain
            raise again from self.lost

    def lose(self, why: ConnectionError) -> ConnectionError:
        """With the lock held: the connection is of no more use. Answers why, the first time."""
        if self.lost is None:
            self.lost = why
            try:
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError as exc:
                why.__cause__ = why.__cause__ or exc
            self._on_lost(why)
            self.lock.notify_all()
            self.ring()
        return self.lost

    def beat(self) -> None:
        """With the lock held: a heartbeat where none went out for half an interval; lost where none came for two."""
        now = monotonic()
        if not self.heartbeat or self.lost is not None:
            return
        if now - self._received_at > self._silence and not self._reading:
            self._look_for_life()
        if now - self._sent_at >= self.heartbeat / 2 and self.lost is None:
            self.send(HEARTBEAT, now + self.heartbeat)

    def close(self) -> None:
        """With the lock held, and nobody waiting: let go of the socket."""
        self.lose(ConnectionError("the connection was closed"))
        deadline = monotonic() + _GOODBYE
        while self._reading and monotonic() < deadline:
            self._waiting += 1
            self.lock.wait(_GOODBYE)
            self._waiting -= 1
        self._selector.close()
        for each in (self._sock, self._alarm, self._bell):
            each.close()

    def _wait_for_the_reader(self, left: float) -> None:
        if left <= 0:
            raise TimeoutError
        self._waiting += 1
        try:
            self.lock.wait(min(left, threading.TIMEOUT_MAX))
        finally:
            self._waiting -= 1

    def _look(self, timeout: float) -> bool:
        """Whether something came: wait for it as the reader, the lock let go."""
        if self._encrypted and self._sock.pending():  # type: ignore[attr-defined]
            return True
        self._reading = True
        self.lock.release()
        try:
            found = self._selector.select(None if timeout == inf else timeout)
        finally:
            self.lock.acquire()
            self._reading = False
            if self._waiting:
                self.lock.notify_all()
        if any(key.fileobj is self._alarm for key, _ in found):
            self._alarm.recv(_CHUNK)
        return any(key.fileobj is self._sock for key, _ in found)

    def _take_in(self, data: bytes) -> None:
        try:
            self._feed(data)
        except ConnectionError as exc:
            self.lose(exc)
        except KombuError:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever a forged frame causes, the connection is of no more use
            broken = ConnectionError(f"the broker sent what cannot be read: {exc!r}")
            broken.__cause__ = exc
            self.lose(broken)

    def _send_rest(self, rest: memoryview, deadline: float) -> None:
        """The broker is slower than we are. What it sends is taken in meanwhile, since it may be waiting for that."""
        with DefaultSelector() as selector:
            selector.register(self._sock, EVENT_READ | EVENT_WRITE)
            while rest:
                left = deadline - monotonic()
                if left <= 0:
                    raise self.lose(_uncertain(ConnectionError("the broker takes no more data: gone, busy or blocked")))
                ready = selector.select(None if left == inf else left)
                if any(events & EVENT_READ for _, events in ready):
                    self.receive()
                    if self.lost is not None:
                        raise _uncertain(ConnectionError(*self.lost.args)) from self.lost
                try:
                    rest = rest[self._sock.send(rest) :]
                except _LATER:
                    continue
                except OSError as exc:
                    raise self.lose(_uncertain(_gone(exc))) from exc

    def _look_for_life(self) -> None:
        """What has come and was not read, while a handler runs, is a sign of it."""
        with DefaultSelector() as selector:
            selector.register(self._sock, EVENT_READ)
            if not selector.select(0):
                self.lose(ConnectionError(f"the broker was silent for {self._silence:g} s, two heartbeats: it is gone"))


def _uncertain(error: ConnectionError) -> ConnectionError:
    error.uncertain = True
    return error


def _gone(exc: OSError) -> ConnectionError:
    error = ConnectionError(f"the connection to the broker is lost: {exc.strerror or exc}")
    error.__cause__ = exc
    return error
