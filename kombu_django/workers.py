"""A worker's row in ``kombu_worker``: who consumes what, for people to look at."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from typing import Self

from kombu_django.conf import Config
from kombu_django.models import Worker
from kombu_django.registry import Handler
from kombu_django.store.errors import translated

EVERY = 15.0
"""Seconds between two signs of life."""


class Presence:
    """While it is entered, this process has a row in the application's database."""

    def __init__(self, config: Config, handlers: Sequence[Handler]) -> None:
        self._database = config.database
        self._alias = config.alias
        self._queues = ", ".join(handler.queue.name for handler in handlers)
        self._renewed = 0.0
        self._row: Worker | None = None

    def __enter__(self) -> Self:
        now = _now()
        with translated(self._database):
            self._row = Worker.objects.using(self._database).create(
                hostname=socket.gethostname()[:255],
                pid=os.getpid(),
                connection=self._alias,
                queues=self._queues,
                started_at=now,
                seen_at=now,
            )
        self._renewed = time.monotonic()
        return self

    def renew(self) -> None:
        """A sign of life, when it is time for one."""
        if self._row is not None and time.monotonic() - self._renewed > EVERY:
            self._renewed = time.monotonic()
            with translated(self._database):
                Worker.objects.using(self._database).filter(pk=self._row.pk).update(seen_at=_now())

    def __exit__(self, *exc: object) -> None:
        if self._row is not None:
            with translated(self._database):
                self._row.delete(using=self._database)


def _now() -> int:
    return round(time.time() * 1e6)
