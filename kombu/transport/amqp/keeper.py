"""The thread of a connection: heartbeats, also while a handler runs, and acknowledgements that waited long enough."""

from __future__ import annotations

import logging
import threading
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from kombu.exceptions import ConnectionError

if TYPE_CHECKING:
    from kombu.transport.amqp.connection import AMQPConnection

__all__ = ["Keeper"]

logger = logging.getLogger(__name__)

_PATIENCE = 5.0


class Keeper:
    """It ends with the connection."""

    def __init__(self, connection: AMQPConnection) -> None:
        self._connection = connection
        self._wire = connection.link.wire
        self._woken = threading.Event()
        self._ended = False
        self._wakes_at = 0.0
        self._thread = threading.Thread(target=self._run, name="kombu-amqp-keeper", daemon=True)
        self._thread.start()

    def owe(self) -> None:
        """With the lock held: the first acknowledgement is owed. Send it in time."""
        ready, delay = self._connection.ready, self._connection.options.settle_delay
        ready.owed_since = now = monotonic()
        if now + delay < self._wakes_at:
            self._wakes_at = now + delay
            self._woken.set()

    def end(self) -> None:
        """Without the lock held."""
        self._ended = True
        self._woken.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._ended and self._wire.lost is None:
            pause = self._work()
            self._woken.wait(None if pause == inf else pause)
            self._woken.clear()

    def _work(self) -> float:
        """What is due; answers the seconds until there may be something again."""
        with self._wire.mutex:
            try:
                self._wire.beat()
                self._settle()
            except ConnectionError as exc:
                logger.debug("nothing to keep any more: %s", exc)
            now, since = monotonic(), self._connection.ready.owed_since
            heartbeat = now + self._wire.heartbeat / 4 if self._wire.heartbeat else inf
            self._wakes_at = min(heartbeat, since + self._connection.options.settle_delay if since else inf)
            return max(0.0, self._wakes_at - now)

    def _settle(self) -> None:
        since = self._connection.ready.owed_since
        if since and monotonic() - since >= self._connection.options.settle_delay:
            self._connection.settle()
