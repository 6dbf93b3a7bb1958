"""How a thread that waits for a server's answer is woken by another thread."""

from __future__ import annotations

import select
import socket
from contextlib import suppress


class Bell:
    """To be rung from any thread; it rings until it was heard."""

    def __init__(self) -> None:
        self._ear, self._rope = socket.socketpair()
        for end in (self._ear, self._rope):
            end.setblocking(False)

    def ring(self) -> None:
        with suppress(BlockingIOError, OSError):  # it rings already, or is gone
            self._rope.send(b"!")

    def heard(self) -> bool:
        """Whether it was rung since it was last asked."""
        try:
            return bool(self._ear.recv(4096))
        except (BlockingIOError, OSError):
            return False

    def wait(self, seconds: float, other: socket.socket | None = None) -> bool:
        """Until it rings or there is something to read from ``other``, which is what is answered."""
        poll = select.poll()
        poll.register(self._ear, select.POLLIN)
        if other is not None:
            poll.register(other, select.POLLIN)
        found = poll.poll(max(seconds, 0) * 1000)
        return other is not None and any(number == other.fileno() for number, _ in found)

    def close(self) -> None:
        self._ear.close()
        self._rope.close()
