"""Looks into the site's databases from outside, with nothing but SQL."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .recompute import Totals


@dataclass(frozen=True, slots=True)
class Glance:
    """How far a run is. ``outbox`` and ``queued`` count what is still there, whoever holds it just now."""

    imported: int
    effects: int
    outbox: int
    queued: int

    @property
    def drained(self) -> bool:
        return self.outbox == 0 and self.queued == 0


class Observer:
    """Reads the databases of one way; ``queue`` is the one with the messages."""

    def __init__(self, data: Path, *, outbox: bool) -> None:
        self.site = _reader(data / "site.sqlite3")
        self.queue = _reader(data / "queue.sqlite3") if outbox else self.site

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.site.close()
        self.queue.close()

    def glance(self) -> Glance:
        imported = self._number("SELECT count(*) FROM flights_flight")
        effects = self._number("SELECT count(*) FROM flights_effect")
        # The outbox first: an event leaves it when it is in the queue, so looking in this order misses none.
        outbox = self._number("SELECT count(*) FROM kombu_outbox")
        queued = self.queue.execute("SELECT count(*) FROM kombu_message").fetchone()[0]
        return Glance(imported=imported, effects=effects, outbox=outbox, queued=queued)

    def totals(self) -> Totals:
        return Totals(
            flights={_key(*row) for row in self._rows("SELECT scheduled, carrier, number, origin FROM flights_flight")},
            carriers={
                carrier: (departures, minutes)
                for carrier, departures, minutes in self._rows(
                    "SELECT carrier, departures, minutes FROM flights_carrierdelay"
                )
            },
            cancellations=dict(self._rows("SELECT airport, cancellations FROM flights_airportcancellations")),
            boards={
                airport: (events, latest)
                for airport, events, latest in self._rows("SELECT airport, events, latest FROM flights_airportboard")
            },
            effects=Counter(self._rows("SELECT consumer, flight FROM flights_effect")),
        )

    def redelivered(self) -> int:
        """How often a message had to come again before its effect was there."""
        return self._number("SELECT coalesce(sum(delivery_count - 1), 0) FROM flights_effect")

    def _number(self, sql: str) -> int:
        value: int = self.site.execute(sql).fetchone()[0]
        return value

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.site.execute(sql).fetchall()


def let_go(path: Path) -> bool:
    """Whether no process uses the SQLite file. One that did and found its file replaced would, on closing,
    remove the log of the new one: https://www.sqlite.org/howtocorrupt.html#unlink
    """
    if not path.exists():
        return True
    with closing(sqlite3.connect(path, timeout=0.5)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE")  # refused while anybody else has it open
        except sqlite3.OperationalError:
            return False
        except sqlite3.DatabaseError:  # whatever this file is, it is no database
            return True
    return True


def _reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _key(scheduled: str, carrier: str, number: int, origin: str) -> str:
    return f"{scheduled[:10]}T{scheduled[11:16]}Z {carrier}{number:04d} {origin}"
