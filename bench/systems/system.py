"""What every system can do, and how those that claim rows and delete them consume."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from systems.place import Place

EMPTY = 0.005
"""Seconds before an empty queue is asked again."""

Body = dict[str, Any]
Handle = Callable[[Body], object]


class System(ABC):
    """On one database, which is empty at first."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @abstractmethod
    def make(self) -> None:
        """The tables and the queue."""

    @abstractmethod
    def open(self) -> None:
        """Connect."""

    @abstractmethod
    def close(self) -> None:
        """Disconnect; what was acknowledged is gone then."""

    @abstractmethod
    def publish(self, bodies: Sequence[Body]) -> None:
        """One after the other, each stored before the next."""

    @abstractmethod
    def publish_batch(self, bodies: Sequence[Body]) -> None:
        """All at once."""

    @abstractmethod
    def consume(self, handle: Handle, enough: Callable[[], bool], prefetch: int) -> None:
        """Hand out and acknowledge until there was enough; that is asked once a second at least."""

    def settle(self) -> None:
        """What the server would have done by itself soon after so much was written."""
        if self.place.kind == "postgresql":
            import psycopg
            from systems.place import HOST, USER

            with psycopg.connect(
                host=HOST, port=self.place.port, user=USER, dbname=self.place.name, autocommit=True
            ) as connection:
                connection.execute("VACUUM ANALYZE")


class Claiming(System):
    """Rows are claimed and deleted in batches, as many as are asked for."""

    @abstractmethod
    def claim(self, limit: int) -> tuple[list[Any], list[Body]]:
        """The ids, and what was published; after a while nothing."""

    @abstractmethod
    def delete(self, ids: list[Any]) -> None:
        """Done with these."""

    def consume(self, handle: Handle, enough: Callable[[], bool], prefetch: int) -> None:
        while not enough():
            ids, bodies = self.claim(prefetch)
            for body in bodies:
                handle(body)
            if ids:
                self.delete(ids)
            else:
                time.sleep(EMPTY)
