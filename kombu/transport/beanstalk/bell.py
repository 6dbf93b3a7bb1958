"""Waiting for a job on a connection of its own, which anybody may end.

A reservation that waits is the protocol's only way to be told of new jobs, and it takes one. So that waiting takes
nothing, the job goes back at once: released for a second and kicked, which is what a release that does not count
looks like here (see the store). Every consumer that waits on a tube is woken by a new job, and one of them claims it.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from math import ceil

from kombu.transport.beanstalk.wire import Line

_GRACE = 0.15
"""Seconds that a wait may last longer than it should, so that its connection can be kept."""


class Bell:
    """``connect`` opens the connection, when it is first needed."""

    def __init__(self, connect: Callable[[], Line]) -> None:
        self._connect = connect
        self._line: Line | None = None
        self._watched: set[bytes] = set()
        self._lock = threading.Lock()
        self._rope, self._clapper = socket.socketpair()
        self._rope.setblocking(False)
        self._clapper.setblocking(False)

    def ring(self) -> None:
        """Let the wait end, or the next one."""
        try:
            self._rope.send(b"!")
        except (BlockingIOError, OSError):
            return  # it rings already, or nobody will ever wait again

    def wait(self, tubes: Sequence[bytes], timeout: float) -> None:
        """Until a tube has a job that is ready, or ``timeout`` seconds."""
        with self._lock:
            if not tubes or timeout <= 0:
                self._rung(max(timeout, 0.0))
                return
            whole = max(ceil(timeout - _GRACE), 1)
            line = self._watch(tubes)
            line.send(b"reserve-with-timeout %d\r\n" % whole)
            longest = max(timeout, whole + _GRACE) if whole - timeout < _GRACE else timeout
            ready, _, _ = select.select([line.socket, self._clapper], [], [], longest)
            if self._clapper in ready:
                self._clapper.recv(4096)
            if line.socket in ready:
                self._put_back(line)
            else:
                self._hang_up()

    def close(self) -> None:
        self.ring()
        with self._lock:
            self._hang_up()
            self._rope.close()
            self._clapper.close()

    def _rung(self, timeout: float) -> None:
        ready, _, _ = select.select([self._clapper], [], [], timeout)
        if ready:
            self._clapper.recv(4096)

    def _watch(self, tubes: Sequence[bytes]) -> Line:
        if self._line is None or self._line.broken:
            self._line, self._watched = self._connect(), {b"default"}
        wanted = set(tubes)
        commands = [b"watch %b\r\n" % tube for tube in wanted - self._watched]
        commands += [b"ignore %b\r\n" % tube for tube in self._watched - wanted]
        self._line.ask(commands)
        self._watched = wanted
        return self._line

    def _put_back(self, line: Line) -> None:
        reply = line.receive()
        if reply.status != b"RESERVED":
            return
        id = int(reply.values[0])
        [stats] = line.ask([b"stats-job %d\r\n" % id])
        if stats.status != b"OK":
            return
        priority = int(stats.figures()[b"pri"])
        line.ask([b"release %d %d 1\r\n" % (id, priority), b"kick-job %d\r\n" % id])

    def _hang_up(self) -> None:
        """Whatever it is given at this moment is released by that."""
        if self._line is not None:
            self._line.close()
            self._line = None
