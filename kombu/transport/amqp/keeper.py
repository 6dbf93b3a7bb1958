"""The thread of a connection: heartbeats, also while a handler runs, and acknowledgements that waited long enough."""

from __future__ import annotations

import logging
import threading
from math import inf
from time import monotonic
from typing import TYPE_CHECKING
from weakref import ref

from kombu.exceptions import ConnectionError

if TYPE_CHECKING:
    from kombu.transport.amqp.connection import AMQPConnection

__all__ = ["Keeper"]

logger = logging.getLogger(__name__)

_PATIENCE = 5.0
_MOST = 60.0
_LOOK = 1.0
"""Seconds between looks whether a lost connection is held by anybody."""


class Keeper:
    """It ends with the connection, and ends one that nobody holds any more."""

    def __init__(self, connection: AMQPConnection) -> None:
        self._connection = ref(connection)
        self._delay = connection.options.settle_delay
        self._wire = connection.link.wire
        self._woken = threading.Event()
        self._ended = False
        self._wakes_at = 0.0
        self._thread = threading.Thread(target=self._run, name="kombu-amqp-keeper", daemon=True)
        self._thread.start()

    def owe(self) -> None:
        """With the lock held: the first acknowledgement is owed since now. Send it in time."""
        now = monotonic()
        if now + self._delay < self._wakes_at:
            self._wakes_at = now + self._delay
            self._woken.set()

    def end(self) -> None:
        """Without the lock held."""
        self._ended = True
        self._woken.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._ended:
            pause = self._work()
            self._woken.wait(min(pause, _MOST))
            self._woken.clear()

    def _work(self) -> float:
        """What is due; answers the seconds until there may be something again."""
        with self._wire.mutex:
            connection = self._connection()
            if connection is None:
                self._wire.close()
                self._ended = True
                return 0.0
            if self._wire.lost is not None:
                return _LOOK
            try:
                self._wire.beat()
                since = self._settle(connection)
            except ConnectionError as exc:
                logger.debug("nothing to keep any more: %s", exc)
                return _LOOK
            now = monotonic()
            heartbeat = now + self._wire.heartbeat / 4 if self._wire.heartbeat else inf
            self._wakes_at = min(heartbeat, since + self._delay if since else inf)
            return max(0.0, self._wakes_at - now)

    def _settle(self, connection: AMQPConnection) -> float:
        """Answers since when some are owed, 0 for none."""
        since = connection.ready.owed_since
        if not since or monotonic() - since < self._delay:
            return since
        connection.settle()
        return 0.0
