"""A thread that touches jobs whose time to run is shorter than their lease: those that other programs have put."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from kombu.exceptions import KombuError

logger = logging.getLogger(__name__)


class Toucher:
    """``touch`` touches what is due, and answers after how many seconds to do so again; None when there is nothing left
    to touch. The thread lives no longer than there is."""

    def __init__(self, touch: Callable[[], float | None]) -> None:
        self._touch = touch
        self._wake = threading.Condition()
        self._running = False
        self._stopped = False

    def wake(self) -> None:
        """There is something to touch, perhaps sooner than before."""
        with self._wake:
            if self._stopped:
                return
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="kombu-toucher", daemon=True).start()
            self._wake.notify()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def _run(self) -> None:
        while (pause := self._next()) is not None:
            with self._wake:
                self._wake.wait_for(lambda: self._stopped, timeout=pause)

    def _next(self) -> float | None:
        try:
            pause = self._touch()
        except KombuError as exc:
            logger.warning("jobs are no longer touched: %s", exc)  # whoever uses the connection next is told
            pause = None
        with self._wake:
            if self._stopped or pause is None:
                self._running = False
                return None
        return pause
