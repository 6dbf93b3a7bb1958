"""What one thread rings while another waits for several things at once."""

from __future__ import annotations

import socket
from contextlib import suppress


class Alarm:
    """Readable, for ``select`` and its like, from :meth:`ring` until :meth:`silence`."""

    def __init__(self) -> None:
        self._hears, self._rings = socket.socketpair()
        self._hears.setblocking(False)
        self._rings.setblocking(False)

    def fileno(self) -> int:
        return self._hears.fileno()

    def ring(self) -> None:
        """From any thread."""
        with suppress(OSError):  # it has been rung often enough, or nobody waits any more
            self._rings.send(b"!")

    def silence(self) -> None:
        with suppress(BlockingIOError):
            self._hears.recv(4096)

    def close(self) -> None:
        self._hears.close()
        self._rings.close()
